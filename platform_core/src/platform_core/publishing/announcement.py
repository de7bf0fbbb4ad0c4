"""What the catalog is told when a port changes hands without a publication: after a rollback, and after its retirement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from psycopg import Connection

from platform_core import catalog
from platform_core.catalog import CatalogProduct, Operation
from platform_core.contracts.model import Contract, DataProduct
from platform_core.publishing import history
from platform_core.publishing.rollback import RolledBack


def announce_rollback(
    product: DataProduct, contract: Contract, *, actor: str, reason: str | None
) -> Callable[[Connection, RolledBack], None]:
    """What ``rollback`` calls in its transaction: the datasets of the port show the former publication, and that it was a rollback."""

    def tell(connection: Connection, done: RolledBack) -> None:
        target = next(row for row in history.publications(connection, contract.id, limit=None) if row.publication == done.publication)
        now = datetime.now(UTC)
        rows = {table: int(info["rows"]) for table, info in target.tables.items() if info.get("rows") is not None}
        operation = Operation("rollback", now, actor, reason, done.left)
        told = CatalogProduct.of_port(product, contract, done.publication, target.decided_at or now, rows, operation=operation)
        catalog.announce(connection, told)

    return tell


def announce_retirement(connection: Connection, product: DataProduct, contract: Contract, last: str) -> None:
    """Tells the catalog that a port is served no more: its datasets are removed, and the product offers them no longer.

    Args:
        connection: In the transaction that ends the port.
        product: Its product.
        contract: The port.
        last: The publication that it served last.
    """
    catalog.announce(connection, CatalogProduct(product, (), last), retired={contract.id})
