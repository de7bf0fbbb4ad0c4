"""Protocol messages into raw tables, exactly once: rows and the state that covers them commit in one transaction.

A STATE seals the rows that came before it; only sealed rows commit, together with that state. Whatever is killed in between
leaves the last pair of rows and state, and the next sync resumes from there. What is committed is fixed when the commit begins;
it then runs beside the decoding of what follows, and the session belongs to it until it ends. Sealed rows that need no merge are
copied into their table before, in a transaction that stays open until that commit.

| sync mode | when its rows become visible |
|---|---|
| incremental_deduped | with every state; the newest row a key stays |
| incremental_append | with every state that does not provably lag behind the rows, and with the end of the stream |
| full_refresh_overwrite | when the stream is complete, all at once, the former generation going in the same transaction |
| full_refresh_append | when the whole sync succeeded |
"""

from __future__ import annotations

import contextlib
import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

import psycopg

from platform_core.ingestion.background import Background
from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.evolution import write_shape
from platform_core.ingestion.protocol import (
    Json,
    Message,
    State,
    StreamKey,
    TraceError,
)
from platform_core.ingestion.receiving import Receiver
from platform_core.ingestion.state import (
    claim_streams,
    cursor_of,
    finish_sync,
    forget_state,
    note_progress,
    states_after,
    write_generation,
    write_state,
)
from platform_core.ingestion.writer import StreamWriter

BUFFER_BYTES = 6_000_000  # rows in memory, over all streams; as much again while it is copied
_IDLE_SHARE = 6  # which part of it is worth a COPY while Postgres has nothing to do
COMMIT_BYTES = 400_000_000  # sealed rows in the server: fewer, larger commits and merges cost it less
COMMIT_SECONDS = 15.0  # how much of a source's work a kill may cost

_log = logging.getLogger(__name__)


