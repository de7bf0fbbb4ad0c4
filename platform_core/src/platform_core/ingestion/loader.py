"""Protocol messages into raw tables, exactly once: rows and the state that covers them commit in one transaction.

A STATE seals the rows that came before it; only sealed rows commit, together with that state. Whatever is killed in between
leaves the last pair of rows and state, and the next sync resumes from there. What is committed is fixed when the commit begins;
it then runs beside the decoding of what follows, and the session belongs to it until it ends.

| sync mode | when its rows become visible |
|---|---|
| incremental_deduped | with every state; the newest row a key stays |
| incremental_append | with every state that does not provably lag behind the rows, and with the end of the stream |
| full_refresh_overwrite | when the stream is complete, all at once, the former generation going in the same transaction |
| full_refresh_append | when the whole sync succeeded |
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg

from platform_core.contracts import naming
from platform_core.ingestion.background import Background
from platform_core.ingestion.batch import BatchEncoder
from platform_core.ingestion.block import Block, Other, Records, collector_paused
from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.errors import ProtocolError
from platform_core.ingestion.evolution import write_shape
from platform_core.ingestion.protocol import (
    Json,
    Message,
    State,
    StreamKey,
    StreamStatus,
    TraceError,
    interpret,
)
from platform_core.ingestion.rows import RowEncoder
from platform_core.ingestion.state import (
    claim_streams,
    cursor_of,
    finish_sync,
    forget_state,
    lags,
    note_progress,
    states_after,
    stored_states,
    write_generation,
    write_state,
)
from platform_core.ingestion.tables import plan_table, read_table
from platform_core.ingestion.writer import StreamWriter

BUFFER_BYTES = 8_000_000  # rows in memory, over all streams; as much again while it is copied
COMMIT_BYTES = 400_000_000  # sealed rows in staging tables: fewer, larger merges cost the server less
COMMIT_SECONDS = 15.0  # how much of a slow source's work a kill may cost

_log = logging.getLogger(__name__)


class Loader:
    """Loads one sync over one session.

    Attributes:
        writers: One writer a stream.
        errors: The TRACE ERRORs that the source sent.
    """

    def __init__(
        self,
        session: psycopg.Connection[Any],
        *,
        domain: str,
        connection: str,
        sync_id: str,
        id_prefix: str,
        tasks: Sequence[StreamTask],
    ) -> None:
        """Plans the tables; nothing is written yet.

        Args:
            session: An autocommit session as the domain's owner.
            domain: Domain of the raw schema.
            connection: Name of the connection.
            sync_id: This sync.
            id_prefix: First 18 characters of the sync's row ids, ``xxxxxxxx-xxxx-8xxx``.
            tasks: The streams.

        Raises:
            LoadError: A raw table belongs to another connection, or was not made by ingestion.
        """
        self.writers: dict[StreamKey, StreamWriter] = {}
        self.errors: list[TraceError] = []
        self.generations = claim_streams(session, domain, connection, tasks)
        self._session, self._domain, self._connection, self._sync_id = session, domain, connection, sync_id
        self._shared_state: State | None = None
        self._sealed_shared: State | None = None
        self._since_shared = 0
        self._ignored: set[str] = set()
        self._touched: set[StreamKey] = set()
        self._background = Background()
        self._buffered = 0
        self._last_commit = time.monotonic()
        schema = naming.raw_schema(domain)
        for number, task in enumerate(tasks):
            plan = plan_table(read_table(session, schema, task.table), task.columns, f"{schema}.{task.table}")
            rows = RowEncoder(
                plan.columns,
                sync_id=sync_id,
                generation=self.generations[task.key],
                id_prefix=f"{id_prefix}-{0x8000 + number:04x}-",
                narrow=frozenset(range(len(plan.columns))) if task.fixed else plan.narrow,
            )
            self.writers[task.key] = StreamWriter(session, domain, task, plan=plan, encoder=BatchEncoder(rows), number=number)

    def feed(self, block: bytes) -> tuple[list[Message], bytes]:
        """Takes whole lines of the connector, in order.

        Args:
            block: The lines, separated by newlines.

        Returns:
            The messages that are not records (with noise as DEBUG logs left out), and the lines that belong into the raw copy.

        Raises:
            ProtocolError: The source's own counts say that rows were lost, or a record has no data.
        """
        with collector_paused():
            return self._feed(block)

    def _feed(self, block: bytes) -> tuple[list[Message], bytes]:
        read = Block(block)
        others: list[Message] = []
        dropped: set[int] = set()
        for part in read.parts():
            if isinstance(part, Records):
                dropped.update(self._take_records(part, read))
                continue
            message = self._take(part, read)
            if message is not None:
                others.append(message)
            if not isinstance(message, State):
                dropped.add(part.line)
        return others, read.without(dropped)

    def _take_records(self, part: Records, read: Block) -> Sequence[int]:
        """Takes records of one stream; gives the lines of those that nobody asked for."""
        writer = self.writers.get(part.key)
        if writer is None:
            self._ignore(part.key[1])
            return part.lines
        self._buffered += writer.add(part)
        writer.received_bytes += sum(len(read.lines[line]) for line in part.lines)
        return ()

    def _take(self, part: Other, read: Block) -> Message | None:
        if part.message is None:
            if read.lines[part.line]:
                _log.debug("connector wrote %d bytes that are no message", len(read.lines[part.line]))
            return None
        message = interpret(part.message)
        if isinstance(message, State):
            self._take_state(message)
        elif isinstance(message, StreamStatus):
            self._take_status(message)
        elif isinstance(message, TraceError):
            self._take_error(message)
        return message

    def _ignore(self, name: str) -> None:
        if name not in self._ignored:
            self._ignored.add(name)
            _log.warning(
                "%s/%s: records of the stream %r, which was not asked for, are ignored",
                self._domain,
                self._connection,
                name,
            )

    def _take_state(self, state: State) -> None:
        if state.stream is None:
            arrived = sum(writer.received for writer in self.writers.values()) - self._since_shared
            self._check_count(state, arrived, "all streams")
            self._since_shared += arrived
            self._shared_state = state
            # One state for all: it may go out only with everything that came before it, of every stream.
            if all(writer.task.checkpointed for writer in self.writers.values()):
                self._seal_shared()
            return
        writer = self.writers.get(state.stream)
        if writer is None:
            return
        self._check_count(state, writer.since_state, writer.task.name)
        writer.at_state = writer.received
        writer.latest_state = state
        if writer.task.checkpointed and (writer.task.deduplicate or not lags(state, writer.task.cursor_field, writer.newest)):
            writer.seal(state)

    def _check_count(self, state: State, arrived: int, name: str) -> None:
        if state.record_count is not None and state.record_count != arrived:
            raise ProtocolError(
                f"the source counts {state.record_count} records of {name} before a state, {arrived} arrived: nothing after the"
                " former state is kept",
                where=f"{self._domain}/{self._connection}",
                remedy="run the sync again; if it repeats, report it to the connector's maintainers",
            )

    def _seal_shared(self) -> None:
        for writer in self.writers.values():
            writer.seal(None)
        self._sealed_shared = self._shared_state

    def _take_status(self, status: StreamStatus) -> None:
        writer = self.writers.get(status.stream)
        if writer is None:
            return
        if status.status == "STARTED":
            writer.started = time.monotonic()
        elif status.status == "COMPLETE":
            writer.complete, writer.ended = True, time.monotonic()
            # The last state of a complete stream covers all its rows, also where earlier ones lagged behind. Rows that came
            # after it are covered by none: they wait for the success of the sync, or a kill would double them.
            if _intermediate(writer) and writer.latest_state is not None and writer.since_state == 0:
                writer.seal(writer.latest_state)
        elif status.status == "INCOMPLETE":
            writer.failed, writer.ended = True, time.monotonic()

    def _take_error(self, error: TraceError) -> None:
        self.errors.append(error)
        if error.stream in self.writers:
            self.writers[error.stream].failed = True

    @property
    def wants_commit(self) -> bool:
        """Whether enough is sealed, or enough time has passed, for a commit."""
        ready = [writer for writer in self.writers.values() if writer.sealed > writer.published and _intermediate(writer)]
        if not ready:
            return False
        return (
            time.monotonic() - self._last_commit > COMMIT_SECONDS
            or sum(writer.staged_bytes for writer in ready) > COMMIT_BYTES
            or (self._buffered > BUFFER_BYTES and any(writer.buffers for writer in ready))
        )

    def relieve(self) -> None:
        """Keeps memory bounded: what cannot be committed yet goes into staging tables."""
        self._background.look()
        if self._buffered > BUFFER_BYTES:
            self._background.wait()
            moves = [writer.spill() for writer in self.writers.values() if writer.buffered_bytes]
            self._recount()
            self._background.start(lambda: _run_all(moves))

    def commit(self, secured: Callable[[], None]) -> None:
        """Publishes the sealed rows of all checkpointed streams with their states, while more is fed.

        Whatever else uses the session waits for it, and raises what it raised.

        Args:
            secured: Returns when the raw copy of the rows would survive a kill; then the commit begins.
        """
        self._background.wait()
        action = self._prepared([writer for writer in self.writers.values() if writer.sealed > writer.published and _intermediate(writer)])
        self._background.start(lambda: _run_all((secured, action)))

    def wait(self) -> None:
        """Returns when no commit runs, for who uses the session himself.

        Raises:
            Exception: What the last commit raised.
        """
        self._background.wait()

    def states_at_success(self) -> list[Json]:
        """The connection's states as `finish` will leave them, for the manifest that is written before it."""
        self._background.wait()
        writers = self.writers.values()
        states = [writer.latest_state for writer in writers if writer.latest_state is not None]
        return states_after(
            stored_states(self._session, self._domain, self._connection),
            restarted=[writer.task.key for writer in writers if writer.task.replace],
            states=[*states, *([] if self._shared_state is None else [self._shared_state])],
        )

    def finish(self, raw_object: str | None) -> None:
        """The sync succeeded: publishes everything, and closes its history in the same transaction."""
        self._background.wait()
        for writer in self.writers.values():
            writer.seal(writer.latest_state)
        self._sealed_shared = self._shared_state
        self._prepared(list(self.writers.values()), raw_object=raw_object, succeeded=True)()

    def keep_what_is_sure(self) -> None:
        """The source failed: what it sealed before stays, and complete overwrites too, since they repeat without harm."""
        self._background.wait()
        ready: list[StreamWriter] = []
        for writer in self.writers.values():
            overwrite = writer.task.replace and writer.complete and not writer.failed and self._shared_state is None
            if overwrite:
                writer.seal(writer.latest_state)
            if overwrite or (writer.sealed > writer.published and _intermediate(writer)):
                ready.append(writer)
        if ready:
            self._prepared(ready)()

    def _prepared(self, writers: list[StreamWriter], *, raw_object: str | None = None, succeeded: bool = False) -> Callable[[], None]:
        """A commit whose rows and states are fixed now."""
        states = [(writer, writer.hand_over()) for writer in writers]
        shared = self._sealed_shared
        self._touched.update(writer.task.key for writer in writers)
        self._last_commit = time.monotonic()
        self._recount()
        figures = dict(self._figures())
        return lambda: self._commit(states, shared, figures, raw_object=raw_object, succeeded=succeeded)

    def _commit(
        self,
        states: list[tuple[StreamWriter, State | None]],
        shared: State | None,
        figures: Json,
        *,
        raw_object: str | None,
        succeeded: bool,
    ) -> None:
        session, domain, connection = self._session, self._domain, self._connection
        with session.transaction():
            for writer, state in states:
                writer.publish()
                generation = self.generations[writer.task.key]
                write_generation(session, domain, connection, stream=writer.task.name, generation=generation, sync_id=self._sync_id)
                if writer.task.shape is not None:
                    write_shape(session, domain, writer.task.name, writer.task.shape)
                if writer.task.replace:
                    forget_state(session, domain, connection, [writer.task.key])
                if state is not None:
                    write_state(session, domain, connection, self._sync_id, state)
            if shared is not None:
                write_state(session, domain, connection, self._sync_id, shared)
            note_progress(session, self._sync_id, figures)
            if succeeded:
                finish_sync(session, self._sync_id, "succeeded", raw_object, None)

    def _recount(self) -> None:
        self._buffered = sum(writer.buffered_bytes for writer in self.writers.values())

    def _figures(self) -> Iterator[tuple[str, Json]]:
        for writer in self.writers.values():
            cursor = cursor_of(writer.sealed_state, writer.task.cursor_field)
            yield (
                writer.task.name,
                {
                    "rows": writer.published,
                    "bytes": writer.received_bytes,
                    "cursor": cursor,
                    "committed": writer.task.key in self._touched,
                },
            )


def _intermediate(writer: StreamWriter) -> bool:
    """Whether the stream's sealed rows may become visible before the sync ends."""
    return writer.task.selection.incremental and not writer.task.replace


def _run_all(actions: Iterable[Callable[[], None]]) -> None:
    for action in actions:
        action()
