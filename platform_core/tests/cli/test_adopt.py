"""``mesh adopt``: existing dbt projects become domains that lint, build and publish; nothing is lost, what is open is named."""

from __future__ import annotations

import importlib
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_core.contracts import load_mesh
from platform_core.warehouse import Warehouse, apply

pytestmark = pytest.mark.timeout(300)
Mesh = Any  # the fixtures' types; test modules do not import each other
PROJECTS = Path(__file__).parents[1] / "transformation" / "projects"
OWNER = ("--owner", "data@example.com")


@pytest.fixture
def files(repo: Path, tmp_path: Path) -> Path:
    """A repository with everything that names a domain, and no domain."""
    root = tmp_path / "clone"
    (root / "domains").mkdir(parents=True)
    shutil.copy(repo / "domains/masking.yaml", root / "domains")
    for name in ("workspace.yaml", "pyproject.toml", "uv.lock"):
        shutil.copy(repo / name, root)
    return root


@pytest.fixture
def location(files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], dg.Definitions]]:
    """Loads an adopted domain's code location; it can be imported in this test only."""
    loaded: list[str] = []

    def load(domain: str) -> dg.Definitions:
        loaded.append(domain)
        monkeypatch.syspath_prepend(
            str(files / "domains" / domain / "src")
        )  # not before the folder is there: Python remembers that it was not
        return importlib.import_module(f"{domain}.definitions").defs

    yield load
    for name in [name for name in sys.modules if name.partition(".")[0] in loaded]:
        del sys.modules[name]


def test_a_project_with_seeds_marts_and_an_exposure_serves_rows(
    mesh: Mesh, files: Path, empty_database: Warehouse, location: Callable[[str], dg.Definitions]
) -> None:
    """Adopted, linted, applied, built by dbt in the real Postgres, audited, published: in parts, as events would do it, and as a whole."""
    said = mesh("adopt", str(PROJECTS / "jaffle_shop"), "--json")
    assert said.code == 0, said.all
    report = said.json()
    assert {item["product"]: (item["owner"], sorted(item["tables"])) for item in report["products"]} == {
        "jaffle_shop.weekly_jaffle_metrics": ("claire@jaffle.example", ["orders"]),
        "jaffle_shop.customers": ("crm@jaffle.example", ["customers"]),
    }
    assert report["open"] == 0
    linted = mesh("lint")
    assert linted.code == 0 and ", 0 problems" in linted.out, linted.all
    apply(empty_database, load_mesh(files))

    defs = location("jaffle_shop")
    job = defs.resolve_implicit_global_asset_job_def()
    first = {dg.AssetKey(["jaffle_shop", "customers", "customers"])}
    wanted = dg.AssetSelection.assets(*first).upstream().resolve(defs.resolve_asset_graph())
    with dg.DagsterInstance.ephemeral() as instance:
        assert job.execute_in_process(asset_selection=sorted(wanted), instance=instance).success
        whole = job.execute_in_process(instance=instance)
    assert whole.success
    assert {check.check_name for check in whole.get_asset_check_evaluations() if not check.passed} == set()
    with empty_database.connect_platform() as connection:
        rows = connection.execute("SELECT order_id, status, amount FROM jaffle_shop_weekly_jaffle_metrics.orders ORDER BY 1").fetchall()
        assert [(number, status, str(amount)) for number, status, amount in rows][:2] == [
            (1, "returned", "10.00"),
            (2, "completed", "20.00"),
        ]
        found = connection.execute("SELECT count(*), sum(number_of_orders) FROM jaffle_shop_customers.customers").fetchone()
        assert found == (4, 5)
