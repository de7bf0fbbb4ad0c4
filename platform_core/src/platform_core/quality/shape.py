"""The contract's columns against the relation's.

Types are compatible when Postgres itself gives them the same name and the same modifier: ``int8``, ``bigint`` and
``BIGINT`` are one type, ``varchar(20)`` is ``character varying(20)``; ``numeric`` is not ``numeric(12,2)``, and ``integer`` is
not ``bigint``, although it would fit: a published view must keep the type that was promised. Where the contract names no
physical type, any type of the logical type's family will do.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import psycopg
from psycopg import errors, sql

from platform_core.contracts import Column, Table
from platform_core.contracts.source import Location
from platform_core.quality.plan import Relation, raw

_COLUMNS = """
SELECT a.attname::text, format_type(a.atttypid, a.atttypmod), coalesce(b.typname, t.typname)::text, t.typcategory::text
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_class c ON c.oid = a.attrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_catalog.pg_type b ON b.oid = t.typbasetype AND t.typbasetype <> 0
WHERE n.nspname = %s AND c.relname = %s AND a.attnum > 0 AND NOT a.attisdropped
ORDER BY a.attnum
"""
# Postgres' own parser reads the contract's types: no list of aliases of ours can go stale. The first statement only reads a type
# name, so that the second, which learns the modifier from a cast, gets nothing else (to_regtypemod exists from version 17 on).
_IS_TYPE = "SELECT to_regtype(%s) IS NOT NULL"
_CAST = "SELECT CAST(NULL AS {})"
_PRINTED = "SELECT format_type(%s, %s)"
_NO_TYPE = (errors.SyntaxError, errors.UndefinedObject, errors.DataError, errors.FeatureNotSupported, errors.InvalidSchemaName)
_INTEGERS = frozenset({"int2", "int4", "int8"})
_NUMBERS = _INTEGERS | {"numeric", "float4", "float8", "money"}
_FAMILIES: dict[str, frozenset[str]] = {
    "integer": _INTEGERS,
    "number": _NUMBERS,
    "string": frozenset({"text", "varchar", "bpchar", "name", "citext", "uuid"}),
    "boolean": frozenset({"bool"}),
    "date": frozenset({"date"}),
    "timestamp": frozenset({"timestamp", "timestamptz"}),
    "time": frozenset({"time", "timetz"}),
    "object": frozenset({"json", "jsonb", "hstore"}),
    "array": frozenset({"json", "jsonb"}),
}


@dataclass(frozen=True)
class RelationColumn:
    """A column as Postgres has it: name, printed type, type name without modifier, and Postgres' type category."""

    name: str
    type: str
    base: str
    category: str


@dataclass(frozen=True)
class ShapeProblem:
    """A column that is not what the contract promises.

    Attributes:
        kind: ``relation`` (it does not exist), ``missing`` (column), ``type``, or ``unknown_type`` (the contract names a type
            that this Postgres does not know).
        column: Physical name, None for the relation itself.
        promised: The contract's type.
        actual: The relation's type, None when there is none.
        location: The column's clause.
        message: One sentence for people.
    """

    kind: Literal["relation", "missing", "type", "unknown_type"]
    column: str | None
    promised: str | None
    actual: str | None
    location: Location
    message: str

    def __str__(self) -> str:
        return f"{self.location}: {self.message}"


def relation_columns(connection: psycopg.Connection, relation: Relation) -> tuple[RelationColumn, ...]:
    """The columns of a table or view in their order; empty when it does not exist."""
    return tuple(RelationColumn(*row) for row in connection.execute(_COLUMNS, relation))


def check_shape(connection: psycopg.Connection, table: Table, relation: Relation) -> list[ShapeProblem]:
    """Compares the contract's columns with the relation's.

    Columns that the contract does not name are no problem: the port's view shows the contract's columns only.

    Args:
        connection: To the warehouse.
        table: The contract's table.
        relation: Schema and name of the candidate.

    Returns:
        The problems in the order of the contract; empty when the relation has the promised shape.
    """
    actual = {column.name: column for column in relation_columns(connection, relation)}
    if not actual:
        message = f"the relation {'.'.join(relation)} of the table {table.physical_name!r} does not exist or has no columns"
        return [ShapeProblem("relation", None, None, None, table.location, message)]
    names = {column.physical_type for column in table.columns if column.physical_type}
    canonical = {name: canonical_type(connection, name) for name in sorted(names)}
    found: list[ShapeProblem] = []
    for column in table.columns:
        problem = _compare(column, actual.get(column.physical_name), canonical, relation)
        if problem is not None:
            found.append(problem)
    return found


def canonical_type(connection: psycopg.Connection, name: str) -> str | None:
    """The name that Postgres prints for a type, with its modifier (``int8`` is ``bigint``); None when it knows no such type."""
    try:
        with connection.transaction():  # a savepoint: an error must not abort the caller's transaction
            known = connection.execute(_IS_TYPE, (name,)).fetchone()
            if known is None or not known[0]:
                return None
            result = connection.execute(sql.SQL(_CAST).format(raw(name))).pgresult
            if result is None:
                return None
            row = connection.execute(_PRINTED, (result.ftype(0), result.fmod(0))).fetchone()
    except _NO_TYPE:
        return None
    return row[0] if row else None


def _compare(column: Column, actual: RelationColumn | None, canonical: dict[str, str | None], relation: Relation) -> ShapeProblem | None:
    promised = column.physical_type or column.logical_type
    where = f"{'.'.join(relation)} column {column.physical_name!r}"
    if actual is None:
        message = f"{where} is missing"
        return ShapeProblem("missing", column.physical_name, promised, None, column.location, message)
    if column.physical_type:
        wanted = canonical[column.physical_type]
        if wanted is None:
            message = f"{where}: Postgres knows no type {column.physical_type!r}"
            return ShapeProblem("unknown_type", column.physical_name, promised, actual.type, column.location, message)
        same = wanted == actual.type
    else:
        same = _of_family(column.logical_type, actual)
    if same:
        return None
    message = f"{where} is {actual.type}, the contract promises {promised}"
    return ShapeProblem("type", column.physical_name, promised, actual.type, column.location, message)


def _of_family(logical: str | None, actual: RelationColumn) -> bool:
    if logical is None:
        return True
    # Arrays (category A) have no base name of their own; enumerations (E) are strings to every reader.
    if (logical, actual.category) in {("array", "A"), ("string", "E"), ("object", "C")}:
        return True
    return actual.base in _FAMILIES.get(logical, frozenset())
