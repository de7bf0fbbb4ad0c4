"""Two major versions of a port side by side, and what their consumers are told."""

from __future__ import annotations

from datetime import date

import pytest

from platform_core.contracts.port_versions import next_major

CUSTOMERS, ORDERS = "domains/shop/src/shop/defs/customers", "domains/sales/src/sales/defs/orders"
OLD, PRODUCT = f"{CUSTOMERS}/contracts/customers.odcs.yaml", f"{CUSTOMERS}/product.odps.yaml"
NEW = f"{CUSTOMERS}/contracts/customers_v2.odcs.yaml"
READER = f"{ORDERS}/product.odps.yaml"
ENTRY = """  - name: customers_v2
    type: tables
    version: 2.0.0
    contractId: shop.customers.customers_v2
team:
"""


@pytest.fixture
def both(files):
    """``customers`` at 1.2.0 and ``customers_v2`` at 2.0.0; the product sales.orders reads the old one."""
    new = files.read(OLD).replace("shop.customers.customers", "shop.customers.customers_v2").replace("version: 1.2.0", "version: 2.0.0")
    files.write(NEW, new.replace("- name: customers\n", "- name: customers_v2\n").replace("name: email", "name: mail"))
    files.write(PRODUCT, files.read(PRODUCT).replace("team:\n", ENTRY, 1))
    return files


def _life(files, status: str, *properties: tuple[str, object]) -> None:
    custom = "".join(f"  - property: {name}\n    value: {value}\n" for name, value in properties)
    text = files.read(OLD).replace("status: active", f"status: {status}")
    files.write(OLD, text + ("customProperties:\n" + custom if custom else ""))


def _problems(files) -> list[tuple[str, str, str, str]]:
    return [(item.severity, item.rule, item.message, item.remedy) for item in files.mesh().problems]


def test_both_majors_are_ports_of_the_product(both) -> None:
    mesh = both.mesh()
    assert mesh.problems == ()
    versions = {port.contract_id: port.version for port in mesh.products["shop.customers"].outputs}
    assert versions == {"shop.customers.customers": "1.2.0", "shop.customers.customers_v2": "2.0.0"}


def test_a_consumer_pins_the_major_that_it_names(both) -> None:
    for file in (READER, f"{ORDERS}/contracts/orders.odcs.yaml"):
        both.write(file, both.read(file).replace("shop.customers.customers", "shop.customers.customers_v2"))
    assert {rule for _, rule, _, _ in _problems(both)} == {"input-version"}
    both.write(READER, both.read(READER).replace("version: 1.1.0", "version: 2.0.0"))
    key = f"{ORDERS}/contracts/orders.odcs.yaml"
    both.write(key, both.read(key).replace("customers_v2.customer_id", "customers_v2.customers_v2.customer_id"))
    assert _problems(both) == []


def test_a_deprecated_input_is_a_warning_with_successor_and_end(both) -> None:
    _life(both, "deprecated", ("successor", "shop.customers.customers_v2"), ("endOfSupport", "2027-06-30"))
    mesh = both.mesh()
    (problem,) = mesh.problems
    assert (problem.severity, problem.rule) == ("warning", "input-deprecated")
    assert problem.message == (
        "the input contract 'shop.customers.customers' is deprecated: "
        "its successor is shop.customers.customers_v2, it is served until 2027-06-30"
    )
    assert problem.remedy == "read shop.customers.customers_v2, and adapt to its contract"
    assert problem.location.file.name == "product.odps.yaml"
    assert "sales.orders" in mesh.products, "a warning leaves the product usable"
    assert mesh.contracts["shop.customers.customers"].lifecycle.end_of_support == date(2027, 6, 30)


def test_a_retired_input_is_an_error_with_successor(both) -> None:
    _life(both, "retired", ("successor", "shop.customers.customers_v2"))
    ((severity, rule, message, remedy),) = _problems(both)
    assert (severity, rule) == ("error", "input-port")
    assert "is retired: its successor is shop.customers.customers_v2" in message
    assert remedy == "read shop.customers.customers_v2, and adapt to its contract"


def test_without_a_successor_the_message_says_so(both) -> None:
    _life(both, "deprecated")
    ((_, _, message, remedy),) = _problems(both)
    assert message.endswith("is deprecated: it names no successor")
    assert remedy == "ask the owners of the port what takes its place"


@pytest.mark.parametrize(
    ("name", "value", "rule", "says"),
    [
        ("successor", "shop.customers.customer_v2", "successor", "did you mean 'shop.customers.customers_v2'?"),
        ("successor", "shop.customers.customers", "successor", "its own successor"),
        ("successor", "customers_v2", "successor", "the successor is 'customers_v2'"),
        ("endOfSupport", "next summer", "end-of-support", "endOfSupport is 'next summer'"),
        ("keepPublications", 0, "retention", "keepPublications is 0"),
        ("keepPublications", "many", "retention", "keepPublications is 'many'"),
        ("keepDays", -1, "retention", "keepDays is -1"),
        ("keepDays", "true", "retention", "keepDays is True"),
    ],
)
def test_what_the_life_of_a_port_cannot_be(both, name: str, value: object, rule: str, says: str) -> None:
    _life(both, "active", (name, value))
    line = next(number for number, text in enumerate(both.read(OLD).splitlines(), 1) if text == f"    value: {value}")
    found = [item for item in both.mesh().problems if item.rule == rule]
    assert [item.severity for item in found] == ["error"]
    assert says in found[0].message
    assert (found[0].location.file.name, found[0].location.line) == ("customers.odcs.yaml", line)


def test_retention_is_the_contracts(both) -> None:
    _life(both, "active", ("keepPublications", 12), ("keepDays", 90))
    life = both.mesh().contracts["shop.customers.customers"].lifecycle
    assert (life.keep_publications, life.keep_days) == (12, 90)
    assert both.mesh().contracts["shop.customers.customers_v2"].lifecycle.keep_publications == 5


def test_a_port_keeps_the_major_of_its_name(both) -> None:
    both.write(NEW, both.read(NEW).replace("version: 2.0.0", "version: 3.0.0"))
    both.write(PRODUCT, both.read(PRODUCT).replace("version: 2.0.0", "version: 3.0.0"))
    problem = next(item for item in both.mesh().problems if item.rule == "port-version")
    assert problem.message == "the port 'customers_v2' is at version 3.0.0"
    assert problem.location.line == 5


@pytest.mark.parametrize(
    ("name", "version", "expected"),
    [
        ("orders", "1.4.2", ("orders_v2", "2.0.0")),
        ("orders", "0.9.0", ("orders_v1", "1.0.0")),
        ("orders_v2", "2.1.0", ("orders_v3", "3.0.0")),
        ("orders_v9", "9.0.0", ("orders_v10", "10.0.0")),
        ("tv_v", "1.0.0", ("tv_v_v2", "2.0.0")),
    ],
)
def test_the_next_major(name: str, version: str, expected: tuple[str, str]) -> None:
    assert next_major(name, version) == expected
