"""The record of who could read which port: whatever was found in force, when it began, when it ended, and on which ground."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from psycopg import Connection
from psycopg.rows import class_row

from platform_core.contracts.access_reasons import reasons
from platform_core.contracts.model import Mesh
from platform_core.warehouse.standing import Standing, standing


@dataclass(frozen=True)
class AccessEvent:
    """One row of ``mesh.access_events``.

    Attributes:
        domain: The domain that owns the port.
        contract_id: The port.
        principal: ``domain:<d>``, ``role:<r>`` or ``everybody``.
        event: ``began``; ``changed``, of its columns or their masks; ``ended``.
        clear: ``<table>.<column>`` that are read as they are from now on.
        masked: The same, of which only the mask is seen.
        ground: What allowed it, one line a ground: a request, a role with an input port, or that no file does.
        at: When it was found so.
    """

    domain: str
    contract_id: str
    principal: str
    event: Literal["began", "changed", "ended"]
    clear: list[str]
    masked: list[str]
    ground: str
    at: datetime


def record(connection: Connection, mesh: Mesh, now: datetime) -> tuple[AccessEvent, ...]:
    """Compares what is in force with what was recorded last, and records the difference, in the caller's transaction.

    Args:
        connection: As the platform's role.
        mesh: The files; ports of products whose files have errors keep what was recorded of them.
        now: The moment, with a timezone.

    Returns:
        What was recorded now.
    """
    connection.execute("LOCK TABLE mesh.access_events IN SHARE ROW EXCLUSIVE MODE")  # two at once would record the same twice
    known = {(event.contract_id, event.principal): event for event in latest(connection) if event.event != "ended"}
    found = {(each.contract_id, each.principal): each for each in standing(connection, mesh)}
    events = tuple(_differences(mesh, known, found, now))
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO mesh.access_events (domain, contract_id, principal, event, clear, masked, ground, at)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s)""",
            [(each.domain, each.contract_id, each.principal, each.event, each.clear, each.masked, each.ground, each.at) for each in events],
        )
    return events


def latest(connection: Connection) -> list[AccessEvent]:
    """The newest event of every principal and port."""
    with connection.cursor(row_factory=class_row(AccessEvent)) as cursor:
        return cursor.execute(
            """SELECT DISTINCT ON (contract_id, principal) domain, contract_id, principal, event, clear, masked, ground, at
               FROM mesh.access_events ORDER BY contract_id, principal, id DESC"""
        ).fetchall()


def access_events(connection: Connection) -> list[AccessEvent]:
    """Every event, oldest first."""
    with connection.cursor(row_factory=class_row(AccessEvent)) as cursor:
        return cursor.execute(
            "SELECT domain, contract_id, principal, event, clear, masked, ground, at FROM mesh.access_events ORDER BY id"
        ).fetchall()


def _differences(
    mesh: Mesh, known: dict[tuple[str, str], AccessEvent], found: dict[tuple[str, str], Standing], now: datetime
) -> Iterator[AccessEvent]:
    for key in sorted(known.keys() | found.keys()):
        contract_id, principal = key
        if contract_id.rpartition(".")[0] in mesh.broken:
            continue
        before, after = known.get(key), found.get(key)
        domain = contract_id.partition(".")[0]
        if after is None:
            yield AccessEvent(domain, contract_id, principal, "ended", [], [], "", now)
            continue
        ground = "\n".join(reason.text for reason in reasons(mesh, mesh.contracts[contract_id], principal, now))
        ground = ground or "no file declares it"
        if before is None:
            yield AccessEvent(domain, contract_id, principal, "began", list(after.clear), list(after.masked), ground, now)
        elif (before.clear, before.masked, before.ground) != (list(after.clear), list(after.masked), ground):
            yield AccessEvent(domain, contract_id, principal, "changed", list(after.clear), list(after.masked), ground, now)
