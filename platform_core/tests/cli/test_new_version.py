"""A port's next major version, from the command to the retirement of the old one: files, Postgres, catalog."""

from __future__ import annotations

import runpy
from pathlib import Path
from typing import TYPE_CHECKING

import orjson
import psycopg
import pytest
import yaml

from platform_core.catalog import CatalogProduct, announce, check_proposals
from platform_core.contracts import load_mesh
from platform_core.publishing import publish, switches
from platform_core.quality import AuditReport
from platform_core.warehouse import Warehouse, readers

if TYPE_CHECKING:
    from conftest import Applied, Mesh

OLD, NEW = "inventory.items.items", "inventory.items.items_v2"
FOLDER = "domains/inventory/src/inventory/defs/items"
SALES = ("domains/sales/src/sales/defs/orders", "dbt_projects/sales_dbt/models")


def _edit(root: Path, name: str, *pairs: tuple[str, str]) -> None:
    path = root / name
    text = path.read_text()
    for old, new in pairs:
        assert old in text, f"{old!r} does not stand in {name}"
        text = text.replace(old, new)
    path.write_text(text)


def _publish(warehouse: Warehouse, root: Path, contract_id: str, number: int) -> str:
    """Builds a candidate whose price is ``number``, and publishes and announces it."""
    mesh = load_mesh(root)
    contract = mesh.contracts[contract_id]
    (table,) = contract.tables
    values = {"numeric": f"{number}", "bigint": "g", "timestamptz": "now()"}
    literals = [values.get(str(column.physical_type).partition("(")[0], "'1'") for column in table.columns]
    columns = zip(literals, table.columns, strict=True)
    parts = ", ".join(f"({literal})::{column.physical_type} AS {column.physical_name}" for literal, column in columns)
    with warehouse.connect_domain("inventory") as connection:
        connection.execute(f"DROP VIEW IF EXISTS inventory_build.{table.model}".encode())
        connection.execute(f"CREATE TABLE inventory_build.{table.model} AS SELECT {parts} FROM generate_series(1, 3) AS g".encode())

    def tell(connection: psycopg.Connection, outcome: object) -> None:
        from datetime import UTC, datetime

        product = mesh.products["inventory.items"]
        announce(connection, CatalogProduct.of_port(product, contract, outcome.publication, datetime.now(UTC), {table.physical_name: 3}))

    report = AuditReport((), {table.physical_name: 3})
    return publish(warehouse, contract, readers(mesh, contract), lambda _: report, code_version="c0de", announce=tell).publication


def _prices(warehouse: Warehouse, domain: str, table: str) -> set[int] | str:
    with warehouse.connect_domain(domain, autocommit=True) as connection:
        try:
            return {int(row[0]) for row in connection.execute(f"SELECT list_price_usd FROM inventory_items.{table}".encode())}
        except psycopg.errors.InsufficientPrivilege:
            return "refused"


def _catalog(warehouse: Warehouse) -> dict[tuple[str, str], dict[str, object]]:
    """Everything that the catalog is to know, found sound by the strict check."""
    with warehouse.connect_platform() as connection:
        rows = connection.execute("SELECT entity_type, entity_urn, aspect_name, value FROM mesh.catalog_outbox WHERE event = ''").fetchall()
    proposals = [
        {"entityType": kind, "entityUrn": urn, "changeType": "UPSERT", "aspectName": aspect, "aspect": {"json": orjson.loads(value)}}
        for kind, urn, aspect, value in rows
    ]
    assert check_proposals(proposals) == []
    return {(item["entityUrn"], item["aspectName"]): item["aspect"]["json"] for item in proposals}


def _urn(table: str) -> str:
    return f"urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.inventory_items.{table},PROD)"


