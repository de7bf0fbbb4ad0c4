"""Reads a Postgres relation or query into Arrow by binary COPY."""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING, LiteralString

import psycopg
from psycopg import sql

from platform_core.warehouse.bulk_conditions import Condition, OneOf, Within, predicate
from platform_core.warehouse.bulk_describe import Described, Relation, describe, require_utf8
from platform_core.warehouse.bulk_errors import BulkError, located

if TYPE_CHECKING:
    import pyarrow as pa

    from platform_core.warehouse.bulk_decode import Field

_BATCH_ROWS, _BATCH_BYTES = 65_536, 8 << 20


def read_arrow(
    connection: psycopg.Connection,
    source: Relation | tuple[str, str] | LiteralString | sql.Composable,
    columns: Sequence[str] | None = None,
    where: Condition | Sequence[Condition] | None = None,
) -> pa.Table:
    """Reads rows as an Arrow table. Types: see `platform_core.warehouse.bulk_types`.

    Args:
        connection: Where to read; in an open transaction the caller's snapshot holds.
        source: ``Relation``, ``(schema, table)``, or a query (no parameters: compose values in with `psycopg.sql`).
        columns: Which columns, in this order; all by default. An empty list gives a table without columns that knows its rows.
        where: Conditions that all hold.

    Raises:
        BulkError: A column does not exist, a value has no Arrow equal, or the server refuses.
    """
    import pyarrow as pa

    if isinstance(source, tuple):
        source = Relation(*source)
    name = str(source) if isinstance(source, Relation) else "query"
    conditions = [where] if isinstance(where, OneOf | Within) else list(where or ())
    with located(name), connection.transaction():
        require_utf8(connection)
        origin = source.sql if isinstance(source, Relation) else sql.SQL("({}) AS query").format(_query(source))
        described = describe(connection, origin)
        chosen = _choose(described, columns)
        fields = [_field(column) for column in chosen]
        statement = _select(origin, chosen, fields, predicate(conditions, {c.name: _field(c).wire.kind for c in described}))
        batches = list(_batches(connection, statement, fields))
        if not fields:
            rows = sum(rows for rows, _ in batches)
            return pa.table({"rows": pa.nulls(rows)}).select([])
        chunks = [[arrays[index] for _, arrays in batches] for index in range(len(fields))]
        columns_read = [_column(field, parts) for field, parts in zip(fields, chunks, strict=True)]
        return pa.Table.from_arrays(columns_read, names=[field.name for field in fields])


def _batches(connection: psycopg.Connection, statement: sql.Composed, fields: Sequence[Field]) -> Iterator[tuple[int, list[pa.Array]]]:
    from platform_core.warehouse.bulk_decode import decode_rows, skip_header

    rows, lengths = bytearray(), []
    with connection.cursor() as cursor, cursor.copy(statement) as copy:
        # "zero or more CopyData messages (always one per row)": protocol documentation, COPY operations
        messages = iter(copy)
        first = memoryview(next(messages, b""))
        for message in chain([first[skip_header(first) :]], messages):
            if len(message) == 2 and bytes(message) == b"\xff\xff":  # the trailer
                break
            rows += message
            lengths.append(len(message))
            if len(lengths) >= _BATCH_ROWS or len(rows) >= _BATCH_BYTES:
                yield len(lengths), decode_rows(rows, lengths, fields)
                rows, lengths = bytearray(), []
        for _ in messages:  # nothing follows the trailer; the server's end of COPY is still to be read
            raise BulkError("the server sent rows behind the end of the COPY")
    if lengths:
        yield len(lengths), decode_rows(rows, lengths, fields)


def _column(field: Field, chunks: list[pa.Array]) -> pa.ChunkedArray:
    """One type for all batches: a numeric without bounds takes the largest scale of them."""
    import pyarrow as pa

    from platform_core.warehouse.bulk_types import arrow_type

    types = {chunk.type for chunk in chunks}
    if len(types) == 1:
        return pa.chunked_array(chunks)
    known = arrow_type(field.wire, field.modifier)
    if not chunks:
        empty = pa.decimal128(38, 0)
        return pa.chunked_array([], known or (pa.list_(empty) if field.wire.element else empty))
    listed = field.wire.element is not None
    scale = max((kind.value_type if listed else kind).scale for kind in types)
    for target in (pa.decimal128(38, scale), pa.decimal256(76, scale)):
        whole = pa.list_(target) if listed else target
        try:
            return pa.chunked_array([chunk.cast(whole) for chunk in chunks])
        except pa.ArrowInvalid:
            continue
    raise BulkError(
        "numeric values with more than 76 digits in all, the most that Arrow holds",
        where=f"column {field.name!r}",
        remedy="cast the column in SQL, to numeric(76, s) or to text",
    )


def _field(column: Described) -> Field:
    from platform_core.warehouse.bulk_decode import Field
    from platform_core.warehouse.bulk_types import TEXT, WIRE_TYPES

    wire = WIRE_TYPES.get(column.oid)
    return Field(column.name, TEXT, -1) if wire is None else Field(column.name, wire, column.modifier)


def _select(origin: sql.Composable, chosen: Sequence[Described], fields: Sequence[Field], rows: sql.Composable) -> sql.Composed:
    from platform_core.warehouse.bulk_types import WIRE_TYPES

    items = [
        sql.Identifier(field.name) if column.oid in WIRE_TYPES else sql.SQL("{}::text").format(sql.Identifier(field.name))
        for column, field in zip(chosen, fields, strict=True)
    ]
    query = sql.SQL("COPY (SELECT {} FROM {} WHERE {}) TO STDOUT WITH (FORMAT binary)")
    return query.format(sql.SQL(", ").join(items), origin, rows)


def _choose(described: Sequence[Described], columns: Sequence[str] | None) -> list[Described]:
    by_name = {column.name: column for column in described}
    if columns is None:
        return list(described)
    missing = [name for name in columns if name not in by_name]
    if missing:
        raise BulkError(f"has no column {', '.join(missing)}", remedy=f"choose from: {', '.join(by_name)}")
    return [by_name[name] for name in dict.fromkeys(columns)]


def _query(source: LiteralString | sql.Composable) -> sql.Composable:
    return source if isinstance(source, sql.Composable) else sql.SQL(source)
