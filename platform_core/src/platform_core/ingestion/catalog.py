"""What the source offers and what the connection file selects, joined into the tasks of a sync and the connector's configured catalog."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from platform_core.contracts import did_you_mean
from platform_core.ingestion.connection import Connection, StreamSelection
from platform_core.ingestion.errors import ConnectionFileError
from platform_core.ingestion.protocol import Json, StreamKey, stream_key
from platform_core.ingestion.schema_change import SchemaChange
from platform_core.ingestion.types import Column, columns_of, identifier


@dataclass(frozen=True)
class StreamTask:
    """One stream of one sync, everything decided.

    Attributes:
        key: Namespace and name.
        selection: What the connection file says.
        offered: The stream as the source describes it, given back verbatim.
        columns: Columns of the raw table as the source declares them.
        table: Name of the raw table.
        cursor_field: Path of the cursor, empty without one.
        primary_key: Fields of the key, empty without one.
        deduplicate: One row a key, the newest.
        replace: The whole table is exchanged when the stream is complete.
        fixed: The table keeps the types that it has; what does not fit becomes NULL.
        shape: What to remember of the stream's schema with its rows (see ``evolution``), None to leave what is remembered.
        changes: What changed in the schema since the last sync, taken or left by the connection's policy.
        checkpointed: Rows may become visible, with the state that covers them, before the stream is complete.
    """

    key: StreamKey
    selection: StreamSelection
    offered: Json = field(repr=False)
    columns: tuple[Column, ...] = field(repr=False)
    table: str
    cursor_field: tuple[str, ...]
    primary_key: tuple[str, ...]
    deduplicate: bool
    replace: bool
    checkpointed: bool
    fixed: bool = False
    shape: Mapping[str, Any] | None = field(default=None, repr=False)
    changes: tuple[SchemaChange, ...] = ()

    @property
    def name(self) -> str:
        """The stream's name."""
        return self.key[1]

    def column_name(self, field_name: str) -> str | None:
        """The column of a field, None when the schema lacks it."""
        return next((column.name for column in self.columns if column.field == field_name), None)


def plan_streams(
    connection: Connection,
    catalog: Mapping[str, Any],
    *,
    only: Collection[str] | None = None,
    full_refresh: bool = False,
) -> list[StreamTask]:
    """Joins the file's selection with the source's catalog.

    Args:
        connection: The connection file.
        catalog: The ``catalog`` of the source's CATALOG message.
        only: Names of the streams to sync, all by default.
        full_refresh: Read everything again and replace the tables.

    Raises:
        ConnectionFileError: A stream is unknown, or cannot be synced in the mode that the file asks for.
    """
    names = {selection.name for selection in connection.streams}
    for name in only or ():
        if name not in names:
            raise ConnectionFileError(
                f"has no stream {name!r}{did_you_mean(name, names)}",
                where=str(connection.path),
                remedy=f"use: {', '.join(sorted(names))}",
            )
    offered: dict[str, list[Json]] = {}
    for stream in catalog.get("streams") or ():
        offered.setdefault(stream["name"], []).append(stream)
    return [
        _plan(connection, index, selection, offered, full_refresh)
        for index, selection in enumerate(connection.streams)
        if only is None or selection.name in only
    ]


def _plan(
    connection: Connection,
    index: int,
    selection: StreamSelection,
    offered: Mapping[str, list[Json]],
    full_refresh: bool,
) -> StreamTask:
    def refuse(what: str, remedy: str, key: str = "name") -> ConnectionFileError:
        return ConnectionFileError(f"stream {selection.name!r} {what}", where=str(connection.at("streams", index, key)), remedy=remedy)

    candidates = [
        stream
        for stream in offered.get(selection.name, ())
        if selection.namespace is None or (stream.get("namespace") or None) == selection.namespace
    ]
    if not candidates:
        guess = did_you_mean(selection.name, offered)
        raise refuse(
            f"is not in the source{guess}",
            f"use one of: {', '.join(sorted(offered)) or 'nothing, the source offers no stream'}",
        )
    if len(candidates) > 1:
        spaces = ", ".join(sorted(str(stream.get("namespace")) for stream in candidates))
        raise refuse("is in several namespaces", f"add namespace: one of {spaces}")
    stream = candidates[0]
    schema = stream.get("json_schema") or {}
    mode = "incremental" if selection.incremental else "full_refresh"
    supported = stream.get("supported_sync_modes") or ["full_refresh"]
    if mode not in supported:
        raise refuse(f"cannot be read with {mode}", f"use a sync_mode of: {', '.join(supported)}", "sync_mode")
    cursor = tuple(selection.cursor_field or (stream.get("default_cursor_field") if selection.incremental else None) or ())
    if selection.incremental and not cursor and not stream.get("source_defined_cursor"):
        raise refuse("has no cursor", "add cursor_field: the field that grows with every change")
    source_key = stream.get("source_defined_primary_key") or []
    deduplicate = selection.sync_mode == "incremental_deduped"
    key = selection.primary_key or tuple(path[0] for path in source_key if len(path) == 1)
    if deduplicate and (not key or (not selection.primary_key and len(key) < len(source_key))):
        raise refuse("has no primary key to deduplicate by", "add primary_key: its top-level fields", "sync_mode")
    columns = columns_of(schema)
    fields = [column.field for column in columns]
    if deduplicate:
        for name in key:
            if name not in fields:
                raise refuse(
                    f"has no field {name!r}{did_you_mean(name, fields)}",
                    f"use one of: {', '.join(fields)}",
                    "primary_key",
                )
    if selection.cursor_field and selection.cursor_field[0] not in fields:
        name = selection.cursor_field[0]
        raise refuse(f"has no field {name!r}{did_you_mean(name, fields)}", f"use one of: {', '.join(fields)}", "cursor_field")
    return StreamTask(
        key=stream_key(stream),
        selection=selection,
        offered=stream,
        columns=columns,
        table=identifier(selection.name),
        cursor_field=cursor,
        primary_key=key,
        deduplicate=deduplicate,
        replace=full_refresh or selection.sync_mode == "full_refresh_overwrite",
        checkpointed=selection.incremental and not full_refresh and (deduplicate or selection.checkpoint == "state"),
    )


def configured_catalog(tasks: Sequence[StreamTask], generations: Mapping[StreamKey, int]) -> Json:
    """The ConfiguredAirbyteCatalog that the connector reads.

    Args:
        tasks: The streams.
        generations: ``_airbyte_generation_id`` of each.
    """
    destination = {"full_refresh_overwrite": "overwrite", "incremental_deduped": "append_dedup"}
    return {
        "streams": [
            {
                "stream": task.offered,
                "sync_mode": "incremental" if task.selection.incremental else "full_refresh",
                "destination_sync_mode": destination.get(task.selection.sync_mode, "append"),
                "cursor_field": list(task.cursor_field),
                "primary_key": [[name] for name in task.primary_key],
                "generation_id": generations[task.key],
                "minimum_generation_id": generations[task.key] if task.replace else 0,
                "sync_id": 0,
            }
            for task in tasks
        ]
    }
