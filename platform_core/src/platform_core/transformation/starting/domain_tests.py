"""The tests that come with a domain and with each of its products, as text."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from platform_core.contracts import naming
from platform_core.transformation.starting.draft import ProductDraft
from platform_core.transformation.starting.sql_names import quoted


@dataclass(frozen=True)
class ExampleInput:
    """Rows that stand in for what a product reads.

    Attributes:
        owner: Domain that owns the relation.
        schema: Its schema.
        table: Its name.
        port: Whether it is another product's port, a view; otherwise a raw table of the domain itself.
        columns: Name and type in Postgres.
        rows: Literals of SQL, a row each.
    """

    owner: str
    schema: str
    table: str
    port: bool
    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, ...], ...]

    def statement(self) -> str:
        """The SQL that makes it, a column a line."""
        listed = ",\n".join(
            f"    (ARRAY[{', '.join(row[at] for row in self.rows)}])[n]::{kind} AS {quoted(name)}"
            for at, (name, kind) in enumerate(self.columns)
        )
        made = f"{'VIEW' if self.port else 'TABLE'} {quoted(self.schema)}.{quoted(self.table)}"
        return f"CREATE {made} AS SELECT\n{listed}\nFROM generate_series(1, {len(self.rows)}) AS n"


def domain_conftest(domain: str) -> str:
    """``conftest.py`` of the domain's tests."""
    return _CONFTEST.replace("DOMAIN_NAME", domain)


def domain_test(domain: str) -> str:
    """``test_<domain>.py``."""
    return _DOMAIN_TEST.replace("DOMAIN_NAME", domain)


def product_test(draft: ProductDraft, inputs: Sequence[ExampleInput], rows: int) -> str:
    """``test_<product>.py``: the product is built from example rows, audited and published, and ``rows`` rows are served."""
    made = "".join(f'    (\n        "{item.owner}",\n        """\n{item.statement()}\n""",\n    ),\n' for item in inputs)
    words = {
        "PRODUCT_ID": draft.id,
        "PRODUCT_NAME": draft.name,
        "EXAMPLES": f"(\n{made})" if made else "()",
        "SERVED": f"{naming.port_schema(draft.id)}.{draft.tables[0].name}",
        "ROWS": str(rows),
    }
    text = _PRODUCT_TEST
    for word, value in words.items():
        text = text.replace(f"<{word}>", value)
    return text


_PRODUCT_TEST = '''\
"""The product <PRODUCT_ID>, from example rows to the port: what it reads is made here, the rest is the real thing."""

from __future__ import annotations

from typing import Any

import pytest

pytestmark = pytest.mark.timeout(240)

# Owner and SQL of each relation that the product's models read, with rows that keep the promises of the contract.
INPUTS: tuple[tuple[str, str], ...] = <EXAMPLES>


def test_<PRODUCT_NAME>_is_built_and_published(publish: Any, warehouse: Any) -> None:
    result = publish("<PRODUCT_NAME>", INPUTS)
    assert result.success
    broken = [check.check_name for check in result.get_asset_check_evaluations() if not check.passed]
    assert broken == []
    with warehouse.connect_platform() as connection:
        assert connection.execute("SELECT count(*) FROM <SERVED>").fetchone() == (<ROWS>,)
'''

_CONFTEST = '''\
"""Fixtures of the domain's tests: the domain on a database of its own, and a way to build and publish a product there."""

from __future__ import annotations

import importlib
import os
from collections.abc import Callable, Iterable
from pathlib import Path

import dagster as dg
import pytest

from platform_core.contracts import load_mesh
from platform_core.warehouse import Warehouse, apply

DOMAIN = Path(__file__).parents[1].name


@pytest.fixture
def warehouse(repo: Path, empty_database: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Warehouse:
    """Schemas and roles of the whole mesh, nothing published; selected as in production, by environment variables."""
    for name in [name for name in os.environ if name.startswith(("MESH_", "DAGSTER_", "DBT_"))]:
        monkeypatch.delenv(name)
    address = empty_database.parameters
    monkeypatch.setenv("MESH_REPO", str(repo))
    monkeypatch.setenv("MESH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("MESH_WAREHOUSE_DSN", f"postgresql://{address['host']}:{address['port']}/{address['dbname']}")
    monkeypatch.setenv("PGPASSFILE", address["passfile"])
    monkeypatch.syspath_prepend(str(repo / "domains" / DOMAIN / "src"))
    apply(empty_database, load_mesh(repo))
    return empty_database


@pytest.fixture
def location(warehouse: Warehouse) -> dg.Definitions:
    """The domain's code location."""
    return importlib.import_module(f"{DOMAIN}.definitions").defs


@pytest.fixture
def publish(repo: Path, warehouse: Warehouse, location: dg.Definitions) -> Callable[..., dg.ExecuteInProcessResult]:
    """Makes what a product reads, then builds its models and publishes its ports in one run."""

    def run(product: str, inputs: Iterable[tuple[str, str]] = ()) -> dg.ExecuteInProcessResult:
        with warehouse.connect_platform() as connection:  # no domain makes what others read
            for _owner, statement in inputs:
                connection.execute(statement.encode())
        apply(warehouse, load_mesh(repo))  # gives each to its owner, and to those who may read it
        graph = location.resolve_asset_graph()
        ports = dg.AssetSelection.key_prefixes([DOMAIN, product])
        wanted = ports | (ports.upstream() & dg.AssetSelection.key_prefixes([DOMAIN, "build"]))
        job = location.resolve_implicit_global_asset_job_def()
        with dg.DagsterInstance.ephemeral() as instance:
            return job.execute_in_process(asset_selection=sorted(wanted.resolve(graph)), instance=instance)

    return run
'''

_DOMAIN_TEST = '''\
"""The domain DOMAIN_NAME: its files are sound, and its code location serves what they promise."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from platform_core.contracts import load_mesh, naming

pytestmark = pytest.mark.timeout(240)
DOMAIN = Path(__file__).parents[1].name


def test_the_files_have_no_error(repo: Path) -> None:
    own = repo / "domains" / DOMAIN
    problems = [problem for problem in load_mesh(repo).problems if own in problem.location.file.parents]
    assert [f"{problem.location.in_repo}: {problem.message}" for problem in problems if problem.severity == "error"] == []


def test_every_port_is_an_asset_with_its_rules_as_checks(repo: Path, location: dg.Definitions) -> None:
    graph = location.resolve_asset_graph()
    for product in load_mesh(repo).of_domain(DOMAIN):
        for port in product.outputs:
            for table in port.contract.tables:
                key = dg.AssetKey(naming.port_key(product.id, table.physical_name))
                assert graph.has(key) and graph.get(key).is_executable, key
                checks = {check.name for check in graph.get_check_keys_for_assets({key})}
                assert {rule.name for rule in table.rules} <= checks
'''
