"""The component ``platform_core.FileDrop``."""

from __future__ import annotations

import dagster as dg

from platform_core.components.scaffolds import FileDropScaffolder
from platform_core.orchestration.drop_assets import drop_asset, drop_sensor
from platform_core.settings import find_repo


@dg.scaffold_with(FileDropScaffolder)
class FileDrop(dg.Component, dg.Resolvable, dg.Model):
    """A folder or bucket where people drop files: one asset, `<domain>/raw/<stream>`, and a sensor that loads what is new.

    Names a file `airbyte/<domain>/drops/<drop>.yaml`, which says the location (secrets by `${ENV}`), which files (CSV, JSON,
    JSON lines, Parquet, Excel), the raw table, and what a changed file does. Each content is loaded exactly once; a file that
    cannot be read goes into quarantine beside a letter that says what to do.
    """

    drop: str

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` and the docs show."""
        return dg.ComponentTypeSpec(
            description="Files that people drop, loaded exactly once into the domain's raw schema.",
            tags=["data-mesh", "ingestion", "files"],
            owners=["team:platform"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The drop's asset and its sensor."""
        from platform_core.ingestion.drops import drop_folder, load_drop

        folder = drop_folder(find_repo(context.project_root), context.project_root.name)
        drop = load_drop(folder / f"{self.drop}.yaml")
        return dg.Definitions(assets=[drop_asset(drop)], sensors=[drop_sensor(drop)])
