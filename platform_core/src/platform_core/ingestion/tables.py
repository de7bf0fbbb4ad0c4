"""Raw tables: what they have, what they need, and the statements between the two. The only place of this plane with DDL."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import psycopg
from psycopg import sql

from platform_core.ingestion.errors import LoadError
from platform_core.ingestion.types import META_COLUMNS, Column, Kind, wider

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class StoredColumn:
    """A column as Postgres has it; ``used_by`` names a view that forbids changing its type."""

    name: str
    type: str
    used_by: str | None


@dataclass(frozen=True)
class TablePlan:
    """How a raw table becomes what the sync needs.

    Attributes:
        columns: The stream's columns with the types that the table will have; what the rows are encoded for.
        create: The table does not exist yet.
        add: Columns to add.
        widen: Columns to give a wider type.
        narrow: Indexes of ``columns`` that can never be widened, because a view uses them.
        removed: Columns of the table that the source no longer has; they stay.
        notes: What changes, for people.
    """

    columns: tuple[Column, ...]
    create: bool
    add: tuple[Column, ...]
    widen: tuple[Column, ...]
    narrow: frozenset[int]
    notes: tuple[str, ...]
    removed: tuple[str, ...] = ()


def plan_table(stored: Sequence[StoredColumn], wanted: Sequence[Column], table: str) -> TablePlan:
    """Decides the table's shape: columns are added and widened, never narrowed and never dropped.

    Args:
        stored: Columns of the table, none when it does not exist.
        wanted: Columns that the source declares now.
        table: For errors.

    Raises:
        LoadError: The table has a column of a type that ingestion never makes.
    """
    if not stored:
        return TablePlan(tuple(wanted), True, (), (), frozenset(), ())
    by_name = {column.name: column for column in stored}
    lost = [name for name, _ in META_COLUMNS if name not in by_name]
    if lost:
        raise LoadError(
            f"the table lacks {', '.join(lost)}, so ingestion did not make it",
            where=table,
            remedy="rename or drop that table; the next sync makes its own",
        )
    columns: list[Column] = []
    add: list[Column] = []
    widen: list[Column] = []
    notes: list[str] = []
    narrow: set[int] = set()
    for index, column in enumerate(wanted):
        old = by_name.get(column.name)
        if old is None:
            add.append(column)
            columns.append(column)
            notes.append(f"new column {column.name} {column.kind}")
            continue
        if old.used_by:
            narrow.add(index)
        kind = wider(_kind(old, table), column.kind)
        if kind.value != old.type and old.used_by:
            notes.append(f"column {column.name} stays {old.type} although the source declares {column.kind}: {old.used_by} uses it")
            kind = Kind(old.type)
        elif kind.value != old.type:
            widen.append(Column(column.field, column.name, kind))
            notes.append(f"column {column.name} {old.type} became {kind}")
        columns.append(Column(column.field, column.name, kind))
    known = {column.name for column in wanted} | {name for name, _ in META_COLUMNS}
    removed = tuple(name for name in by_name if name not in known)
    return TablePlan(tuple(columns), False, tuple(add), tuple(widen), frozenset(narrow), tuple(notes), removed)


def _kind(column: StoredColumn, table: str) -> Kind:
    try:
        return Kind(column.type)
    except ValueError as error:
        raise LoadError(
            f"column {column.name} has the type {column.type}, which ingestion never makes",
            where=table,
            remedy="rename or drop that table; the next sync makes its own",
        ) from error


_STORED = """
SELECT a.attname, format_type(a.atttypid, a.atttypmod),
       (SELECT min(v.oid::regclass::text)
          FROM pg_depend d JOIN pg_rewrite r ON d.classid = 'pg_rewrite'::regclass AND r.oid = d.objid JOIN pg_class v ON v.oid = r.ev_class
         WHERE d.refclassid = 'pg_class'::regclass AND d.refobjid = a.attrelid AND d.refobjsubid = a.attnum)
  FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
 WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
 ORDER BY a.attnum
"""


def read_table(connection: Connection, schema: str, table: str) -> list[StoredColumn]:
    """Columns of a table, an empty list when there is none."""
    return [StoredColumn(*row) for row in connection.execute(_STORED, (schema, table))]


def column_list(columns: Sequence[Column]) -> sql.Composable:
    """The raw table's columns in the order of a COPY line."""
    names = [name for name, _ in META_COLUMNS] + [column.name for column in columns]
    return sql.SQL(", ").join(sql.Identifier(name) for name in names)


def _definitions(columns: Sequence[Column]) -> sql.Composable:
    pairs = [*META_COLUMNS, *((column.name, column.kind.value) for column in columns)]
    return sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(name), sql.SQL(kind)) for name, kind in pairs)  # type: ignore[arg-type]


