"""Relationships in both notations of the contract standard, and the release that a file names."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts.reference import Reference, read_reference, renamed

Files = Any

FILE = Path("/mesh/domains/sales/src/sales/defs/orders/contracts/orders.odcs.yaml")


@pytest.mark.parametrize(
    ("text", "owner", "table", "column"),
    [
        ("orders.order_id", "", "orders", "order_id"),
        ("order_id", "", None, "order_id"),
        ("shop.customers.customers.id", "shop.customers", "customers", "id"),
        ("shop.customers.people.customers.id", "shop.customers.people", "customers", "id"),
        ("schema/orders/properties/id", "", "orders", "id"),
        ("/schema/orders/properties/id", "", "orders", "id"),
        ("shop.customers.people.odcs.yaml#/schema/customers/properties/id", "shop.customers.people", "customers", "id"),
        ("shop.customers.people.yaml#schema/customers/properties/id", "shop.customers.people", "customers", "id"),
        ("https://example.com/a/shop.customers.people.yaml#/schema/customers/properties/id", "shop.customers.people", "customers", "id"),
        ("../../returns/contracts/kept.odcs.yaml#/schema/kept/properties/id", "sales.returns.kept", "kept", "id"),
        ("../../../../../../shop/src/shop/defs/a/b/contracts/c.odcs.yaml#/schema/d/properties/e", "shop.b.c", "d", "e"),
        ("elsewhere.yaml#/schema/customers/properties/id", "elsewhere.yaml", "customers", "id"),
    ],
)
def test_a_reference_names_a_contract_a_table_and_a_column(text: str, owner: str, table: str | None, column: str) -> None:
    assert read_reference(text, FILE) == Reference(owner, table, column)


def test_a_new_name_of_the_contract_and_its_tables_is_followed() -> None:
    def moved(text: str) -> str:
        return renamed(text, "a.b.c", "a.b.c_v2", {"t": "t_v2"})

    assert moved("schema/t/properties/x") == "schema/t_v2/properties/x"
    assert moved("a.b.c.odcs.yaml#/schema/t/properties/x") == "a.b.c_v2.odcs.yaml#/schema/t_v2/properties/x"
    assert moved("https://x.org/a.b.c.yaml#/schema/t/properties/x") == "https://x.org/a.b.c_v2.yaml#/schema/t_v2/properties/x"
    for other in ("schema/u/properties/x", "a.b.d.yaml#/schema/t/properties/x", "t.x"):
        assert moved(other) == other


@pytest.mark.parametrize("target", ["shop.customers.customers.odcs.yaml#/schema/customers/properties/customer_id", "schema by id"])
def test_the_qualified_notation_is_checked_like_the_shorthand(files: Files, target: str) -> None:
    if target == "schema by id":
        files.replace("customers contract", "  - name: customers\n", "  - id: people\n    name: customers\n")
        files.replace("customers contract", "      - name: customer_id\n", "      - id: number\n        name: customer_id\n")
        target = "../../../../../../shop/src/shop/defs/customers/contracts/customers.odcs.yaml#/schema/people/properties/number"
    files.replace("orders contract", "to: shop.customers.customers.customer_id", f"to: {target}")
    mesh = files.mesh()
    assert mesh.problems == ()
    [rule] = [rule for rule in mesh.contracts["sales.orders.orders"].tables[0].rules if rule.kind == "foreign_key"]
    arguments = rule.arguments
    assert (arguments["to_schema"], arguments["to_table"], arguments["to_columns"]) == ("shop_customers", "customers", ["customer_id"])


def test_both_sides_may_go_by_id(files: Files) -> None:
    table = "  - id: lines\n    name: returns\n    relationships:\n      - from: schema/lines/properties/key\n        to: schema/orders/properties/order_id\n"
    table += "    properties:\n      - id: key\n        name: order\n        logicalType: integer\n"
    files.replace("orders contract", "roles:\n", table + "roles:\n")
    mesh = files.mesh()
    assert mesh.problems == ()
    [rule] = mesh.contracts["sales.orders.orders"].tables[1].rules
    assert (rule.arguments["columns"], rule.arguments["to_table"], rule.arguments["to_candidate"]) == (["order"], "orders", True)


def test_what_only_a_later_release_allows_is_an_error_that_says_what_to_write(files: Files) -> None:
    files.replace("orders contract", "apiVersion: v3.2.0", "apiVersion: v3.1.0")
    mesh = files.mesh()
    assert {(problem.rule, problem.severity) for problem in mesh.problems} == {("odcs-release", "error")}
    assert {problem.remedy for problem in mesh.problems} == {"write apiVersion: v3.2.0, or say it as v3.1.0 does"}
    text = mesh.problems[0].location.file.read_text().splitlines()
    assert {text[problem.location.line - 1].strip().split(":")[0] for problem in mesh.problems} == {"customProperties", "- to"}
    assert "sales.orders.orders" in mesh.contracts, "what the file says is known all the same"


def test_objectives_stand_in_the_contract_where_a_release_has_no_other_place(files: Files) -> None:
    files.replace("orders contract", "    customProperties:\n      - property: objective\n        value: {ratio: 0.8, window: 20d}\n", "")
    entry = "customProperties:\n  - property: objectives\n    value: {freshness: {ratio: 0.9, window: 30d}}\n"
    files.replace("orders contract", "team:\n", entry + "team:\n")
    mesh = files.mesh()
    assert mesh.problems == ()
    [level] = mesh.contracts["sales.orders.orders"].sla
    assert level.objective == {"ratio": 0.9, "window": "30d"}


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ("{freshnes: {ratio: 0.9, window: 30d}}", "for no service level of the contract, did you mean 'freshness'?"),
        ("{freshness: {ratio: 1.9, window: 30d}}", "not a ratio up to 1 and a window of days"),
        ("0.9", "not an objective for each service level"),
    ],
)
def test_a_wrong_objective_is_an_error_at_its_line(files: Files, value: str, message: str) -> None:
    files.replace("orders contract", "team:\n", f"customProperties:\n  - property: objectives\n    value: {value}\nteam:\n")
    [problem] = [problem for problem in files.mesh().problems if problem.rule == "service-level"]
    assert message in problem.message
    assert "value" in problem.location.file.read_text().splitlines()[problem.location.line - 1]
