"""What a changed source does to its raw tables: the difference from what was accepted before, and the connection's policy for it.

The shape that a stream had at its last committed sync is kept in ``mesh.raw_streams``, written with the rows. Without one (a first
sync) there is nothing to compare with.

| change | propagate | pause | ignore |
|---|---|---|---|
| new column | added | stops | left out; its values are in the raw copy |
| removed column | stays, new rows have NULL | stops | the same as propagate |
| another type | widened to hold both | stops | stays; a value that does not fit is NULL, and ``_airbyte_meta.changes`` says so |
| another primary key | a new unique index, rows that become equal are reduced to the newest; refused when they lack it | stops | stays |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import orjson
import psycopg

from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.connection import Connection, SchemaPolicy
from platform_core.ingestion.errors import LoadError, SchemaChangeError
from platform_core.ingestion.schema_change import SchemaChange
from platform_core.ingestion.types import Column, Kind, wider

Session = psycopg.Connection[Any]


@dataclass(frozen=True)
class Shape:
    """Fields with the types of their columns, and the key of a deduplicated stream (empty for others)."""

    columns: dict[str, str]
    primary_key: tuple[str, ...]


def compare(known: Shape, task: StreamTask) -> tuple[SchemaChange, ...]:
    """The changes from ``known`` to what a stream declares now; a type that the column already holds is none."""
    changes: list[SchemaChange] = []
    for column in task.columns:
        before = known.columns.get(column.field)
        if before is None:
            changes.append(SchemaChange("new column", column.field, None, column.kind.value))
        elif wider(Kind(before), column.kind) != before:
            changes.append(SchemaChange("other type", column.field, before, wider(Kind(before), column.kind).value))
    declared = {column.field for column in task.columns}
    changes += [SchemaChange("removed column", name, kind, None) for name, kind in known.columns.items() if name not in declared]
    if task.deduplicate and known.primary_key and known.primary_key != task.primary_key:
        changes.append(SchemaChange("other primary key", "", ", ".join(known.primary_key), ", ".join(task.primary_key)))
    return tuple(changes)


def settle(task: StreamTask, known: Shape | None, policy: SchemaPolicy) -> StreamTask:
    """The stream as it is loaded under a policy: ``propagate`` takes the new shape, ``ignore`` keeps the known one.

    Raises:
        LoadError: The former key cannot be kept, because the source no longer sends it; or the new key cannot be taken, because
            the rows of the table lack it.
    """
    if known is None:
        return replace(task, shape=_shape(task, {}))
    changes = compare(known, task)
    if policy == "propagate":
        _refuse_lost_key(task, changes)
    if policy != "ignore":
        return replace(task, shape=_shape(task, known.columns), changes=changes)
    columns = tuple(
        Column(column.field, column.name, Kind(known.columns[column.field])) for column in task.columns if column.field in known.columns
    )
    key = known.primary_key if task.deduplicate and known.primary_key else task.primary_key
    lost = [name for name in key if name not in {column.field for column in columns}] if task.deduplicate else []
    if lost:
        raise LoadError(
            f"the source no longer sends {', '.join(lost)}, by which {task.name!r} is deduplicated, and schema_changes is ignore",
            where=task.name,
            remedy="set schema_changes: propagate, and primary_key: to fields that the source sends",
        )
    shape = {"columns": known.columns, "primary_key": list(key) if task.deduplicate else []}
    return replace(task, columns=columns, primary_key=key, fixed=True, shape=shape, changes=changes)


def _refuse_lost_key(task: StreamTask, changes: Sequence[SchemaChange]) -> None:
    added = {change.field for change in changes if change.kind == "new column"}
    lacking = [field for field in task.primary_key if field in added]
    if lacking and not task.replace and any(change.kind == "other primary key" for change in changes):
        raise LoadError(
            f"the primary key of {task.name!r} is now {', '.join(task.primary_key)}, but the rows that are there have no {', '.join(lacking)}:"
            " by it they would all be one",
            where=task.table,
            remedy=f"read it anew with --full-refresh --stream {task.name}, or keep the former key with schema_changes: ignore",
        )


def settle_all(session: Session, connection: Connection, tasks: Sequence[StreamTask], *, accept: bool) -> list[StreamTask]:
    """Applies the connection's policy to the streams of a sync, before anything is read from the source.

    Args:
        session: As the domain's owner.
        connection: The connection.
        tasks: The streams.
        accept: Somebody looked at the changes and wants them: as if the policy were ``propagate``.

    Raises:
        SchemaChangeError: The policy is ``pause``, and something changed.
        LoadError: As ``settle``.
    """
    known = read_shapes(session, connection.domain)
    policy: SchemaPolicy = "propagate" if accept else connection.schema_changes
    settled = [settle(task, known.get(task.name), policy) for task in tasks]
    changed = {task.name: task.changes for task in settled if task.changes}
    if policy == "pause" and changed:
        raise paused(connection, changed)
    return settled


def paused(connection: Connection, changed: Mapping[str, Sequence[SchemaChange]]) -> SchemaChangeError:
    """The error that stops a paused connection, with the whole difference."""
    lines = [line for name, changes in changed.items() for line in (f"  {name}", *(f"    {change}" for change in changes))]
    index = next(at for at, selection in enumerate(connection.streams) if selection.name in changed)
    return SchemaChangeError(
        "\n".join(["the source changed, and schema_changes is pause: nothing was loaded", *lines]),
        where=str(connection.at("streams", index, "name")),
        remedy=f"accept it with ./mesh ingest {connection.id} --accept-changes, or in Dagster's launchpad, or set schema_changes: propagate (or ignore)",
    ).about({name: tuple(map(str, changes)) for name, changes in changed.items()})


def read_shapes(session: Session, domain: str) -> dict[str, Shape]:
    """The shape that each stream of a domain had at its last committed sync."""
    rows = session.execute("SELECT stream, shape::text FROM mesh.raw_streams WHERE domain = %s AND shape IS NOT NULL", (domain,))
    return {
        stream: Shape(body["columns"], tuple(body["primary_key"])) for stream, body in ((name, orjson.loads(text)) for name, text in rows)
    }


def write_shape(session: Session, domain: str, stream: str, shape: Mapping[str, Any]) -> None:
    """Remembers the shape that a stream's rows are committed with, in that transaction."""
    session.execute(
        "UPDATE mesh.raw_streams SET shape = %s::json WHERE domain = %s AND stream = %s", (orjson.dumps(shape).decode(), domain, stream)
    )


def _shape(task: StreamTask, known: Mapping[str, str]) -> dict[str, Any]:
    columns = {column.field: wider(Kind(known.get(column.field, column.kind)), column.kind).value for column in task.columns}
    return {"columns": columns, "primary_key": list(task.primary_key) if task.deduplicate else []}
