"""Sends what waits in the outbox. A killed deliverer leaves its rows due, so a proposal may go twice: an upsert does not mind."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass, replace

from psycopg import Connection
from psycopg.pq import TransactionStatus

from platform_core.catalog.errors import CatalogError, SinkUnavailableError
from platform_core.catalog.file_sink import FileSink
from platform_core.catalog.http_sink import HttpSink
from platform_core.catalog.sink import Outgoing, Sink
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_log = logging.getLogger(__name__)

BATCH = 200
FIRST_WAIT_SECONDS = 5.0
LONGEST_WAIT_SECONDS = 900.0
FOLDER = "catalog"

Key = tuple[str, str, str, str]
"""``(product id, entity urn, aspect name, event)``."""


@dataclass(frozen=True)
class Refusal:
    """A quarantined proposal and the sink's reason."""

    product_id: str
    entity_urn: str
    aspect_name: str
    reason: str


@dataclass(frozen=True)
class Delivery:
    """What a call of ``deliver`` did.

    Attributes:
        sink: Name of the sink.
        sent: Proposals it took.
        known: Proposals not sent because the sink has that very content from another product.
        refused: Proposals it will never take.
        failure: Why it took no more; the rest waits.
    """

    sink: str
    sent: int
    known: int
    refused: tuple[Refusal, ...]
    failure: SinkUnavailableError | None


@dataclass(frozen=True)
class _Row:
    key: Key
    hash: str
    outgoing: Outgoing


def configured_sinks(settings: Settings) -> tuple[Sink, ...]:
    """The sinks of this environment: always the files below ``<home>/catalog``, and the DataHub server when one is named.

    Raises:
        CatalogError: ``MESH_DATAHUB_URL`` is malformed.
    """
    files = FileSink(settings.home / FOLDER)
    return (files, HttpSink(settings.datahub_url, settings.datahub_token)) if settings.datahub_url else (files,)


def deliver_all(warehouse: Warehouse, settings: Settings, domain: str | None = None) -> tuple[Delivery, ...]:
    """Sends what waits to every configured sink, as the domain, or for all domains as the platform.

    A sink that fails, or whose address is malformed, is reported, logged and tried again at a later call: it raises nothing, since
    the publication it speaks of has happened.
    """
    misconfigured: list[Delivery] = []
    try:
        sinks = configured_sinks(settings)
    except CatalogError as error:
        _log.warning("catalog: %s", error)
        failure = SinkUnavailableError(error.what, where=error.where, remedy=error.remedy)
        misconfigured.append(Delivery("datahub", 0, 0, (), failure))
        sinks = configured_sinks(replace(settings, datahub_url=None))
    with warehouse.connect_platform() if domain is None else warehouse.connect_domain(domain) as connection:
        return (*(deliver(connection, sink) for sink in sinks), *misconfigured)


def deliver(connection: Connection, sink: Sink) -> Delivery:
    """Sends everything that is due at a sink and that the connection's role may write, in batches of one transaction each.

    Rows are locked while they are sent, and locked rows are passed over: any number of deliverers may run.

    Args:
        connection: Not inside a transaction.
        sink: Where to.

    Raises:
        CatalogError: The connection is inside a transaction.
    """
    if connection.info.transaction_status is not TransactionStatus.IDLE:
        raise CatalogError("the delivery would hold a publication's locks while it sends", remedy="deliver after the commit")
    with connection.transaction():
        domains = _open(connection, sink)
    sent, known, refused, failure = 0, 0, list[Refusal](), None
    while failure is None:
        with connection.transaction():
            rows = _due(connection, sink.name, domains)
            if not rows:
                break
            there = _already_there(connection, sink.name, rows) if sink.shared else set[Key]()
            offered = [row for row in rows if row.key not in there]
            taken = sink.send([row.outgoing for row in offered])
            accepted = [offered[index] for index in sorted(taken.accepted)]
            _mark_delivered(connection, sink.name, [*(row for row in rows if row.key in there), *accepted])
            for index, reason in sorted(taken.refused.items()):
                row = offered[index]
                _mark_refused(connection, sink.name, row, reason)
                refused.append(Refusal(row.key[0], row.key[1], row.key[2], reason))
                _log.warning("%s refuses %s of %s: %s", sink.name, row.key[2], row.key[1], reason)
            failure = taken.failure
            if failure is not None:
                held = taken.accepted | taken.refused.keys()
                _postpone(connection, sink.name, [row for index, row in enumerate(offered) if index not in held], failure)
                _log.warning("catalog: %s", failure)
            sent += len(accepted)
            known += len(there)
    return Delivery(sink.name, sent, known, tuple(refused), failure)


