"""One readable file into the raw table: through the loader of connectors, as one sync with its raw copy."""

from __future__ import annotations

import logging
import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import orjson
import psycopg
from psycopg import sql

from platform_core.contracts import did_you_mean, naming
from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.connection import Connection, ConnectorReference, Schedule, StreamSelection, Timeouts
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.drops.content import FileContent, open_content
from platform_core.ingestion.drops.drop import FILE_COLUMN, ROW_COLUMN, Drop
from platform_core.ingestion.drops.empty_columns import type_empty_columns
from platform_core.ingestion.drops.errors import UnreadableFileError
from platform_core.ingestion.drops.inference import Profile, TextReading, choose_kinds, json_schema, profile, typed_value
from platform_core.ingestion.drops.ledger import Load
from platform_core.ingestion.errors import IngestionError
from platform_core.ingestion.loader import Loader
from platform_core.ingestion.protocol import Json, dump_json
from platform_core.ingestion.raw_manifest import end_manifest, start_manifest
from platform_core.ingestion.room import is_too_wide
from platform_core.ingestion.state import Committed, finish_sync, start_sync
from platform_core.ingestion.tables import read_table
from platform_core.ingestion.types import Kind, columns_of
from platform_core.lake import RawCopy, RawCopyError

_BATCH_BYTES = 256_000
_MOST_COLUMNS = 1500  # Postgres has 1600, the platform's own among them
_KINDS = {kind.value for kind in Kind}
_LOST = {"change": "NULLED", "reason": "SOURCE_RETRIEVAL_ERROR"}  # words of the Airbyte protocol

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class LoadedFile:
    """A file in the raw table.

    Attributes:
        path: The file, below the location.
        rows: Its rows.
        replaced: Rows of its former version that left the table.
        unfit: Column to number of values that did not fit its type; they are NULL, and ``_airbyte_meta.changes`` says so.
        schema_changes: What changed in the table's shape.
        sync_id: The load; ``raw_object`` its raw copy.
    """

    path: str
    rows: int
    replaced: int
    unfit: dict[str, int]
    schema_changes: tuple[str, ...]
    sync_id: str
    raw_object: str


def as_connection(drop: Drop) -> Connection:
    """The drop as a connection: what the lock, the history and the raw copies of ingestion go by."""
    mode = "incremental_deduped" if drop.model.primary_key else "full_refresh_append"
    return Connection(
        domain=drop.domain,
        name=drop.name,
        path=drop.path,
        description=drop.model.description,
        connector=ConnectorReference(package="dropped-files", version="1"),
        manifest=None,
        config={},
        streams=(StreamSelection(name=drop.model.stream, sync_mode=mode, primary_key=drop.model.primary_key or None),),
        schedule=Schedule(),
        timeouts=Timeouts(),
        schema_changes="propagate",
        memory_bytes=None,
        content_hash=drop.content_hash,
        document=drop.document,
    )


def load_file(
    session: psycopg.Connection[Any],
    drop: Drop,
    *,
    source: Path,
    name: str,
    lake_url: str,
    in_transaction: Callable[[Load], int],
    on_rows: Callable[[int], None],
) -> LoadedFile:
    """Loads one file: every row, or none.

    Args:
        session: Autocommit, as the domain's owner, holding the drop's lock.
        drop: The declaration.
        source: The file on this machine; it does not change any more.
        name: Its path below the location.
        lake_url: Where raw copies go.
        in_transaction: Called before the rows are written, in their transaction; returns how many former rows it removed.
        on_rows: Called with the number of rows read so far.

    Raises:
        UnreadableFileError: The file cannot be read to its end; nothing of it was loaded.
        LoadError: The warehouse cannot take the rows.
        RawCopyError: The lake cannot take the raw copy.
    """
    reading = TextReading.of(drop.model.options)
    content = open_content(source, name, drop)
    table = read_table(session, naming.raw_schema(drop.domain), drop.model.stream)
    stored = {column.name: Kind(column.type) for column in table if column.type in _KINDS}
    found = profile(content, reading, stored)
    _check_names(drop, content, found)
    filled = type_empty_columns(session, drop, table, found)
    stored |= filled
    kinds, unfit = choose_kinds(found, stored, drop.model.options)
    notes = tuple(f"column {column} text became {kind}: it had no value yet" for column, kind in filled.items())
    work = _Load(session, drop, kinds, name, lake_url, notes)
    return work.run(_values(content, kinds, reading), found.rows, unfit=unfit, in_transaction=in_transaction, on_rows=on_rows)