def apply_plan(connection: Connection, target: sql.Composable, plan: TablePlan) -> None:
    """Creates or alters the table. Runs inside the transaction that brings the rows."""
    if plan.create:
        connection.execute(sql.SQL("CREATE TABLE IF NOT EXISTS {} ({})").format(target, _definitions(plan.columns)))
    for column in plan.add:
        connection.execute(
            sql.SQL("ALTER TABLE {} ADD COLUMN IF NOT EXISTS {} {}").format(
                target,
                sql.Identifier(column.name),
                sql.SQL(column.kind.value),
            )
        )
    for column in plan.widen:
        widen_column(connection, target, column)


def widen_column(connection: Connection, target: sql.Composable, column: Column) -> None:
    """Gives a column the type of ``column``, keeping its values."""
    name = sql.Identifier(column.name)
    cast = sql.SQL("to_jsonb({})") if column.kind is Kind.JSONB else sql.SQL("{}::" + column.kind.value)
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {} USING {}").format(
            target,
            name,
            sql.SQL(column.kind.value),
            cast.format(name),
        )
    )


def retype_empty_column(connection: Connection, target: sql.Composable, column: Column) -> None:
    """Gives a column that holds no value the type of ``column``."""
    connection.execute(
        sql.SQL("ALTER TABLE {} ALTER COLUMN {} TYPE {} USING NULL").format(target, sql.Identifier(column.name), sql.SQL(column.kind.value))
    )


def create_staging(connection: Connection, staging: sql.Composable, columns: Sequence[Column], *, meta: str, generation: int) -> None:
    """A session's private table for rows that are not visible yet: no write-ahead log, gone with the session.

    Args:
        connection: A session as the domain's owner.
        staging: The table.
        columns: The stream's columns.
        meta: ``_airbyte_meta`` of a row that does not bring its own, JSON.
        generation: ``_airbyte_generation_id`` of such a row.
    """
    connection.execute(sql.SQL("CREATE TEMPORARY TABLE {} ({})").format(staging, _definitions(columns)))
    set_defaults(connection, staging, meta=meta, generation=generation)


def set_defaults(connection: Connection, table: sql.Composable, *, meta: str, generation: int) -> None:
    """What a row has that does not bring its own ``_airbyte_meta`` (JSON) and ``_airbyte_generation_id``: it need not be sent and read."""
    defaults = sql.SQL('ALTER TABLE {} ALTER "_airbyte_meta" SET DEFAULT {}, ALTER "_airbyte_generation_id" SET DEFAULT {}')
    connection.execute(defaults.format(table, sql.Literal(meta), sql.Literal(generation)))


def drop_defaults(connection: Connection, table: sql.Composable) -> None:
    """Takes back what `set_defaults` set."""
    connection.execute(
        sql.SQL('ALTER TABLE {} ALTER "_airbyte_meta" DROP DEFAULT, ALTER "_airbyte_generation_id" DROP DEFAULT').format(table)
    )


def key_index_name(table: str, key: Sequence[str]) -> str:
    """Name of the unique index over a primary key; the key's columns are part of it, so that a changed key is seen."""
    digest = hashlib.sha256("\x00".join((table, *key)).encode()).hexdigest()[:16]
    return f"_mesh_key_{digest}"


def ensure_key(connection: Connection, schema: str, table: str, key: Sequence[str], cursor: str | None, *, unique: bool = False) -> bool:
    """Makes the unique index that deduplication rests on, dropping that of a former key.

    Rows that the new key makes equal are reduced to the newest by cursor, then by arrival; none when they are ``unique`` already.

    Returns:
        Whether the index had to be made.
    """
    name = key_index_name(table, key)
    if name in drop_keys(connection, schema, table, keep=name):
        return False
    target, columns = sql.Identifier(schema, table), sql.SQL(", ").join(map(sql.Identifier, key))
    if not unique:
        connection.execute(
            sql.SQL(
                "DELETE FROM {target} t USING (SELECT ctid AS place, row_number() OVER (PARTITION BY {key} ORDER BY {order}) AS age"
                " FROM {target}) old WHERE t.ctid = old.place AND old.age > 1"
            ).format(target=target, key=columns, order=newest_first(cursor))
        )
    connection.execute(sql.SQL("CREATE UNIQUE INDEX {} ON {} ({}) NULLS NOT DISTINCT").format(sql.Identifier(name), target, columns))
    return True


def drop_keys(connection: Connection, schema: str, table: str, *, keep: str | None = None) -> set[str]:
    """Removes the unique indexes of keys that the table was deduplicated by, except one: they forbid what another mode brings.

    Returns:
        The names of those that there were.
    """
    query = "SELECT indexname FROM pg_indexes WHERE schemaname = %s AND tablename = %s AND starts_with(indexname, '_mesh_key_')"
    found = {row[0] for row in connection.execute(query, (schema, table))}
    for former in found - {keep}:
        connection.execute(sql.SQL("DROP INDEX {}").format(sql.Identifier(schema, former)))
    return found


def newest_first(cursor: str | None) -> sql.Composable:
    """ORDER BY terms: the newest row by cursor, then by arrival."""
    arrival = sql.SQL('"_airbyte_extracted_at" DESC, "_airbyte_raw_id" DESC')
    return sql.SQL("{} DESC NULLS LAST, {}").format(sql.Identifier(cursor), arrival) if cursor else arrival
