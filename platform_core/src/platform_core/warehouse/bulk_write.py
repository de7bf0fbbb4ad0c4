"""Writes Arrow data into a Postgres table by binary COPY, atomically."""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any, Literal

import psycopg
from psycopg import sql

from platform_core.contracts.naming import IDENTIFIER_BYTES
from platform_core.warehouse import bulk_swap
from platform_core.warehouse.bulk_conditions import Condition, OneOf, Within, mask, predicate
from platform_core.warehouse.bulk_describe import Relation, describe, require_utf8, text_like
from platform_core.warehouse.bulk_errors import BulkError, located

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_core.warehouse.bulk_types import WireType

Mode = Literal["replace", "append", "replace_partition"]
Partition = tuple[str, object] | Condition | Sequence[Condition]

_BATCH_ROWS, _BATCH_BYTES = 65_536, 8 << 20
_TYPE_NAME = re.compile(
    r"[a-z_][a-z0-9_]*(\.[a-z_][a-z0-9_]*)?( precision| varying)?(\(\d+(, *-?\d+)?\))?( with(out)? time zone)?(\[\])?", re.IGNORECASE
)


def write_arrow(
    connection: psycopg.Connection,
    schema: str,
    table: str,
    data: pa.Table | pa.RecordBatch | pa.RecordBatchReader | Iterable[pa.RecordBatch],
    *,
    mode: Mode = "replace",
    partition: Partition | None = None,
    column_types: Mapping[str, str] | None = None,
) -> int:
    """Writes a table in one transaction; a writer that dies leaves what was there before.

    - ``replace``: a new table is loaded beside the old one and takes its place at the end. Readers see the old or the new
      one, and wait only for the swap. When the name is a view (publishing moves a build table away and leaves a view), the
      view gives way to the table. Views on the old relation are made again.
    - ``append``: adds rows. ``replace_partition``: rows of the partition are deleted, the new ones are added. Both make the
      table when there is none; over a view they write a new table from the view's rows first.

    In an open transaction of the caller this is a savepoint and the caller commits. Columns are matched by name. The table
    belongs to the connection's current role. Types: see `platform_core.warehouse.bulk_types`.

    Args:
        connection: Where to write.
        schema: Schema of the table; must exist.
        table: Name of the table.
        data: Arrow data; a stream of batches is written without being held.
        mode: See above.
        partition: For ``replace_partition``: ``(column, value)``, a condition, or several that all hold.
        column_types: Postgres types (``numeric(12,2)``, ``jsonb``, ``uuid``, ...) by column, for a table that is made here.

    Returns:
        Number of rows written.

    Raises:
        BulkError: A value would be changed, a row lies outside the partition, or the server refuses.
    """
    relation = Relation(schema, table)
    conditions = _conditions(mode, partition)
    with located(str(relation)):
        arrow_schema, batches = _batches(data)
        _check_names([table, *arrow_schema.names])
        checked = _inside(batches, conditions) if conditions else batches
        with connection.transaction():
            require_utf8(connection)
            if mode == "replace":
                bulk_swap.lock(connection, relation, shared=False)
                return _replace(connection, relation, arrow_schema, checked, column_types or {})
            return _add(connection, relation, arrow_schema, checked, conditions=conditions, column_types=column_types or {})


def _replace(
    connection: psycopg.Connection,
    relation: Relation,
    arrow_schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    column_types: Mapping[str, str],
) -> int:
    new = _beside(relation)
    connection.execute(sql.SQL("CREATE TABLE {} ({})").format(new.sql, _columns(arrow_schema, column_types)))
    rows = _copy(connection, new, arrow_schema.names, batches, freeze=True)
    connection.execute(sql.SQL("ANALYZE {}").format(new.sql))
    bulk_swap.swap(connection, new, relation)
    return rows