def _check_names(drop: Drop, content: FileContent, found: Profile) -> None:
    known = set(found.kinds)
    if len(known) > _MOST_COLUMNS:
        raise UnreadableFileError(
            f"The file has {len(known):,} columns; a table can have {_MOST_COLUMNS:,}.",
            remedy="Turn the table round, so that what are columns now become rows, or split the file.",
        )
    needed = [*drop.model.primary_key, *drop.model.options.types] if content.fields or found.rows else []
    for field in needed:
        if field not in known:
            raise UnreadableFileError(
                f"The file has no column {field!r}{did_you_mean(field, known)}; it has {', '.join(map(repr, found.kinds)) or 'none'}.",
                remedy=f"Add the column {field!r}, or correct its name at the top of the file.",
            )


def _values(content: FileContent, kinds: dict[str, Kind], reading: TextReading) -> Iterator[tuple[int, str | bytes, tuple[str, ...]]]:
    """Each row's number, its fields as JSON without the opening brace, and the fields that the source lost."""
    if content.texts:
        pairs = list(kinds.items())
        for row in content.rows():
            values = row.values
            written = {
                name: reading.value(text, kind) if (text := values.get(name)) and not text.isspace() else None for name, kind in pairs
            }
            yield row.number, orjson.dumps(written)[1:], row.lost
    elif content.fields:
        for row in content.rows():
            written = {name: typed_value(value, kinds[name]) for name, value in row.values.items()}
            yield row.number, orjson.dumps(written)[1:], row.lost
    else:
        for row in content.rows():
            yield row.number, dump_json(row.values).encode()[1:], row.lost


