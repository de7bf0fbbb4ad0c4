"""Column lineage against what Postgres does: whenever other values of an input column change an output column, the lineage has said so.

The tables exist in many schemas: once as they are, and once for each way of changing one column. A statement runs in all of them.
``MESH_LINEAGE_STATEMENTS`` sets the number of statements; the suite tries few.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator

import psycopg
import pytest
from generated_queries import TABLES, statements
from hypothesis import HealthCheck, given, settings

from platform_core.transformation.lineage import ALL, Lineage, Ref, Relation
from platform_core.transformation.lineage.queries import trace
from platform_core.warehouse import Warehouse

STATEMENTS = int(os.environ.get("MESH_LINEAGE_STATEMENTS", "40"))
ALWAYS_THE_SAME = "MESH_LINEAGE_STATEMENTS" not in os.environ
ONE = [(1, 2, 3, "abc"), (2, 3, 1, "b"), (3, 1, 4, "ca"), (4, 4, 2, "aa"), (5, 2, 5, "bcd"), (2, 5, 3, None), (None, 3, 2, "a")]
TWO = [(1, 3, 2, 1), (2, 1, 5, 3), (3, 4, 1, 2), (3, 2, 3, 5), (6, 5, 4, 4), (None, 2, 2, 1)]
WAYS = ("shifted", "turned", "one", "none")


def _changed(value: int | None, way: str) -> int | None:
    match way:
        case "one":
            return 3
        case "none":
            return None if value in {1, 2} else value
        case "turned":
            return None if value is None else (value * 3 + 1) % 7
        case _:
            return None if value is None else value + 1


def _rows(table: str, column: str | None, way: str) -> Iterator[tuple[object, ...]]:
    for row in ONE if table == "one" else TWO:
        values: list[object] = []
        for name, value in zip(TABLES[table], row, strict=True):
            number = len(value) if isinstance(value, str) else value
            changed = _changed(number, way) if name == column else number
            if name == "t":
                values.append(value if name != column else None if changed is None else "cab"[: changed % 3 + 1])
            elif name == "j":
                values.append(None if changed is None else f'{{"k": {changed}, "l": [{", ".join(str(at) for at in range(changed % 4))}]}}')
            else:
                values.append(changed)
        yield tuple(values)


@pytest.fixture(scope="module")
def variants() -> list[tuple[str, str, str]]:
    """Schema, table and column of each change."""
    return [(f"{table}_{column}_{way}", table, column) for table, columns in TABLES.items() for column in columns for way in WAYS]


@pytest.fixture
def connection(empty_database: Warehouse, variants: list[tuple[str, str, str]]) -> Iterator[psycopg.Connection]:
    with empty_database.connect_platform() as opened:
        for schema, changed, column in [("p", "", ""), *variants]:
            opened.execute(f"create schema {schema}".encode())
            opened.execute(f"create table {schema}.one (a int, b int, c int, t text)".encode())
            opened.execute(f"create table {schema}.two (a int, x int, y int, j jsonb)".encode())
            for table in TABLES:
                way = schema.rpartition("_")[2] if table == changed else "shifted"
                for row in _rows(table, column if table == changed else None, way):
                    opened.execute(f"insert into {schema}.{table} values (%s, %s, %s, %s)".encode(), row)
        yield opened
        opened.rollback()


def _columns(connection: psycopg.Connection, sql: str) -> dict[str, Counter[object]] | None:
    """Each output column as a bag of values; None when Postgres refuses the statement."""
    connection.execute("savepoint before")
    try:
        cursor = connection.execute(sql.encode())
        rows, names = cursor.fetchall(), [column.name for column in cursor.description or ()]
    except psycopg.Error:
        return None
    finally:
        connection.execute("rollback to savepoint before")
    found: dict[str, Counter[object]] = {}
    for at, name in enumerate(names):
        found.setdefault(name, Counter()).update((at, str(row[at])) for row in rows)
    return found


def _missed(connection: psycopg.Connection, sql: str, variants: list[tuple[str, str, str]], known: bool) -> tuple[int, list[str]]:
    """How many changes showed in an output column, and those that the lineage does not know of."""
    columns = {("p", table): names if known or table == "one" else None for table, names in TABLES.items()}
    relations = trace(sql, Relation("out.m", "m", "model", {}), lambda schema, name: columns.get((schema, name)))
    lineage = Lineage({relation.id: relation for relation in relations}, {}, {}, (), frozenset())
    before = _columns(connection, sql)
    if before is None:
        return -1, []
    behind = {name: frozenset[Ref]().union(*lineage.upstream(Ref("out.m", name))) for name in before}
    shown, missed = 0, list[str]()
    for schema, table, column in variants:
        after = _columns(connection, sql.replace("p.one", f"{schema}.one").replace("p.two", f"{schema}.two"))
        for name in before:
            if after is not None and before[name] != after[name]:
                shown += 1
                if not behind[name] & {Ref(f"p.{table}", column), Ref(f"p.{table}", ALL)}:
                    missed.append(f"{name} changes with p.{table}.{column}, but is said to come from {sorted(map(str, behind[name]))}")
    return shown, missed


def test_no_column_that_matters_is_missed(connection: psycopg.Connection, variants: list[tuple[str, str, str]]) -> None:
    counted = Counter[str]()

    @settings(
        max_examples=STATEMENTS,
        deadline=None,
        database=None,
        derandomize=ALWAYS_THE_SAME,
        suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example],
    )
    @given(statements())
    def tried(sql: str) -> None:
        for known in (True, False):
            shown, missed = _missed(connection, sql, variants, known)
            assert missed == [], f"{sql}\n" + "\n".join(missed)
            counted["refused" if shown < 0 else "silent" if not shown else "shown"] += 1
            if shown < 0:
                return

    tried()
    assert counted["shown"] > STATEMENTS / 2, f"too few statements show anything: {counted}"


def test_the_property_can_fail(connection: psycopg.Connection, variants: list[tuple[str, str, str]]) -> None:
    """A lineage that forgets its filters is caught."""
    sql = "select o.a from p.one as o join p.two as t on t.x = o.b where o.c > 2"
    shown, missed = _missed(connection, sql, variants, known=True)
    assert (shown > 0, missed) == (True, [])
    before, after = (_columns(connection, sql.replace("p.one", f"{schema}.one")) for schema in ("p", "one_c_one"))
    assert before != after, "the filter's column decides which rows there are"
