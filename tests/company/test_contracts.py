"""The product files of the company are complete: every port says what it means, who answers for it, who may read it, what it promises."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

from platform_core.contracts import Contract, Mesh, load_mesh, load_yaml, naming
from platform_core.contracts.official import check

REPO = Path(__file__).parents[2]
MESH = load_mesh(REPO)
CONTRACTS = [pytest.param(contract, id=contract.id) for contract in MESH.contracts.values()]
TABLES = [
    pytest.param(contract, table, id=f"{contract.id}:{table.name}") for contract in MESH.contracts.values() for table in contract.tables
]


def files(pattern: str) -> list[Path]:
    return sorted((REPO / "domains").glob(f"*/src/*/defs/**/{pattern}"))


def test_the_company_is_sound_and_whole() -> None:
    assert MESH.problems == ()
    assert {contract_id: [table.physical_name for table in contract.tables] for contract_id, contract in MESH.contracts.items()} == {
        "customer.profiles.profiles": ["profiles"],
        "inventory.items.items": ["items"],
        "sales.orders.orders": ["orders", "daily_revenue"],
        "marketing.customer_segments.customer_segments": ["customer_segments"],
        "marketing.campaign_performance.campaign_performance": ["campaign_performance"],
    }
    assert {product.id: product.type for product in MESH.products.values()} == {
        "customer.profiles": "sourceAligned",
        "inventory.items": "sourceAligned",
        "sales.orders": "aggregate",
        "marketing.customer_segments": "consumerAligned",
        "marketing.campaign_performance": "consumerAligned",
    }


def test_products_read_what_the_design_says() -> None:
    assert {product.id: [port.contract_id or port.connection for port in product.inputs] for product in MESH.products.values()} == {
        "customer.profiles": ["crm"],
        "inventory.items": ["catalog"],
        "sales.orders": ["shop", "customer.profiles.profiles", "inventory.items.items"],
        "marketing.customer_segments": ["sales.orders.orders", "customer.profiles.profiles"],
        "marketing.campaign_performance": [
            *("searchlight_delivery", "searchlight_conversions", "plaza_delivery", "plaza_conversions", "budgets"),
            *("sales.orders.orders", "customer.profiles.profiles"),
        ],
    }
    in_clear = [(product.id, port.name) for product in MESH.products.values() for port in product.inputs if port.personal_data]
    assert in_clear == [("sales.orders", "profiles")], "only who republishes personal data reads it in clear"


@pytest.mark.parametrize(
    ("path", "standard"),
    [*((path, "odps") for path in files("*.odps.yaml")), *((path, "odcs") for path in files("*.odcs.yaml"))],
    ids=lambda value: value.name if isinstance(value, Path) else value,
)
def test_files_are_valid_by_the_official_schema(path: Path, standard: str) -> None:
    assert list(check(load_yaml(path), "odps" if standard == "odps" else "odcs")) == []


@pytest.mark.parametrize("product", MESH.products.values(), ids=lambda product: product.id)
def test_a_product_says_why_it_exists_and_who_answers(product: object) -> None:
    assert product.description_purpose and product.description_usage and product.description_limitations
    assert product.title and product.tags and product.owners and product.team_name
    assert product.support[0].channel and str(product.support[0].url).startswith("https://")
    assert all(port.description for port in product.outputs)


@pytest.mark.parametrize("contract", CONTRACTS)
def test_a_contract_says_what_it_promises_and_who_answers(contract: Contract) -> None:
    assert contract.description_purpose and contract.description_usage and contract.description_limitations
    assert contract.team_name and contract.owners and contract.support and contract.tags
    levels = {level.property: level for level in contract.sla}
    assert {"freshness", "availability"} <= levels.keys()
    assert levels["freshness"].element and levels["freshness"].objective == {"ratio": 0.8, "window": "20d"}
    promises = ("service level", "quality rule", "logicalTypeOptions", "encryptedName")
    assert [clause for clause, _ in contract.documented_only if clause.startswith(promises)] == [], "no promise goes unseen"


@pytest.mark.parametrize(("contract", "table"), TABLES)
def test_every_table_and_column_is_described(contract: Contract, table: object) -> None:
    assert table.description and table.business_name and table.granularity
    for column in table.columns:
        assert column.description and column.description.endswith("."), column.name
        assert column.business_name and column.logical_type and column.physical_type and column.classification, column.name


@pytest.mark.parametrize("contract", CONTRACTS)
def test_access_is_by_role_and_approval(contract: Contract) -> None:
    roles = {role.name: role for role in contract.roles}
    personal = any(column.personal for table in contract.tables for column in table.columns)
    expected = {naming.reader_role(contract.product_id)} | ({naming.pii_reader_role(contract.product_id)} if personal else set())
    assert roles.keys() == expected
    assert all(role.access == "read" and role.first_level_approvers for role in roles.values())
    if personal:
        assert roles[naming.pii_reader_role(contract.product_id)].second_level_approvers == "information-security"


@pytest.mark.parametrize(("contract", "table"), TABLES)
def test_personal_data_is_classified_and_tagged(contract: Contract, table: object) -> None:
    for column in table.columns:
        assert (column.classification == "restricted") == ("pii" in column.tags), f"{column.name}: write both, or none"


def test_personal_data_is_where_it_should_be_and_nowhere_else() -> None:
    personal = {
        contract.id: [column.name for table in contract.tables for column in table.columns if column.personal]
        for contract in MESH.contracts.values()
    }
    assert personal == {
        "customer.profiles.profiles": ["given_name", "email", "phone", "age", "occupation", "street", "postal_code"],
        "inventory.items.items": [],
        "sales.orders.orders": ["customer_email"],
        "marketing.customer_segments.customer_segments": [],
        "marketing.campaign_performance.campaign_performance": [],
    }
    columns = {column.name for contract in MESH.contracts.values() for table in contract.tables for column in table.columns}
    assert not columns & {"blood_type", "height", "weight"}, "health data leaves the source for nobody"


@pytest.mark.parametrize(("contract", "table"), TABLES)
def test_every_table_has_at_least_ten_rules_of_both_severities(contract: Contract, table: object) -> None:
    severities = Counter(rule.severity for rule in table.rules)
    assert severities["error"] >= 10 and severities["warning"] >= 1, severities
    assert {"primary_key", "not_null", "row_count", "sql", "range" if table.name != "profiles" else "pattern"} <= {
        rule.kind for rule in table.rules
    }


def kinds(mesh: Mesh) -> set[str]:
    return {rule.kind for contract in mesh.contracts.values() for table in contract.tables for rule in table.rules}


def test_the_company_shows_every_kind_of_rule() -> None:
    assert kinds(MESH) >= {
        *("not_null", "unique", "primary_key", "accepted_values", "range", "length", "pattern", "row_count", "foreign_key"),
        *("sql", "null_count", "duplicate_count"),
    }
    keys = {
        (f"{rule.table}.{rule.column}", f"{rule.arguments['to_schema']}.{rule.arguments['to_table']}")
        for contract in MESH.contracts.values()
        for table in contract.tables
        for rule in table.rules
        if rule.kind == "foreign_key"
    }
    assert keys == {
        ("orders.customer_id", "customer_profiles.profiles"),
        ("orders.item_id", "inventory_items.items"),
        ("customer_segments.customer_id", "customer_profiles.profiles"),
    }


@pytest.mark.parametrize(("contract", "table"), TABLES)
def test_rules_of_sql_and_of_tables_explain_themselves(contract: Contract, table: object) -> None:
    for rule in table.rules:
        if rule.kind in {"sql", "row_count", "null_count", "duplicate_count"}:
            assert rule.description and rule.dimension, rule.name


@pytest.mark.parametrize("domain", MESH.domains)
def test_a_domain_introduces_itself(domain: str) -> None:
    text = (REPO / "domains" / domain / "README.md").read_text()
    for product in MESH.of_domain(domain):
        assert product.id in text
        for port in product.outputs:
            for table in port.contract.tables:
                assert f"{product.schema}.{table.physical_name}" in text
        assert product.support[0].channel in text
