"""Runs a connection on the server of the environment, without an orchestrator."""

from __future__ import annotations

import logging
from collections.abc import Collection

from platform_core.contracts import did_you_mean
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import ConnectionFileError
from platform_core.ingestion.server.api import AirbyteApi
from platform_core.ingestion.server.sync import Outcome, pace_of, sync_targets, targets

_log = logging.getLogger(__name__)


def run_on_server(
    connection: Connection, api: AirbyteApi, streams: Collection[str] | None = None, log: logging.Logger = _log
) -> list[Outcome]:
    """Syncs a connection's streams on the server: all of them, or those that are named and no others.

    Args:
        connection: The file; it must have been applied.
        api: The server.
        streams: Names of streams, all by default.
        log: Told what happens.

    Raises:
        ConnectionFileError: A stream is unknown.
        ServerError: The connection was not applied, or the server cannot be used. What goes wrong with one stream is in its outcome.
    """
    known = [stream.name for stream in connection.streams]
    for name in streams or ():
        if name not in known:
            raise ConnectionFileError(
                f"has no stream {name!r}{did_you_mean(name, known)}", where=str(connection.path), remedy=f"use: {', '.join(sorted(known))}"
            )
    ids = {str(item["name"]): str(item["connectionId"]) for item in api.observe("connection")}
    return sync_targets(api, targets(connection, known if streams is None else streams, ids), pace_of(connection, api.settings), log)
