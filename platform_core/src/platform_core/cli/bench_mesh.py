"""The generated mesh of ``mesh bench plan``: products of one table, each reading one of the neighbour domain."""

from __future__ import annotations

from pathlib import Path

from platform_core.settings import WORKSPACE_FILE

_PER_DOMAIN = 20
_COLUMNS = 12


def write_mesh(repo: Path, products: int) -> None:
    """Writes product and contract files; product n of a domain reads product n of the domain before."""
    (repo / "domains").mkdir(parents=True)
    (repo / WORKSPACE_FILE).touch()
    for number in range(products):
        domain, name = f"d{number // _PER_DOMAIN:03d}", f"p{number % _PER_DOMAIN:02d}"
        folder = repo / "domains" / domain / "src" / domain / "defs" / name
        (folder / "contracts").mkdir(parents=True)
        (repo / "domains" / domain / "pyproject.toml").touch()
        before = f"d{number // _PER_DOMAIN - 1:03d}.{name}.{name}" if number >= _PER_DOMAIN else None
        (folder / "product.odps.yaml").write_text(_product(domain, name, before))
        (folder / "contracts" / f"{name}.odcs.yaml").write_text(_contract(domain, name))


def _product(domain: str, name: str, before: str | None) -> str:
    inputs = f"inputPorts:\n  - name: before\n    version: 1.0.0\n    contractId: {before}\n" if before else ""
    return f"""apiVersion: v1.1.0
kind: DataProduct
id: {domain}.{name}
name: {name}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: Product {name} of {domain}.}}
{inputs}outputPorts:
  - {{name: {name}, type: tables, version: 1.0.0, contractId: {domain}.{name}.{name}}}
{_answerable(domain)}"""


def _contract(domain: str, name: str) -> str:
    columns = "\n".join(
        f"      - {{name: c{at:02d}, logicalType: string, physicalType: text, description: Column {at}., classification: {kind}}}"
        for at in range(_COLUMNS)
        for kind in ("restricted" if at == 1 else "public",)
    )
    return f"""apiVersion: v3.1.0
kind: DataContract
id: {domain}.{name}.{name}
name: {name}
version: 1.0.0
status: active
domain: {domain}
dataProduct: {domain}.{name}
description: {{purpose: Rows of {name}.}}
schema:
  - name: t_{name}
    physicalName: t_{name}
    logicalType: object
    physicalType: table
    description: Table of {name}.
    properties:
{columns}
roles:
  - {{role: {domain}_{name}_reader, access: read}}
  - {{role: {domain}_{name}_reader_pii, access: read, firstLevelApprovers: {domain}-data, secondLevelApprovers: privacy}}
{_answerable(domain)}"""


def _answerable(domain: str) -> str:
    return f"""team:
  name: {domain}-data
  members:
    - {{username: {domain}@example.com, role: owner}}
support:
  - {{channel: {domain}, url: "https://example.com/{domain}"}}
"""
