"""A connector's messages to the writers of their streams, and what its states and statuses say of the rows that came before.

A STATE seals the rows that came before it. Its own count of them, where it gives one, must be the number that arrived.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence

from platform_core.ingestion.block import Block, Other, Records, collector_paused
from platform_core.ingestion.errors import ProtocolError
from platform_core.ingestion.protocol import Message, State, StreamKey, StreamStatus, TraceError, interpret
from platform_core.ingestion.state import lags
from platform_core.ingestion.typed import Rows, TypedBlock, TypedReader
from platform_core.ingestion.writer import StreamWriter

_log = logging.getLogger(__name__)


class Receiver:
    """Takes the messages of one sync.

    Attributes:
        errors: The TRACE ERRORs that the source sent.
        shared_state: The last state that is one for all streams; ``sealed_shared`` the one that the sealed rows go with.
    """

    def __init__(self, writers: Mapping[StreamKey, StreamWriter], where: str) -> None:
        """Prepares it.

        Args:
            writers: One a stream.
            where: Domain and connection, for errors and logs.
        """
        self.errors: list[TraceError] = []
        self.shared_state: State | None = None
        self.sealed_shared: State | None = None
        self._writers, self._where = writers, where
        shapes = {key: writer.encoder.rows.columns for key, writer in writers.items() if not writer.encoder.rows.whole}
        self._typed = TypedReader(shapes)
        self._since_shared = 0
        self._ignored: set[str] = set()

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
        read = self._typed.read(block) or Block(block)
        others: list[Message] = []
        dropped: set[int] = set()
        for part in read.parts():
            if not isinstance(part, Other):
                dropped.update(self._take_records(part, read))
                continue
            message = self._take(part, read)
            if message is not None:
                others.append(message)
            if not isinstance(message, State):
                dropped.add(part.line)
        return others, read.without(dropped)

    def _take_records(self, part: Records | Rows, read: Block | TypedBlock) -> Sequence[int]:
        """Takes records of one stream; gives the lines of those that nobody asked for."""
        writer = self._writers.get(part.key)
        if writer is None:
            self._ignore(part.key[1])
            return part.lines
        writer.add(part)
        writer.received_bytes += read.size_of(part.lines)
        return ()

    def _take(self, part: Other, read: Block | TypedBlock) -> Message | None:
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
            _log.warning("%s: records of the stream %r, which was not asked for, are ignored", self._where, name)

    def _take_state(self, state: State) -> None:
        if state.stream is None:
            arrived = sum(writer.received for writer in self._writers.values()) - self._since_shared
            self._check_count(state, arrived, "all streams")
            self._since_shared += arrived
            self.shared_state = state
            # One state for all: it may go out only with everything that came before it, of every stream.
            if all(writer.task.checkpointed for writer in self._writers.values()):
                self._seal_shared()
            return
        writer = self._writers.get(state.stream)
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
                where=self._where,
                remedy="run the sync again; if it repeats, report it to the connector's maintainers",
            )

    def _seal_shared(self) -> None:
        for writer in self._writers.values():
            writer.seal(None)
        self.sealed_shared = self.shared_state

    def _take_status(self, status: StreamStatus) -> None:
        writer = self._writers.get(status.stream)
        if writer is None:
            return
        if status.status == "STARTED":
            writer.started = time.monotonic()
        elif status.status == "COMPLETE":
            writer.complete, writer.ended = True, time.monotonic()
            # The last state of a complete stream covers all its rows, also where earlier ones lagged behind. Rows that came
            # after it are covered by none: they wait for the success of the sync, or a kill would double them.
            if writer.intermediate and writer.latest_state is not None and writer.since_state == 0:
                writer.seal(writer.latest_state)
        elif status.status == "INCOMPLETE":
            writer.failed, writer.ended = True, time.monotonic()

    def _take_error(self, error: TraceError) -> None:
        self.errors.append(error)
        writer = self._writers.get(error.stream) if error.stream is not None else None
        if writer is not None:
            writer.failed = True