def _add(
    connection: psycopg.Connection,
    relation: Relation,
    arrow_schema: pa.Schema,
    batches: Iterator[pa.RecordBatch],
    *,
    conditions: Sequence[Condition],
    column_types: Mapping[str, str],
) -> int:
    existing = bulk_swap.find(connection, relation)
    # Writers of partitions of one table run side by side; whoever makes the table does so alone.
    bulk_swap.lock(connection, relation, shared=existing is not None and existing.kind == "r")
    existing = bulk_swap.find(connection, relation)
    if existing is None:
        return _replace(connection, relation, arrow_schema, batches, column_types)
    described = describe(connection, relation.sql)
    unknown = [name for name in arrow_schema.names if name not in {column.name for column in described}]
    if unknown:
        raise BulkError(
            f"has no column {', '.join(unknown)}", remedy="write all partitions again, after dropping the table, or add the column to it"
        )
    kinds = {column.name: wire.kind for column, wire in zip(described, _wires(connection, relation), strict=True)}
    gone = predicate(conditions, kinds) if conditions else sql.SQL("false")
    if existing.kind == "r":
        if conditions:
            connection.execute(sql.SQL("DELETE FROM {} WHERE {}").format(relation.sql, gone))
        return _copy(connection, relation, arrow_schema.names, batches, freeze=False)
    new = _beside(relation)
    keep = sql.SQL("CREATE TABLE {} AS SELECT * FROM {} WHERE ({}) IS NOT TRUE").format(new.sql, relation.sql, gone)
    connection.execute(keep)
    rows = _copy(connection, new, arrow_schema.names, batches, freeze=False)
    connection.execute(sql.SQL("ANALYZE {}").format(new.sql))
    bulk_swap.swap(connection, new, relation)
    return rows


def _copy(
    connection: psycopg.Connection, relation: Relation, names: Sequence[str], batches: Iterator[pa.RecordBatch], *, freeze: bool
) -> int:
    from platform_core.warehouse.bulk_convert import fit
    from platform_core.warehouse.bulk_encode import HEADER, TRAILER, encode_rows

    by_name = {column.name: wire for column, wire in zip(describe(connection, relation.sql), _wires(connection, relation), strict=True)}
    wires = [by_name[name] for name in names]
    columns = sql.SQL("({})").format(sql.SQL(", ").join(map(sql.Identifier, names))) if names else sql.SQL("")
    # FREEZE: a reader with an older snapshot that meets the new table sees all its rows, where it would otherwise see none.
    options = sql.SQL("FORMAT binary, FREEZE" if freeze else "FORMAT binary")
    statement = sql.SQL("COPY {} {} FROM STDIN WITH ({})").format(relation.sql, columns, options)
    rows = 0
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        copy.write(HEADER)
        for batch in chain.from_iterable(map(_sized, batches)):
            fitted = [fit(batch.column(index), wire, name) for index, (name, wire) in enumerate(zip(names, wires, strict=True))]
            copy.write(encode_rows(fitted, wires, batch.num_rows))
            rows += batch.num_rows
        copy.write(TRAILER)
    return rows


def _wires(connection: psycopg.Connection, relation: Relation) -> list[WireType]:
    from platform_core.warehouse.bulk_types import TEXT, WIRE_TYPES, WireType

    described = describe(connection, relation.sql)
    strange = {column.oid for column in described} - WIRE_TYPES.keys()
    as_text = text_like(connection, strange)
    wires: list[WireType] = []
    for column in described:
        if column.oid in strange and column.oid not in as_text:
            wires.append(WireType(f"the type with oid {column.oid}", column.oid, "unsupported"))
        else:
            wires.append(WIRE_TYPES.get(column.oid, TEXT))
    return wires


def _batches(data: Any) -> tuple[pa.Schema, Iterator[pa.RecordBatch]]:
    import pyarrow as pa

    if isinstance(data, pa.Table):
        return data.schema, iter(data.to_batches())
    if isinstance(data, pa.RecordBatch):
        return data.schema, iter([data])
    if isinstance(data, pa.RecordBatchReader):
        return data.schema, iter(data)
    stream: Iterator[Any] = iter(data)
    first: Any = next(stream, None)
    if not isinstance(first, pa.RecordBatch):
        raise BulkError(
            f"cannot write {type(first or data).__name__} as Arrow data",
            remedy="give a pyarrow Table, RecordBatch, RecordBatchReader, or an iterable of at least one RecordBatch",
        )
    return first.schema, chain([first], stream)