def test_two_majors_are_served_side_by_side_until_the_old_one_is_retired(mesh: Mesh, applied: Applied, files: Path) -> None:
    warehouse = applied.warehouse
    _publish(warehouse, files, OLD, 1)

    # The next version: written, changed in a breaking way, linted, applied, published.
    said = mesh("new", "version", "inventory.items", "--yes")
    assert said.code == 0, said.err
    _edit(files, f"{FOLDER}/contracts/items_v2.odcs.yaml", ("physicalType: numeric(12,2)", "physicalType: numeric(14,2)"))
    marketing = "domains/marketing/src/marketing/defs/customer_segments/product.odps.yaml"
    _edit(files, marketing, ("outputPorts:\n", f"  - name: items\n    contractId: {NEW}\n    version: 2.0.0\noutputPorts:\n"))
    assert load_mesh(files).problems == ()
    assert mesh("apply").code == 0
    _publish(warehouse, files, NEW, 2)
    assert _prices(warehouse, "sales", "items") == {1}, "the consumer of 1.x reads 1.x"
    assert _prices(warehouse, "marketing", "items_v2") == {2}, "the consumer of 2.x reads 2.x"
    assert _prices(warehouse, "sales", "items_v2") == "refused"
    assert _prices(warehouse, "marketing", "items") == "refused"
    _publish(warehouse, files, OLD, 3)
    assert (_prices(warehouse, "sales", "items"), _prices(warehouse, "marketing", "items_v2")) == ({3}, {2})

    # Deprecated: served as before, and everybody who reads it is told by whom it is followed and until when.
    life = f"customProperties:\n  - property: successor\n    value: {NEW}\n  - property: endOfSupport\n    value: '2027-06-30'\n"
    contract = f"{FOLDER}/contracts/items.odcs.yaml"
    _edit(files, contract, ("status: active\n", "status: deprecated\n"), ("customProperties:\n", life))
    (warning,) = load_mesh(files).problems
    assert (warning.severity, warning.location.file.parent) == ("warning", files / SALES[0])
    assert f"its successor is {NEW}, it is served until 2027-06-30" in warning.message
    _publish(warehouse, files, OLD, 4)
    told = _catalog(warehouse)
    assert told[_urn("items"), "deprecation"] == {
        "deprecated": True,
        "note": f"The port {OLD} is deprecated: its successor is {NEW}, it is served until 2027-06-30.",
        "decommissionTime": 1814313600000,
        "replacement": _urn("items_v2"),
        "actor": "urn:li:corpGroup:inventory-data",
    }
    assert (_urn("items_v2"), "deprecation") not in told

    # Retired while somebody reads it: an error at the reader's input. It moves; then nothing is in the way.
    _edit(files, f"{FOLDER}/contracts/items.odcs.yaml", ("status: deprecated", "status: retired"))
    (error,) = load_mesh(files).problems
    assert (error.severity, error.remedy) == ("error", f"read {NEW}, and adapt to its contract")
    assert mesh("apply", "--prune").code in {0, 1}
    assert _prices(warehouse, "sales", "items") == {4}, "the port was taken from under its reader"
    assert "product.odps.yaml:28 names it as input" in mesh("plan").out
    _edit(
        files,
        f"{SALES[0]}/product.odps.yaml",
        (f"contractId: {OLD}\n    version: 1.0.0", f"contractId: {NEW}\n    version: 2.0.0"),
        (f"id: {OLD}\n        version: 1.0.0", f"id: {NEW}\n        version: 2.0.0"),
    )
    _edit(files, f"{SALES[0]}/contracts/orders.odcs.yaml", (f"{OLD}.odcs.yaml#/schema/items/", f"{NEW}.odcs.yaml#/schema/items_v2/"))
    assert load_mesh(files).problems == ()

    # Applied: only --prune takes the view away. The versions stay, the record says when and what comes after.
    shown = mesh("plan").out
    assert f"port {OLD}" in shown
    assert mesh("apply").code == 0
    assert _prices(warehouse, "inventory", "items") == {4}
    assert mesh("apply", "--prune").code == 0
    with warehouse.connect_platform() as connection:
        assert connection.execute("SELECT to_regclass('inventory_items.items'), to_regclass('inventory_items.items_v2') IS NOT NULL").fetchone() == (None, True)  # fmt: skip
        kept = connection.execute(
            "SELECT count(*) FROM pg_class WHERE relnamespace = 'inventory_items_data'::regnamespace AND relkind = 'r' AND relname ~ '^items__'"
        ).fetchone()
        latest = switches(connection, OLD)[0]
    assert kept == (3,), "retirement took versions before their time"
    assert (latest.action, latest.to_publication) == ("retirement", None)
    assert NEW in str(latest.reason)
    assert _prices(warehouse, "sales", "items_v2") == {2}
    told = _catalog(warehouse)
    assert told[_urn("items"), "status"] == {"removed": True}
    assert told[_urn("items"), "deprecation"]["deprecated"] is True
    assert told[_urn("items_v2"), "status"] == {"removed": False}
    product = told["urn:li:dataProduct:inventory.items", "dataProductProperties"]
    assert [asset["destinationUrn"] for asset in product["assets"]] == [_urn("items_v2")]
    assert f"port {OLD}" not in mesh("plan").out, "a second apply has something to do"
    assert "retired by mesh apply" in mesh("versions", OLD).out

    # After the rule's time (30 days) the versions go too.
    with warehouse.connect_platform() as connection:
        connection.execute("SET session_replication_role = replica")  # the record itself cannot be changed
        connection.execute("UPDATE mesh.switches SET happened_at = now() - interval '31 days' WHERE action = 'retirement'")
    with warehouse.connect_domain("inventory") as connection:
        connection.execute("DROP VIEW inventory_build.items")  # no model builds it any more
    assert mesh("apply", "--prune").code == 0
    assert {row["kept"] for row in mesh("versions", OLD, "--json").json()["publications"]} == {False}
    assert _prices(warehouse, "sales", "items_v2") == {2}


