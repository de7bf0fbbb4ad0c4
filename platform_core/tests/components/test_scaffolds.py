"""``dg scaffold defs platform_core.DataProduct``: the files of ``mesh new product``, by the same decisions."""

from __future__ import annotations

import runpy
import shutil
from pathlib import Path

import dagster as dg
import pytest

from platform_core.components.scaffolds import DataProductParams, DataProductScaffolder, DbtProjectScaffolder
from platform_core.contracts import load_mesh
from platform_core.errors import MeshError
from platform_core.transformation import starting


@pytest.fixture
def files(repo: Path, tmp_path: Path) -> Path:
    """A copy of the company's files."""
    root = tmp_path / "clone"
    for name in ("domains", "dbt_projects", "airbyte"):
        shutil.copytree(repo / name, root / name, ignore=shutil.ignore_patterns("__pycache__", "target", "logs"))
    shutil.copy(repo / "workspace.yaml", root)
    return root


def _request(files: Path, domain: str, name: str, params: object, kind: str = "DataProduct") -> dg.ScaffoldRequest:
    project = files / "domains" / domain
    return dg.ScaffoldRequest(
        type_name=f"platform_core.{kind}",
        target_path=project / "src" / domain / "defs" / name,
        scaffold_format="yaml",
        project_root=project,
        params=params,
    )


@pytest.mark.parametrize("reads", [None, "inventory.items.items"])
def test_a_scaffolded_product_is_that_of_mesh_new_product(files: Path, reads: str | None) -> None:
    params = DataProductParams(owner="sales-data@example.com", description="What came back.", input=reads, table="sent_back")
    DataProductScaffolder().scaffold(_request(files, "sales", "returns", params))
    mesh = load_mesh(files)
    assert [problem.message for problem in mesh.problems if problem.severity == "error"] == []
    product = mesh.products["sales.returns"]
    assert (product.owners, product.description_purpose) == (("sales-data@example.com",), "What came back.")
    assert [port.contract_id for port in product.inputs] == ([reads] if reads else [])
    (table,) = product.outputs[0].contract.tables
    model = (files / f"dbt_projects/sales_dbt/models/{table.model}.sql").read_text()
    assert table.physical_name == "sent_back" and all(column.physical_name in model for column in table.columns)
    assert (files / "domains/sales/tests/test_returns.py").is_file() and (files / "domains/sales/tests/conftest.py").is_file()
    with pytest.raises(MeshError, match="nothing is overwritten"):
        DataProductScaffolder().scaffold(_request(files, "sales", "returns", params))


@pytest.mark.parametrize("reads", [None, "inventory.items.items"])
def test_a_product_in_python_brings_an_asset_and_no_model(files: Path, reads: str | None) -> None:
    DataProductScaffolder().scaffold(_request(files, "sales", "returns", DataProductParams(kind="python", input=reads)))
    assert [problem.message for problem in load_mesh(files).problems if problem.severity == "error"] == []
    asset = runpy.run_path(str(files / "domains/sales/src/sales/defs/assets/returns.py"))["returns"]
    assert asset.key.path == ["sales", "build", "returns"]
    assert [key.path for key in asset.dependency_keys] == ([reads.split(".")] if reads else [])
    assert not list((files / "dbt_projects/sales_dbt/models").rglob("returns*"))
    with pytest.raises(MeshError, match="builds the table already"):
        DataProductScaffolder().scaffold(_request(files, "sales", "daily", DataProductParams(kind="python", model="daily_revenue")))


def test_who_answers_for_the_domain_answers_for_a_new_product(files: Path) -> None:
    DataProductScaffolder().scaffold(_request(files, "sales", "returns", DataProductParams()))
    product = load_mesh(files).products["sales.returns"]
    assert (product.owners, product.team_name) == (("sales-data@example.com",), "sales-data")


def test_without_other_products_the_teams_of_the_domain_say_who_answers(files: Path) -> None:
    for product in (files / "domains/sales/src/sales/defs").glob("*/product.odps.yaml"):
        shutil.rmtree(product.parent)
    (files / "domains/sales/team.yaml").write_text("teams:\n- {name: tills, members: [zoe@example.com, ann@example.com]}\n- {name: web, members: [eve@example.com]}\n")  # fmt: skip
    mesh = load_mesh(files)
    assert starting.answerable(files, mesh, "sales") == ("ann@example.com", "tills")
    assert starting.answerable(files, mesh, "sales", "eve@example.com") == ("eve@example.com", "web")
    assert starting.answerable(files, mesh, "sales", team="web") == ("eve@example.com", "web")
    (files / "domains/sales/team.yaml").unlink()
    assert starting.answerable(files, mesh, "sales") == (None, "sales-data")


def test_a_dbt_project_is_made_once_and_then_left_alone(files: Path) -> None:
    shutil.rmtree(files / "dbt_projects/sales_dbt")
    DbtProjectScaffolder().scaffold(_request(files, "sales", "transformation", None, "DbtProject"))
    project = files / "dbt_projects/sales_dbt/dbt_project.yml"
    assert "name: sales_dbt" in project.read_text()
    project.write_text("name: mine\n")
    DbtProjectScaffolder().scaffold(_request(files, "sales", "transformation", None, "DbtProject"))
    assert project.read_text() == "name: mine\n"
