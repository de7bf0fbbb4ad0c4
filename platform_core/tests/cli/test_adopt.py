"""``mesh adopt``: existing dbt projects become domains that lint, build and publish; nothing is lost, what is open is named."""

from __future__ import annotations

import importlib
import os
import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from platform_core.contracts import load_mesh
from platform_core.warehouse import Warehouse, apply

pytestmark = pytest.mark.timeout(300)
Mesh = Any  # the fixtures' types; test modules do not import each other
PROJECTS = Path(__file__).parents[1] / "transformation" / "projects"
OWNER = ("--owner", "data@example.com")
WHOLE = bool(os.environ.get("MESH_ADOPT_WHOLE"))
"""The long form: lint with dbt's lineage, second adoptions, whole builds. Without it, each project is compiled by dbt once."""


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
    assert _errors(mesh, files, "jaffle_shop") == set()
    apply(empty_database, load_mesh(files))

    defs = location("jaffle_shop")
    job = defs.resolve_implicit_global_asset_job_def()
    # Both ports and what they are made of: not the seed that no model reads, so models and tests are chosen by name.
    first = [dg.AssetKey(["jaffle_shop", "weekly_jaffle_metrics", "orders"]), dg.AssetKey(["jaffle_shop", "customers", "customers"])]
    wanted = dg.AssetSelection.assets(*first).upstream().resolve(defs.resolve_asset_graph())
    with dg.DagsterInstance.ephemeral() as instance:
        made = job.execute_in_process(asset_selection=sorted(wanted), instance=instance)
        assert made.success
        assert {check.check_name for check in made.get_asset_check_evaluations() if not check.passed} == set()
        if WHOLE:
            assert job.execute_in_process(instance=instance).success
    with empty_database.connect_platform() as connection:
        rows = connection.execute("SELECT order_id, status, amount FROM jaffle_shop_weekly_jaffle_metrics.orders ORDER BY 1").fetchall()
        assert [(number, status, str(amount)) for number, status, amount in rows][:2] == [
            (1, "returned", "10.00"),
            (2, "completed", "20.00"),
        ]
        found = connection.execute("SELECT count(*), sum(number_of_orders) FROM jaffle_shop_customers.customers").fetchone()
        assert found == (4, 5)
        assert connection.execute("SELECT to_regclass('jaffle_shop_build.raw_countries') IS NULL").fetchone() == (not WHOLE,)


def _open(report: dict[str, Any]) -> set[tuple[str, str]]:
    return {(item["kind"], item["subject"]) for item in report["decisions"] if item["blocks"]}


def _errors(mesh: Mesh, files: Path, domain: str) -> set[tuple[str, str]]:
    """Rule and subject of each error of the files; every one of them lies in the domain. The long form asks the command."""
    if WHOLE:
        problems = [
            (problem["rule"], problem["message"], problem["file"], problem["severity"])
            for problem in mesh("lint", "--json").json()["problems"]
        ]
    else:
        found = load_mesh(files).problems
        problems = [(problem.rule, problem.message, str(problem.location.file.relative_to(files)), problem.severity) for problem in found]
    errors = [problem for problem in problems if problem[3] == "error"]
    assert all(file.startswith(f"domains/{domain}/") for _, _, file, _ in errors), errors
    return {(rule, message.split("'")[1] if "'" in message else "") for rule, message, _, _ in errors}


def test_a_project_with_packages_snapshots_and_schemas_of_its_own(
    mesh: Mesh, files: Path, tmp_path: Path, empty_database: Warehouse
) -> None:
    """Nothing is lost, nothing secret comes along; what is open is what lint says, and a first build closes it."""
    source = tmp_path / "ledger"
    shutil.copytree(PROJECTS / "ledger", source)
    (source / ".env").write_text("DB_PASSWORD=hunter2\n")
    (source / "target").mkdir()
    before = {path: path.read_bytes() for path in source.rglob("*") if path.is_file()}
    said = mesh("adopt", str(source), *OWNER, "--json")
    assert said.code == 0, said.all
    report = said.json()
    assert {path: path.read_bytes() for path in source.rglob("*") if path.is_file()} == before, "the project itself is not touched"
    project = files / "dbt_projects/ledger_dbt"
    carried = {path.relative_to(project).as_posix() for path in project.rglob("*") if path.is_file()}
    originals = {path.relative_to(source).as_posix() for path in before} - {".env"}
    assert originals - carried == set()
    assert "vendored_packages/dbt_utils/dbt_project.yml" in carried
    assert "hunter2" not in "".join(path.read_text() for path in files.rglob("*") if path.is_file() and path.name != "uv.lock")

    kinds = {(item["kind"], item["subject"]) for item in report["decisions"]}
    assert kinds >= {
        ("macro", "macros/schemas.sql"), ("target", "macros/schemas.sql"), ("package", "dbt_utils"), ("not-carried", ".env"),
        ("schema", "model.ledger.people"), ("schema", "accounts_history"), ("grant", "on-run-end"), ("grant", "people"),
        ("view", "stg_transactions"), ("not-served", "audit_log"), ("source", "bank.transactions"), ("source", "crm.people"),
        ("test", "dbt_utils_mutually_exclusive_ranges_fct_transactions_booked_at__booked_at"),
    }  # fmt: skip
    assert _open(report) == set() == _errors(mesh, files, "ledger"), "every type follows from the casts"
    contract = load_mesh(files).contracts["ledger.finance.finance"]
    tables = {table.physical_name: table for table in contract.tables}
    assert {name: [(column.physical_name, column.physical_type) for column in table.columns] for name, table in tables.items()} == {
        "accounts": [("account_id", "bigint"), ("iban", "text"), ("opened_on", "date"), ("seen_on", "date")],
        "balances": [("account_id", "bigint"), ("balance", "numeric")],
        "fct_transactions": [("transaction_id", "bigint"), ("account_id", "bigint"), ("amount", "numeric(14,2)"), ("booked_at", "timestamptz")],
    }  # fmt: skip
    assert [rule.arguments["to_table"] for rule in tables["fct_transactions"].rules if rule.kind == "foreign_key"] == ["accounts"]
    assert {role.name for role in contract.roles} == {"ledger_finance_reader", "ledger_finance_reader_pii"}

    if not WHOLE:
        return
    again = mesh("adopt", str(source), *OWNER, "--json").json()
    assert (again["created"], again["edited"]) == ([], []), "a second time nothing changes"
    product = files / "domains/ledger/src/ledger/defs/core/product.odps.yaml"
    product.write_text(product.read_text().replace("name: Core", "name: People"))
    (files / "domains/ledger/ADOPTION.md").unlink()
    apply(empty_database, load_mesh(files))
    with empty_database.connect_domain("ledger") as connection:
        connection.execute("CREATE TABLE ledger_build.balances (account_id bigint, balance numeric, as_of date)")
    other = mesh("adopt", str(source), *OWNER, "--json").json()
    assert set(other["edited"]) == {
        "domains/ledger/src/ledger/defs/finance/contracts/finance.odcs.yaml",
        "domains/ledger/adoption.json",
    }
    assert set(other["kept"]) == {"domains/ledger/src/ledger/defs/core/product.odps.yaml", "domains/ledger/ADOPTION.md"}
    assert not (files / "domains/ledger/ADOPTION.md").exists(), "a report that somebody has worked off does not come back"


