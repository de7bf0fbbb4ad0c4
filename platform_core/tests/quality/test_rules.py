"""Every kind of rule against the real Postgres: what breaks it, what does not, and what it says."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql

from platform_core.quality import KINDS

BIG = 2**53 + 1
WEIRD = 'we"ird 😀 %s :x {y}'
TYPES = {"id": "bigint", "code": "text", "amount": "numeric(12,2)", "ratio": "double precision", "flag": "boolean", "at": "timestamptz"}
DAY = datetime(2024, 5, 1, tzinfo=UTC)

# column, values, kind, arguments, how many rows break it (passes when 0, unless the fifth says otherwise)
COLUMN_CASES: list[tuple[str, list[Any], str, dict[str, Any], int]] = [
    ("code", ["a", "", " "], "not_null", {}, 0),
    ("code", ["a", None, None], "not_null", {}, 2),
    ("id", [1, 2, None, None], "unique", {"columns": ["id"]}, 0),
    ("id", [1, 2, 1, 1, None], "unique", {"columns": ["id"]}, 2),
    ("code", ["", "", "a"], "unique", {"columns": ["code"]}, 1),
    ("id", [1, 2], "primary_key", {"columns": ["id"]}, 0),
    ("id", [1, None, 1, None], "primary_key", {"columns": ["id"]}, 3),
    ("code", ["a", "b", None], "accepted_values", {"values": ["a", "b"]}, 0),
    ("code", ["a", "", "A", "it's", None], "accepted_values", {"values": ["a", "it's"]}, 2),
    ("code", ["1", "2"], "accepted_values", {"values": [1, 2]}, 0),
    ("code", ["true", "no"], "accepted_values", {"values": [True]}, 1),
    ("code", [r"back\slash", "100%", ":x"], "accepted_values", {"values": [r"back\slash", "100%", ":x"]}, 0),
    ("id", [BIG, BIG - 1], "accepted_values", {"values": [BIG]}, 1),
    ("id", [1, 2], "accepted_values", {"values": ["1", None]}, 1),
    ("flag", [True, False, None], "accepted_values", {"values": [True]}, 1),
    ("amount", [Decimal("0.10"), Decimal("0.30")], "accepted_values", {"values": [0.1, 0.3]}, 0),
    ("amount", [Decimal("0"), Decimal("-0.01"), None], "range", {"minimum": 0}, 1),
    ("amount", [Decimal("0.10"), Decimal("0.11")], "range", {"maximum": 0.1}, 1),
    ("amount", [Decimal("1"), Decimal("2"), Decimal("3")], "range", {"exclusive_minimum": 1, "exclusive_maximum": 3}, 2),
    ("amount", [Decimal("1"), Decimal("2")], "range", {"minimum": 1, "exclusive_minimum": 1}, 1),
    ("id", [BIG, BIG - 1], "range", {"minimum": BIG}, 1),
    ("id", [BIG, BIG + 1], "range", {"maximum": BIG}, 1),
    ("ratio", [0.1, float("nan"), None], "range", {"maximum": 1}, 1),
    ("at", [DAY, DAY.replace(year=2019), None], "range", {"minimum": "2020-01-01"}, 1),
    ("at", [DAY, DAY.replace(hour=3)], "range", {"maximum": "2024-05-01T00:00:00Z"}, 1),
    ("code", ["", "ab", "abc", None], "length", {"minimum": 1, "maximum": 2}, 2),
    ("code", ["😀é", "😀éa"], "length", {"maximum": 2}, 1),
    ("code", ["xabcx", "abd", "", None], "pattern", {"regex": "abc"}, 2),
    ("code", ["abc", "abc\n", "zabc"], "pattern", {"regex": "^abc$"}, 2),
    ("code", ["a cat.", "concat"], "pattern", {"regex": r"\bcat\b"}, 1),
    ("code", ["100%", ":x"], "pattern", {"regex": "[%:]"}, 0),
    ("code", ["a", "", None], "pattern", {"regex": ""}, 0),
    ("code", ["a", None], "accepted_values", {"values": [None]}, 1),
    ("code", ["jane@example.org", "jane"], "pattern", {"regex": r"^[^@\s]+@[^@\s]+\.[a-z]{2,}$"}, 1),
]


@pytest.mark.parametrize("case", COLUMN_CASES, ids=lambda case: f"{case[2]}-{case[0]}-{case[3]}")
def test_rules_about_one_column(bench: Any, case: tuple[str, list[Any], str, dict[str, Any], int]) -> None:
    _check(bench, case, "orders", case[0])


BROKEN_BY_KIND = {case[2]: case for case in COLUMN_CASES if case[4]}


@pytest.mark.parametrize("kind", BROKEN_BY_KIND)
def test_names_with_quotes_spaces_percent_signs_and_emoji(bench: Any, kind: str) -> None:
    _check(bench, BROKEN_BY_KIND[kind], 'o"rd%s :ers 😀 {t}', WEIRD)


def _check(bench: Any, case: tuple[str, list[Any], str, dict[str, Any], int], name: str, own: str) -> None:
    column, values, kind, arguments, broken = case
    given = {**arguments, "columns": [own]} if "columns" in arguments else arguments
    columns = {"row": "int", own: TYPES[column]}
    bench.load(name, columns, list(enumerate(values)))
    report = bench.run(bench.table(name, columns, [bench.rule(kind, own, **given)], keys=["row"]))
    (result,) = report.results
    assert result.error is None
    assert (result.unexpected_count, result.checked_rows) == (broken, len(values))
    assert result.passed is (broken == 0) is report.passed
    assert result.observed == f"{broken} of {len(values)} rows"
    assert report.rows == {name: len(values)}
    assert len(result.sample_rows) >= broken if broken else result.sample_rows == ()
    assert (result.sample_query is None) is result.passed
    if result.sample_query:
        shown = bench.ask(result.sample_query)
        assert len(shown) == len(result.sample_rows)
        assert {str(row[0]) for row in shown} == {row["row"] for row in result.sample_rows}


COUNT_CASES: list[tuple[str, dict[str, Any], bool, str]] = [
    ("null_count", {"must_be": 1}, True, "1 of 4 rows"),
    ("null_count", {"missing_values": [None, "", "n/a"], "must_be": 2}, True, "2 of 4 rows"),
    ("null_count", {"less_or_equal": 25, "unit": "percent"}, True, "1 of 4 rows (25 percent)"),
    ("null_count", {"less_than": 25, "unit": "percent"}, False, "1 of 4 rows (25 percent)"),
    ("invalid_count", {"values": ["a"], "must_be": 1}, True, "1 of 4 rows"),
    ("invalid_count", {"regex": "^a", "greater_than": 1}, False, "1 of 4 rows"),
    ("invalid_count", {"values": ["a", "b"], "regex": "^a", "must_be": 1}, True, "1 of 4 rows"),
    ("duplicate_count", {"columns": ["code"], "must_be": 1}, True, "1 of 4 rows"),
    ("duplicate_count", {"columns": ["code"], "must_not_be": 1}, False, "1 of 4 rows"),
    ("duplicate_count", {"columns": ["code", "id"], "must_be": 0}, True, "0 of 4 rows"),
    ("row_count", {"must_be": 4}, True, "4 rows"),
    ("row_count", {"must_be": 3}, False, "4 rows"),
    ("row_count", {"must_not_be": 4}, False, "4 rows"),
    ("row_count", {"greater_than": 4}, False, "4 rows"),
    ("row_count", {"greater_or_equal": 4, "less_than": 5}, True, "4 rows"),
    ("row_count", {"less_or_equal": 3.5}, False, "4 rows"),
    ("row_count", {"between": [4, 9]}, True, "4 rows"),
    ("row_count", {"not_between": [1, 4]}, False, "4 rows"),
    ("sql", {"query": "select count(*) from {object} where code = 'a';", "must_be": 2}, True, "the query gave 2"),
    ("sql", {"query": "select avg(id) from {object}", "between": [2.5, 2.5]}, True, "the query gave 2.5000000000000000"),
    ("sql", {"query": "select max(id) from {object} where id < 0", "must_not_be": 0}, False, "the query gave NULL"),
    ("sql", {"query": "select bool_and(id > 0) from {object}", "must_be": True}, True, "the query gave True"),
    (
        "sql",
        {"query": "with c as (select * from {object} where code like '%a:b%') select count(*) from c", "must_be": 0},
        True,
        "the query gave 0",
    ),
    (
        "sql",
        {"query": """select count(*) from {object} where '{"a": 1}'::jsonb ? 'a' and ' :b' <> '%s'""", "must_be": 4},
        True,
        "the query gave 4",
    ),
    ("sql", {"query": "select max(code) from {object}", "must_be": "secret"}, False, "the query gave a str"),
]


@pytest.mark.parametrize("case", COUNT_CASES, ids=lambda case: f"{case[0]}-{case[1]}")
def test_rules_with_bounds(bench: Any, case: tuple[str, dict[str, Any], bool, str]) -> None:
    kind, arguments, passed, observed = case
    rows = [(1, "a"), (2, "a"), (3, ""), (4, None)]
    column = None if kind in {"row_count", "sql"} or "columns" in arguments else "code"
    (result,) = bench.judge({"id": "int", "code": "text"}, rows, bench.rule(kind, column, **arguments))
    assert (result.error, result.passed, result.observed) == (None, passed, observed)


def test_foreign_keys_read_the_candidate_of_the_same_contract_and_views_of_others(bench: Any) -> None:
    columns = {"id": "int", "a": "int", "b": "text"}
    bench.load("lines", columns, [(1, 1, "x"), (2, 2, None), (3, 9, "x"), (4, None, "z")])
    bench.load("orders", {"id": "int", "b": "text"}, [(1, "x"), (2, "y")])
    target = {"to_schema": "sales_orders", "to_table": "orders", "to_candidate": True}
    elsewhere = {"to_schema": "sales_build", "to_table": "orders", "to_candidate": False}
    rules = [
        bench.rule("foreign_key", "a", columns=["a"], to_columns=["id"], **target),
        bench.rule("foreign_key", None, columns=["a", "b"], to_columns=["id", "b"], **target),
        bench.rule("foreign_key", "a", columns=["a"], to_columns=["id"], **elsewhere),
        bench.rule("foreign_key", "id", columns=["id"], to_columns=["id"], to_schema="x", to_table="lines", to_candidate=True),
    ]
    table = bench.table("lines", columns, rules, keys=["id"])
    one, pair, view, own = bench.run(table, [bench.table("orders", {})]).results
    assert [item.unexpected_count for item in (one, pair, view, own)] == [1, 1, 1, 0]
    assert one.sample_rows == ({"id": "3", "a": "9"},)
    assert pair.sample_rows == ({"id": "3", "a": "9", "b": "x"},)
    alone = bench.run(table).results[0]
    assert not alone.passed
    assert "no part of this audit" in str(alone.error)


@pytest.mark.parametrize("rows", [[], [(None, None, None)] * 3], ids=["empty", "only nulls"])
def test_empty_tables_and_tables_of_nulls(bench: Any, rows: list[Any]) -> None:
    count = len(rows)
    rules = [
        (bench.rule("not_null", "id"), count == 0),
        (bench.rule("unique", "id", columns=["id"]), True),
        (bench.rule("primary_key", None, columns=["id", "code"]), count == 0),
        (bench.rule("accepted_values", "code", values=["a"]), True),
        (bench.rule("range", "amount", minimum=1), True),
        (bench.rule("length", "code", minimum=1), True),
        (bench.rule("pattern", "code", regex="a"), True),
        (bench.rule("row_count", None, greater_than=0), count > 0),
        (bench.rule("null_count", "id", less_than=50, unit="percent"), count == 0),
        (bench.rule("invalid_count", "code", values=["a"], must_be=0), True),
        (bench.rule("duplicate_count", None, columns=["id", "code"], must_be=0), True),
        (bench.rule("foreign_key", "id", columns=["id"], to_schema="sales_build", to_table="orders", to_columns=["id"]), True),
        (bench.rule("sql", None, query="select count(*) from {object} where amount < 0", must_be=0), True),
    ]
    assert {rule.kind for rule, _ in rules} == KINDS
    results = bench.judge({"id": "int", "code": "text", "amount": "numeric"}, rows, *(rule for rule, _ in rules))
    assert [(item.rule.kind, item.passed, item.error) for item in results] == [(rule.kind, kept, None) for rule, kept in rules]
    assert {item.checked_rows for item in results} == {count}


def test_times_without_a_zone_are_utc_whatever_the_server_says(bench: Any) -> None:
    with bench.warehouse.connect_platform(autocommit=True) as connection:
        name = bench.warehouse.parameters["dbname"]
        connection.execute(sql.SQL("ALTER DATABASE {} SET timezone = 'Pacific/Kiritimati'").format(sql.Identifier(name)))
        try:
            rule = bench.rule("range", "at", minimum="2024-05-01", maximum="2024-05-01T12:00:00")
            (result,) = bench.judge({"at": "timestamptz"}, [(DAY,), (DAY.replace(hour=12),), (DAY.replace(hour=13),)], rule)
        finally:
            connection.execute(sql.SQL("ALTER DATABASE {} RESET timezone").format(sql.Identifier(name)))
    assert result.unexpected_count == 1
    assert result.sample_rows == ({"at": "2024-05-01 13:00:00+00"},)


def test_columns_that_differ_in_case_only(bench: Any) -> None:
    rules = [bench.rule("not_null", "id"), bench.rule("not_null", "ID"), bench.rule("accepted_values", "Id", values=["x"])]
    results = bench.judge({"id": "int", "ID": "int", "Id": "text"}, [(1, None, "x"), (2, 3, "y")], *rules)
    assert [item.unexpected_count for item in results] == [0, 1, 1]
