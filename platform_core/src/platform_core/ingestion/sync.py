"""One sync of one connection, from the environment of its connector to committed rows."""

from __future__ import annotations

import contextlib
import logging
import os
import secrets
import time
from collections.abc import Callable, Collection, Generator, Mapping
from datetime import UTC, datetime
from typing import Any

import psycopg

from platform_core.ingestion.catalog import StreamTask, configured_catalog, plan_streams
from platform_core.ingestion.config import fit_to_spec, resolve_config
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.connector import ConnectorCommand, ConnectorRun
from platform_core.ingestion.conversation import failure, log_message
from platform_core.ingestion.discovery import Discovery
from platform_core.ingestion.environment import connection_command
from platform_core.ingestion.errors import ConnectorError, IngestionError, SchemaChangeError
from platform_core.ingestion.evolution import settle_all
from platform_core.ingestion.kept_config import KeptConfig
from platform_core.ingestion.loader import Loader
from platform_core.ingestion.protocol import Control, Json, Log
from platform_core.ingestion.raw_manifest import end_manifest, start_manifest
from platform_core.ingestion.recovery import settle_dead_syncs
from platform_core.ingestion.result import Progress, SyncResult, stream_result
from platform_core.ingestion.resuming import read_state
from platform_core.ingestion.room import ROOM_ERRORS, beyond_its_room
from platform_core.ingestion.session import locked_session
from platform_core.ingestion.state import Committed, committed_streams, cursor_of, finish_sync, start_sync, stored_states
from platform_core.lake import RawCopy, RawCopyError
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_PROGRESS_SECONDS = 0.5
_LOOK_SECONDS = 1.0  # of a source's silence, until it is looked whether something is due for a commit
_log = logging.getLogger(__name__)


def run_sync(
    connection: Connection,
    *,
    warehouse: Warehouse,
    settings: Settings,
    streams: Collection[str] | None = None,
    full_refresh: bool = False,
    accept_changes: bool = False,
    on_progress: Callable[[Progress], None] | None = None,
    connector: ConnectorCommand | None = None,
) -> SyncResult:
    """Syncs a connection into the raw schema of its domain.

    Success means: the connector ended with code 0, reported no error, and every selected stream was COMPLETE. On failure,
    what the source sealed with a state stays; the next sync resumes from there, without loss or double rows.

    Args:
        connection: The connection file.
        warehouse: Where the raw tables are.
        settings: Home (connector environments), lake URL, repository (locks).
        streams: Names of the streams to sync, all by default.
        full_refresh: Forget the state, read everything, and replace the tables in one transaction a sync.
        accept_changes: Take a changed schema although the connection's policy is to pause (or ignore).
        on_progress: Called about twice a second, from this thread.
        connector: Overrides the connector of the file (tests, connectors outside the index).

    Raises:
        ConnectionFileError: A stream does not exist, or not in that mode.
        ConfigurationError: An environment variable is missing, or the spec refuses the configuration.
        ConnectorEnvironmentError: The connector cannot be installed.
        ConcurrentSyncError: The connection is being synced already.
        ConnectorError: The connector failed; the message is its own.
        ProtocolError: The connector's own counts say that rows were lost.
        SchemaChangeError: The source's schema changed, and the connection's policy is to pause.
        SharedStateError: The streams share one state, so that some of them cannot be synced alone.
        LoadError: The warehouse cannot take the rows.
        RawCopyError: The lake cannot take the raw copy.
    """
    began = time.monotonic()
    with open_source(connection, warehouse=warehouse, settings=settings, connector=connector) as (session, command, discovery, kept):
        tasks = plan_streams(connection, discovery.catalog(connection, kept), only=streams, full_refresh=full_refresh)
        sync = _Sync(
            connection,
            command=command,
            kept=kept,
            tasks=tasks,
            accept=accept_changes,
            session=session,
            settings=settings,
            began=began,
            on_progress=on_progress,
        )
        result = sync.run()
    if any(stream.undeclared for stream in result.streams.values()):
        discovery.forget_catalog(kept.declared)
    return result


