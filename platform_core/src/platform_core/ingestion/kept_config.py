"""Configuration that a connector changed itself (a refresh token that is good for one use), kept for its next start.

It lies in ``mesh.connector_config``, since a pod's disk is gone with the pod. Row security lets nobody but the connection's domain read
it. What is kept counts only as long as what is declared stays the same, which a salted slow hash of it tells: whoever sets a new
secret in the environment wants that one to be used.
"""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import logging
import secrets
import time
from collections.abc import Callable, Sequence
from typing import Any, LiteralString

import orjson
import psycopg

from platform_core.ingestion.config import ResolvedConfig
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import LoadError
from platform_core.ingestion.protocol import Json, decode_json, dump_json
from platform_core.warehouse import WarehouseError

_PATIENCE_SECONDS = 60.0  # a restart of the warehouse
_RETRY_SECONDS = 0.5
_INJECTED = "__injected"  # the CDK puts the manifest into the configuration that it reports

_log = logging.getLogger(__name__)


class KeptConfig:
    """The configuration of one connection while its lock is held.

    Attributes:
        declared: As the file and the environment say.
        config: What the connector is given: the declared one, or what it made of that.
    """

    def __init__(
        self,
        session: psycopg.Connection[Any],
        connection: Connection,
        declared: ResolvedConfig,
        *,
        connect: Callable[[], psycopg.Connection[Any]],
    ) -> None:
        """Reads what is kept.

        Args:
            session: An autocommit session as the domain's owner, with the connection's lock.
            connection: The connection.
            declared: Its resolved configuration.
            connect: Opens another such session.
        """
        self._connection, self._connect = connection, connect
        self.declared = self.config = declared
        row = session.execute(
            "SELECT salt, declared, config::text FROM mesh.connector_config WHERE domain = %s AND connection = %s",
            (connection.domain, connection.name),
        ).fetchone()
        if row is None:
            return
        if hmac.compare_digest(_digest(declared.data, row[0]), row[1]):
            self.config = declared.updated(decode_json(row[2]))
        else:
            _log.info("%s: its configuration was changed, so what the connector had made of the former one is left aside", connection.id)

    def redact(self, text: str) -> str:
        """``text`` without secrets, those that the connector reported included."""
        return self.config.redact(text)

    def keep(self, reported: Json) -> None:
        """Keeps what the connector reports, at once: the token that it replaces may be void already.

        Raises:
            LoadError: The warehouse did not take it, for so long that waiting longer makes no sense.
        """
        config = {name: value for name, value in reported.items() if not name.startswith(_INJECTED)}
        self.config = self.config.updated(config)
        salt = secrets.token_bytes(16)
        values = (self._connection.domain, self._connection.name, salt, _digest(self.declared.data, salt), dump_json(config))
        self._write(
            "INSERT INTO mesh.connector_config (domain, connection, salt, declared, config) VALUES (%s, %s, %s, %s, %s::json)"
            " ON CONFLICT (domain, connection) DO UPDATE SET salt = excluded.salt, declared = excluded.declared,"
            " config = excluded.config, updated_at = clock_timestamp()",
            values,
        )
        _log.info("%s: the connector changed its configuration (a rotated token?); kept for its next start", self._connection.id)

    def _write(self, statement: LiteralString, values: Sequence[Any]) -> None:
        # A session of its own: that of the sync may be inside a transaction, which could be rolled back, or broken. The sync is lost
        # with its session, but a token that is good for one use must not be.
        until = time.monotonic() + _PATIENCE_SECONDS
        while True:
            try:
                with contextlib.closing(self._connect()) as session:
                    session.execute(statement, values)
                return
            except (psycopg.OperationalError, WarehouseError) as error:
                _log.warning("%s: the warehouse does not answer while a changed configuration is to be kept", self._connection.id)
                if time.monotonic() > until:
                    raise LoadError(
                        "the connector changed its configuration (a rotated token?), and the warehouse could not keep it",
                        where=self._connection.id,
                        remedy="start the warehouse, then renew the connection's secret where the environment comes from",
                    ) from error
                time.sleep(_RETRY_SECONDS)


class UnkeptConfig(KeptConfig):
    """The same for a connection that is only being written, where no warehouse can be reached."""

    def __init__(self, declared: ResolvedConfig) -> None:
        """Takes the declared configuration as it is."""
        self.declared = self.config = declared

    def keep(self, reported: Json) -> None:
        """Cannot keep it, and says so."""
        self.config = self.config.updated(reported)
        _log.warning("the connector changed its configuration (a rotated token?) and no warehouse keeps it: renew the secret")


def _digest(config: Json, salt: bytes) -> bytes:
    return hashlib.scrypt(orjson.dumps(config, option=orjson.OPT_SORT_KEYS), salt=salt, n=1 << 14, r=8, p=1, dklen=32)
