"""Old versions go once enough newer ones stand. The rule is the contract's; the warehouse's own procedure applies it.

See ``mesh.prune_versions`` in ``schema.sql``: no role of a domain can drop a version, and the procedure takes no wish but the rule's.
"""

from __future__ import annotations

from psycopg import Connection, errors

from platform_core.contracts.lifecycle import KEEP_PUBLICATIONS
from platform_core.contracts.model import Contract
from platform_core.publishing.errors import PublishingError

KEPT = KEEP_PUBLICATIONS
"""Publications of a port that stay for rollback when its contract says nothing."""


def remember_rule(connection: Connection, contract: Contract) -> None:
    """Records what the contract asks to keep, in the caller's transaction."""
    rule = contract.lifecycle
    connection.execute(
        """INSERT INTO mesh.retention_rules AS held (contract_id, domain, publications, days) VALUES (%s, %s, %s, %s)
           ON CONFLICT (contract_id) DO UPDATE SET publications = excluded.publications, days = excluded.days
           WHERE (held.publications, held.days) IS DISTINCT FROM (excluded.publications, excluded.days)""",
        (contract.id, contract.domain, rule.keep_publications, rule.keep_days),
    )


def prune(connection: Connection, contract: Contract) -> tuple[str, ...]:
    """Drops the versions that the rule lets go, in the caller's transaction.

    A reader that began before the switch holds its version's lock; the drop then waits for it, briefly, and is left to the next
    publication when it takes longer.

    Returns:
        The dropped relations.

    Raises:
        psycopg.errors.LockNotAvailable: A reader is in the way.
    """
    remember_rule(connection, contract)
    return tuple(str(version) for (version,) in connection.execute("SELECT * FROM mesh.prune_versions(%s)", (contract.id,)).fetchall())


def pin(connection: Connection, contract: Contract, publication: str, *, actor: str, reason: str | None = None) -> None:
    """Keeps a publication, however old, until it is unpinned; pinned again, the first pin stands.

    Raises:
        PublishingError: There is no such publication.
    """
    try:
        connection.execute(
            """INSERT INTO mesh.pins (contract_id, publication, domain, actor, reason) VALUES (%s, %s, %s, %s, %s)
               ON CONFLICT (contract_id, publication) DO NOTHING""",
            (contract.id, publication, contract.domain, actor, reason),
        )
    except errors.ForeignKeyViolation as error:
        raise PublishingError(
            f"there is no publication {publication!r}", where=contract.id, remedy=f"choose one that ./mesh versions {contract.id} lists"
        ) from error


def unpin(connection: Connection, contract: Contract, publication: str) -> None:
    """Leaves a publication to the rule again.

    Raises:
        PublishingError: It is not pinned.
    """
    if not connection.execute("DELETE FROM mesh.pins WHERE contract_id = %s AND publication = %s", (contract.id, publication)).rowcount:
        raise PublishingError(
            f"the publication {publication!r} is not pinned", where=contract.id, remedy=f"see ./mesh versions {contract.id}"
        )