def test_a_deprecation_is_taken_back_in_the_catalog(mesh: Mesh, applied: Applied, files: Path) -> None:
    contract = f"{FOLDER}/contracts/items.odcs.yaml"
    _edit(files, contract, ("status: active\n", "status: deprecated\n"))
    _publish(applied.warehouse, files, OLD, 1)
    assert _catalog(applied.warehouse)[_urn("items"), "deprecation"]["deprecated"] is True
    _edit(files, contract, ("status: deprecated\n", "status: active\n"))
    _publish(applied.warehouse, files, OLD, 2)
    assert _catalog(applied.warehouse)[_urn("items"), "deprecation"]["deprecated"] is False


def test_a_rollback_reaches_the_catalog_with_who_and_why(mesh: Mesh, applied: Applied, files: Path) -> None:
    first, second = (_publish(applied.warehouse, files, OLD, number) for number in (1, 2))
    assert mesh("rollback", OLD, "--reason", "prices in euros", "--by", "ada").code == 0
    shown = _catalog(applied.warehouse)[_urn("items"), "datasetProperties"]["customProperties"]
    assert shown["publication"] == first
    with applied.warehouse.connect_platform() as connection:
        rows = connection.execute("SELECT entity_urn, value FROM mesh.catalog_outbox WHERE aspect_name = 'operation'").fetchall()
    ((urn, value),) = rows
    event = orjson.loads(value)
    proposal = {"entityType": "dataset", "entityUrn": urn, "changeType": "UPSERT", "aspectName": "operation", "aspect": {"json": event}}
    assert check_proposals([proposal, proposal]) == [], "an operation is an event: a dataset has many"
    assert (urn, event["operationType"], event["customOperationType"]) == (_urn("items"), "CUSTOM", "ROLLBACK")
    expected = {"publication": first, "instead_of": second, "by": "ada", "reason": "prices in euros", "contract_version": "1.0.0"}
    assert event["customProperties"] == expected


@pytest.mark.parametrize("port", ["inventory.items", "sales.orders", "customer.profiles", "marketing.customer_segments"])
def test_the_copy_says_the_same_under_the_next_name_and_passes_the_gate(mesh: Mesh, applied: Applied, files: Path, port: str) -> None:
    old = load_mesh(files).products[port].outputs[0].contract
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    dry = mesh("new", "version", port, "--dry-run", "--json").json()
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before
    made = mesh("new", "version", port, "--json").json()
    assert (made["created"], made["edited"], made["version"]) == (dry["created"], dry["edited"], "2.0.0")
    found = load_mesh(files)
    assert found.problems == ()
    new = found.contracts[f"{old.id}_v2"]
    assert [[column.physical_name for column in table.columns] for table in new.tables] == [
        [column.physical_name for column in table.columns] for table in old.tables
    ]
    assert [table.physical_name for table in new.tables] == [f"{table.physical_name}_v2" for table in old.tables]
    for table in new.tables:
        assert [rule.kind for rule in table.rules] == [rule.kind for other in old.tables for rule in other.rules if f"{other.physical_name}_v2" == table.physical_name]  # fmt: skip
    changed = [path for path, content in before.items() if path.read_bytes() != content]
    assert [path.name for path in changed] == ["product.odps.yaml"], "only the product file is edited"
    for line in changed[0].read_text().splitlines():
        assert line.partition("#")[2] in before[changed[0]].decode(), "a comment was spoiled"
    assert yaml.safe_load(changed[0].read_text())["version"] == "1.1.0"
    again = mesh("new", "version", port)
    assert again.code == 1


