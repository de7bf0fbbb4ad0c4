"""What the catalog is told when a port changes hands without a publication: after a rollback, and after its retirement."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime

from psycopg import Connection

from platform_core import catalog
from platform_core.catalog import CatalogProduct, Operation
from platform_core.contracts.model import Contract, DataProduct, Mesh
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


def announce_retirements(connection: Connection, mesh: Mesh) -> int:
    """Tells the catalog of the ports that are served no more, in the caller's transaction; a second call changes nothing.

    Returns:
        How many proposals were new or changed.
    """
    served = history.served(connection)
    changed = 0
    for product in mesh.products.values():
        over = [port.contract for port in product.outputs if port.contract.status == "retired" and port.contract_id not in served]
        if over:
            told = CatalogProduct(product, (), f"retirement of {', '.join(contract.port for contract in over)}")
            changed += catalog.announce(connection, told)
    return changed
