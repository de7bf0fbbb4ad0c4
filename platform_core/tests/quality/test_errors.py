"""A rule that cannot be evaluated fails with its reason; the rules beside it are judged all the same."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts import Rule, load_mesh
from platform_core.quality import QualityError, audit, compile_suite, run
from platform_core.quality.plan import plan_rule
from platform_core.quality.suite import suite_of

COLUMNS = {"id": "bigint", "code": "text"}
ROWS = [(1, "a"), (2, None)]

WRONG: list[tuple[str, str, str | None, dict[str, Any]]] = [
    ("has no column 'nope'", "not_null", "nope", {}),
    ("has no column 'nope'", "unique", "nope", {"columns": ["nope"]}),
    ("has no column 'x', 'y'", "foreign_key", None, {"columns": ["x", "y"], "to_schema": "s", "to_table": "t", "to_columns": ["x", "y"]}),
    ("operator does not exist: bigint !~", "pattern", "id", {"regex": "a"}),
    ("function char_length(bigint) does not exist", "length", "id", {"minimum": 1}),
    ("operator does not exist: text", "range", "code", {"minimum": 1}),
    ("invalid text representation", "accepted_values", "id", {"values": ["a"]}),
    ("unknown kind 'freshness'", "freshness", "id", {}),
    ("compares with nothing", "null_count", "id", {}),
    ("unit 'miles' is unknown", "null_count", "id", {"must_be": 1, "unit": "miles"}),
    ("write a pair of numbers", "row_count", None, {"between": [1]}),
    ("write a number", "row_count", None, {"greater_than": "many"}),
    ("neither minimum nor maximum", "range", "id", {}),
    ("names no column", "unique", None, {}),
    ("arguments of the kind 'accepted_values' are wrong", "accepted_values", "code", {}),
    ("not of ECMA-262", "pattern", "code", {"regex": r"\p{L}"}),
    ("syntax error", "sql", None, {"query": "select count(* from {object}", "must_be": 0}),
    ("does not exist", "sql", None, {"query": "select count(*) from {object} where nope = 1", "must_be": 0}),
    ("2 columns", "sql", None, {"query": "select 1, 2 from {object} limit 1", "must_be": 0}),
    ("more than one row", "sql", None, {"query": "select 1 from {object}", "must_be": 0}),
    ("no row", "sql", None, {"query": "select id from {object} where id > 9", "must_be": 0}),
    ("read only", "sql", None, {"query": "with d as (delete from {object} returning 1) select count(*) from d", "must_be": 0}),
    ("division by zero", "sql", None, {"query": "select 1 / (count(*) - 2) from {object}", "must_be": 0}),
    ("permission denied", "foreign_key", "id", {"columns": ["id"], "to_schema": "customer_raw", "to_table": "t", "to_columns": ["id"]}),
    ("does not exist", "foreign_key", "id", {"columns": ["id"], "to_schema": "sales_build", "to_table": "t", "to_columns": ["id"]}),
    (
        "operator does not exist",
        "foreign_key",
        "id",
        {"columns": ["id"], "to_schema": "s", "to_table": "orders", "to_columns": ["code"], "to_candidate": True},
    ),
]


def test_each_wrong_rule_fails_alone(bench: Any) -> None:
    wrong = [bench.rule(kind, column, **arguments) for _, kind, column, arguments in WRONG]
    sound = [bench.rule("not_null", "code"), bench.rule("range", "id", minimum=1), bench.rule("sql", None, query="select 1", must_be=1)]
    results = bench.judge(COLUMNS, ROWS, *wrong, *sound)
    for (reason, kind, _, _), result in zip(WRONG, results[: len(WRONG)], strict=True):
        assert not result.passed, kind
        assert reason in str(result.error), kind
        assert str(result.error).startswith("orders.odcs.yaml:42: "), kind
        assert result.observed == "not evaluated"
    assert [(item.error, item.passed, item.unexpected_count) for item in results[len(WRONG) :]] == [
        (None, False, 1),
        (None, True, 0),
        (None, True, None),
    ]


def test_a_missing_relation_fails_every_rule(bench: Any) -> None:
    rules: list[Rule] = [bench.rule("not_null", "id"), bench.rule("row_count", None, must_be=0)]
    results = bench.run(bench.table("gone", COLUMNS, rules)).results
    assert [item.passed for item in results] == [False, False]
    assert all("sales_build.gone does not exist" in str(item.error) for item in results)
    stranger = bench.table("stranger", COLUMNS, rules)
    report = audit(bench.warehouse, "sales", [stranger], {})
    assert all("has no candidate" in str(item.error) for item in report.results)
    assert report.rows == {}


def test_a_rule_that_great_expectations_refuses_fails_alone(bench: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    def refusing(plans: list[Any], name: str) -> Any:
        if plans[0].rule.kind == "pattern":
            raise ValueError("1 validation error")
        return suite_of(plans, name)

    monkeypatch.setattr(run, "suite_of", refusing)
    results = bench.judge(COLUMNS, ROWS, bench.rule("pattern", "code", regex="a"), bench.rule("not_null", "id"))
    assert [(item.passed, item.error) for item in results] == [
        (False, "orders.odcs.yaml:42: Great Expectations refuses the rule: 1 validation error"),
        (True, None),
    ]


def test_rows_are_counted_without_any_rule_that_runs(bench: Any) -> None:
    bench.load("orders", COLUMNS, ROWS)
    assert bench.run(bench.table("orders", COLUMNS)).rows == {"orders": 2}
    report = bench.run(bench.table("orders", COLUMNS, [bench.rule("not_null", "nope")]))
    assert report.rows == {"orders": 2}
    assert report.results[0].checked_rows == 2


def test_every_contract_of_the_repository_compiles(repo: Path) -> None:
    tables = [table for contract in load_mesh(repo).contracts.values() for table in contract.tables]
    candidates = {table.physical_name: ("build", table.physical_name) for table in tables}
    plans = [plan_rule(rule, table, candidates[table.physical_name], candidates) for table in tables for rule in table.rules]
    assert plans


def test_warnings_do_not_block(bench: Any) -> None:
    bench.load("orders", COLUMNS, ROWS)
    rules = [bench.rule("not_null", "code", severity="warning"), bench.rule("not_null", "id")]
    report = bench.run(bench.table("orders", COLUMNS, rules))
    assert report.passed
    assert [item.rule.column for item in report.failures] == ["code"]
    assert str(report.failures[0]) == "orders.odcs.yaml:42: 0_not_null broken: 1 of 2 rows, promised: 0 rows"


def test_compiling_an_unknown_kind_raises_with_its_place(bench: Any) -> None:
    table = bench.table("orders", COLUMNS, [bench.rule("freshness", "id")])
    with pytest.raises(QualityError) as caught:
        compile_suite(table, ("sales_build", "orders"))
    assert caught.value.where == "orders.odcs.yaml:42"
    assert "freshness" in str(caught.value)


def test_a_suite_holds_one_expectation_per_rule_that_names_its_clause(bench: Any) -> None:
    rules = [
        bench.rule("not_null", "id"),
        bench.rule("unique", "id", columns=["id"]),
        bench.rule("range", "id", minimum=1, severity="warning"),
    ]
    suite = compile_suite(bench.table("orders", COLUMNS, rules), ("sales_build", "orders"))
    assert [item.configuration.type for item in suite.expectations] == [
        "expect_column_values_to_not_be_null",
        "expect_measure_to_be_within_bounds",
        "expect_column_values_to_be_between",
    ]
    assert suite.expectations[2].meta == {
        "rule": "2_range",
        "location": "orders.odcs.yaml:42",
        "severity": "warning",
        "dimension": "validity",
    }
    assert suite.to_json_dict()["expectations"][0]["kwargs"]["column"] == "id"
