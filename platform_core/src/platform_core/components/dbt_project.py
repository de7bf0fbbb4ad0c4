"""The component ``platform_core.DbtProject``."""

from __future__ import annotations

import os

import dagster as dg

from platform_core.components.scaffolds import DbtProjectScaffolder
from platform_core.contracts import load_mesh
from platform_core.orchestration.dbt_assets import dbt_assets
from platform_core.settings import Settings, find_repo
from platform_core.transformation import DbtProject as Project
from platform_core.transformation import ensure_manifest


@dg.scaffold_with(DbtProjectScaffolder)
class DbtProject(dg.Component, dg.Resolvable, dg.Model):
    """The domain's dbt project: one asset per model, `<domain>/build/<model>`, dbt tests as checks.

    The project lies in `dbt_projects/<domain>_dbt`. Its sources are the domain's raw tables and other products' port views; models
    land in `<domain>_build`, built as the domain's own role.
    """

    @classmethod
    def get_spec(cls) -> dg.ComponentTypeSpec:
        """What `dg list components` and the docs show."""
        return dg.ComponentTypeSpec(
            description="Models of the domain's dbt project, built as the domain's own role.",
            tags=["data-mesh", "transformation", "dbt"],
            owners=["team:platform"],
        )

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """The assets of the project's models."""
        repo = find_repo(context.project_root)
        project = Project.of(context.project_root.name, Settings.load({**os.environ, "MESH_REPO": str(repo)}))
        ensure_manifest(project)
        return dg.Definitions(assets=[dbt_assets(project, load_mesh(repo))])