class _Load:
    def __init__(
        self, session: psycopg.Connection[Any], drop: Drop, kinds: dict[str, Kind], name: str, lake_url: str, notes: tuple[str, ...]
    ) -> None:
        self._session, self._drop, self._name, self._lake_url, self._notes = session, drop, name, lake_url, notes
        self._connection = as_connection(drop)
        self._sync_id = f"{datetime.now(UTC):%Y%m%dT%H%M%S}Z-{secrets.token_hex(6)}"
        schema = json_schema({FILE_COLUMN: Kind.TEXT, ROW_COLUMN: Kind.BIGINT, **kinds})
        stream, key = drop.model.stream, drop.model.primary_key
        self._task = StreamTask(
            key=(None, stream),
            selection=self._connection.streams[0],
            offered={"name": stream, "json_schema": schema},
            columns=columns_of(schema),
            table=stream,
            cursor_field=(),
            primary_key=key,
            deduplicate=bool(key),
            replace=False,
            checkpointed=False,
        )

    def run(
        self,
        values: Iterator[tuple[int, str | bytes, tuple[str, ...]]],
        expected: int,
        *,
        unfit: frozenset[str],
        in_transaction: Callable[[Load], int],
        on_rows: Callable[[int], None],
    ) -> LoadedFile:
        session, drop = self._session, self._drop
        session.execute("DISCARD TEMP")  # the staging table of the file before
        random = secrets.token_hex(8)
        prefix = f"{random[:8]}-{random[8:12]}-8{random[12:15]}"  # RFC 9562 version 8, as in a connector's sync
        loader = Loader(session, domain=drop.domain, connection=drop.name, sync_id=self._sync_id, id_prefix=prefix, tasks=[self._task])
        manifest = start_manifest(
            self._connection,
            command=ConnectorCommand((), "dropped-files", "1"),
            sync_id=self._sync_id,
            id_prefix=prefix,
            started=datetime.now(UTC),
            tasks=[self._task],
            generations=loader.generations,
            state=None,
        )
        manifest["file"] = self._name
        start_sync(session, self._sync_id, drop.domain, drop.name, f"dropped file {self._name}")
        writer = loader.writers[self._task.key]

        def ended(status: str, committed: dict[str, Committed]) -> Json:
            received = {self._task.name: (writer.received, writer.received_bytes)}
            return end_manifest(manifest, status=status, finished=datetime.now(UTC), received=received, committed=committed, states=[])

        raw: RawCopy | None = None
        try:
            raw = RawCopy(self._lake_url, drop.domain, drop.name, self._sync_id, manifest)
            for batch in _batches(self._lines(values)):
                _, kept = loader.feed(batch)
                raw.write(kept)
                loader.relieve()
                on_rows(writer.received)
            if writer.received != expected:
                raise UnreadableFileError("The file changed while it was read.", remedy="Drop it again when it is finished.")
            loader.wait()  # rows may still be on their way into the staging table, over the session that is used now
            raw_object = raw.finish(ended("succeeded", {self._task.name: Committed(writer.received)}))
            with session.transaction():
                replaced = in_transaction(Load(self._sync_id, self._name, writer.received))
                loader.finish(raw_object)
        except BaseException as error:
            try:
                loader.wait()
            except (psycopg.Error, IngestionError):
                _log.exception("%s: what ran beside this failure failed too", drop.id)
            self._record_failure(raw, ended, error)
            if isinstance(error, psycopg.errors.ProgramLimitExceeded):  # the file's doing: the files after it must not wait for it
                raise _beyond_its_room(error, self._drop, len(self._task.columns)) from error
            raise
        return LoadedFile(
            path=self._name,
            rows=writer.received,
            replaced=replaced,
            unfit=self._count_unfit(unfit),
            schema_changes=(*self._notes, *writer.notes),
            sync_id=self._sync_id,
            raw_object=raw_object,
        )

    def _lines(self, values: Iterator[tuple[int, str | bytes, tuple[str, ...]]]) -> Iterator[bytes]:
        """The rows as the RECORD messages of a connector."""
        stream, name = orjson.dumps(self._task.name), orjson.dumps(self._name)
        head = b'{"type":"RECORD","record":{"stream":%b,"emitted_at":%d,"data":{"%b":%b,"%b":' % (
            stream, int(time.time() * 1000), FILE_COLUMN.encode(), name, ROW_COLUMN.encode(),
        )  # fmt: skip
        for number, fields, lost in values:
            body = fields.encode() if isinstance(fields, str) else fields
            comma = b"" if body == b"}" else b","
            changes = [{"field": field, **_LOST} for field in lost]
            meta = b',"meta":' + orjson.dumps({"changes": changes}) if changes else b""
            yield b"%b%d%b%b%b}}" % (head, number, comma, body, meta)

    def _count_unfit(self, fields: frozenset[str]) -> dict[str, int]:
        if not fields:
            return {}
        table = sql.Identifier(naming.raw_schema(self._drop.domain), self._drop.model.stream)
        rows = self._session.execute(
            sql.SQL(
                "SELECT change ->> 'field', count(*) FROM {}, jsonb_array_elements(\"_airbyte_meta\" -> 'changes') AS change"
                " WHERE \"_airbyte_meta\" ->> 'sync_id' = %s GROUP BY 1 ORDER BY 1"
            ).format(table),
            (self._sync_id,),
        )
        return {str(field): int(count) for field, count in rows}

    def _record_failure(self, raw: RawCopy | None, ended: Callable[[str, dict[str, Committed]], Json], error: BaseException) -> None:
        """Closes the history of a load that failed; must not hide the failure itself."""
        status, raw_object = "failed" if isinstance(error, Exception) else "cancelled", None
        try:
            raw_object = raw.finish(ended(status, {})) if raw is not None else None
        except RawCopyError:
            _log.exception("%s: the raw copy of the failed load could not be kept", self._drop.id)
        try:
            finish_sync(self._session, self._sync_id, status, raw_object, str(error))
        except psycopg.Error:
            _log.exception("%s: the failure could not be written to mesh.syncs", self._drop.id)


def _beyond_its_room(error: psycopg.Error, drop: Drop, columns: int) -> UnreadableFileError:
    if is_too_wide(error):
        return UnreadableFileError(
            f"A row fills too many of the file's {columns - 2:,} columns: a row of a table holds about 1,000 numbers or 400 texts.",
            remedy="Turn the table round, so that what are columns now become rows, or split the file.",
        )
    return UnreadableFileError(
        f"A row has a very long text in {' or '.join(map(repr, drop.model.primary_key))}, by which rows are told apart.",
        remedy="Look whether a text got into the wrong column.",
    )


def _batches(lines: Iterator[bytes]) -> Iterator[bytes]:
    batch: list[bytes] = []
    size = 0
    for line in lines:
        batch.append(line)
        size += len(line)
        if size > _BATCH_BYTES:
            yield b"\n".join(batch)
            batch, size = [], 0
    if batch:
        yield b"\n".join(batch)