@contextlib.contextmanager
def open_source(
    connection: Connection,
    *,
    warehouse: Warehouse,
    settings: Settings,
    connector: ConnectorCommand | None = None,
    environ: Mapping[str, str] | None = None,
) -> Generator[tuple[psycopg.Connection[Any], ConnectorCommand, Discovery, KeptConfig]]:
    """All that a conversation with the source needs, while the connection's lock is held: two at once could use one token twice.

    ``environ`` resolves the placeholders, the process environment by default. Gives the locked session, the connector, what answers
    its questions, and its configuration. Raises as ``run_sync``.
    """
    declared = resolve_config(connection, os.environ if environ is None else environ)
    command = connector or connection_command(connection, repo=settings.repo, home=settings.home)
    discovery = Discovery(command, settings.home)
    declared = fit_to_spec(connection, declared, discovery.spec(connection.manifest))

    def connect() -> psycopg.Connection[Any]:
        return warehouse.connect_domain(connection.domain, autocommit=True)

    with locked_session(warehouse, connection) as session:
        yield session, command, discovery, KeptConfig(session, connection, declared, connect=connect)


class _Sync:
    """The steps of a sync that holds its connection's lock."""

    def __init__(
        self,
        connection: Connection,
        *,
        command: ConnectorCommand,
        kept: KeptConfig,
        tasks: list[StreamTask],
        accept: bool,
        session: psycopg.Connection[Any],
        settings: Settings,
        began: float,
        on_progress: Callable[[Progress], None] | None,
    ) -> None:
        self._connection, self._command, self._kept, self._tasks = connection, command, kept, tasks
        self._accept = accept
        self._session, self._settings, self._began, self._on_progress = session, settings, began, on_progress
        self._sync_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}Z-{secrets.token_hex(6)}"
        random = secrets.token_hex(8)
        self._id_prefix = f"{random[:8]}-{random[8:12]}-8{random[12:15]}"  # RFC 9562 version 8: our own layout
        self._last_log: Log | None = None
        self._shown = 0.0

    def run(self) -> SyncResult:
        connection, session = self._connection, self._session
        settle_dead_syncs(session, connection, self._settings.lake_url)
        self._settle_schemas()
        loader = Loader(
            session,
            domain=connection.domain,
            connection=connection.name,
            sync_id=self._sync_id,
            id_prefix=self._id_prefix,
            tasks=self._tasks,
        )
        stored = stored_states(session, connection.domain, connection.name)
        state = read_state(stored, connection, self._tasks)
        manifest = start_manifest(
            connection,
            command=self._command,
            sync_id=self._sync_id,
            id_prefix=self._id_prefix,
            started=datetime.now(UTC),
            tasks=self._tasks,
            generations=loader.generations,
            state=state,
        )
        start_sync(session, self._sync_id, connection.domain, connection.name, str(self._command))
        try:
            raw = RawCopy(self._settings.lake_url, connection.domain, connection.name, self._sync_id, manifest)
        except RawCopyError as error:
            finish_sync(session, self._sync_id, "failed", None, self._kept.redact(str(error)))
            raise

        def ended(status: str, committed: dict[str, Committed], states: list[Json]) -> Json:
            received = {writer.task.name: (writer.received, writer.received_bytes) for writer in loader.writers.values()}
            return end_manifest(manifest, status=status, finished=datetime.now(UTC), received=received, committed=committed, states=states)

        try:
            self._load(loader, raw, state)
            everything = {writer.task.name: Committed(writer.received) for writer in loader.writers.values()}
            raw_object = raw.finish(ended("succeeded", everything, loader.states_at_success(stored)))
            loader.finish(raw_object)
        except BaseException as error:
            try:
                loader.give_up()
            except (psycopg.Error, IngestionError, RawCopyError):
                _log.exception("%s: a commit that ran beside this failure failed too", connection.id)
            self._record_failure(raw, ended, error)
            if isinstance(error, ROOM_ERRORS):
                raise beyond_its_room(error, connection) from error
            raise
        return SyncResult(
            sync_id=self._sync_id,
            streams={writer.task.name: stream_result(writer) for writer in loader.writers.values()},
            raw_object=raw_object,
            seconds=time.monotonic() - self._began,
        )

    def _settle_schemas(self) -> None:
        """Takes the streams' schemas as the connection's policy says; a pause is part of the history."""
        connection, session = self._connection, self._session
        try:
            self._tasks = settle_all(session, connection, self._tasks, accept=self._accept)
        except SchemaChangeError as error:
            start_sync(session, self._sync_id, connection.domain, connection.name, str(self._command))
            finish_sync(session, self._sync_id, "failed", None, str(error))
            raise

    def _load(self, loader: Loader, raw: RawCopy, state: Json | list[Json] | None) -> None:
        limits = self._connection.timeouts
        try:
            with ConnectorRun(
                self._command,
                "read",
                config=self._kept.config.data,
                catalog=configured_catalog(self._tasks, loader.generations),
                state=state,
                idle_seconds=limits.idle,
                total_seconds=limits.total,
                memory_bytes=self._connection.memory_bytes,
                redact=self._kept.redact,
            ) as run:
                for block in run.blocks(pause=_LOOK_SECONDS):
                    others, kept = loader.feed(block) if block else ([], b"")
                    raw.write(kept)
                    for message in others:
                        self._hear(message)
                    if loader.wants_commit:
                        loader.commit(raw.securing())
                    loader.relieve()
                    self._show(loader)
                loader.bring_ahead()
                self._judge(loader, run)
        except ConnectorError:
            raw.secure()
            loader.keep_what_is_sure()
            raise
        self._show(loader, last=True)

    def _judge(self, loader: Loader, run: ConnectorRun) -> None:
        code = run.exit_code()
        where = self._connection.path
        if loader.errors or code:
            raise failure(
                self._command,
                "read",
                code=code,
                errors=loader.errors,
                last_log=self._last_log,
                stderr=run.stderr_tail(),
                redact=self._kept.redact,
                where=where,
            )
        unfinished = [writer.task.name for writer in loader.writers.values() if not writer.complete or writer.failed]
        if unfinished:
            raise ConnectorError(
                f"read ended with code 0, but these streams were not reported COMPLETE: {', '.join(unfinished)}{run.stderr_tail()}",
                where=f"{where} ({self._command})",
                remedy="run it again; if it repeats, use another version of the connector",
            )

    def _hear(self, message: object) -> None:
        if isinstance(message, Log):
            log_message(self._command, message, self._kept.redact)
            if message.level in ("ERROR", "FATAL"):
                self._last_log = message
        elif isinstance(message, Control):
            self._kept.keep(message.config)

    def _show(self, loader: Loader, *, last: bool = False) -> None:
        now = time.monotonic()
        if self._on_progress is None or (not last and now - self._shown < _PROGRESS_SECONDS):
            return
        self._shown = now
        writers = loader.writers.values()
        self._on_progress(
            Progress(
                connection=self._connection.id,
                rows={writer.task.name: writer.received for writer in writers},
                bytes=sum(writer.received_bytes for writer in writers),
                cursors={writer.task.name: cursor_of(writer.latest_state, writer.task.cursor_field) for writer in writers},
                seconds=now - self._began,
            )
        )

    def _record_failure(self, raw: RawCopy, ended: Callable[[str, dict[str, Committed], list[Json]], Json], error: BaseException) -> None:
        """Keeps what there is for whoever looks into the failure. Must not hide the failure itself.

        What was committed is asked of the warehouse: after an error in a commit only it knows. When it does not answer, the row
        of ``mesh.syncs`` goes on saying ``running``, and the next sync settles this one.
        """
        status = "failed" if isinstance(error, Exception) else "cancelled"
        connection, raw_object = self._connection, None
        try:
            committed = committed_streams(self._session, self._sync_id)
            manifest = ended(status, committed, stored_states(self._session, connection.domain, connection.name))
        except psycopg.Error:
            _log.exception("%s: the warehouse does not say what the failed sync committed", connection.id)
            manifest = {**ended("running", {}, []), "state_after": None}
        try:
            raw_object = raw.finish(manifest)
        except RawCopyError:
            _log.exception("%s: the raw copy of the failed sync could not be kept", connection.id)
        try:
            finish_sync(self._session, self._sync_id, status, raw_object, self._kept.redact(str(error)))
        except psycopg.Error:
            _log.exception("%s: the failure could not be written to mesh.syncs", connection.id)
