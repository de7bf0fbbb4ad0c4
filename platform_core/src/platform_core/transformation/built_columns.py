"""The relations of a schema as they are built now: their columns, in their order, with their types."""

from __future__ import annotations

from psycopg import Connection

_QUERY = """SELECT c.relname::text, a.attname::text, format_type(a.atttypid, a.atttypmod)
    FROM pg_catalog.pg_attribute AS a
    JOIN pg_catalog.pg_class AS c ON c.oid = a.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname = %s AND c.relkind IN ('r', 'p', 'v', 'm') AND a.attnum > 0 AND NOT a.attisdropped
    ORDER BY c.relname, a.attnum"""


def built_columns(connection: Connection, schema: str) -> dict[str, dict[str, str]]:
    """Relation to its columns with their types as Postgres prints them; empty for a schema that is not there."""
    found: dict[str, dict[str, str]] = {}
    for relation, column, kind in connection.execute(_QUERY, (schema,)):
        found.setdefault(str(relation), {})[str(column)] = str(kind)
    return found
