"""What holds between products: broken ones, cycles, and what consumers can still do."""

from __future__ import annotations

from typing import Any

import pytest

from platform_core.contracts import ContractError, load_mesh, product_of

Files = Any


@pytest.mark.parametrize(
    "name, content",
    [
        ("customers", "kind: [\n"),
        ("customers contract", "kind: [\n"),
        ("customers", b"\xff\xfe"),
        ("customers", "kind: DataProduct\nid: shop.customers\n"),
        ("customers contract", "{}"),
    ],
)
def test_a_broken_product_leaves_its_consumers_usable_and_warned(files: Files, name: str, content: str | bytes) -> None:
    files.write(name, content)
    mesh = files.mesh()
    assert set(mesh.products) == {"sales.orders"}
    assert mesh.broken == {"shop.customers"}
    errors = [problem for problem in mesh.problems if problem.severity == "error"]
    warnings = [problem for problem in mesh.problems if problem.severity == "warning"]
    assert [problem.location.file for problem in errors] == [files.path(name)]
    assert [(problem.rule, problem.location.file) for problem in warnings] == [("input-broken", files.path("orders"))]


def test_a_broken_product_keeps_its_place_in_the_graph(files: Files) -> None:
    files.write("customers", "kind: [\n")
    mesh = files.mesh()
    assert mesh.port_schemas == {"shop_customers": "shop.customers", "sales_orders": "sales.orders"}
    rules = mesh.contracts["sales.orders.orders"].tables[0].rules
    foreign = next(rule for rule in rules if rule.kind == "foreign_key")
    assert (foreign.arguments["to_schema"], foreign.arguments["to_table"]) == ("shop_customers", "customers")
    assert foreign.arguments["to_columns"] == ["customer_id"]


def test_a_product_says_its_own_error(files: Files) -> None:
    files.replace("customers", "status: active", "status: live")
    mesh = files.mesh()
    with pytest.raises(ContractError) as caught:
        product_of(mesh, files.path("customers").parent)
    assert str(caught.value).startswith(f"{files.path('customers')}:6: the status is 'live'")
    assert "remedy: use one of proposed" in str(caught.value)
    assert product_of(mesh, files.path("orders").parent).id == "sales.orders"


def test_a_folder_without_product_says_so(files: Files) -> None:
    with pytest.raises(ContractError, match=r"no product\.odps\.yaml here"):
        product_of(files.mesh(), files.root / "airbyte")


def test_a_cycle_names_its_way_once_per_product_in_it(files: Files) -> None:
    files.replace(
        "customers", "outputPorts:\n", "  - name: orders\n    contractId: sales.orders.orders\n    version: 1.0.0\noutputPorts:\n"
    )
    mesh = files.mesh()
    assert mesh.products == {}
    assert [(problem.rule, problem.location.file, problem.location.line) for problem in mesh.problems] == [
        ("cycle", files.path("orders"), 15),
        ("cycle", files.path("customers"), 15),
    ]
    assert "sales.orders -> shop.customers -> sales.orders" in mesh.problems[0].message


def test_a_product_that_reads_itself_is_a_cycle(files: Files) -> None:
    files.replace(
        "customers", "outputPorts:\n", "  - name: me\n    contractId: shop.customers.customers\n    version: 1.0.0\noutputPorts:\n"
    )
    assert [problem.rule for problem in files.mesh().problems] == ["cycle"]


def test_a_contract_that_no_port_serves_is_a_warning(files: Files) -> None:
    spare = "domains/sales/src/sales/defs/orders/contracts/spare.odcs.yaml"
    files.write(spare, files.read("orders contract").replace("id: sales.orders.orders", "id: sales.orders.spare"))
    mesh = files.mesh()
    assert set(mesh.products) == {"shop.customers", "sales.orders"}
    assert [(problem.severity, problem.location.file) for problem in mesh.problems] == [("warning", files.root / spare)]


def test_several_mistakes_are_all_said(files: Files) -> None:
    files.replace("orders", "status: active", "status: live")
    files.replace("orders contract", "minimum: 0\n", "minimum: 200\n")
    files.replace("customers", "kind: DataProduct", "kind: Product")
    errors = [problem.rule for problem in files.mesh().problems if problem.severity == "error"]
    assert sorted(errors) == ["empty-range", "odps-kind", "status"]


def test_a_domain_is_a_folder_with_a_pyproject(files: Files) -> None:
    files.write("domains/notes/readme.txt", "")
    assert files.mesh().domains == ("sales", "shop")


def test_no_domains_make_an_empty_mesh(tmp_path: Any) -> None:
    assert load_mesh(tmp_path).products == {}


def test_consumers_and_personal_data(files: Files) -> None:
    version = "    contractId: shop.customers.customers\n    version: 1.1.0\n"
    files.replace("orders", version, version + "    customProperties:\n      - property: personalData\n        value: true\n")
    mesh = files.mesh()
    assert mesh.problems == ()
    [(consumer, port)] = mesh.consumers("shop.customers.customers")
    assert (consumer.id, port.personal_data) == ("sales.orders", True)
    assert [product.id for product in mesh.of_domain("sales")] == ["sales.orders"]
    personal = [column.name for column in mesh.contracts["shop.customers.customers"].tables[0].columns if column.personal]
    assert personal == ["email"]
