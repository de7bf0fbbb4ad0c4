"""The catalog's outbox: what is to be known is written with the publication, in its transaction, and sent afterwards."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection
from psycopg.rows import class_row

from platform_core.catalog.aspects import compile_product, declared_urns
from platform_core.catalog.assertions import assertion_proposals, result_proposals
from platform_core.catalog.graph import CatalogProduct, PublishedTable, RuleResult
from platform_core.catalog.port_life import deprecations, supported
from platform_core.catalog.proposal import Proposal, content_hash
from platform_core.contracts import Contract, DataProduct, naming

EVENTS_KEPT = 20
"""Newest events of an assertion that wait for a sink; a server that was away longer misses the older ones."""


def enqueue(
    connection: Connection,
    domain: str,
    product_id: str,
    publication: str,
    proposals: Sequence[Proposal],
    *,
    declared: Collection[str] | None = None,
) -> int:
    """Records proposals in the caller's transaction; no network, no lock that a slow sink could hold.

    Args:
        connection: In the transaction that publishes, as a role that may write the domain's rows.
        domain: The product's domain.
        product_id: The product.
        publication: The publication or audit they come from.
        proposals: See ``compile_product``. Content that is known already changes nothing.
        declared: The URNs the product's files declare (``declared_urns``). Port tables and assertions recorded before and no longer
            declared become "removed" in the catalog. None leaves them.

    Returns:
        How many proposals were new or changed.
    """
    retired = [] if declared is None else _retired(connection, product_id, declared)
    given = list({(item.entity_urn, item.aspect_name, item.event): item for item in (*proposals, *retired)}.values())
    values = [item.value() for item in given]
    changed = connection.execute(
        """INSERT INTO mesh.catalog_outbox AS held
                  (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, event, value, hash)
           SELECT %s, %s, %s, new.*
             FROM unnest(%s::smallint[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                  AS new (stage, entity_type, entity_urn, aspect_name, event, value, hash)
             LEFT JOIN mesh.catalog_outbox AS old
                    ON (old.product_id, old.entity_urn, old.aspect_name, old.event) = (%s, new.entity_urn, new.aspect_name, new.event)
            WHERE old.hash IS DISTINCT FROM new.hash
            ORDER BY new.entity_urn, new.aspect_name, new.event  -- one order for all, so that two ports never wait for each other
           ON CONFLICT (product_id, entity_urn, aspect_name, event) DO UPDATE
              SET publication = excluded.publication, stage = excluded.stage, value = excluded.value, hash = excluded.hash,
                  changed_at = clock_timestamp()""",
        (
            domain,
            product_id,
            publication,
            [item.stage for item in given],
            [item.entity_type for item in given],
            [item.entity_urn for item in given],
            [item.aspect_name for item in given],
            [item.event for item in given],
            [value.decode() for value in values],
            [content_hash(value) for value in values],
            product_id,
        ),
    ).rowcount
    _prune_events(connection, product_id)
    return changed


def announce(connection: Connection, told: CatalogProduct, *, retired: Collection[str] = ()) -> int:
    """Compiles and records all that is told of a product; see ``enqueue``.

    What its files no longer declare becomes "removed", and so do the datasets and assertions of the contracts in ``retired``.
    """
    product = told.product
    proposals = [*compile_product(told), *_supported_again(connection, product)]
    return enqueue(connection, product.domain, product.id, told.publication, proposals, declared=declared_urns(product, without=retired))


def announce_failed_audit(
    connection: Connection, contract: Contract, publication: str, audited_at: datetime, results: Sequence[RuleResult]
) -> int:
    """Records what an audit found that published nothing: the contract's assertions and their results; datasets stay as they are."""
    proposals: list[Proposal] = []
    for table in contract.tables:
        proposals += assertion_proposals(PublishedTable(contract, table, publication, audited_at))
    proposals += result_proposals(contract, publication, tuple(results))
    return enqueue(connection, contract.domain, contract.product_id, publication, proposals)


def withdraw(connection: Connection, domain: str, product_id: str, publication: str = "withdrawn") -> int:
    """Records that a product is no more: the product, its port tables and its assertions become "removed" in the catalog."""
    gone = Proposal("dataProduct", naming.data_product_urn(product_id), "status", {"removed": True})
    return enqueue(connection, domain, product_id, publication, [gone], declared=())


@dataclass(frozen=True)
class Standing:
    """How far a product has come at a sink. ``reason`` is the latest trouble, ``due_at`` the next attempt of what waits."""

    sink: str
    domain: str
    product_id: str
    delivered: int
    waiting: int
    refused: int
    delivered_at: datetime | None
    due_at: datetime | None
    reason: str | None


def standings(connection: Connection) -> list[Standing]:
    """Every product at every sink that was ever offered it, by sink and product."""
    with connection.cursor(row_factory=class_row(Standing)) as cursor:
        return cursor.execute(
            """SELECT sink, domain, product_id,
                      count(*) FILTER (WHERE state = 'delivered') AS delivered,
                      count(*) FILTER (WHERE state = 'waiting') AS waiting,
                      count(*) FILTER (WHERE state = 'refused') AS refused,
                      max(delivered_at) AS delivered_at,
                      min(due_at) FILTER (WHERE state = 'waiting') AS due_at,
                      max(reason) AS reason
                 FROM (SELECT d.sink, o.domain, o.product_id, d.delivered_at, d.due_at, d.reason,
                              CASE WHEN d.delivered_hash = o.hash THEN 'delivered'
                                   WHEN d.refused_hash = o.hash THEN 'refused' ELSE 'waiting' END AS state
                         FROM mesh.catalog_deliveries AS d
                         JOIN mesh.catalog_outbox AS o USING (product_id, entity_urn, aspect_name, event)) AS each
                GROUP BY sink, domain, product_id ORDER BY sink, product_id"""
        ).fetchall()


def release(connection: Connection, sink: str, product_id: str | None = None) -> int:
    """Takes refused proposals of a sink out of quarantine and makes all that waits due now; how many that were."""
    return connection.execute(
        """UPDATE mesh.catalog_deliveries AS d SET refused_hash = NULL, attempts = 0, due_at = clock_timestamp()
             FROM mesh.catalog_outbox AS o
            WHERE (o.product_id, o.entity_urn, o.aspect_name, o.event) = (d.product_id, d.entity_urn, d.aspect_name, d.event)
              AND d.sink = %s AND d.delivered_hash IS DISTINCT FROM o.hash AND (%s::text IS NULL OR d.product_id = %s)""",
        (sink, product_id, product_id),
    ).rowcount


def _retired(connection: Connection, product_id: str, declared: Collection[str]) -> list[Proposal]:
    """Forgets what the product no longer declares, and says so: a removed entity keeps its status only."""
    port = naming.dataset_urn(naming.port_schema(product_id), "").partition(",PROD)")[0]
    rows = connection.execute(
        """DELETE FROM mesh.catalog_outbox
            WHERE product_id = %s AND aspect_name NOT IN ('status', 'deprecation') AND entity_urn <> ALL(%s)
              AND (entity_type = 'assertion' OR entity_type = 'dataset' AND starts_with(entity_urn, %s))
           RETURNING entity_type, entity_urn""",
        (product_id, list(declared), port),
    ).fetchall()
    return [Proposal(kind, urn, "status", {"removed": True}) for kind, urn in sorted(set(rows))]


def _supported_again(connection: Connection, product: DataProduct) -> list[Proposal]:
    """Takes back deprecations that the product's files asked for once; one that people set in DataHub is theirs."""
    now = {item.entity_urn for item in deprecations(product)}
    rows = connection.execute(
        """SELECT entity_urn FROM mesh.catalog_outbox
            WHERE product_id = %s AND aspect_name = 'deprecation' AND (value::jsonb ->> 'deprecated')::boolean ORDER BY 1""",
        (product.id,),
    ).fetchall()
    return [supported(product, str(urn)) for (urn,) in rows if urn not in now]


def _prune_events(connection: Connection, product_id: str) -> None:
    connection.execute(
        """DELETE FROM mesh.catalog_outbox AS o
            USING (SELECT entity_urn, aspect_name, event,
                          row_number() OVER (PARTITION BY entity_urn, aspect_name ORDER BY event DESC) AS age
                     FROM mesh.catalog_outbox WHERE product_id = %s AND event <> '') AS known
            WHERE known.age > %s
              AND (o.product_id, o.entity_urn, o.aspect_name, o.event) = (%s, known.entity_urn, known.aspect_name, known.event)""",
        (product_id, EVENTS_KEPT, product_id),
    )
