"""Loads raw copies again: raw tables come back as they were, and the source is not asked.

| what is replayed | append | deduped | a replaced table (overwrite, ``--full-refresh``) |
|---|---|---|---|
| ``all`` | emptied, then every sync in order | the same | emptied, then the last generation and what followed it |
| one sync, ``latest`` | the rows of that sync are exchanged | the same; a newer row of the key stays | becomes the generation of that sync |

Of a sync that failed or was killed, exactly the rows that it had committed are loaded: a sync that followed went on from there.
Rows keep their ``_airbyte_raw_id``, ``_airbyte_extracted_at`` and generation. Everything happens in one transaction: readers
see the former tables until the end, and a replay that is killed leaves them as they were. Hashes are checked before it begins.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from platform_core.contracts import naming
from platform_core.ingestion import loader
from platform_core.ingestion.block import Block, Records, collector_paused
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import ReplayError
from platform_core.ingestion.protocol import StreamKey
from platform_core.ingestion.raw_manifest import ReplayStream, SyncManifest, read_manifest
from platform_core.ingestion.recovery import settle_dead_syncs
from platform_core.ingestion.replay_plan import ReplayPlan, plan_replay
from platform_core.ingestion.replay_writer import ReplayWriter
from platform_core.ingestion.session import locked_session
from platform_core.ingestion.state import claim_streams, restore_states, write_generation
from platform_core.ingestion.tables import read_table
from platform_core.lake import RawObject, raw_objects
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_PROGRESS_SECONDS = 0.5


@dataclass(frozen=True)
class ReplayProgress:
    """A running replay, for display.

    Attributes:
        sync_id: The sync that is loaded now.
        number: Its place, from 1.
        syncs: How many there are.
        rows: Rows loaded so far, by stream.
        seconds: Since the start.
    """

    sync_id: str
    number: int
    syncs: int
    rows: dict[str, int]
    seconds: float


@dataclass(frozen=True)
class ReplayResult:
    """A finished replay.

    Attributes:
        syncs: Ids of the syncs that were loaded, in order.
        rows: Rows loaded, by stream (a deduplicated table may hold fewer).
        tables: ``<schema>.<table>`` of each stream.
        seconds: Wall time.
    """

    syncs: tuple[str, ...]
    rows: dict[str, int]
    tables: dict[str, str]
    seconds: float


def replayable_syncs(connection: Connection, settings: Settings) -> list[SyncManifest]:
    """The syncs of a connection that left a raw copy, oldest first; one whose ``status`` is ``running`` cannot be replayed yet.

    Raises:
        ReplayError: A manifest is damaged or foreign.
        LakeError: The lake cannot be read.
    """
    found = (read_manifest(raw) for raw in raw_objects(settings.lake_url, connection.domain, connection.name))
    return sorted((manifest for manifest in found if manifest is not None), key=lambda manifest: (manifest.started_at, manifest.sync_id))


def run_replay(
    connection: Connection,
    which: str,
    *,
    warehouse: Warehouse,
    settings: Settings,
    streams: Collection[str] | None = None,
    on_progress: Callable[[ReplayProgress], None] | None = None,
) -> ReplayResult:
    """Rebuilds raw tables from raw copies, see the head of this module.

    The state of the connection afterwards is the one that the manifest of the newest replayed sync tells, when that sync is the
    connection's newest. A replay of an older one only sets the states of the tables that it replaced: the others hold newer
    rows, and forgetting that would double them.

    Args:
        connection: The connection.
        which: A sync id, ``latest`` or ``all``.
        warehouse: Where the raw tables are.
        settings: For the lake.
        streams: Names of the streams, all that the raw copies have by default.
        on_progress: Called about twice a second, from this thread.

    Raises:
        ReplayError: There is no such sync, its manifest is damaged or foreign, its raw copy holds fewer rows than were
            committed, or it would bring rows into a table that was replaced since.
        RawCopyError: The object is missing or damaged.
        ConcurrentSyncError: The connection is being synced.
        LoadError: A table belongs to another connection.
        LakeError: The lake cannot be read.
    """
    with locked_session(warehouse, connection) as session:
        settle_dead_syncs(session, connection, settings.lake_url)
        known = replayable_syncs(connection, settings)
        return replay_known(session, connection, known, which, settings=settings, streams=streams, on_progress=on_progress)


def replay_known(
    session: psycopg.Connection[Any],
    connection: Connection,
    known: Sequence[SyncManifest],
    which: str,
    *,
    settings: Settings,
    streams: Collection[str] | None = None,
    on_progress: Callable[[ReplayProgress], None] | None = None,
    in_transaction: Callable[[], None] | None = None,
) -> ReplayResult:
    """As `run_replay`, of syncs that the caller has read, in a session that holds the connection's lock.

    ``in_transaction`` is called when the rows are there, in their transaction.
    """
    began = time.monotonic()
    plan = plan_replay(connection, known, which, streams)
    for manifest in plan.syncs:
        if manifest.sha256 is not None:
            _object(connection, settings, manifest).verify(manifest.sha256)
    with session.transaction():
        work = _Replay(session, connection, settings, plan, began, on_progress)
        work.run()
        if in_transaction is not None:
            in_transaction()
    return ReplayResult(tuple(manifest.sync_id for manifest in plan.syncs), work.rows, work.tables, time.monotonic() - began)


def _object(connection: Connection, settings: Settings, manifest: SyncManifest) -> RawObject:
    return RawObject(settings.lake_url, connection.domain, connection.name, manifest.sync_id)


class _Replay:
    """The steps of a replay, inside its transaction."""

    def __init__(
        self,
        session: psycopg.Connection[Any],
        connection: Connection,
        settings: Settings,
        plan: ReplayPlan,
        began: float,
        on_progress: Callable[[ReplayProgress], None] | None,
    ) -> None:
        self.rows: dict[str, int] = {}
        self.tables: dict[str, str] = {}
        self._session, self._connection, self._settings, self._plan = session, connection, settings, plan
        self._began, self._on_progress = began, on_progress
        self._shown = 0.0
        self._stagings = 0
        self._schema = naming.raw_schema(connection.domain)

    def run(self) -> None:
        connection, session, plan = self._connection, self._session, self._plan
        tasks = [stream.task for manifest in plan.syncs for stream in plan.streams_of(manifest)]
        current = claim_streams(session, connection.domain, connection.name, tasks)
        if not plan.rebuild:
            self._refuse_replaced(current)
        else:
            for table in sorted({task.table for task in tasks}):
                self._empty(table)
        for number, manifest in enumerate(plan.syncs, 1):
            self._load(manifest, number)
        restore_states(session, connection.domain, connection.name, plan.states, streams=plan.restored, sync_id=plan.syncs[-1].sync_id)

    def _refuse_replaced(self, current: dict[StreamKey, int]) -> None:
        (manifest,) = self._plan.syncs
        for stream in self._plan.streams_of(manifest):
            now = current[stream.task.key] - (1 if stream.task.replace else 0)
            if not stream.task.replace and now > stream.generation and self._stored(stream):
                raise ReplayError(
                    f"the table of {stream.task.name!r} was replaced since that sync (generation {now}, its rows are of {stream.generation})",
                    where=f"{self._connection.id} {manifest.sync_id}",
                    remedy=f"replay all, or a later sync; see: mesh ingest {self._connection.id} --syncs",
                )

    def _stored(self, stream: ReplayStream) -> bool:
        return bool(read_table(self._session, self._schema, stream.task.table))

    def _empty(self, table: str) -> None:
        # Not TRUNCATE: a reader with an older snapshot would see an empty table.
        if read_table(self._session, self._schema, table):
            self._session.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(self._schema, table)))

    def _load(self, manifest: SyncManifest, number: int) -> None:
        writers = {stream.task.key: self._writer(manifest, stream) for stream in self._plan.streams_of(manifest)}
        wanted = {stream.task.key: stream.committed or 0 for stream in self._plan.streams_of(manifest)}
        if any(wanted.values()):
            for lines in _object(self._connection, self._settings, manifest).blocks():
                self._feed(lines, writers, wanted)
                self._show(manifest, number, writers.values())
                if all(writer.received >= wanted[key] for key, writer in writers.items()):
                    break
        for key, writer in writers.items():
            if writer.received < wanted[key]:
                raise ReplayError(
                    f"the raw copy holds {writer.received} records of {key[1]!r}, the sync committed {wanted[key]}",
                    where=f"{self._connection.id} {manifest.sync_id}",
                    remedy="sync the stream with --full-refresh",
                )
            writer.bring(None if self._plan.rebuild else self._plan.later)
            write_generation(
                self._session,
                self._connection.domain,
                self._connection.name,
                stream=key[1],
                generation=writer.encoder.rows.generation,
                sync_id=manifest.sync_id,
            )
            self.rows[key[1]] = self.rows.get(key[1], 0) + writer.received
            self.tables[key[1]] = writer.table

    def _writer(self, manifest: SyncManifest, stream: ReplayStream) -> ReplayWriter:
        self._stagings += 1
        return ReplayWriter.planned(
            self._session,
            self._connection.domain,
            stream.task,
            sync_id=manifest.sync_id,
            id_prefix=manifest.id_prefix,
            generation=stream.generation,
            number=stream.number,
            staging=self._stagings,
        )

    def _feed(self, lines: Sequence[bytes], writers: dict[StreamKey, ReplayWriter], wanted: dict[StreamKey, int]) -> None:
        with collector_paused():
            _take(lines, writers, wanted)
        if sum(writer.buffered_bytes for writer in writers.values()) > loader.BUFFER_BYTES:
            for writer in writers.values():
                if writer.buffered_bytes:
                    writer.spill()()

    def _show(self, manifest: SyncManifest, number: int, writers: Collection[ReplayWriter]) -> None:
        now = time.monotonic()
        if self._on_progress is None or now - self._shown < _PROGRESS_SECONDS:
            return
        self._shown = now
        rows = dict(self.rows)
        for writer in writers:
            rows[writer.task.name] = rows.get(writer.task.name, 0) + writer.received
        self._on_progress(ReplayProgress(manifest.sync_id, number, len(self._plan.syncs), rows, now - self._began))


def _take(lines: Sequence[bytes], writers: dict[StreamKey, ReplayWriter], wanted: dict[StreamKey, int]) -> None:
    for part in Block(b"\n".join(lines)).parts():
        writer = writers.get(part.key) if isinstance(part, Records) else None
        if isinstance(part, Records) and writer is not None and writer.received < wanted[part.key]:
            writer.add(part.first(wanted[part.key] - writer.received))
