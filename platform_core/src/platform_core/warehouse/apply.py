"""Makes the warehouse what the files say: the platform's own tables, then roles, schemas and grants, in one transaction."""

from __future__ import annotations

from pathlib import Path

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh
from platform_core.warehouse import access
from platform_core.warehouse.connection import Warehouse

DAGSTER_DATABASE = "dagster"
DAGSTER_ROLE = "dagster"
_LOCK = 0x6D657368  # "mesh": two applies never run at once


def apply(warehouse: Warehouse, mesh: Mesh) -> tuple[access.Change, ...]:
    """Applies what the product files ask for; a second call changes nothing.

    Args:
        warehouse: Reached as the platform's role.
        mesh: The files.

    Returns:
        The steps that were taken.
    """
    with warehouse.connect_platform() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
        # A platform role that is no superuser must be a member of the roles it makes, to give them schemas.
        connection.execute("SET LOCAL createrole_self_grant = 'set, inherit'")
        for path in schema_files():
            connection.execute(path.read_bytes())
        steps = access.plan(connection, mesh)
        for step in steps:
            if step.statement is not None and not step.prune:
                connection.execute(step.statement)
        _protect(connection)
        if warehouse.server is not None:
            for domain in mesh.domains:
                _set_password(connection, warehouse, naming.job_role(domain))
    return steps


def prepare_databases(warehouse: Warehouse) -> None:
    """Makes the databases of an embedded server: the warehouse, and Dagster's own with its role."""
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (_LOCK,))
            if not connection.execute("SELECT 1 FROM pg_roles WHERE rolname = %s", (DAGSTER_ROLE,)).fetchone():
                connection.execute(sql.SQL("CREATE ROLE {} LOGIN").format(sql.Identifier(DAGSTER_ROLE)))
            _set_password(connection, warehouse, DAGSTER_ROLE)
        for database, owner in ((warehouse.parameters["dbname"], warehouse.admin), (DAGSTER_DATABASE, DAGSTER_ROLE)):
            if not connection.execute("SELECT 1 FROM pg_database WHERE datname = %s", (database,)).fetchone():
                statement = sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(database), sql.Identifier(owner))
                try:
                    connection.execute(statement)
                except errors.DuplicateDatabase:  # another process was first: CREATE DATABASE takes no transaction, so no lock
                    continue
            # The warehouse's job roles have no business in Dagster's database, and the other way round.
            connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(database)))


def schema_files() -> list[Path]:
    """The ``schema.sql`` of every plane, the warehouse's own first."""
    package = Path(__file__).parents[1]
    own = Path(__file__).with_name("schema.sql")
    return [own, *sorted(path for path in package.glob("*/schema.sql") if path != own)]


def _protect(connection: Connection) -> None:
    """Row security on every table of the platform: all members read, a domain writes only its own rows.

    A table whose comment begins with ``private`` is read by row too: a domain sees its own.
    """
    group, schema = sql.Identifier(access.MEMBERS), sql.Identifier(naming.PLATFORM_SCHEMA)
    database = sql.Identifier(connection.info.dbname)
    connection.execute(sql.SQL("GRANT TEMPORARY ON DATABASE {} TO {}").format(database, group))
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(schema, group))
    tables = connection.execute(
        """SELECT c.relname, c.relrowsecurity, coalesce(obj_description(c.oid, 'pg_class'), '') ~ '^private' FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           WHERE n.nspname = %s AND c.relkind IN ('r', 'p') ORDER BY 1""",
        (naming.PLATFORM_SCHEMA,),
    ).fetchall()
    for table, secured, private in tables:
        target = sql.Identifier(naming.PLATFORM_SCHEMA, table)
        if secured:
            continue
        connection.execute(sql.SQL("GRANT SELECT, INSERT, UPDATE, DELETE ON {} TO {}").format(target, group))
        connection.execute(sql.SQL("ALTER TABLE {} ENABLE ROW LEVEL SECURITY").format(target))
        readable = sql.SQL("mesh.may_write(domain)" if private else "true")
        connection.execute(sql.SQL("CREATE POLICY read ON {} FOR SELECT USING ({})").format(target, readable))
        for statement in (
            sql.SQL("CREATE POLICY insert ON {} FOR INSERT WITH CHECK (mesh.may_write(domain))"),
            sql.SQL("CREATE POLICY update ON {} FOR UPDATE USING (mesh.may_write(domain)) WITH CHECK (mesh.may_write(domain))"),
            sql.SQL("CREATE POLICY delete ON {} FOR DELETE USING (mesh.may_write(domain))"),
        ):
            connection.execute(statement.format(target))


def _set_password(connection: Connection, warehouse: Warehouse, role: str) -> None:
    """Gives a login role of the embedded server its generated password, hashed here so that no log can show it."""
    if warehouse.server is None:
        return
    stored = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = %s", (role,)).fetchone()
    known = warehouse.server.remembers(role)
    if known and stored and stored[0]:
        return
    password = warehouse.server.set_password(role)
    hashed = connection.pgconn.encrypt_password(password.encode(), role.encode(), b"scram-sha-256").decode()
    connection.execute(sql.SQL("ALTER ROLE {} PASSWORD {}").format(sql.Identifier(role), sql.Literal(hashed)))
