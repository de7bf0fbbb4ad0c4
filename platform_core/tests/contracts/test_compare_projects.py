"""The gate on code behind an unchanged contract: models, macros, variables, sources; with the ports that hang on them."""

from __future__ import annotations

from pathlib import Path

import pytest

from platform_core.contracts.compatibility import State, compare, folder_state

PROJECT = "dbt_projects/sales_dbt"
MACROS = "{% macro cents(x) %} {{ x }} / 100 {% endmacro %}"
CALLS = "{% macro money(x) %} {{ cents(x) }} {% endmacro %}\n{% macro idle() %} 1 {% endmacro %}"
ORDERS = ("sales.orders.orders",)


@pytest.fixture(scope="module")
def company(repo: Path) -> State:
    state = folder_state(repo, "before")
    staged = f"{PROJECT}/models/staging/stg_purchases.sql"
    return State(
        "before",
        {
            **state.files,
            f"{PROJECT}/macros/cents.sql": MACROS.encode(),
            f"{PROJECT}/macros/money.sql": CALLS.encode(),
            f"{PROJECT}/models/alone.sql": b"select 1 as one",
            f"{PROJECT}/models/alone.yml": b"models: [{name: alone, description: x, config: {materialized: view}}]",
            staged: state.files[staged] + b"\n-- {{ idle() }}\n{{ money('x') }}\n",
        },
    )


# What changes | file below the project | its content is changed from, to | subjects and contracts that the change reaches.
TABLE: list[tuple[str, str, str, str, list[tuple[str, str, tuple[str, ...]]]]] = [
    ("a macro that a model calls", "macros/money.sql", "{{ cents(x) }}", "{{ x }}", [("sales_dbt", "idle, money", ORDERS)]),
    ("a macro behind another macro", "macros/cents.sql", "/ 100", "/ 1000", [("sales_dbt", "cents", ORDERS)]),
    ("a comment in a macro", "macros/cents.sql", "/ 100", "/ 100 {# of a piece #}", []),
    ("a variable", "dbt_project.yml", "name:", "vars: {rate: 2}\nname:", [("sales_dbt", "vars", ORDERS)]),
    ("a comment in the settings", "dbt_project.yml", "name:", "# the project\nname:", []),
    ("how a model is built", "models/alone.yml", "view", "table", [("sales_dbt", "models.alone", ())]),
    ("words about a model", "models/alone.yml", "description: x", "description: y", []),
    ("where a source lies", "models/sources.yml", "schema: ", "schema: other_", [("sales_dbt", "sources.*", ORDERS)]),
    ("an expression of a model", "models/orders.sql", "select", "select 1 + ", [("sales/orders", "", ORDERS)]),
    ("blanks and comments of a model", "models/orders.sql", "select", "select  -- all of it\n", []),
]


@pytest.mark.parametrize(("file", "before", "after", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_change_of_code_names_the_ports_behind_it(
    company: State, file: str, before: str, after: str, expected: list[tuple[str, str, tuple[str, ...]]]
) -> None:
    path = f"{PROJECT}/{file}"
    text = company.files[path].decode()
    assert before in text
    report = compare(company, State("after", {**company.files, path: text.replace(before, after, 1).encode()}))
    found = [
        (change.subject, "sources.*" if change.path.startswith("sources.") else change.path, change.contracts) for change in report.changes
    ]
    assert found == expected
    assert report.exit_code() == 0, "the promise is the contract's, and the audit holds every publication to it"
    assert all(change.hits for change in report.changes if change.contracts)


@pytest.mark.parametrize("file", ["macros/cents.sql", "dbt_project.yml", "models/alone.yml"])
@pytest.mark.parametrize("content", [b"", b"\xff\x00", b"models: 7", b"models: [7, {name: [1]}]", b"{% macro %}", b"- a"])
def test_any_content_of_a_project_file_gives_a_report(company: State, file: str, content: bytes) -> None:
    report = compare(company, State("after", {**company.files, f"{PROJECT}/{file}": content}))
    assert {change.ruling.name for change in report.changes} <= {"project-changed"}


def test_files_that_only_moved_are_no_change(company: State) -> None:
    moved = {
        path.replace("/defs/profiles/", "/defs/people/").replace("profiles.odcs", "people.odcs"): content
        for path, content in company.files.items()
    }
    report = compare(company, State("after", moved))
    assert (report.changes, report.versions, report.exit_code()) == ((), (), 0)


def test_a_table_that_moves_to_another_contract_is_gone_for_those_who_read_it(company: State) -> None:
    path = "domains/sales/src/sales/defs/orders/contracts/orders.odcs.yaml"
    text = company.files[path].decode()
    renamed = text.replace("id: sales.orders.orders\n", "id: sales.orders.lines\n", 1)
    assert renamed != text
    report = compare(company, State("after", {**company.files, path: renamed.encode()}))
    found = {(change.ruling.name, change.subject, bool(change.hits)) for change in report.changes}
    assert {("contract-removed", "sales.orders.orders", True), ("contract-added", "sales.orders.lines", False)} <= found
    assert report.exit_code() == 1


def test_a_new_project_and_what_is_said_of_a_new_model_change_no_rows(company: State) -> None:
    added = {
        "dbt_projects/finance_dbt/dbt_project.yml": b"name: finance_dbt",
        "dbt_projects/finance_dbt/macros/cents.sql": MACROS.encode(),
        "dbt_projects/finance_dbt/models/late.sql": b"select 1 as one",
        f"{PROJECT}/models/new.sql": b"select 1 as one",
        f"{PROJECT}/models/new.yml": b"models: [{name: new}, {name: orders, config: {materialized: view}}]",
    }
    report = compare(company, State("after", {**company.files, **added}))
    assert [(change.subject, change.path, change.ruling.name) for change in report.changes] == [
        ("finance/late", "", "model-added"),
        ("sales/new", "", "model-added"),
        ("sales_dbt", "models.orders", "project-changed"),
    ]
