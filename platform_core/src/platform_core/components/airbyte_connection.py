"""The component ``platform_core.AirbyteConnection``."""

from __future__ import annotations

import dagster as dg

from platform_core.components.scaffolds import AirbyteConnectionScaffolder
from platform_core.orchestration.server_assets import connection_assets
from platform_core.settings import find_repo


@dg.scaffold_with(AirbyteConnectionScaffolder)
class AirbyteConnection(dg.Component, dg.Resolvable, dg.Model):
    """An Airbyte connection of the domain: one asset per stream, `<domain>/raw/<stream>`.

    Names a file `airbyte/<domain>/<connection>.yaml`, which says the connector with its exact version, its configuration
    (secrets by `${ENV}`), the streams and their sync modes, and the schedule.
    """

    connection: str

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` and the docs show."""
        return dg.ComponentTypeSpec(
            description="Streams of an Airbyte connector, loaded exactly once into the domain's raw schema.",
            tags=["data-mesh", "ingestion", "airbyte"],
            owners=["team:platform"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of the connection's streams."""
        from platform_core.ingestion import load_connection

        domain = context.project_root.name
        repo = find_repo(context.project_root)
        return dg.Definitions(assets=[connection_assets(load_connection(repo / "airbyte" / domain / f"{self.connection}.yaml"))])
