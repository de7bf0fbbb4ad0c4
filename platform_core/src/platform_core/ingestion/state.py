"""Connector state and sync history in ``mesh.*`` (see ``schema.sql``), and whether a state covers the rows that came before it."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import orjson
import psycopg

from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.errors import LoadError
from platform_core.ingestion.protocol import Json, State, StreamKey, decode_json, dump_json

Session = psycopg.Connection[Any]
_MARKS = "__ab_"  # what the CDK puts into a state to say "no cursor" or "a full refresh, complete"


@dataclass(frozen=True)
class Committed:
    """What a sync brought into one table: its first ``rows`` records. None of it is there while the table was not touched."""

    rows: int


def write_state(session: Session, domain: str, connection: str, sync_id: str, state: State) -> None:
    """Stores a state verbatim. Belongs into the transaction that brings its rows."""
    namespace, stream = state.stream or (None, "")
    session.execute(
        "INSERT INTO mesh.sync_state (domain, connection, namespace, stream, kind, state, sync_id)"
        " VALUES (%s, %s, %s, %s, %s, %s::json, %s)"
        " ON CONFLICT (domain, connection, namespace, stream) DO UPDATE SET kind = excluded.kind, state = excluded.state,"
        " sync_id = excluded.sync_id, updated_at = clock_timestamp()",
        (domain, connection, namespace or "", stream, state.kind, dump_json(state.state), sync_id),
    )
    if state.stream is None:  # one state for all streams replaces those of single streams
        session.execute(
            "DELETE FROM mesh.sync_state WHERE domain = %s AND connection = %s AND kind = 'STREAM'",
            (domain, connection),
        )


def forget_state(session: Session, domain: str, connection: str, streams: Sequence[StreamKey]) -> None:
    """Removes the states of streams that began anew, so that no older state outlives the rows it described."""
    for namespace, stream in streams:
        session.execute(
            "DELETE FROM mesh.sync_state WHERE domain = %s AND connection = %s AND namespace = %s AND stream = %s",
            (domain, connection, namespace or "", stream),
        )


def stored_states(session: Session, domain: str, connection: str) -> list[Json]:
    """All states of a connection in order of writing: ``kind``, ``namespace``, ``stream``, ``state``."""
    rows = session.execute(
        "SELECT kind, namespace, stream, state::text FROM mesh.sync_state WHERE domain = %s AND connection = %s"
        " ORDER BY updated_at, namespace, stream",
        (domain, connection),
    )
    return [{"kind": kind, "namespace": namespace, "stream": stream, "state": decode_json(text)} for kind, namespace, stream, text in rows]


def states_after(stored: Sequence[Json], *, restarted: Collection[StreamKey], states: Sequence[State]) -> list[Json]:
    """What `stored_states` gives once the states of ``restarted`` streams are forgotten and ``states`` written, in their order."""
    gone = {(namespace or "", stream) for namespace, stream in restarted}
    result = {(entry["namespace"], entry["stream"]): entry for entry in stored}
    result = {key: entry for key, entry in result.items() if key not in gone}
    for state in states:
        namespace, stream = state.stream or (None, "")
        if state.stream is None:
            result = {key: entry for key, entry in result.items() if entry["kind"] != "STREAM"}
        key = (namespace or "", stream)
        result.pop(key, None)
        result[key] = {"kind": state.kind, "namespace": key[0], "stream": stream, "state": state.state}
    return list(result.values())


def restore_states(
    session: Session,
    domain: str,
    connection: str,
    states: Sequence[Json],
    *,
    streams: Collection[StreamKey] | None,
    sync_id: str,
) -> None:
    """Exchanges stored states for those of `stored_states`: all of the connection, or those of some streams only."""
    if streams is None:
        session.execute("DELETE FROM mesh.sync_state WHERE domain = %s AND connection = %s", (domain, connection))
    else:
        forget_state(session, domain, connection, list(streams))
    for entry in states:
        if streams is not None and (entry["kind"] != "STREAM" or (entry["namespace"] or None, entry["stream"]) not in streams):
            continue
        stream = (entry["namespace"] or None, entry["stream"]) if entry["kind"] == "STREAM" else None
        session.execute(
            "INSERT INTO mesh.sync_state (domain, connection, namespace, stream, kind, state, sync_id)"
            " VALUES (%s, %s, %s, %s, %s, %s::json, %s)",
            (domain, connection, entry["namespace"], stream[1] if stream else "", entry["kind"], dump_json(entry["state"]), sync_id),
        )


def claim_streams(session: Session, domain: str, connection: str, tasks: Sequence[StreamTask]) -> dict[StreamKey, int]:
    """The generation of each stream in this sync: the former one, or the next when the table is replaced.

    Raises:
        LoadError: The raw table belongs to another connection.
    """
    rows = session.execute("SELECT stream, connection, generation_id FROM mesh.raw_streams WHERE domain = %s", (domain,)).fetchall()
    known = {stream: (owner, generation) for stream, owner, generation in rows}
    generations: dict[StreamKey, int] = {}
    for task in tasks:
        owner, generation = known.get(task.name, (connection, 0))
        if owner != connection:
            raise LoadError(
                f"the raw table {domain}_raw.{task.table} is loaded by the connection {owner!r}",
                where=f"{domain}/{connection}",
                remedy=f"remove the stream from one of the two; to hand the table over, delete its row of mesh.raw_streams"
                f" (domain {domain}, stream {task.name})",
            )
        generations[task.key] = generation + 1 if task.replace else generation
    return generations


def write_generation(session: Session, domain: str, connection: str, *, stream: str, generation: int, sync_id: str) -> None:
    """Records the owner and the generation of a raw table."""
    session.execute(
        "INSERT INTO mesh.raw_streams (domain, stream, connection, generation_id, sync_id) VALUES (%s, %s, %s, %s, %s)"
        " ON CONFLICT (domain, stream) DO UPDATE SET connection = excluded.connection, generation_id = excluded.generation_id,"
        " sync_id = excluded.sync_id, updated_at = clock_timestamp()",
        (domain, stream, connection, generation, sync_id),
    )


@dataclass(frozen=True)
class UnsettledSync:
    """A sync whose raw copy is not finished.

    Attributes:
        sync_id: Its name.
        status: ``running`` when its process was killed; ``failed`` or ``cancelled`` when the lake refused the end of the raw copy.
    """

    sync_id: str
    status: str


def unsettled_syncs(session: Session, domain: str, connection: str) -> list[UnsettledSync]:
    """The syncs that may have committed rows which no finished raw copy holds, oldest first. Asked under the connection's lock."""
    rows = session.execute(
        "SELECT sync_id, status FROM mesh.syncs WHERE domain = %s AND connection = %s AND (status = 'running'"
        " OR raw_object IS NULL AND status IN ('failed', 'cancelled') AND jsonb_path_exists(streams, '$.*.committed ? (@ == true)'))"
        " ORDER BY started_at",
        (domain, connection),
    )
    return [UnsettledSync(*row) for row in rows]


