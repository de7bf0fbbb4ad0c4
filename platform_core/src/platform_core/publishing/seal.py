"""Sealing: the candidate leaves the build schema and becomes an immutable version that only the platform names.

What is audited is thereby exactly what is published: no later build can change it in between. A table is moved, not copied:
``ALTER TABLE ... SET SCHEMA`` costs the same for ten rows and for ten million. The build schema keeps a view of the old name,
so that ``ref`` and hand-written queries go on working; the next build puts its new table in the view's place.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime

from psycopg import Connection, errors, sql
from psycopg.types.json import Jsonb

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Table
from platform_core.publishing.errors import PublishingError

_MARK = "mesh sealed version "


@dataclass(frozen=True)
class Sealed:
    """A candidate under audit.

    Attributes:
        publication: Its identifier; sorts by time.
        versions: Port table to the relation that holds the candidate's rows, in the product's data schema.
    """

    publication: str
    versions: Mapping[str, str]


def seal(
    connection: Connection, contract: Contract, *, code_version: str, run_id: str | None, copied: frozenset[str] = frozenset()
) -> Sealed:
    """Seals the candidate of every table of a port, in the caller's transaction.

    Args:
        connection: As the domain's owner.
        contract: The port.
        code_version: Hash of the files that made the candidate.
        run_id: The run that publishes, for the record.
        copied: Models whose rows must stay where they are built (incremental ones): their candidate is a copy.

    Raises:
        PublishingError: A candidate does not exist.
    """
    publication = new_publication()
    versions = {
        table.physical_name: _seal_table(connection, contract, table, publication, table.model in copied) for table in contract.tables
    }
    connection.execute(
        """INSERT INTO mesh.publications (publication, domain, product_id, contract_id, contract_version, code_version, state, tables, run_id)
           VALUES (%s, %s, %s, %s, %s, %s, 'sealed', %s, %s)""",
        (
            publication,
            contract.domain,
            contract.product_id,
            contract.id,
            contract.version,
            code_version,
            Jsonb({table: {"version": version} for table, version in versions.items()}),
            run_id,
        ),
    )
    return Sealed(publication, versions)


def keep(connection: Connection, contract: Contract, versions: Iterable[str]) -> None:
    """Takes sealed tables out of the domain's hands: they pass to the keeper. Those that have passed already stay as they are.

    Raises:
        PublishingError: A table is more than rows: it would run code of its domain while others read it.
    """
    try:
        connection.execute("SELECT mesh.keep_versions(%s, %s)", (contract.id, list(versions)))
    except errors.InvalidObjectDefinition as error:
        raise PublishingError(
            error.diag.message_primary or str(error), where=contract.id, remedy=error.diag.message_hint or "build it as a plain table"
        ) from error


def new_publication() -> str:
    """A fresh identifier, for example ``20261120t101500123_9f2c``: UTC time to the millisecond, then noise."""
    now = datetime.now(UTC)
    return f"{now:%Y%m%dt%H%M%S}{now.microsecond // 1000:03d}_{secrets.token_hex(2)}"


def _seal_table(connection: Connection, contract: Contract, table: Table, publication: str, copied: bool) -> str:
    schema, data = naming.build_schema(contract.domain), naming.data_schema(contract.product_id)
    row = connection.execute(
        """SELECT c.relkind::text, obj_description(c.oid, 'pg_class'), c.oid, c.relpersistence = 'u' FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relname = %s AND c.relkind IN ('r', 'p', 'v', 'm', 'f')""",
        (schema, table.model),
    ).fetchone()
    if row is None:
        raise PublishingError(
            f"there is no candidate {schema}.{table.model} for the table {table.physical_name!r}",
            where=str(table.location),
            remedy=f"build it: a dbt model or a Python asset with the key {'/'.join(naming.build_key(contract.domain, table.model))}",
        )
    kind, comment = str(row[0]), str(row[1] or "")
    source = sql.Identifier(schema, table.model)
    if kind == "v" and comment.startswith(_MARK):
        # Sealed before: by a publisher that was killed, or for a former publication that nothing has been built since.
        return comment.removeprefix(_MARK)
    version = naming.version_table(table.physical_name, publication)
    target = sql.Identifier(data, version)
    if kind == "r" and not copied:
        if row[3]:  # Postgres empties an unlogged table after a crash; this one is for readers, so its rows are written anew
            connection.execute(sql.SQL("ALTER TABLE {} SET LOGGED").format(source))
        _rename_what_moves_along(connection, schema, int(row[2]), publication)
        connection.execute(sql.SQL("ALTER TABLE {} SET SCHEMA {}").format(source, sql.Identifier(data)))
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier(data, table.model), sql.Identifier(version)))
        connection.execute(sql.SQL("CREATE VIEW {} AS SELECT * FROM {}").format(source, target))
        connection.execute(sql.SQL("COMMENT ON VIEW {} IS {}").format(source, sql.Literal(_MARK + version)))
    else:
        connection.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(target, source))
    return version


def _rename_what_moves_along(connection: Connection, schema: str, table: int, publication: str) -> None:
    """Gives indexes and sequences of a table names of their own: former versions in the data schema have the same ones."""
    rows = connection.execute(
        """SELECT relname FROM pg_class WHERE relkind IN ('i', 'S') AND oid IN (
               SELECT indexrelid FROM pg_index WHERE indrelid = %(table)s
               UNION ALL
               SELECT objid FROM pg_depend WHERE refobjid = %(table)s AND deptype IN ('a', 'i')
                   AND classid = 'pg_class'::regclass AND refclassid = 'pg_class'::regclass)
           ORDER BY 1""",
        {"table": table},
    ).fetchall()
    for number, (name,) in enumerate(rows, 1):
        unique = sql.Identifier(naming.version_table(f"{number}_{name}", publication))
        connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(sql.Identifier(schema, str(name)), unique))
