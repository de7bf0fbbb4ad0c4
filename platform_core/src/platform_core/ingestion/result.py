"""What a sync tells: its results, and how far it is."""

from __future__ import annotations

from dataclasses import dataclass

from platform_core.ingestion.state import cursor_of
from platform_core.ingestion.writer import StreamWriter


@dataclass(frozen=True)
class StreamResult:
    """What a sync did to one raw table.

    Attributes:
        rows: Records received.
        bytes: Their size as sent by the source.
        seconds: From the start of the stream to its end.
        cursor: Where the stream now stands, as text.
        table: ``<schema>.<table>``.
        columns: Column name to Postgres type, without the ``_airbyte_*`` columns.
        schema_changes: What changed in the table's shape.
        ignored_changes: What changed in the source and was kept away from the table (``schema_changes: ignore``).
        removed: Columns of the table that the source no longer has; new rows have NULL there.
        undeclared: Fields that the source sends and does not declare: they are in the raw copy only.
        generation: ``_airbyte_generation_id``.
    """

    rows: int
    bytes: int
    seconds: float
    cursor: str | None
    table: str
    columns: dict[str, str]
    schema_changes: tuple[str, ...]
    ignored_changes: tuple[str, ...]
    removed: tuple[str, ...]
    undeclared: tuple[str, ...]
    generation: int


@dataclass(frozen=True)
class SyncResult:
    """A successful sync.

    Attributes:
        sync_id: Its name, also in ``_airbyte_meta`` of every row and in ``mesh.syncs``.
        streams: Result of each stream.
        raw_object: URL of the raw copy.
        seconds: Wall time.
    """

    sync_id: str
    streams: dict[str, StreamResult]
    raw_object: str
    seconds: float


@dataclass(frozen=True)
class Progress:
    """A running sync, for display.

    Attributes:
        connection: ``<domain>/<connection>``.
        rows: Records received, by stream.
        bytes: Bytes received.
        cursors: Last known cursor, by stream.
        seconds: Since the start.
    """

    connection: str
    rows: dict[str, int]
    bytes: int
    cursors: dict[str, str | None]
    seconds: float


def stream_result(writer: StreamWriter) -> StreamResult:
    """The result of a stream that was published."""
    task, started, ended = writer.task, writer.started, writer.ended
    gone = [
        f"column {change.field} is no longer in the source, new rows have NULL"
        for change in task.changes
        if change.kind == "removed column"
    ]
    key = [f"primary key {change.before} became {change.after}" for change in task.changes if change.kind == "other primary key"]
    left_out = {change.field for change in task.changes if change.kind == "new column"} if task.fixed else set[str]()
    return StreamResult(
        rows=writer.received,
        bytes=writer.received_bytes,
        seconds=(ended - started) if started is not None and ended is not None else 0.0,
        cursor=cursor_of(writer.latest_state, task.cursor_field),
        table=writer.table,
        columns=writer.column_types,
        schema_changes=(*writer.notes, *((*gone, *key) if not task.fixed else ())),
        ignored_changes=tuple(map(str, task.changes)) if task.fixed else (),
        removed=writer.removed,
        undeclared=tuple(sorted(writer.encoder.undeclared - left_out)),
        generation=writer.encoder.rows.generation,
    )