def test_a_candidate_in_python_is_copied_to_an_asset_of_its_own(mesh: Mesh, applied: Applied, files: Path) -> None:
    made = mesh("new", "version", "marketing.customer_segments", "--json").json()
    module = "domains/marketing/src/marketing/defs/segmentation_v2.py"
    assert (module in made["created"], made["notes"]) == (True, [])
    namespace = runpy.run_path(str(files / module))
    new, old = namespace["customer_segments_v2"], runpy.run_path(str(files / module.replace("_v2", "")))["customer_segments"]
    assert new.key.path == ["marketing", "build", "customer_segments_v2"]
    assert new.dependency_keys == old.dependency_keys
    assert load_mesh(files).contracts[made["contract"]].tables[0].model == "customer_segments_v2"


def test_a_model_with_another_name_than_its_table_keeps_the_difference(mesh: Mesh, applied: Applied, files: Path) -> None:
    contract, models = files / FOLDER / "contracts/items.odcs.yaml", files / "dbt_projects/inventory_dbt/models"
    for path in models.rglob("items.*"):
        path.write_text(path.read_text().replace("name: items\n", "name: stock\n"))
        path.rename(path.with_stem("stock"))
    document = contract.read_text()
    assert "    physicalName: items\n" in document
    contract.write_text(document.replace("    physicalName: items\n", "    physicalName: items\n    customProperties:\n      - {property: model, value: stock}\n", 1))  # fmt: skip
    made = mesh("new", "version", "inventory.items", "--json").json()
    (table,) = load_mesh(files).contracts[NEW].tables
    assert table.model == "stock_v2"
    assert [path.name for path in models.rglob("stock_v2.sql")] == ["stock_v2.sql"], made


def test_what_goes_on_with_the_old_version_is_named_with_its_line(mesh: Mesh, applied: Applied, files: Path) -> None:
    """Foreign keys of other contracts, the copied models and Python assets: nobody changes them unasked, and nobody overlooks them."""
    models = "dbt_projects/sales_dbt/models"
    _edit(files, f"{models}/daily_revenue.sql", ("from {{ ref('int_orders') }}", "from {{ ref('orders') }}"))
    (files / "domains/sales/src/sales/defs/late.py").write_text(
        'import dagster as dg\n\n\n@dg.asset(deps=[["sales", "build", "orders"]])\ndef late() -> None:\n    """Late ones."""\n'
    )
    said = mesh("new", "version", "sales.orders", "--dry-run", "--json").json()["kept_references"]
    lines = [
        number for number, line in enumerate((files / f"{models}/daily_revenue.sql").read_text().splitlines(), 1) if "'orders'" in line
    ]
    asset = "domains/sales/src/sales/defs/late.py:4: reads sales/build/orders, which builds the old version; to move it, write orders_v2"
    assert said == [
        *(f"{models}/daily_revenue_v2.sql:{line}: reads ref('orders'), which builds the old version; to move it, write ref('orders_v2')" for line in lines),
        asset,
    ]  # fmt: skip

    contract = "domains/sales/src/sales/defs/orders/contracts/orders.odcs.yaml"
    at = next(number for number, line in enumerate((files / contract).read_text().splitlines(), 1) if "inventory.items.items.odcs" in line)
    said = mesh("new", "version", "inventory.items", "--yes")
    assert f"{contract}:{at}: sales.orders.orders, orders.item_id: refers to items of inventory.items.items 1.0.0 still" in said.err
    assert "to move it, write inventory.items.items_v2.odcs.yaml#/schema/items_v2/properties/" in said.err
    said = mesh("new", "version", "sales.orders", "--yes")
    assert f"orders_v2.odcs.yaml:{at}: sales.orders.orders_v2: refers to items of inventory.items.items 1.0.0 still" in said.err