class Loader:
    """Loads one sync over one session.

    Attributes:
        writers: One writer a stream.
        generations: ``_airbyte_generation_id`` of each stream.
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
        self.generations = claim_streams(session, domain, connection, tasks)
        self._session, self._domain, self._connection, self._sync_id = session, domain, connection, sync_id
        self._touched: set[StreamKey] = set()
        self._background = Background()
        self._open: contextlib.AbstractContextManager[Any] | None = None  # the transaction that early rows are in
        self._last_commit = time.monotonic()
        for number, task in enumerate(tasks):
            generation = self.generations[task.key]
            self.writers[task.key] = StreamWriter.planned(
                session, domain, task, sync_id=sync_id, id_prefix=id_prefix, generation=generation, number=number
            )
        self._receiver = Receiver(self.writers, f"{domain}/{connection}")

    @property
    def errors(self) -> list[TraceError]:
        """The TRACE ERRORs that the source sent."""
        return self._receiver.errors

    def feed(self, block: bytes) -> tuple[list[Message], bytes]:
        """Takes whole lines of the connector, in order, see `Receiver.feed`."""
        return self._receiver.feed(block)

    @property
    def _buffered(self) -> int:
        return sum(writer.buffered_bytes for writer in self.writers.values())

    @property
    def wants_commit(self) -> bool:
        """Whether enough is sealed, or enough time has passed, for a commit."""
        ready = [writer for writer in self.writers.values() if writer.sealed > writer.published and writer.intermediate]
        if not ready:
            return False
        return (
            time.monotonic() - self._last_commit > COMMIT_SECONDS
            or sum(writer.staged_bytes + writer.early_bytes for writer in ready) > COMMIT_BYTES
            or (self._buffered > BUFFER_BYTES and any(writer.buffers and not writer.copies_early for writer in ready))
        )

    def relieve(self) -> None:
        """Keeps memory bounded: what is not committed yet goes into the open transaction, or into staging tables."""
        if self._buffered > (BUFFER_BYTES // _IDLE_SHARE if self._background.idle() else BUFFER_BYTES):
            self._background.wait()
            moves = self._early_moves()
            if self._buffered > BUFFER_BYTES:
                moves += [writer.spill() for writer in self.writers.values() if writer.buffered_bytes]
            if moves:
                self._background.start(lambda: _run_all(moves))

    def bring_ahead(self) -> None:
        """The source has no more: its last sealed rows go into the open transaction, while the raw copy is finished."""
        moves = self._early_moves()
        if moves:
            self._background.follow(lambda: _run_all(moves))

    def _early_moves(self) -> list[Callable[[], object]]:
        """Takes the sealed rows that may go into their tables before their commit; what brings them there, in the open transaction.

        Rows that no state has sealed yet stay in memory where there is room: once a stream has gone to its staging table, it has to
        stay there, and every row is written twice.
        """
        moves = [move for writer in self.writers.values() if writer.copies_early and (move := writer.copy_early()) is not None]
        return [self._begin, *moves] if moves else []

    def _begin(self) -> contextlib.AbstractContextManager[Any]:
        """The transaction that is open, or a new one; it ends with a commit, or with `give_up`."""
        if self._open is None:
            opening = self._session.transaction()
            opening.__enter__()
            self._open = opening
        return self._open

    def commit(self, secured: Callable[[], None]) -> None:
        """Publishes the sealed rows of all checkpointed streams with their states, while more is fed.

        Whatever else uses the session waits for it, and raises what it raised.

        Args:
            secured: Returns when the raw copy of the rows would survive a kill; then the commit begins.
        """
        self._background.wait()
        action = self._prepared([writer for writer in self.writers.values() if writer.sealed > writer.published and writer.intermediate])
        self._background.start(lambda: _run_all((secured, action)))

    def wait(self) -> None:
        """Returns when no commit runs, for who uses the session himself.

        Raises:
            Exception: What the last commit raised.
        """
        self._background.wait()

    def give_up(self) -> None:
        """The sync failed: waits for a commit that runs, and drops what was not committed. Then the session is the caller's.

        Raises:
            Exception: What the last commit raised.
        """
        try:
            self._background.wait()
        finally:
            opened, self._open = self._open, None
            if opened is not None:
                # A lost session has rolled back by itself; then psycopg hands its own signal on.
                with contextlib.suppress(psycopg.Rollback), contextlib.ExitStack() as transaction:
                    transaction.push(opened)
                    raise psycopg.Rollback

    def states_at_success(self, stored: Sequence[Json]) -> list[Json]:
        """The connection's states as `finish` will leave them, for the manifest that is written before it.

        Args:
            stored: What `stored_states` gave when the sync began.
        """
        writers = self.writers.values()
        states = [writer.latest_state for writer in writers if writer.latest_state is not None]
        return states_after(
            stored,
            restarted=[writer.task.key for writer in writers if writer.task.replace],
            states=[*states, *([] if self._receiver.shared_state is None else [self._receiver.shared_state])],
        )

    def finish(self, raw_object: str | None) -> None:
        """The sync succeeded: publishes everything, and closes its history in the same transaction."""
        self._background.wait()
        for writer in self.writers.values():
            writer.seal(writer.latest_state)
        self._receiver.sealed_shared = self._receiver.shared_state
        self._prepared(list(self.writers.values()), raw_object=raw_object, succeeded=True)()

    def keep_what_is_sure(self) -> None:
        """The source failed: what it sealed before stays, and complete overwrites too, since they repeat without harm."""
        self._background.wait()
        ready: list[StreamWriter] = []
        for writer in self.writers.values():
            overwrite = writer.task.replace and writer.complete and not writer.failed and self._receiver.shared_state is None
            if overwrite:
                writer.seal(writer.latest_state)
            if overwrite or (writer.sealed > writer.published and writer.intermediate):
                ready.append(writer)
        if ready:
            self._prepared(ready)()

    def _prepared(self, writers: list[StreamWriter], *, raw_object: str | None = None, succeeded: bool = False) -> Callable[[], None]:
        """A commit whose rows and states are fixed now."""
        states = [(writer, writer.hand_over()) for writer in writers]
        shared = self._receiver.sealed_shared
        self._touched.update(writer.task.key for writer in writers)
        self._last_commit = time.monotonic()
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
        with contextlib.ExitStack() as transaction:
            transaction.push(self._begin())
            self._open = None
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


def _run_all(actions: Iterable[Callable[[], object]]) -> None:
    for action in actions:
        action()
