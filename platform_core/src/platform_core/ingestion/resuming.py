"""The state that a sync hands to the connector: where each of its streams goes on, in the form in which the source said it.

A source that reads a database's log (GLOBAL state) and old sources (LEGACY) have one state for all their streams. A sync of some of
them must not move or forget the position of the others: what they have not read yet would be lost, or read twice.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Any

from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import SharedStateError
from platform_core.ingestion.protocol import Json, StreamKey


def read_state(stored: Sequence[Json], connection: Connection, tasks: Sequence[StreamTask]) -> list[Json] | Json | None:
    """The state for a sync of these streams. Those that are read from the beginning are left out; None when nothing is resumed.

    Args:
        stored: What `stored_states` gives.
        connection: The connection.
        tasks: The streams.

    Raises:
        SharedStateError: Other streams of the connection depend on the state that this sync would exchange.
    """
    if not stored:
        return None
    resumed = {task.key for task in tasks if task.selection.incremental and not task.replace}
    names = {task.name for task in tasks}
    others = {selection.name for selection in connection.streams if selection.incremental} - names
    newest = stored[-1]
    if newest["kind"] == "GLOBAL":
        return _of_log(connection, newest["state"], tasks, resumed, others)
    if newest["kind"] == "LEGACY":
        restarted = names - {name for _, name in resumed}
        return _of_all(connection, newest["state"].get("data"), resumed, restarted, others)
    kept = [entry for entry in reversed(stored) if entry["kind"] == "STREAM"]
    return [entry["state"] for entry in kept if (entry["namespace"] or None, entry["stream"]) in resumed] or None


def _of_log(
    connection: Connection, state: Json, tasks: Sequence[StreamTask], resumed: Collection[StreamKey], others: Collection[str]
) -> list[Json] | None:
    inner = state.get("global") or {}
    entries = inner.get("stream_states") or ()
    waiting = sorted(name for name in {_key(entry)[1] for entry in entries} if name in others)
    if waiting and any(task.selection.incremental for task in tasks):
        raise _shared(connection, waiting)
    restarted = {task.key for task in tasks} - set(resumed)
    kept = [entry for entry in entries if _key(entry) not in restarted]
    return [{**state, "global": {**inner, "stream_states": kept}}] if resumed else None


def _of_all(
    connection: Connection, data: Any, resumed: Collection[StreamKey], restarted: Collection[str], others: Collection[str]
) -> Json | None:
    if not others or not restarted:
        return data if resumed else None
    if not isinstance(data, dict) or not restarted & data.keys():
        raise _shared(connection, sorted(others))
    return {name: value for name, value in data.items() if name not in restarted} or None


def _key(entry: Json) -> StreamKey:
    descriptor = entry.get("stream_descriptor") or {}
    return descriptor.get("namespace") or None, str(descriptor.get("name"))


def _shared(connection: Connection, others: Sequence[str]) -> SharedStateError:
    return SharedStateError(
        f"its streams share one position in the source: a sync without {', '.join(others)} would move it past what they have not read yet",
        where=connection.id,
        remedy="sync all streams of the connection together",
    )
