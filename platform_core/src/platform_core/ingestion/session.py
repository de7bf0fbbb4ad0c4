"""The database session of a sync or a replay: its settings, and the lock that lets one of them at a time work on a connection."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Generator
from typing import Any

import psycopg

from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import ConcurrentSyncError
from platform_core.warehouse import Warehouse

LOCK_SECONDS = 10  # a killed runner's session may need a moment to notice
_SETTINGS = (
    "SET TimeZone = 'UTC'",  # a time without a zone is UTC
    "SET temp_buffers = '16MB'",
    "SET work_mem = '64MB'",  # sorts of a merge
    "SET client_connection_check_interval = '2s'",  # a statement of a killed runner ends, and with it the lock
    "SET statement_timeout = 0",
    "SET idle_session_timeout = 0",
    "SET idle_in_transaction_session_timeout = '1h'",  # one stays open between copies, and while the raw copy is finished
)
_SINCE_17 = "SET transaction_timeout = 0"


@contextlib.contextmanager
def locked_session(warehouse: Warehouse, connection: Connection) -> Generator[psycopg.Connection[Any]]:
    """An autocommit session as the domain's owner that holds the connection's lock; both end with the context, or the process.

    Raises:
        ConcurrentSyncError: Another sync or replay of the connection holds the lock.
    """
    with contextlib.closing(warehouse.connect_domain(connection.domain, autocommit=True)) as session:
        settings = (*_SETTINGS, _SINCE_17) if session.info.server_version >= 170000 else _SETTINGS
        session.execute("; ".join(settings))  # type: ignore[call-overload]
        digest = hashlib.blake2b(f"mesh ingestion {connection.id}".encode(), digest_size=8).digest()
        session.execute(f"SET lock_timeout = '{LOCK_SECONDS}s'")  # type: ignore[call-overload]
        try:
            session.execute("SELECT pg_advisory_lock(%s)", (int.from_bytes(digest, signed=True),))
        except psycopg.errors.LockNotAvailable as error:
            raise ConcurrentSyncError(
                "another sync of this connection is running",
                where=connection.id,
                remedy="wait for its end, or stop that process",
            ) from error
        session.execute("SET lock_timeout = 0")
        yield session