def note_raw_object(session: Session, sync_id: str, raw_object: str) -> None:
    """Writes where the raw copy of a sync is that was finished after its end."""
    session.execute("UPDATE mesh.syncs SET raw_object = %s WHERE sync_id = %s", (raw_object, sync_id))


def start_sync(session: Session, sync_id: str, domain: str, connection: str, connector: str) -> None:
    """Opens the history row."""
    session.execute(
        "INSERT INTO mesh.syncs (sync_id, domain, connection, connector, status) VALUES (%s, %s, %s, %s, 'running')",
        (sync_id, domain, connection, connector),
    )


def committed_streams(session: Session, sync_id: str) -> dict[str, Committed]:
    """What a sync has committed, by stream; streams whose table it did not touch are left out."""
    row = session.execute("SELECT streams FROM mesh.syncs WHERE sync_id = %s", (sync_id,)).fetchone()
    return {name: Committed(figures["rows"]) for name, figures in (row[0] if row else {}).items() if figures.get("committed")}


def note_progress(session: Session, sync_id: str, streams: Json) -> None:
    """Writes what is committed so far; in the transaction that commits it."""
    session.execute("UPDATE mesh.syncs SET streams = %s::jsonb WHERE sync_id = %s", (orjson.dumps(streams).decode(), sync_id))


def finish_sync(session: Session, sync_id: str, status: str, raw_object: str | None, error: str | None) -> None:
    """Closes the history row."""
    session.execute(
        "UPDATE mesh.syncs SET status = %s, finished_at = clock_timestamp(), raw_object = %s, error = %s WHERE sync_id = %s",
        (status, raw_object, error and error.replace("\x00", "")[:10_000], sync_id),
    )


def cursor_of(state: State | None, cursor_field: Sequence[str]) -> str | None:
    """What a stream's state says of its cursor, as short text for people; None when it only says that there is none."""
    if state is None or state.stream is None:
        return None
    blob = (state.state.get("stream") or {}).get("stream_state")
    if isinstance(blob, dict):
        if all(name.startswith(_MARKS) for name in blob):
            return None
        shared = blob.get("state")  # of low-code sources: beside the cursors of partitions
        for values in (blob, shared if isinstance(shared, dict) else {}):
            value = values.get(cursor_field[0]) if len(cursor_field) == 1 else None
            if isinstance(value, str | int | float):
                return _short(str(value))
    return _short(dump_json(blob))


def _short(text: str) -> str:
    return text if len(text) <= 200 else text[:199] + "…"


def lags(state: State, cursor_field: Sequence[str], newest: Any) -> bool:
    """Whether a stream's state provably covers fewer rows than were sent before it.

    Sources that read in parallel send states that stop at the oldest slice still open. Committing the newer rows with such a
    state would double them after a kill. Where the state shows no comparable cursor, the protocol's promise is trusted (a
    stream with ``checkpoint: complete`` never trusts it).

    Args:
        state: The state.
        cursor_field: Path of the cursor.
        newest: The highest cursor value among the rows that are not sealed yet.
    """
    blob = (state.state.get("stream") or {}).get("stream_state")
    if newest is None or len(cursor_field) != 1 or not isinstance(blob, dict):
        return False
    reached = blob.get(cursor_field[0])
    if isinstance(newest, str) and isinstance(reached, str):
        left, right = _moment(reached), _moment(newest)
        if left is not None and right is not None:
            return left < right
        return len(reached) == len(newest) and reached < newest
    return isinstance(newest, int | float | Decimal) and isinstance(reached, int | float | Decimal) and reached < newest


def _moment(text: str) -> datetime | None:
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
