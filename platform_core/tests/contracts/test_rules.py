"""From clauses to rules: kind, arguments, severity, name and place."""

from __future__ import annotations

import re
from typing import Any

import pytest

from platform_core.contracts import Rule

Files = Any


def rules(files: Files) -> dict[str, Rule]:
    mesh = files.mesh()
    assert [problem for problem in mesh.problems if problem.severity == "error"] == []
    return {rule.name: rule for rule in mesh.contracts["sales.orders.orders"].tables[0].rules}


def test_every_clause_of_the_small_contract_is_a_rule(files: Files) -> None:
    found = {name: (rule.kind, dict(rule.arguments)) for name, rule in rules(files).items()}
    assert found == {
        "orders__primary_key": ("primary_key", {"columns": ["order_id"]}),
        "orders__order_id__not_null": ("not_null", {}),
        "orders__customer_id__foreign_key": (
            "foreign_key",
            {
                "columns": ["customer_id"],
                "to_columns": ["customer_id"],
                "to_table": "customers",
                "to_schema": "shop_customers",
                "to_candidate": False,
            },
        ),
        "orders__country__length": ("length", {"minimum": 2, "maximum": 2}),
        "orders__country__pattern": ("pattern", {"regex": "^[A-Z]{2}$"}),
        "orders__country__accepted_values": ("accepted_values", {"values": ["NO", "SE"], "must_be": 0}),
        "orders__amount_usd__range": ("range", {"minimum": 0, "maximum": 100}),
        "orders__row_count": ("row_count", {"greater_than": 0}),
        "orders__duplicate_values": ("duplicate_count", {"columns": ["customer_id", "ordered_at"], "must_be": 0}),
        "orders__paid": ("sql", {"query": "select count(*) from {object} where amount_usd is null", "must_be": 0}),
    }
    assert all(rule.blocking and rule.table == "orders" for rule in rules(files).values())


def test_a_rule_knows_its_line(files: Files) -> None:
    for rule in rules(files).values():
        assert rule.location.file == files.path("orders contract")
    line = files.line("orders contract", rules(files)["orders__country__pattern"].location.line)
    assert "pattern:" in line


@pytest.mark.parametrize(("written", "blocking"), [("error", True), ("warning", False), ("info", False)])
def test_severity(files: Files, written: str, blocking: bool) -> None:
    files.replace("orders contract", "dimension: completeness", f"dimension: completeness\n        severity: {written}")
    assert rules(files)["orders__paid"].blocking is blocking


def test_a_rule_without_severity_blocks(files: Files) -> None:
    assert rules(files)["orders__row_count"].blocking


@pytest.mark.parametrize("written", ["${object}", "${table}", "{table}", "{object}"])
def test_placeholders_of_the_standard_and_of_tools_mean_the_table(files: Files, written: str) -> None:
    files.replace("orders contract", "from {object} where", f"from {written} where")
    assert rules(files)["orders__paid"].arguments["query"] == "select count(*) from {object} where amount_usd is null"


def test_the_column_placeholder_is_the_quoted_column(files: Files) -> None:
    rule = "        quality:\n          - type: sql\n            mustBe: 0\n"
    rule += "            query: select count(*) from {object} where ${column} < 0\n"
    files.replace("orders contract", "        physicalType: numeric(12,2)\n", "        physicalType: numeric(12,2)\n" + rule)
    assert rules(files)["orders__amount_usd__sql"].arguments["query"] == 'select count(*) from {object} where "amount_usd" < 0'


def test_two_rules_of_one_name_are_numbered(files: Files) -> None:
    files.replace(
        "orders contract", "      - metric: rowCount\n", "      - metric: rowCount\n        mustBeLessThan: 5\n      - metric: rowCount\n"
    )
    assert {"orders__row_count_1", "orders__row_count_2"} <= rules(files).keys()


def test_names_of_rules_are_names_of_checks(files: Files) -> None:
    files.replace("orders contract", "name: paid", "name: 'paid? ja — 100 %'")
    names = rules(files).keys()
    assert "orders__paid_ja_100" in names
    assert all(re.fullmatch(r"[A-Za-z0-9_]+", name) for name in names)


def test_a_date_range_is_a_rule(files: Files) -> None:
    options = "        logicalTypeOptions:\n          minimum: 2020-01-01T00:00:00Z\n"
    files.replace("orders contract", "        physicalType: timestamptz\n", "        physicalType: timestamptz\n" + options)
    assert rules(files)["orders__ordered_at__range"].arguments == {"minimum": "2020-01-01T00:00:00Z"}


def test_a_foreign_key_inside_the_contract_means_the_candidate(files: Files) -> None:
    table = "  - name: returns\n    properties:\n      - name: order_id\n        logicalType: integer\n"
    table += "        relationships:\n          - to: orders.order_id\n"
    files.replace("orders contract", "roles:\n", table + "roles:\n")
    contract = files.mesh().contracts["sales.orders.orders"]
    [rule] = contract.tables[1].rules
    assert (rule.arguments["to_schema"], rule.arguments["to_table"], rule.arguments["to_candidate"]) == ("sales_orders", "orders", True)