def test_a_messy_project_comes_as_far_as_it_can_and_says_what_is_left(mesh: Mesh, files: Path) -> None:
    said = mesh("adopt", str(PROJECTS / "messy"), "--json")
    assert said.code == 0, said.all
    report = said.json()
    assert {item["product"]: sorted(item["tables"]) for item in report["products"]} == {
        "messy.marts": ["bq"], "messy.raw_product": ["daily_orders", "select"], "messy.second_use": ["stars", "undocumented"],
    }  # fmt: skip
    assert _open(report) == {
        ("columns-unknown", "bq"), ("owner", "messy.marts"), ("owner", "messy.raw_product"),
        *(("column-type", f"{model}.{column}") for model in ("stars", "undocumented") for column in ("order_id", "total")),
    }  # fmt: skip
    assert _errors(mesh, files, "messy") == {
        ("columns", "bq"), ("team", ""), ("support", ""), ("logical-type", "order_id"), ("logical-type", "total"),
    }, "lint shows exactly what is open"  # fmt: skip
    kinds = {(item["kind"], item["subject"]) for item in report["decisions"]}
    assert kinds >= {
        ("dialect", "bq"),
        ("source", "undocumented"),
        ("name", "Daily-Orders"),
        ("name", "raw"),
        ("served-elsewhere", "undocumented_use"),
    }
    contract = yaml.safe_load((files / "domains/messy/src/messy/defs/raw_product/contracts/raw_product.odcs.yaml").read_text())
    assert [(column["name"], column["physicalType"]) for column in contract["schema"][0]["properties"]] == [
        ("Order ID", "integer"), ("total", "numeric"), ("user", "text"),
    ]  # fmt: skip
    text = (files / "domains/messy/ADOPTION.md").read_text()
    assert "keep `./mesh lint` from being green" in text and all(f"`{subject}`" in text for _, subject in _open(report))


def _folder(root: Path, **files: str) -> Path:
    for name, text in files.items():
        path = root / name.replace("__", "/").replace("_yml", ".yml").replace("_sql", ".sql")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return root


@pytest.mark.parametrize(
    ("made", "arguments", "message", "remedy"),
    [
        ({"readme_yml": ""}, (), "is no dbt project", "dbt_project.yml"),
        ({"inner__dbt_project_yml": "name: x"}, (), "is no dbt project", "inner"),
        ({"dbt_project_yml": "name: ["}, (), "is no YAML", "correct it"),
        ({"dbt_project_yml": "version: 1"}, (), "names no project", "name: my_project"),
        ({"dbt_project_yml": "name: shop", "packages_yml": "packages: [{package: dbt-labs/dbt_utils, version: 1.3.0}]"}, (),
         "packages of the project are not installed: dbt-labs/dbt_utils", "dbt deps --project-dir"),
        ({"dbt_project_yml": "name: shop"}, ("--domain", "sales"), "is there already and was not made by an adoption", "--domain"),
        ({"dbt_project_yml": "name: Requests"}, (), "a Python package in uv.lock", "another name"),
        ({"dbt_project_yml": "name: shop", "models__a_sql": "select {{ ref('nothing') }}"}, (), "dbt does not take the project", "adopt again"),
    ],
)  # fmt: skip
def test_what_cannot_be_adopted_is_refused_with_nothing_written(
    mesh: Mesh, files: Path, tmp_path: Path, made: dict[str, str], arguments: tuple[str, ...], message: str, remedy: str
) -> None:
    (files / "domains/sales").mkdir()
    (files / "domains/sales/pyproject.toml").write_text("[project]\n")
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    said = mesh("adopt", str(_folder(tmp_path / "project", **made)), *arguments)
    assert said.code == 1 and message in said.err and remedy in said.err.partition("remedy: ")[2], said.all
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before
