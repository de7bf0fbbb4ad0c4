"""Names and types of the columns of a relation or query, as the server reports them."""

from __future__ import annotations

from dataclasses import dataclass

import psycopg
from psycopg import sql

from platform_core.warehouse.bulk_errors import BulkError


@dataclass(frozen=True)
class Relation:
    """A table or view of the warehouse."""

    schema: str
    name: str

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}"

    @property
    def sql(self) -> sql.Composable:
        """The quoted name."""
        return sql.Identifier(self.schema, self.name)


@dataclass(frozen=True)
class Described:
    """A column.

    Attributes:
        name: Its name.
        oid: Object id of its type (the base type, for a domain type).
        modifier: Type modifier, -1 for none.
    """

    name: str
    oid: int
    modifier: int


def describe(connection: psycopg.Connection, source: sql.Composable) -> list[Described]:
    """The columns of ``SELECT * FROM source``.

    Raises:
        BulkError: Two columns have the same name.
    """
    with connection.cursor() as cursor:
        cursor.execute(sql.SQL("SELECT * FROM {} LIMIT 0").format(source))
        result = cursor.pgresult
        if result is None:
            raise BulkError("the server told no columns")
        names = [(result.fname(index) or b"").decode() for index in range(result.nfields)]
        twice = sorted({name for name in names if names.count(name) > 1})
        if twice:
            raise BulkError(f"the query has more than one column {', '.join(twice)}", remedy="name the columns apart with AS")
        return [Described(name, result.ftype(index), result.fmod(index)) for index, name in enumerate(names)]


def text_like(connection: psycopg.Connection, oids: set[int]) -> set[int]:
    """Which of these types travel as their text in binary COPY: enums and citext."""
    if not oids:
        return set()
    query = "SELECT oid FROM pg_type WHERE oid = ANY(%s) AND (typtype = 'e' OR typname = 'citext')"
    return {oid for (oid,) in connection.execute(query, (list(oids),))}


def require_utf8(connection: psycopg.Connection) -> None:
    """Refuses a connection whose text is not UTF-8, as Arrow's is."""
    if connection.info.encoding != "utf-8":
        raise BulkError(
            f"the connection's client_encoding is {connection.info.encoding}, Arrow text is UTF-8",
            remedy="connect with client_encoding=UTF8",
        )
