"""``mesh new domain`` and ``mesh new product``: folders that lint, load, build, publish and pass their own tests, untouched."""

from __future__ import annotations

import io
import json
import os
import re
import runpy
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_core.contracts import load_mesh
from platform_core.settings import Settings
from platform_core.transformation import DbtProject
from platform_core.transformation.starting import domain_files
from platform_core.warehouse import Warehouse, apply

pytestmark = pytest.mark.timeout(300)
Mesh = Any  # the fixtures' types; test modules do not import each other
OWNER = ("--owner", "finance-data@example.com")
WHOLE = bool(os.environ.get("MESH_NEW_WHOLE"))
"""The long form: every product of the new domain is built and published, not the first alone."""


@pytest.fixture
def files(repo: Path, tmp_path: Path) -> Path:
    """A copy of the repository, with everything that names a domain."""
    root = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "target", "logs")
    for name in ("domains", "dbt_projects", "airbyte", "deploy"):
        shutil.copytree(repo / name, root / name, ignore=ignored)
    for name in ("workspace.yaml", "pyproject.toml", "uv.lock", "conftest.py"):
        shutil.copy(repo / name, root)
    return root


def contents(root: Path) -> dict[Path, bytes]:
    return {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


def test_a_new_domain_with_three_products_passes_its_own_tests_untouched(mesh: Mesh, files: Path) -> None:
    """The whole way: files, lint, style, code location, dbt build, audit and publication in a real Postgres, by the tests that come with it."""
    said = mesh("new", "domain", "finance", *OWNER, "--product", "invoices", "--description", "Who owes us what.", "--json")
    assert said.code == 0, said.all
    assert {"pyproject.toml", "workspace.yaml", "uv.lock", "deploy/environments/domains.yaml"} <= set(said.json()["edited"])
    said = mesh("new", "product", "finance.debtors", "--input", "customer.profiles.profiles", "--description", "Who is late.")
    assert said.code == 0, said.all
    assert "personal data of customer.profiles.profiles is left out: given_name, email" in said.err

    said = mesh("new", "product", "finance.scores", "--kind", "python", "--input", "inventory.items.items", "--json")
    assert said.code == 0, said.all
    assert "domains/finance/src/finance/defs/assets/scores.py" in said.json()["created"], "built by Python: no model of dbt"
    assert not [path for path in said.json()["created"] if path.startswith("dbt_projects")]

    linted = mesh("lint")
    assert linted.code == 0 and "8 products, 8 contracts" in linted.out and ", 0 problems" in linted.out, linted.all
    product = load_mesh(files).products["finance.debtors"]
    assert (product.owners, product.team_name, product.description_purpose) == (
        ("finance-data@example.com",),
        "finance-data",
        "Who is late.",
    )
    assert product.inputs[0].contract_id == "customer.profiles.profiles"
    for check in ("check", "format --check"):
        ruff = [sys.executable, "-m", "ruff", *check.split(), "--no-cache", "domains/finance"]
        assert subprocess.run(ruff, cwd=files, capture_output=True, text=True).stdout.splitlines()[-1] in {
            "All checks passed!",
            "10 files already formatted",
        }

    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "PG", "PYTEST_"))}
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "no:cacheprovider",
        "domains/finance",
        "-k",
        "" if WHOLE else "finance.py or invoices or scores",
    ]
    done = subprocess.run(command, cwd=files, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout[-4000:]
    assert re.search(r"^5 passed" if WHOLE else r"^4 passed", done.stdout.splitlines()[-1]), done.stdout


@pytest.mark.parametrize("domain", ["it", "finance", "a_rather_long_name_of_a_domain"])
def test_the_columns_of_its_readme_line_up(domain: str) -> None:
    text = domain_files(domain, "About it.", "finance-data@example.com", None)[f"domains/{domain}/README.md"]
    *made, tests = text.split("```")[1].strip().splitlines()
    assert len({line.index("->") for line in made}) == 1, text
    starts = [re.search(r"(?<=  )[^ ]", line) for line in (*made, tests)]
    assert len({found and found.start() for found in starts}) == 1, text


def test_a_second_time_nothing_changes_and_a_half_made_domain_is_completed(mesh: Mesh, files: Path) -> None:
    assert mesh("new", "domain", "finance", *OWNER).code == 0
    after = contents(files)
    again = mesh("new", "domain", "finance")
    assert again.code == 0 and "nothing to do" in again.out
    assert contents(files) == after

    shutil.copy(Path(__file__).parents[3] / "workspace.yaml", files)
    text = (files / "uv.lock").read_text()
    (files / "uv.lock").write_text(text.replace('    "finance",\n', "").replace('    { name = "finance" },\n', ""))
    assert mesh("new", "domain", "finance").code == 1, "a lock that names it by half is nobody's to guess"
    (files / "uv.lock").write_text(text)
    completed = mesh("new", "domain", "finance", "--json").json()
    assert completed["edited"] == ["workspace.yaml"] and completed["created"] == []
    assert contents(files) == after

    said = mesh("new", "domain", "finance", "--product", "more")
    assert said.code == 1 and "./mesh new product finance.more" in said.err


def test_dry_run_shows_the_files_and_writes_none(mesh: Mesh, files: Path) -> None:
    before = contents(files)
    said = mesh("new", "domain", "finance", *OWNER, "--dry-run")
    assert said.code == 0 and "would write: domains/finance/pyproject.toml" in said.out and "would edit: uv.lock" in said.out
    said = mesh("new", "product", "sales.returns", "--dry-run", "--json")
    assert "domains/sales/src/sales/defs/returns/product.odps.yaml" in said.json()["created"]
    assert contents(files) == before


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (("domain", "Finance", *OWNER), "'Finance' is not a name of a domain", "finance"),
        (("domain", "requests", *OWNER), "a Python package in uv.lock", "another name"),
        (("domain", "finance", "--owner", "somebody"), "'somebody', no e-mail address", "--owner NAME@COMPANY"),
        (("domain", "finance", *OWNER, "--product", "raw"), "reserved", "another name"),
        (("product", "sale.returns"), "no domain 'sale', did you mean 'sales'?", "./mesh new domain sale"),
        (("product", "sales"), "is not a name of a product", "lower-case"),
        (("product", "sales.orders"), "nothing is overwritten", "another name"),
        (("product", "sales.shop"), "domains/sales/src/sales/defs/shop/defs.yaml", "another name"),
        (("product", "sales.returns", "--table", "orders"), "a model 'orders' already", "--from-model orders"),
        (("product", "sales.returns", "--table", "Orders"), "'Orders' is not a name of a table", "orders"),
        (("product", "sales.returns", "--input", "inventory.items.item"), "did you mean 'inventory.items.items'?", "use one of"),
        (("product", "sales.returns", "--from-stream", "refunds"), "raw table sales_raw.refunds is not there", "name one of: none yet"),
        (("product", "sales.returns", "--from-stream", "purchases"), "raw table sales_raw.purchases is not there", "./mesh ingest sales/shop"),
        (("product", "sales.returns", "--from-stream", "x", "--from-model", "y"), "not from both", "--from-model or --from-stream"),
        (("product", "sales.returns", "--from-model", "orders", "--kind", "python"), "'orders' builds the table already", "leave out --kind python"),
        (("product", "sales.returns", "--kind", "python", "--table", "orders"), "a model 'orders' already", "add --table"),
        (("product", "marketing.segments", "--table", "customer_segments"), "a Python asset builds 'customer_segments' already", "add --table"),
        (("product", "sales.assets"), "the folder of the domain's Python assets", "another name"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_leaves_nothing_behind(
    mesh: Mesh, files: Path, arguments: tuple[str, ...], message: str, remedy: str
) -> None:
    before = contents(files)
    said = mesh("new", *arguments)
    assert said.code == 1 and message in said.err and remedy in said.err.partition("remedy: ")[2], said.err
    assert str(files) not in said.err
    assert contents(files) == before


def test_an_error_on_the_way_takes_everything_back(mesh: Mesh, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The last step fails: new files and folders go, edited files are what they were."""
    from platform_core.transformation.starting import files as writing

    before, folders = contents(files), sorted(files.rglob("*"))
    replace = writing._replace

    def failing(path: Path, content: bytes) -> None:
        if path.name == "uv.lock" and b"finance" in content:
            raise OSError(28, "No space left on device")
        replace(path, content)

    monkeypatch.setattr(writing, "_replace", failing)
    with pytest.raises(OSError, match="No space"):
        mesh("new", "domain", "finance", *OWNER)
    assert contents(files) == before and sorted(files.rglob("*")) == folders


def test_a_checkout_that_cannot_be_written_is_no_crash(mesh: Mesh, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from platform_core.transformation.starting import files as writing

    def refused(path: Path, _content: bytes) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(writing, "_create", refused)
    said = mesh("new", "product", "sales.returns")
    assert said.code == 1 and "sales/defs/returns/defs.yaml: Permission denied" in said.err and "a clone of your own" in said.err


def test_a_product_from_a_raw_stream_takes_its_columns_and_its_connection(mesh: Mesh, files: Path, empty_database: Warehouse) -> None:
    apply(empty_database, load_mesh(files))
    with empty_database.connect_domain("sales") as connection:
        connection.execute('CREATE TABLE sales_raw.purchases (id bigint, "user" text, at timestamptz, total numeric, _airbyte_raw_id uuid)')
    said = mesh("new", "product", "sales.carts", "--from-stream", "purchases", "--json")
    assert said.code == 0, said.all
    contract = load_mesh(files).contracts["sales.carts.carts"]
    assert [(column.physical_name, column.physical_type) for column in contract.tables[0].columns] == [
        ("id", "bigint"), ("user", "text"), ("at", "timestamp with time zone"), ("total", "numeric"),
    ]  # fmt: skip
    assert [port.connection for port in load_mesh(files).products["sales.carts"].inputs] == ["shop"]
    model = (files / "dbt_projects/sales_dbt/models/carts.sql").read_text()
    assert '"user",' in model and "{{ source('sales_raw', 'purchases') }}" in model and "_airbyte" not in model
    assert not (files / "dbt_projects/sales_dbt/models/carts.sources.yml").exists(), "the project declares the stream already"
    assert ", 0 problems" in mesh("lint").out

    assert mesh("new", "product", "sales.baskets", "--from-stream", "purchases", "--kind", "python").code == 0
    asset = runpy.run_path(str(files / "domains/sales/src/sales/defs/assets/baskets.py"))["baskets"]
    assert asset.key.path == ["sales", "build", "baskets"] and asset.keys_by_input_name["purchases"].path == ["sales", "raw", "purchases"]
    assert asset.metadata_by_key[asset.key]["column_types"] == {"total": "numeric"}, "a frame keeps the other types"
    assert ", 0 problems" in mesh("lint").out


def test_a_product_from_a_model_takes_its_columns_types_and_tests(mesh: Mesh, files: Path, empty_database: Warehouse) -> None:
    """Types come from the built relation, promises from the model's dbt tests; what is left over is named."""
    columns = {"day": {"name": "day", "description": "Calendar day."}, "returns": {"name": "returns", "meta": {"classification": "public"}}}
    model = {
        "unique_id": "model.sales_dbt.late",
        "name": "late",
        "resource_type": "model",
        "config": {"materialized": "table"},
        "columns": columns,
        "description": "Late days.",
        "primary_key": ["day"],
        "original_file_path": "models/late.sql",
    }
    tests = [
        {"unique_id": f"test.sales_dbt.{number}", "name": name, "resource_type": "test", "attached_node": model["unique_id"],
         "column_name": column, "config": {}, "test_metadata": {"name": name, "namespace": namespace, "kwargs": arguments}}
        for number, (name, namespace, column, arguments) in enumerate([
            ("unique", None, "day", {}), ("not_null", None, "day", {}),
            ("accepted_range", "dbt_utils", "returns", {"min_value": 0, "inclusive": True}), ("recency", "dbt_utils", None, {}),
        ])
    ]  # fmt: skip
    (files / "dbt_projects/sales_dbt/models/late.sql").write_text(
        "select date '2026-01-31' as day, 1 as returns, 0.5::numeric(4,3) as share\n"
    )
    project = DbtProject.of("sales", Settings.load())
    project.target.mkdir(parents=True)
    project.manifest.write_text(json.dumps({"nodes": {node["unique_id"]: node for node in [model, *tests]}}))
    (project.target / "content-hash").write_text(project.content_hash())
    apply(empty_database, load_mesh(files))
    unknown = mesh("new", "product", "sales.lateness", "--from-model", "late")
    assert unknown.code == 1 and "late.day: nobody names its type" in unknown.err and "build the model first" in unknown.err
    with empty_database.connect_domain("sales") as connection:
        connection.execute("CREATE TABLE sales_build.late (day date, returns integer, share numeric(4,3))")
    said = mesh("new", "product", "sales.lateness", "--from-model", "late")
    assert said.code == 0, said.all
    assert "recency: of late: no promise of a contract says what dbt_utils.recency tests" in said.err
    (table,) = load_mesh(files).contracts["sales.lateness.lateness"].tables
    assert table.model == "late"
    assert [(column.physical_name, column.physical_type, column.classification) for column in table.columns] == [
        ("day", "date", "internal"), ("returns", "integer", "public"), ("share", "numeric(4,3)", "internal"),
    ]  # fmt: skip
    assert {(rule.kind, rule.column) for rule in table.rules} == {
        ("primary_key", None), ("not_null", "day"), ("range", "returns"), ("row_count", None),
    }  # fmt: skip
    assert ", 0 problems" in mesh("lint").out
    again = mesh("new", "product", "sales.delays", "--from-model", "late")
    assert again.code == 1 and "sales.lateness.lateness serves the model 'late' already" in again.err
    assert "no dbt model 'lat', did you mean 'late'?" in mesh("new", "product", "sales.delays", "--from-model", "lat").err


def test_on_a_terminal_it_asks(mesh: Mesh, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    def answer(*lines: str) -> None:
        monkeypatch.setattr("sys.stdin", Terminal("".join(f"{line}\n" for line in lines)))

    answer("Who owes us what.", "ledgers", "books@example.com", "y")
    said = mesh("new", "domain", "finance")
    assert said.code == 0, said.all
    assert load_mesh(files).products["finance.ledgers"].owners == ("books@example.com",)
    answer("4", "sql", "inventory.items.items", "Stock, valued.", "n")
    before = contents(files)
    assert mesh("new", "product", "finance.stock").code == 1 and contents(files) == before, "the answer was no"
    answer("1", "python", "Stock, valued.", "y")
    assert mesh("new", "product", "finance.stock").code == 0
    assert (files / "domains/finance/src/finance/defs/assets/stock.py").is_file()
    text = yaml.safe_load((files / "domains/finance/src/finance/defs/stock/product.odps.yaml").read_text())
    assert text["description"]["purpose"] == "Stock, valued."
