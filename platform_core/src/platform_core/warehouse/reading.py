"""A session that reads every table and can do nothing else: for statements, and for what lies behind a view, that others wrote.

A superuser's session is never one: a function that a domain put into a view may leave the role that the session acts as
(``RESET ROLE``), and a superuser may start programs even in a read-only transaction. So where the platform's role is a superuser,
as on the embedded server, a login of its own is used, which is none.
"""

from __future__ import annotations

import secrets
from collections.abc import Generator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.warehouse.connection import Warehouse

READS_ALL = "pg_read_all_data"
"""Role of Postgres whose members read every table."""
_LOCK = 0x6D717279  # "mqry": the password is set and used by one at a time
_VALID = timedelta(minutes=1)


@contextmanager
def reading(warehouse: Warehouse, domain: str | None = None) -> Generator[Connection]:
    """A session for one read-only transaction: as the domain, else as nobody in particular who may read everything.

    A platform role that is no superuser reads by itself: a read-only transaction, which no function can end, is all that it can do.

    Args:
        warehouse: The warehouse.
        domain: Whom to act as.

    Raises:
        WarehouseError: The server cannot be reached, or does not let the session in.
    """
    with _session(warehouse) if domain is None else warehouse.connect_domain(domain) as connection:
        connection.read_only = True
        if domain is None:
            connection.execute("SELECT set_config('role', %(role)s, true) WHERE pg_has_role(%(role)s, 'SET')", {"role": READS_ALL})
        yield connection
        connection.rollback()


def _session(warehouse: Warehouse) -> Connection:
    with warehouse.connect_platform(autocommit=True) as platform:
        row = platform.execute("SELECT rolsuper FROM pg_catalog.pg_roles WHERE rolname = session_user").fetchone()
        if row == (True,):
            platform.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # until the other session is begun; it ends with this one
            role, password = _login(platform)
            return warehouse.connect(role, password=password)
    return warehouse.connect_platform()


def _login(platform: Connection) -> tuple[str, str]:
    """Makes the reading login, or gives it a new password. A password is for one session, and is kept nowhere."""
    found = platform.execute(
        """SELECT d.oid, r.oid IS NOT NULL, coalesce(has_database_privilege(r.oid, d.oid, 'CONNECT'), false) FROM pg_catalog.pg_database AS d
           LEFT JOIN pg_catalog.pg_roles AS r ON r.rolname = %s || d.oid::text WHERE d.datname = current_database()""",
        (naming.QUERY_ROLE_PREFIX,),
    ).fetchone()
    assert found is not None
    number, known, connects = found
    name, password = f"{naming.QUERY_ROLE_PREFIX}{number}", secrets.token_urlsafe(24)
    role = sql.Identifier(name)
    hashed = platform.pgconn.encrypt_password(password.encode(), name.encode(), b"scram-sha-256").decode()
    until = (datetime.now(UTC) + _VALID).isoformat()
    # All of it each time: what somebody gave the role by hand must not be used.
    powers = "{} ROLE {} LOGIN NOINHERIT NOSUPERUSER NOCREATEROLE NOCREATEDB NOREPLICATION NOBYPASSRLS PASSWORD {} VALID UNTIL {}"
    verb = sql.SQL("ALTER") if known else sql.SQL("CREATE")
    with platform.transaction():
        platform.execute(sql.SQL(powers).format(verb, role, sql.Literal(hashed), sql.Literal(until)))
        platform.execute(sql.SQL("GRANT {} TO {} WITH INHERIT FALSE, SET TRUE").format(sql.Identifier(READS_ALL), role))
        if not connects:
            platform.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(platform.info.dbname), role))
    return name, password
