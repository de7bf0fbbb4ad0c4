"""What only people act on reaches the catalog: properties, links, words beside a column. Each clause is shown in ``test_clause_effects.py``."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from platform_core.catalog.clause_texts import column_words, contract_facts, contract_links, critical, product_facts, product_links
from platform_core.contracts import load_mesh

MESH = Any


@pytest.fixture(scope="module")
def mesh(repo: Path) -> MESH:
    return load_mesh(repo)


def test_the_service_levels_and_roles_of_a_port_are_properties_of_its_tables(mesh: MESH) -> None:
    contract = mesh.contracts["sales.orders.orders"]
    facts = contract_facts(contract, contract.tables[1])
    assert facts["service_level.freshness"] == (
        "24 h; at orders.updated_at; on 80 % of the days of 20d; operational driver; The newest change in the shop is at most a day old."
    )
    assert facts["service_level.availability"] == "99.5 percent; analytics driver; Share of time in which the port answers queries."
    assert facts["role.sales_orders_reader_pii"].endswith("; approved by sales-data, then information-security")
    assert facts["member.sales-data@example.com"] == "Sales data team; owner"
    assert (facts["business_name"], facts["declared_as"], facts["contract_name"]) == ("Daily revenue", "table; object", "Orders")
    assert facts["usage"].startswith("Count orders")
    assert not any(name.startswith("custom.") for name in facts), "objectives stand at their service levels"


def test_links_lead_to_where_consumers_ask(mesh: MESH) -> None:
    contract, product = mesh.contracts["sales.orders.orders"], mesh.products["sales.orders"]
    [link] = contract_links(contract, contract.tables[0])
    assert (link["url"], link["description"]) == ("https://example.com/slack/sales-data", "Support: sales-data issues; slack")
    [own] = product_links(product)
    assert own["url"] == link["url"] and own["description"].startswith(link["description"])
    facts = product_facts(product)
    assert facts["input.shop"] == "connection shop"
    assert facts["input.profiles"] == "customer.profiles.profiles 1.0.0"
    assert facts["output.orders"] == "sales.orders.orders 1.0.0; tables; Purchases with their lifecycle, and the revenue of each day."


def test_examples_of_personal_data_stay_in_the_file(mesh: MESH) -> None:
    shown, hidden = 0, 0
    for contract in mesh.contracts.values():
        for table, raw in zip(contract.tables, contract.raw["schema"], strict=True):
            for column, own in zip(table.columns, raw["properties"], strict=True):
                words = column_words(contract, table, column) or ""
                assert not critical(contract, table, column)
                if own.get("examples"):
                    shown, hidden = shown + ("For example" in words), hidden + ("For example" not in words)
                    assert ("For example" in words) is not column.personal, column.name
    assert shown and hidden
