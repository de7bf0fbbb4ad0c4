"""Whether the platform's own tables are there yet: what compares the files with them must also work before the first apply."""

from __future__ import annotations

from psycopg import Connection


def made(connection: Connection, *tables: str) -> bool:
    """Whether all of these tables of the schema ``mesh`` exist; one that a later version brings waits for that version's apply."""
    asked = "SELECT bool_and(to_regclass('mesh.' || name) IS NOT NULL) FROM unnest(%s::text[]) AS name"
    return connection.execute(asked, (list(tables),)).fetchone() == (True,)
