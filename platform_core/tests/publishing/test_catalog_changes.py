"""What the catalog was told against what the files say: other words follow at once, another version waits for its publication."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from port_bench import Port, mesh, product

from platform_core.catalog import CatalogProduct, PublishedTable, announce
from platform_core.contracts import Mesh
from platform_core.publishing import Outcome, governance
from platform_core.publishing.catalog_changes import catalog_changes
from platform_core.warehouse import Change


def _publish(port: Port) -> None:
    def tell(connection: Any, outcome: Outcome) -> None:
        tables = tuple(PublishedTable(port.contract, item, outcome.publication, datetime.now(UTC), 3) for item in port.contract.tables)
        announce(connection, CatalogProduct(port.mesh.products["sales.orders"], tables, outcome.publication))

    port.build(1)
    assert port.publish(announce=tell).published


def _changes(port: Port, files: Mesh) -> tuple[Change, ...]:
    with port.warehouse.connect_platform(autocommit=True) as connection:
        return catalog_changes(connection, files)


def _described(port: Port, text: str, version: str = "1.0.0") -> Mesh:
    """The mesh after an edit of a table's description."""
    first, *rest = port.contract.tables
    edited = replace(port.contract, version=version, tables=(replace(first, description=text), *rest))
    others = [item for item in port.mesh.products.values() if item.id != "sales.orders"]
    return mesh(product(edited), *others)


def test_a_product_that_was_never_published_is_left_to_its_first_publication(port: Port) -> None:
    assert _changes(port, port.mesh) == ()


def test_other_words_reach_the_catalog_by_apply_and_once(port: Port) -> None:
    _publish(port)
    assert _changes(port, port.mesh) == ()
    files = _described(port, "Every purchase, told better.")
    (step,) = _changes(port, files)
    assert (step.action, step.domain, step.kind) == ("alter", "sales", "change")
    assert "datasetProperties of mesh.sales_orders.orders" in step.detail
    governance.apply_everything(port.warehouse, files)
    assert _changes(port, files) == ()
    told = port.admin("SELECT value::text FROM mesh.catalog_outbox WHERE aspect_name = 'datasetProperties' ")
    assert "told better" in str(told)


def test_a_new_version_is_announced_by_its_publication_alone(port: Port) -> None:
    _publish(port)
    assert _changes(port, _described(port, "A column more.", version="1.1.0")) == ()


def test_a_product_that_is_gone_is_withdrawn_when_pruned(port: Port) -> None:
    _publish(port)
    rest = mesh(*(item for item in port.mesh.products.values() if item.id != "sales.orders"))
    (step,) = _changes(port, rest)
    assert (step.action, step.kind, step.prune) == ("drop", "remove", True)