def _open(connection: Connection, sink: Sink) -> list[str]:
    """Gives every proposal its line for this sink, forgets lines of proposals that are no more; the domains we may speak for."""
    found = connection.execute(
        "SELECT domain FROM (SELECT DISTINCT domain FROM mesh.catalog_outbox) AS d WHERE mesh.may_write(domain) ORDER BY 1"
    ).fetchall()
    domains = [str(row[0]) for row in found]
    connection.execute(
        """INSERT INTO mesh.catalog_deliveries (domain, sink, product_id, entity_urn, aspect_name, event)
           SELECT domain, %(sink)s, product_id, entity_urn, aspect_name, event
             FROM mesh.catalog_outbox AS o
            WHERE domain = ANY(%(domains)s)
              AND NOT EXISTS (SELECT FROM mesh.catalog_deliveries AS d
                               WHERE d.sink = %(sink)s AND (d.product_id, d.entity_urn, d.aspect_name, d.event)
                                   = (o.product_id, o.entity_urn, o.aspect_name, o.event))
            ORDER BY product_id, entity_urn, aspect_name, event
           ON CONFLICT DO NOTHING""",
        {"sink": sink.name, "domains": domains},
    )
    connection.execute(
        """DELETE FROM mesh.catalog_deliveries WHERE ctid IN (
             SELECT d.ctid FROM mesh.catalog_deliveries AS d
              WHERE d.sink = %s AND d.domain = ANY(%s)
                AND NOT EXISTS (SELECT FROM mesh.catalog_outbox AS o WHERE (d.product_id, d.entity_urn, d.aspect_name, d.event)
                                   = (o.product_id, o.entity_urn, o.aspect_name, o.event))
                FOR UPDATE SKIP LOCKED)""",
        (sink.name, domains),
    )
    delivered = connection.execute(
        "SELECT DISTINCT product_id FROM mesh.catalog_deliveries WHERE sink = %s AND domain = ANY(%s) AND delivered_hash IS NOT NULL",
        (sink.name, domains),
    ).fetchall()
    lost = sink.lost([str(row[0]) for row in delivered])
    if lost:
        connection.execute(
            """UPDATE mesh.catalog_deliveries SET delivered_hash = NULL, due_at = clock_timestamp() WHERE ctid IN (
                 SELECT ctid FROM mesh.catalog_deliveries WHERE sink = %s AND product_id = ANY(%s) AND domain = ANY(%s)
                    FOR UPDATE SKIP LOCKED)""",
            (sink.name, sorted(lost), domains),
        )
    return domains


def _due(connection: Connection, sink: str, domains: Sequence[str]) -> list[_Row]:
    rows = connection.execute(
        """SELECT o.product_id, o.entity_urn, o.aspect_name, o.event, o.entity_type, o.value, o.hash, d.attempts
             FROM mesh.catalog_deliveries AS d
             JOIN mesh.catalog_outbox AS o
               ON (o.product_id, o.entity_urn, o.aspect_name, o.event) = (d.product_id, d.entity_urn, d.aspect_name, d.event)
            WHERE d.sink = %s AND d.domain = ANY(%s) AND d.due_at <= clock_timestamp()
              AND d.delivered_hash IS DISTINCT FROM o.hash AND d.refused_hash IS DISTINCT FROM o.hash
            ORDER BY o.stage, o.product_id, o.entity_urn, o.aspect_name, o.event
            LIMIT %s
              FOR UPDATE OF d SKIP LOCKED""",
        (sink, list(domains), BATCH),
    ).fetchall()
    return [_Row((product, urn, aspect, event), hash_, Outgoing(product, kind, urn, aspect, event, value, attempts))
            for product, urn, aspect, event, kind, value, hash_, attempts in rows]  # fmt: skip


def _already_there(connection: Connection, sink: str, rows: Sequence[_Row]) -> set[Key]:
    """The rows whose content the sink was given last for that aspect, by whatever product."""
    found = connection.execute(
        """SELECT DISTINCT ON (entity_urn, aspect_name, event) entity_urn, aspect_name, event, delivered_hash
             FROM mesh.catalog_deliveries WHERE sink = %s AND entity_urn = ANY(%s) AND delivered_hash IS NOT NULL
            ORDER BY entity_urn, aspect_name, event, delivered_at DESC""",
        (sink, [row.key[1] for row in rows]),
    ).fetchall()
    last = {(urn, aspect, event): hash_ for urn, aspect, event, hash_ in found}
    return {row.key for row in rows if last.get(row.key[1:]) == row.hash}


def _mark_delivered(connection: Connection, sink: str, rows: Sequence[_Row]) -> None:
    connection.execute(
        """UPDATE mesh.catalog_deliveries AS d
              SET delivered_hash = sent.hash, delivered_at = clock_timestamp(), refused_hash = NULL, reason = NULL, attempts = 0
             FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[], %s::text[])
                  AS sent (product_id, entity_urn, aspect_name, event, hash)
            WHERE d.sink = %s AND (d.product_id, d.entity_urn, d.aspect_name, d.event)
                = (sent.product_id, sent.entity_urn, sent.aspect_name, sent.event)""",
        (*_columns(rows), [row.hash for row in rows], sink),
    )


def _mark_refused(connection: Connection, sink: str, row: _Row, reason: str) -> None:
    connection.execute(
        """UPDATE mesh.catalog_deliveries SET refused_hash = %s, reason = %s, attempts = attempts + 1
            WHERE sink = %s AND (product_id, entity_urn, aspect_name, event) = (%s, %s, %s, %s)""",
        (row.hash, reason, sink, *row.key),
    )


def _postpone(connection: Connection, sink: str, rows: Sequence[_Row], failure: SinkUnavailableError) -> None:
    """Twice as long after every failure, up to a quarter of an hour, never shorter than the server asks."""
    connection.execute(
        """UPDATE mesh.catalog_deliveries AS d
              SET attempts = attempts + 1, reason = %s,
                  due_at = clock_timestamp() + make_interval(secs => greatest(%s, least(%s, %s * 2 ^ least(attempts, 30))))
             FROM unnest(%s::text[], %s::text[], %s::text[], %s::text[]) AS late (product_id, entity_urn, aspect_name, event)
            WHERE d.sink = %s AND (d.product_id, d.entity_urn, d.aspect_name, d.event)
                = (late.product_id, late.entity_urn, late.aspect_name, late.event)""",
        (failure.what, failure.retry_after or 0.0, LONGEST_WAIT_SECONDS, FIRST_WAIT_SECONDS, *_columns(rows), sink),
    )


def _columns(rows: Sequence[_Row]) -> tuple[list[str], list[str], list[str], list[str]]:
    return [row.key[0] for row in rows], [row.key[1] for row in rows], [row.key[2] for row in rows], [row.key[3] for row in rows]
