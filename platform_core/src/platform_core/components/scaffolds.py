"""What `dg scaffold defs platform_core.<Component> <name>` writes: files that lint and load as they are."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from platform_core.contracts import ContractError, load_mesh, naming
from platform_core.contracts.git import git_user
from platform_core.settings import Settings, find_repo
from platform_core.transformation import DbtProject, starting


class DataProductParams(BaseModel):
    """Parameters of `dg scaffold defs platform_core.DataProduct`."""

    owner: str | None = Field(
        default=None, description="E-mail address of the owner; who answers for the domain's other products by default."
    )
    description: str | None = Field(default=None, description="What consumers get, in one sentence.")
    model: str | None = Field(default=None, description="dbt model that feeds the port, built already; otherwise one is written.")
    input: str | None = Field(default=None, description="Contract that the product reads: domain.product.port.")
    kind: starting.Kind = Field(default="sql", description="What builds the table: sql for a dbt model, python for an asset.")
    table: str | None = Field(default=None, description="Name of the port's table; the folder's name by default.")


class AirbyteConnectionParams(BaseModel):
    """Parameters of `dg scaffold defs platform_core.AirbyteConnection`."""

    connector: str = Field(default="airbyte-source-faker", description="Package of the connector.")
    version: str = Field(default="7.2.1", description="Its exact version.")
    stream: str = Field(default="users", description="A stream to sync.")


class DataProductScaffolder(dg.Scaffolder[DataProductParams]):
    """Writes a product file and the contract of one port."""

    @classmethod
    def get_scaffold_params(cls) -> type[DataProductParams]:
        """The parameters."""
        return DataProductParams

    def scaffold(self, request: dg.ScaffoldRequest[DataProductParams]) -> None:
        """Writes what `mesh new product` writes: the product, its contract, its model, its test; never over a file that exists."""
        domain, name = _domain(request), request.target_path.name
        params = request.params or DataProductParams()
        repo = find_repo(request.target_path.parent)
        mesh = load_mesh(repo)
        starting.check_product_name(domain, name, mesh)
        found = [starting.input_of(params.input, mesh)] if params.input else []
        inputs = tuple(port for _, port in found)
        owner, team = starting.answerable(repo, mesh, domain, params.owner)
        owner = starting.checked_owner(owner or git_user(repo))
        draft = starting.ProductDraft.begun(domain, name, owner, team, purpose=params.description, inputs=inputs)
        table = starting.check_table_name(params.table or name)
        if params.model and params.kind == "python":
            raise ContractError(f"the model {params.model!r} builds the table already", remedy="leave out --kind python, or the model")
        if params.model:
            from platform_core.transformation.adoption import product_from_model
            from platform_core.transformation.built_columns import built_columns
            from platform_core.warehouse import Warehouse

            settings = Settings.load({**os.environ, "MESH_REPO": str(repo)})
            with Warehouse.from_settings(settings).connect_platform() as connection:
                built = built_columns(connection, naming.build_schema(domain))
            start, _ = product_from_model(DbtProject.of(domain, settings), mesh, built, draft, table, params.model)
        elif found:
            start = starting.from_input(draft, table, found[0][0], params.kind)
        else:
            start = starting.from_nothing(draft, table, params.kind)
        starting.write(repo, starting.product_changes(repo, start))


class AirbyteConnectionScaffolder(dg.Scaffolder[AirbyteConnectionParams]):
    """Writes a connection file."""

    @classmethod
    def get_scaffold_params(cls) -> type[AirbyteConnectionParams]:
        """The parameters."""
        return AirbyteConnectionParams

    def scaffold(self, request: dg.ScaffoldRequest[AirbyteConnectionParams]) -> None:
        """Writes `defs.yaml` and `airbyte/<domain>/<name>.yaml`."""
        domain, name = _domain(request), request.target_path.name
        params = request.params or AirbyteConnectionParams()
        file = find_repo(request.target_path.parent) / "airbyte" / domain / f"{name}.yaml"
        _write(file, _CONNECTION.format(connector=params.connector, version=params.version, stream=params.stream))
        _write(request.target_path / "defs.yaml", f"type: {request.type_name}\n\nattributes:\n  connection: {name}\n")


class FileDropParams(BaseModel):
    """Parameters of `dg scaffold defs platform_core.FileDrop`."""

    location: str | None = Field(default=None, description="Folder or bucket URL; domains/<domain>/drops/<name> by default.")
    pattern: str = Field(default="*.csv", description="Which files, as a glob.")


class FileDropScaffolder(dg.Scaffolder[FileDropParams]):
    """Writes the declaration of a drop."""

    @classmethod
    def get_scaffold_params(cls) -> type[FileDropParams]:
        """The parameters."""
        return FileDropParams

    def scaffold(self, request: dg.ScaffoldRequest[FileDropParams]) -> None:
        """Writes `defs.yaml`, `airbyte/<domain>/drops/<name>.yaml` and, for a folder of the repository, the folder."""
        domain, name = _domain(request), _name(request.target_path.name)
        params = request.params or FileDropParams()
        repo = find_repo(request.target_path.parent)
        location = params.location or f"domains/{domain}/drops/{name}"
        _write(repo / "airbyte" / domain / "drops" / f"{name}.yaml", _DROP.format(location=location, pattern=params.pattern, stream=name))
        if params.location is None:
            _write(repo / location / ".gitkeep", "")
        _write(request.target_path / "defs.yaml", f"type: {request.type_name}\n\nattributes:\n  drop: {name}\n")


class DbtProjectScaffolder(dg.Scaffolder[Any]):
    """Writes the domain's dbt project; takes no parameters."""

    def scaffold(self, request: dg.ScaffoldRequest[Any]) -> None:
        """Writes `defs.yaml` and, when there is none, `dbt_projects/<domain>_dbt`."""
        domain = _domain(request)
        repo = find_repo(request.target_path.parent)
        starting.write(repo, starting.new_files(repo, starting.dbt_files(domain), keep=True))
        _write(request.target_path / "defs.yaml", f"type: {request.type_name}\n")


def _domain(request: dg.ScaffoldRequest[Any]) -> str:
    if request.project_root is None:
        raise ContractError("scaffolding happens inside a domain", remedy="change into domains/<domain> first")
    return request.project_root.name


def _name(text: str) -> str:
    if not naming.NAME.fullmatch(text):
        raise ContractError(f"{text!r} is not a name", remedy="use lower-case letters, digits and underscores, a letter first")
    return text


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.read_text() != text:
        raise ContractError("the file exists already", where=str(path), remedy="choose another name, or remove the file")
    path.write_text(text)


_CONNECTION = """\
# yaml-language-server: $schema=../connection.schema.json
connector:
  package: {connector}
  version: "{version}"
config: {{}}
streams:
  - name: {stream}
    sync_mode: full_refresh_overwrite
"""

_DROP = """\
# yaml-language-server: $schema=../../drop.schema.json
location: {location}
pattern: "{pattern}"
stream: {stream}
"""
