"""The contract's columns against the real relation's."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from platform_core.quality import check_shape

SAME = [
    ("bigint", "int8"),
    ("BIGINT", "bigint"),
    ("integer", "int"),
    ("varchar(20)", "character varying(20)"),
    ("numeric(12,2)", "decimal(12, 2)"),
    ("timestamptz", "timestamp with time zone"),
    ("timestamptz(3)", "timestamp(3) with time zone"),
    ("double precision", "float8"),
    ("text[]", "text[]"),
    ("bool", "boolean"),
    ("char(3)", "character(3)"),
    ("jsonb", "jsonb"),
]
OTHER = [
    ("bigint", "integer", "type"),
    ("numeric", "numeric(12,2)", "type"),
    ("numeric(12,2)", "numeric", "type"),
    ("varchar(20)", "varchar(21)", "type"),
    ("text", "varchar", "type"),
    ("timestamptz", "timestamp", "type"),
    ("json", "jsonb", "type"),
    ("text", "wibble", "unknown_type"),
    ("text", "text; drop table x", "unknown_type"),
    ("integer", "int), (select 1", "unknown_type"),
    ("text", "varchar(-1)", "unknown_type"),
    ("text", "nowhere.text", "unknown_type"),
]
LOGICAL = [
    ("integer", "bigint", True),
    ("integer", "numeric", False),
    ("number", "numeric(12,2)", True),
    ("number", "integer", True),
    ("string", "varchar(3)", True),
    ("string", "integer", False),
    ("boolean", "boolean", True),
    ("date", "date", True),
    ("date", "timestamp", False),
    ("timestamp", "timestamptz", True),
    ("time", "time", True),
    ("object", "jsonb", True),
    ("array", "int[]", True),
    ("array", "jsonb", True),
    ("array", "text", False),
    (None, "text", True),
]


def _problems(bench: Any, table: Any) -> list[Any]:
    with bench.warehouse.connect_domain("sales") as connection:
        found = check_shape(connection, table, ("sales_build", table.physical_name))
        connection.execute("SELECT 1")  # the caller's transaction is still usable
        return found


def test_physical_types_are_compared_as_postgres_reads_them(bench: Any) -> None:
    actual = {f"c{at}": kind for at, (kind, *_) in enumerate([*SAME, *OTHER])}
    promised = {f"c{at}": kind for at, (_, kind, *_) in enumerate([*SAME, *OTHER])}
    bench.load("shapes", {**actual, "extra": "text"}, [])
    found = _problems(bench, bench.table("shapes", promised))
    assert [(item.column, item.kind) for item in found] == [(f"c{at}", kind) for at, (_, _, kind) in enumerate(OTHER, len(SAME))]
    assert str(found[0]) == "orders.odcs.yaml:22: sales_build.shapes column 'c12' is bigint, the contract promises integer"


@pytest.mark.parametrize("view", [False, True])
def test_logical_types_accept_their_family(bench: Any, view: bool) -> None:
    bench.load("logical", {f"c{at}": kind for at, (_, kind, _) in enumerate(LOGICAL)}, [])
    if view:
        with bench.warehouse.connect_domain("sales") as connection:
            connection.execute("CREATE VIEW sales_build.logical_view AS SELECT * FROM sales_build.logical")
    name = "logical_view" if view else "logical"
    table = bench.table(name, {f"c{at}": "" for at in range(len(LOGICAL))})
    columns = tuple(replace(item, physical_type=None, logical_type=LOGICAL[at][0]) for at, item in enumerate(table.columns))
    found = _problems(bench, replace(table, columns=columns))
    assert [item.column for item in found] == [f"c{at}" for at, (_, _, fits) in enumerate(LOGICAL) if not fits]


def test_missing_columns_and_relations(bench: Any) -> None:
    bench.load("shapes", {"id": "int", 'a"b 😀': "text"}, [])
    found = _problems(bench, bench.table("shapes", {"id": "int", 'a"b 😀': "text", "ID": "int"}))
    assert [(item.kind, item.column, item.actual) for item in found] == [("missing", "ID", None)]
    gone = _problems(bench, bench.table("gone", {"id": "int"}))
    assert [(item.kind, item.location.line) for item in gone] == [("relation", 5)]