def test_logical_names_become_physical_names(files: Files) -> None:
    files.replace("orders contract", "      - name: amount_usd\n", "      - name: amount\n        physicalName: amount_usd\n")
    files.replace("orders contract", "[customer_id, ordered_at]", "[amount, ordered_at]")
    assert rules(files)["orders__duplicate_values"].arguments["columns"] == ["amount_usd", "ordered_at"]
    assert rules(files)["orders__amount_usd__range"].column == "amount_usd"


@pytest.mark.parametrize(
    ("old", "new", "clause"),
    [
        ("      - metric: rowCount\n", "      - type: text\n        description: be nice\n      - metric: rowCount\n", "type text"),
        ("          minimum: 0\n", "          minimum: 0\n          multipleOf: 0.5\n", "multipleOf of amount_usd"),
        ("roles:\n", "servers: []\nroles:\n", "servers"),
        (
            "        physicalType: timestamptz\n",
            "        physicalType: timestamptz\n        partitioned: true\n",
            "partitioned of ordered_at",
        ),
    ],
)
def test_what_becomes_no_rule_is_documented_only(files: Files, old: str, new: str, clause: str) -> None:
    files.replace("orders contract", old, new)
    documented = files.mesh().contracts["sales.orders.orders"].documented_only
    assert any(clause in text for text, _ in documented), documented


def named(files: Files, version: str) -> None:
    """Names a former release, without what later ones brought: metrics, timestamps, a named team and relationships v3.1, custom properties of a service level v3.2."""
    files.replace("orders contract", "v3.2.0", version)
    files.replace("orders contract", "        relationships:\n          - to: shop.customers.customers.customer_id\n", "")
    files.replace("orders contract", "    customProperties:\n      - property: objective\n        value: {ratio: 0.8, window: 20d}\n", "")
    if version < "v3.1":
        text = files.read("orders contract").replace(" metric: ", " rule: ")
        files.write("orders contract", text.replace("logicalType: timestamp", "logicalType: date"))
        files.replace("orders contract", "team:\n  name: sales-data\n", "team:\n  - username: ann@example.com\n    role: Owner\n")


@pytest.mark.parametrize("version", ["v3.0.0", "v3.0.2", "v3.1.0"])
def test_versions_of_the_standard_that_are_read(files: Files, version: str) -> None:
    named(files, version)
    assert files.mesh().problems == ()


def test_a_team_of_version_3_0_is_a_list_of_members(files: Files) -> None:
    named(files, "v3.0.2")
    mesh = files.mesh()
    assert mesh.problems == ()
    assert mesh.contracts["sales.orders.orders"].owners == ("ann@example.com",)


def test_invalid_values_of_a_list_and_a_pattern_keep_both(files: Files) -> None:
    files.replace("orders contract", "validValues: ['NO', SE]\n", "validValues: ['NO', SE]\n              pattern: '^[A-Z]{2}$'\n")
    assert rules(files)["orders__country__invalid_values"].arguments == {"values": ["NO", "SE"], "regex": "^[A-Z]{2}$", "must_be": 0}


def test_values_of_version_3_2_are_accepted_values(files: Files) -> None:
    files.replace(
        "orders contract",
        "        quality:\n          - metric: invalidValues\n            arguments:\n"
        "              validValues: ['NO', SE]\n            mustBe: 0\n            severity: error\n",
        "        enum:\n          - value: SE\n          - value: 'NO'\n",
    )
    assert rules(files)["orders__country__accepted_values"].arguments == {"values": ["SE", "NO"]}


def test_a_unit_turns_a_count_into_a_share_but_leaves_the_value_of_sql(files: Files) -> None:
    files.replace("orders contract", "        mustBeGreaterThan: 0\n", "        mustBeGreaterThan: 0\n        unit: rows\n")
    files.replace("orders contract", "        dimension: completeness\n", "        dimension: completeness\n        unit: percent\n")
    assert rules(files)["orders__row_count"].arguments == {"greater_than": 0, "unit": "rows"}
    assert "unit" not in rules(files)["orders__paid"].arguments


def missing(files: Files, values: str) -> None:
    """Lets the rule of the column ``country`` count missing values."""
    old = "          - metric: invalidValues\n            arguments:\n              validValues: ['NO', SE]\n"
    files.replace(
        "orders contract", old, f"          - metric: missingValues\n            arguments:\n              missingValues: {values}\n"
    )


def test_missing_values_are_written_as_in_the_standards_example(files: Files) -> None:
    missing(files, "[null, '', 'N/A']")
    assert rules(files)["orders__country__missing_values"].arguments == {"missing_values": ["", "N/A"], "must_be": 0}


def test_a_missing_value_that_yaml_reads_as_a_truth_value_is_an_error(files: Files) -> None:
    missing(files, "['', NO]")
    [problem] = files.mesh().problems
    assert (problem.rule, problem.message) == ("rule-argument", "the missing value False is none of a string column")
    assert "missingValues" in files.line("orders contract", problem.location.line)


@pytest.mark.parametrize("unit", ["m", "minute", "hour", "h", "d", "day", "days", "y", "yr", "years"])
def test_freshness_takes_the_units_as_the_standard_spells_them(files: Files, unit: str) -> None:
    files.replace("orders contract", "    unit: h\n", f"    unit: {unit}\n")
    assert files.mesh().problems == ()