def _sized(batch: pa.RecordBatch) -> Iterator[pa.RecordBatch]:
    """Pieces of a batch small enough that memory stays bounded, large enough that columns pay off."""
    per_row = max(batch.nbytes // batch.num_rows, 1) if batch.num_rows else 1
    step = min(_BATCH_ROWS, max(_BATCH_BYTES // per_row, 1))
    for start in range(0, batch.num_rows, step):
        yield batch.slice(start, step)


def _inside(batches: Iterator[pa.RecordBatch], conditions: Sequence[Condition]) -> Iterator[pa.RecordBatch]:
    """Refuses rows that the next replacement of the partition would not delete."""
    import pyarrow.compute as pc

    for batch in batches:
        outside = batch.num_rows - (pc.sum(mask(batch, conditions)).as_py() or 0)
        if outside:
            raise BulkError(
                f"{outside} of {batch.num_rows} rows lie outside the partition ({_text(conditions)})",
                remedy="filter the frame to the partition, or correct the metadata partition_expr",
            )
        yield batch


def _text(conditions: Sequence[Condition]) -> str:
    parts: list[str] = []
    for condition in conditions:
        shown = condition.values if isinstance(condition, OneOf) else [f"{start} to {end}" for start, end in condition.windows]
        parts.append(f"{condition.column}: {', '.join(map(str, shown))}")
    return "; ".join(parts)


def _conditions(mode: Mode, partition: Partition | None) -> Sequence[Condition]:
    if (mode == "replace_partition") != (partition is not None):
        raise BulkError("a partition goes with mode replace_partition, and with no other", remedy="pass both or none")
    if partition is None:
        return ()
    if isinstance(partition, OneOf | Within):
        return (partition,)
    if isinstance(partition, tuple) and len(partition) == 2 and isinstance(partition[0], str):
        return (OneOf(partition[0], (partition[1],)),)
    conditions = tuple(partition)
    if not conditions or not all(isinstance(condition, OneOf | Within) for condition in conditions):
        raise BulkError("a partition is (column, value), a condition, or a non-empty sequence of conditions")
    return conditions  # pyright: ignore[reportReturnType]


def _check_names(names: Sequence[str]) -> None:
    for name in names:
        if not name or "\0" in name or len(name.encode()) > IDENTIFIER_BYTES:
            raise BulkError(f"{name!r} is no Postgres name (1 to {IDENTIFIER_BYTES} bytes)", remedy="rename it in the asset")
    columns = list(names[1:])
    twice = sorted({name for name in columns if columns.count(name) > 1})
    if twice:
        raise BulkError(f"the frame has more than one column {', '.join(twice)}", remedy="rename or drop columns in the asset")


def _columns(arrow_schema: pa.Schema, column_types: Mapping[str, str]) -> sql.Composable:
    from platform_core.warehouse.bulk_types import postgres_type

    missing = [name for name in column_types if name not in arrow_schema.names]
    if missing:
        raise BulkError(f"column_types names {', '.join(missing)}, which the frame does not have", remedy="correct column_types")
    parts: list[sql.Composable] = []
    for field in arrow_schema:
        with located(f"column {field.name!r}"):
            name = column_types.get(field.name) or postgres_type(field.type)
            if not _TYPE_NAME.fullmatch(name):
                raise BulkError(f"column_types gives {name!r}, which is no type", remedy="write one as in numeric(12,2) or text[]")
        parts.append(sql.SQL("{} {}").format(sql.Identifier(field.name), sql.SQL(name)))  # pyright: ignore[reportArgumentType]
    return sql.SQL(", ").join(parts)


def _beside(relation: Relation) -> Relation:
    suffix = f"__{secrets.token_hex(6)}"
    head = relation.name.encode()[: IDENTIFIER_BYTES - len(suffix)].decode(errors="ignore")
    return Relation(relation.schema, head + suffix)
