"""Two domains in a folder: ``shop`` offers customers, ``club`` reads them; the SQL of ``club`` is each test's own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts import Mesh, Problem, load_mesh
from platform_core.settings import Settings
from platform_core.transformation.lineage import Lineage, column_lineage, mesh_lineage, personal_problems
from platform_core.transformation.lineage.compiled import Compiled

PRODUCT = """\
apiVersion: v1.1.0
kind: DataProduct
id: {domain}.{product}
name: {product}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: test}}
inputPorts:
  - {input}
outputPorts:
  - {{name: {product}, type: tables, version: 1.0.0, contractId: {domain}.{product}.{product}}}
team:
  name: {domain}-data
  members: [{{username: {domain}@example.com, role: owner}}]
support: [{{channel: {domain}, url: 'https://example.com'}}]
"""
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {domain}.{product}.{product}
name: {product}
version: 1.0.0
status: active
domain: {domain}
dataProduct: {domain}.{product}
team: {{name: {domain}-data}}
roles: [{{role: {domain}_{product}_reader}}, {{role: {domain}_{product}_reader_pii}}]
schema:
  - name: {product}
    logicalType: object
    physicalType: table
    properties:
{columns}
"""
CUSTOMERS = """\
      - {name: id, logicalType: integer, physicalType: bigint, classification: internal}
      - {name: email, logicalType: string, physicalType: text, classification: restricted, tags: [pii]}
      - {name: age, logicalType: integer, physicalType: integer, classification: confidential}
      - {name: city, logicalType: string, physicalType: text, classification: internal}
"""


def column(name: str, classification: str | None = "internal", *lines: str) -> str:
    """One property of a contract, with further lines."""
    head = [f"- name: {name}", "  logicalType: string", "  physicalType: text"]
    level = [f"  classification: {classification}"] if classification else []
    return "\n".join(f"      {line}" for line in [*head, *level, *(f"  {line}" for line in lines)])


def write(root: Path, columns: str) -> None:
    """The product files: ``club.members`` has the given columns."""
    (root / "workspace.yaml").write_text("")
    given = (
        ("shop", "customers", "{name: web, customProperties: [{property: connection, value: web}]}", CUSTOMERS),
        ("club", "members", "{name: customers, contractId: shop.customers.customers, version: 1.0.0}", columns),
    )
    for domain, product, reads, listed in given:
        folder = root / "domains" / domain / "src" / domain / "defs" / product
        (folder / "contracts").mkdir(parents=True, exist_ok=True)
        (root / "domains" / domain / "pyproject.toml").write_text("")
        (folder / "product.odps.yaml").write_text(PRODUCT.format(domain=domain, product=product, input=reads))
        (folder / "contracts" / f"{product}.odcs.yaml").write_text(CONTRACT.format(domain=domain, product=product, columns=listed))
    (root / "airbyte" / "shop").mkdir(parents=True, exist_ok=True)
    (root / "airbyte" / "shop" / "web.yaml").write_text("connector: source-faker\n")


def model(domain: str, name: str, *sql: str, **others: Any) -> dict[str, Any]:
    """A model as ``compile_projects`` hands it over."""
    unmarked = {"classification": None, "tags": []}
    return {
        "id": f"model.{name}",
        "type": "model",
        "language": "sql",
        "name": name,
        "schema": f"{domain}_build",
        "alias": name,
        "materialized": "table",
        "file": f"models/{name}.sql",
        "sql": list(sql),
        "failed": None,
        "parents": [],
        "hooks": [],
        "columns": {},
        "marks": unmarked,
        **others,
    }


def source(schema: str, name: str, marked: Mapping[str, str | None], whole: str | None = None) -> dict[str, Any]:
    """A dbt source with marked columns."""
    return {
        "id": f"source.{schema}.{name}",
        "schema": schema,
        "alias": name,
        "file": "models/sources.yml",
        "columns": {column: {"classification": level, "tags": []} for column, level in marked.items()},
        "marks": {"classification": whole, "tags": []},
    }


SHOP = Compiled(
    "shop",
    "dbt_projects/shop_dbt",
    None,
    (model("shop", "customers", "select id, lower(mail) as email, age, city from shop_raw.users"),),
    (source("shop_raw", "users", {"mail": "restricted", "age": "confidential"}),),
)


class Bench:
    """The mesh of a test and what is found in it."""

    def __init__(self, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = root
        self._patch = monkeypatch
        self.mesh: Mesh
        self.lineage: Lineage

    def lint(
        self, columns: str, *models: Mapping[str, Any], sources: tuple[Mapping[str, Any], ...] = (), error: str | None = None
    ) -> list[Problem]:
        """The findings when ``club`` has these columns and models."""
        write(self.root, columns)
        club = Compiled("club", "dbt_projects/club_dbt", error, tuple(models), sources)

        def ready(*_: Any) -> tuple[Compiled, ...]:
            return SHOP, club

        self._patch.setattr(mesh_lineage, "compiled", ready)
        self.mesh = load_mesh(self.root)
        assert [problem for problem in self.mesh.problems if problem.severity == "error"] == []
        settings = Settings.load({"MESH_REPO": str(self.root), "MESH_HOME": str(self.root / "home")})
        self.lineage = column_lineage(self.mesh, settings)
        return list(personal_problems(self.mesh, self.lineage))
