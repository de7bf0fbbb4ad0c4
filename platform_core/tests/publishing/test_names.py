"""Names that look like SQL, markup or nothing at all: a contract that lint accepts is published with them as they are, or it is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml
from psycopg import sql

from platform_core.contracts import Mesh, load_mesh
from platform_core.publishing import audit_candidate, publish
from platform_core.warehouse import Warehouse, apply, readers

SOUND = [
    'quo"te', "it's", "two words", 'x"; DROP TABLE sales_build.orders; --', "😀", "a" * 63, "é" * 31 + "a", "%s", "%(x)s", "{object}", "{}", "\\", "select",
    "--", "/*", "A", "a", "a.b", "$1", "$$", "*", "名前", ":name", "user", '""', "<b>", "{column}",
]  # fmt: skip
REFUSED = ["a" * 64, "é" * 32, "😀" * 16, "", " \t", "a\nb", "a\x00b", "\u202egnp", "\ud800"]
FOLDER = "domains/sales/src/sales/defs/orders"


def files(root: Path, names: list[str], **table: Any) -> Mesh:
    """The mesh of one product whose columns bear these names, each with rules, some with masks."""
    columns = [
        {"name": name, "physicalName": name, "logicalType": "string", "physicalType": "text", "description": f"What {name} is.", "required": True,
         "quality": [
             {"name": f"rule of {name}", "metric": "invalidValues", "arguments": {"validValues": [name, "it's"]}, "mustBe": 0},
             {"type": "sql", "query": "select count(*) from {object} where {column} is null", "mustBe": 0},
         ],
         **({"classification": "restricted"} if number % 3 == 0 else {})}
        for number, name in enumerate(names)
    ]  # fmt: skip
    quality = [{"metric": "duplicateValues", "arguments": {"properties": names[:3]}, "mustBe": 0}]
    odcs = {
        "apiVersion": "v3.1.0", "kind": "DataContract", "id": "sales.orders.orders", "version": "1.0.0", "status": "active", "domain": "sales",
        "dataProduct": "sales.orders", "team": {"name": "sales"},
        "schema": [{"name": "orders", "properties": columns, "quality": quality, **table}],
        "roles": [{"role": "sales_orders_reader", "access": "read"}, {"role": "sales_orders_reader_pii"}],
    }  # fmt: skip
    odps = {
        "apiVersion": "v1.1.0", "kind": "DataProduct", "id": "sales.orders", "version": "1.0.0", "status": "active", "domain": "sales",
        "description": {"purpose": "x'); DROP"}, "outputPorts": [{"name": "orders", "version": "1.0.0", "contractId": "sales.orders.orders"}],
        "team": {"name": "sales", "members": [{"username": "a", "role": "owner"}]}, "support": [{"channel": "c", "url": "https://example.com"}],
    }  # fmt: skip
    (root / FOLDER / "contracts").mkdir(parents=True, exist_ok=True)
    (root / "domains/sales/pyproject.toml").touch()
    (root / FOLDER / "product.odps.yaml").write_text(yaml.safe_dump(odps))
    (root / FOLDER / "contracts/orders.odcs.yaml").write_text(yaml.safe_dump(odcs))
    return load_mesh(root)


def test_every_name_that_lint_accepts_is_published_as_it_is(empty_database: Warehouse, tmp_path: Path) -> None:
    mesh = files(tmp_path, SOUND)
    assert mesh.problems == ()
    contract = mesh.contracts["sales.orders.orders"]
    apply(empty_database, mesh)
    with empty_database.connect_domain("sales") as connection:
        made = sql.SQL(", ").join(sql.SQL("{} text").format(sql.Identifier(name)) for name in SOUND)
        connection.execute(sql.SQL("CREATE TABLE sales_build.orders ({})").format(made))
        connection.execute(sql.SQL("INSERT INTO sales_build.orders VALUES ({})").format(sql.SQL(", ").join(map(sql.Literal, SOUND))))
    done = publish(
        empty_database,
        contract,
        readers(mesh, contract),
        lambda relations: audit_candidate(empty_database, contract, relations),
        code_version="c0de",
    )
    assert [result for result in done.results if not result.passed] == []
    assert len(done.results) >= 3 * len(SOUND)
    with empty_database.connect_platform() as connection:
        view = connection.execute("SELECT * FROM sales_orders.orders")
        assert [column.name for column in view.description or ()] == SOUND
        row = view.fetchone()
        assert row is not None
        assert [value for number, value in enumerate(row) if number % 3] == [name for number, name in enumerate(SOUND) if number % 3]
        comments = connection.execute(
            "SELECT description FROM pg_description WHERE objoid = 'sales_orders.orders'::regclass AND objsubid > 0"
        )
        assert {comment for (comment,) in comments} == {f"What {name} is." for name in SOUND}
    apply(empty_database, mesh)


@pytest.mark.parametrize("name", REFUSED, ids=ascii)
def test_a_name_that_postgres_cannot_keep_is_an_error_at_its_line(tmp_path: Path, name: str) -> None:
    mesh = files(tmp_path, [name])
    assert mesh.products == {}
    [problem] = {(problem.severity, problem.location.file.name): problem for problem in mesh.problems}.values()
    assert problem.severity == "error" and problem.location.line >= 1 and problem.remedy
    assert problem.location.file == tmp_path / FOLDER / "contracts/orders.odcs.yaml"


@pytest.mark.parametrize(
    "name", [name for name in SOUND if name != "a" * 63 and not (name.isascii() and name.isidentifier() and name.islower())], ids=ascii
)
def test_the_name_of_a_table_is_plain(tmp_path: Path, name: str) -> None:
    """It becomes part of asset keys, file names and addresses."""
    problems = files(tmp_path, ["a"], physicalName=name).problems
    assert {problem.rule for problem in problems} == {"identifier"}
