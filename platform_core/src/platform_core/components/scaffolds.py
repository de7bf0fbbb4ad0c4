"""What `dg scaffold defs platform_core.<Component> <name>` writes: files that lint and load as they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import dagster as dg
from pydantic import BaseModel, Field

from platform_core.contracts import ContractError, naming
from platform_core.settings import find_repo


class DataProductParams(BaseModel):
    """Parameters of `dg scaffold defs platform_core.DataProduct`."""

    model: str | None = Field(default=None, description="Table of the build schema that feeds the port; the folder's name by default.")
    owner: str = Field(default="owner@example.com", description="E-mail address of the owner.")


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
        """Writes `defs.yaml`, `product.odps.yaml` and `contracts/<name>.odcs.yaml`; never over a file that exists."""
        domain, name = _domain(request), request.target_path.name
        params = request.params or DataProductParams()
        product_id = f"{_name(domain)}.{_name(name)}"
        _write(request.target_path / "product.odps.yaml", _PRODUCT.format(id=product_id, domain=domain, name=name, owner=params.owner))
        contract = _CONTRACT.format(
            id=product_id, domain=domain, name=name, model=params.model or name, owner=params.owner, reader=naming.reader_role(product_id)
        )
        _write(request.target_path / "contracts" / f"{name}.odcs.yaml", contract)
        _write(request.target_path / "defs.yaml", f"type: {request.type_name}\n")


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
        folder = find_repo(request.target_path.parent) / "dbt_projects" / f"{domain}_dbt"
        if not (folder / "dbt_project.yml").is_file():
            _write(folder / "dbt_project.yml", _DBT_PROJECT.format(domain=domain))
            _write(
                folder / "profiles.yml", _DBT_PROFILE.format(domain=domain, job=naming.job_role(domain), owner=naming.owner_role(domain))
            )
            (folder / "models").mkdir(parents=True, exist_ok=True)
            _write(folder / "models" / ".gitkeep", "")
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


_PRODUCT = """\
apiVersion: v1.1.0
kind: DataProduct
id: {id}
name: {name}
version: 0.1.0
status: draft
domain: {domain}
type: sourceAligned
description:
  purpose: Say in one sentence what consumers get.
inputPorts: []
outputPorts:
  - name: {name}
    type: tables
    version: 0.1.0
    contractId: {id}.{name}
team:
  name: {domain}-data
  members:
    - username: {owner}
      role: owner
support:
  - channel: {domain}-data
    url: https://example.com/support/{domain}
"""

_CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {id}.{name}
name: {name}
version: 0.1.0
status: draft
domain: {domain}
dataProduct: {id}
description:
  purpose: Say what the port promises.
schema:
  - name: {name}
    physicalName: {name}
    logicalType: object
    physicalType: table
    description: Say what one row is.
    customProperties:
      - property: model
        value: {model}
    properties:
      - name: id
        description: Say what it identifies.
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        primaryKeyPosition: 1
        required: true
    quality:
      - metric: rowCount
        mustBeGreaterThan: 0
        severity: error
roles:
  - role: {reader}
    access: read
    firstLevelApprovers: {domain}-data
team:
  name: {domain}-data
  members:
    - username: {owner}
      role: owner
"""

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

_DBT_PROJECT = """\
name: {domain}_dbt
version: "0.1.0"
profile: {domain}_dbt
flags:
  send_anonymous_usage_stats: false
models:
  {domain}_dbt:
    +materialized: table
"""

_DBT_PROFILE = """\
{domain}_dbt:
  target: mesh
  outputs:
    mesh:
      type: postgres
      host: "{{{{ env_var('PGHOST', '127.0.0.1') }}}}"
      port: "{{{{ env_var('PGPORT', '5432') | as_number }}}}"
      dbname: "{{{{ env_var('PGDATABASE', 'mesh') }}}}"
      user: {job}
      password: "{{{{ env_var('PGPASSWORD', '') }}}}"
      role: {owner}
      schema: {domain}_build
      threads: 2
"""
