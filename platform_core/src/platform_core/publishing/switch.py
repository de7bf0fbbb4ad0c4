"""The moment at which a port shows another version, for a publication and for a rollback alike."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Literal

from psycopg import Connection, errors

from platform_core.contracts.model import Contract, Table
from platform_core.publishing import port_view
from platform_core.publishing.errors import PublishingError

_SWITCH_SECONDS = 120.0


def switch(
    connection: Connection,
    contract: Contract,
    readers: Sequence[str],
    versions: Mapping[str, str],
    first: Callable[[], None],
) -> None:
    """Points every view of the port at the publication that ``first`` records as served, in one transaction with it.

    The views must be locked for an instant, so everything else is done before. A long query of a reader would make us wait, and
    everybody who comes after us wait behind us; so we give up after half a second, let them pass, and try again.

    Readers lock the views of a port in any order, we need them all. With one in hand, a reader may be waiting for it while it
    holds the next; there we give up almost at once, and begin the next attempt with another view.

    Args:
        connection: As the domain's owner.
        contract: The port.
        readers: Roles that may read it.
        versions: Port table to the relation in the product's data schema.
        first: Records what belongs to the switch (what is served: the views show that and nothing else; what is announced).

    Raises:
        PublishingError: Readers hold the port for too long, or views of consumers forbid the new shape.
    """
    deadline = time.monotonic() + _SWITCH_SECONDS
    tables = list(contract.tables)
    with connection.transaction():
        first()
        while True:
            try:
                with connection.transaction():  # a savepoint: giving up frees the views and keeps the rest
                    _lock(connection, contract, tables)
                    for table in contract.tables:
                        port_view.point(connection, contract, table, versions[table.physical_name], readers)
                return
            except errors.LockNotAvailable as error:
                if time.monotonic() > deadline:
                    raise PublishingError(
                        f"readers have held the port for {_SWITCH_SECONDS:.0f} s",
                        where=contract.id,
                        remedy="look for a long transaction in pg_stat_activity; the next attempt goes on from here",
                    ) from error
                tables = tables[1:] + tables[:1]
                time.sleep(0.02)  # readers that queued behind us go first


def _lock(connection: Connection, contract: Contract, tables: Sequence[Table]) -> None:
    """Takes every view of the port, in one round trip."""
    try:
        connection.execute("SELECT mesh.lock_views(%s, %s)", (contract.id, [table.physical_name for table in tables]))
    except errors.UndefinedFunction as error:
        raise PublishingError("the warehouse is of an older version", where=contract.id, remedy="run ./mesh apply, then publish") from error


def serve(
    connection: Connection,
    contract: Contract,
    publication: str,
    *,
    action: Literal["publication", "rollback"],
    actor: str,
    reason: str | None = None,
    instead_of: str | None = None,
) -> None:
    """Records which publication the port serves, and who made it so.

    Args:
        connection: In the transaction that switches the port.
        contract: The port.
        publication: What it serves from now on.
        action: What this is.
        actor: Who or which run.
        reason: Why, in people's words.
        instead_of: What it must have served until now; None takes what comes.

    Raises:
        PublishingError: It serves something else by now.
    """
    row = connection.execute("SELECT publication FROM mesh.ports WHERE contract_id = %s FOR UPDATE", (contract.id,)).fetchone()
    before = str(row[0]) if row else None
    if instead_of is not None and before != instead_of:
        raise PublishingError(
            f"the port was switched meanwhile: it serves {before or 'nothing'}, no longer {instead_of}",
            where=contract.id,
            remedy=f"look at ./mesh versions {contract.id}, and decide anew",
        )
    connection.execute(
        """INSERT INTO mesh.switches (contract_id, domain, action, from_publication, to_publication, actor, reason)
           VALUES (%s, %s, %s, %s, %s, %s, %s)""",
        (contract.id, contract.domain, action, before, publication, actor, reason),
    )
    connection.execute(
        """INSERT INTO mesh.ports (contract_id, domain, publication) VALUES (%s, %s, %s)
           ON CONFLICT (contract_id) DO UPDATE SET publication = excluded.publication, served_since = clock_timestamp()""",
        (contract.id, contract.domain, publication),
    )
