"""Rollback: a port serves a former publication again, at once, without a rebuild."""

from __future__ import annotations

from psycopg import errors

from platform_core.contracts.model import Contract
from platform_core.publishing import history
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.switch import serve, switch
from platform_core.warehouse import Warehouse


def rollback(warehouse: Warehouse, contract: Contract, readers: tuple[str, ...], to: str | None = None) -> str:
    """Points the port at a former publication.

    Args:
        warehouse: Reached as the contract's domain.
        contract: The port.
        readers: Roles that may read it.
        to: The publication; the one before the served one by default.

    Returns:
        The publication that is served now.

    Raises:
        PublishingError: There is no such publication, or its data is gone, or its shape is not the contract's, or readers hold the port.
    """
    with warehouse.connect_domain(contract.domain, autocommit=True) as connection:
        published = [row for row in history.publications(connection, contract.id, limit=1000) if row.state == "published"]
        current = next((row.publication for row in published if row.served), "")
        target = next((row for row in published if (row.publication == to if to else row.publication < current)), None)
        if target is None:
            known = ", ".join(row.publication for row in published) or "none"
            raise PublishingError(
                f"there is no publication {to or 'before the served one'}", where=contract.id, remedy=f"choose one of: {known}"
            )
        chosen = target.publication
        try:
            versions = {table.physical_name: str(target.tables[table.physical_name]["version"]) for table in contract.tables}
            switch(connection, contract, readers, chosen, versions, lambda: serve(connection, contract, chosen))
        except (errors.UndefinedTable, errors.UndefinedColumn, KeyError) as error:
            raise PublishingError(
                f"the data of {target.publication} is gone or has another shape than version {contract.version} promises",
                where=contract.id,
                remedy="choose a newer publication, or rebuild",
            ) from error
    return target.publication
