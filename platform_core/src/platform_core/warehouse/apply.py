"""Makes the warehouse what the files say: the platform's own tables, then roles, schemas and grants, a domain at a time."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh
from platform_core.warehouse.access_events import record
from platform_core.warehouse.change import Change
from platform_core.warehouse.connection import Warehouse
from platform_core.warehouse.declared import write_record
from platform_core.warehouse.errors import StalePlanError, WarehouseError
from platform_core.warehouse.execution import Applied, Finish, execute
from platform_core.warehouse.planning import Source, make_plan
from platform_core.warehouse.platform_tables import platform_files, record_parts

DAGSTER_DATABASE = "dagster"
DAGSTER_ROLE = "dagster"
APPLY_LOCK = 0x6D657368  # "mesh": two applies never run at once


def apply(
    warehouse: Warehouse,
    mesh: Mesh,
    *,
    sources: Sequence[Source] = (),
    prune: bool = False,
    now: datetime | None = None,
) -> tuple[Change, ...]:
    """``apply_plan`` for callers that need all of it: a domain that could not be applied is an error.

    Returns:
        The steps that were taken; a second call takes none.

    Raises:
        WarehouseError: A domain could not be made what its files say; the others were.
    """
    applied = apply_plan(warehouse, mesh, sources=sources, prune=prune, now=now)
    if applied.failures:
        first = applied.failures[0]
        more = f" (and {len(applied.failures) - 1} more)" if applied.failures[1:] else ""
        whose = f"the domain {first.domain}" if first.domain else "the platform's own tables and roles"
        raise WarehouseError(f"{whose} could not be applied{more}: {first.reason}", where=first.object, remedy=first.remedy)
    return applied.taken


def apply_plan(
    warehouse: Warehouse,
    mesh: Mesh,
    *,
    sources: Sequence[Source] = (),
    prune: bool = False,
    now: datetime | None = None,
    expected: str | None = None,
    also: Finish | None = None,
) -> Applied:
    """Plans anew under the lock of all applies, and takes the steps: the platform's own, then each domain's in one transaction.

    Args:
        warehouse: Reached as the platform's role.
        mesh: The files.
        sources: Other planes' steps, see ``make_plan``.
        prune: Whether what no file declares any more is removed with its content.
        now: The moment at which access that ends is judged; the present by default.
        expected: ``Planned.state`` of a plan that was shown; with another one nothing is done.
        also: Called at the end of each domain's transaction, for what belongs to its steps.

    Raises:
        StalePlanError: The warehouse is not what the plan was made for.
        WarehouseError: Two products would share a schema or role.
    """
    files = platform_files()
    with warehouse.connect_platform(autocommit=True) as connection:
        connection.execute("SELECT pg_advisory_lock(%s)", (APPLY_LOCK,))  # ends with the session: a killed apply frees it
        planned = make_plan(connection, mesh, sources, now=now)
        if expected is not None and planned.state != expected:
            raise StalePlanError(
                "the warehouse is not what the plan was made for: it was changed since",
                where=f"{connection.info.host}:{connection.info.port}/{connection.info.dbname}",
                remedy="plan again, look at what is different, and apply that",
            )

        def begin(connection: Connection) -> None:
            # A platform role that is no superuser must be a member of the roles it makes, to give them schemas.
            connection.execute("SET LOCAL createrole_self_grant = 'set, inherit'")
            connection.execute("SET LOCAL check_function_bodies = off")  # the planes' files speak of each other's tables

        def finish(connection: Connection, domain: str, steps: Sequence[Change]) -> None:
            if not domain:
                record_parts(connection, files, planned.declared.recorded)
            elif domain in mesh.domains and warehouse.server is not None:
                _set_password(connection, warehouse, naming.job_role(domain))
            write_record(connection, planned.declared, domain, prune)
            if also is not None:
                also(connection, domain, steps)

        applied = execute(connection, planned.declared, planned.steps, prune=prune, finish=finish, begin=begin)
        if not any(failure.domain == "" for failure in applied.failures):  # else the table of the record may be missing
            with connection.transaction():
                record(connection, mesh, now or datetime.now(UTC))
        return applied


def plan(connection: Connection, mesh: Mesh, now: datetime | None = None) -> tuple[Change, ...]:
    """The steps that ``apply`` would take now, and what it would leave without ``prune``."""
    return make_plan(connection, mesh, now=now).steps


def prepare_databases(warehouse: Warehouse) -> None:
    """Makes the databases of an embedded server: the warehouse, and Dagster's own with its role."""
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        with connection.transaction():
            connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLY_LOCK,))
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
