"""Finishes what a killed sync left: its raw copy, and its row of ``mesh.syncs``; and raw copies that the lake refused to take whole."""

from __future__ import annotations

import logging
from datetime import UTC, datetime
from typing import Any

import psycopg

from platform_core.ingestion.connection import Connection
from platform_core.ingestion.protocol import decode, decode_json
from platform_core.ingestion.raw_manifest import end_manifest
from platform_core.ingestion.state import committed_streams, finish_sync, note_raw_object, stored_states, unsettled_syncs
from platform_core.lake import RawObject

_KILLED = "the process ended without a word"

_log = logging.getLogger(__name__)


def settle_dead_syncs(session: psycopg.Connection[Any], connection: Connection, lake_url: str) -> list[str]:
    """Records the syncs of killed processes, and keeps what can be read of their raw copies.

    A sync that failed because the lake was full, after some of its rows were committed, is settled too: a replay needs them.

    Needs the connection's lock: with it, no process that runs can own a sync that still says ``running``. The raw copy holds
    at least what the sync committed, since a commit waits for it (`RawCopy.secure`). May itself be killed and run again.

    Returns:
        The ids of the killed syncs.

    Raises:
        LakeError, RawCopyError: The lake cannot be read or written.
    """
    killed: list[str] = []
    for sync in unsettled_syncs(session, connection.domain, connection.name):
        sync_id = sync.sync_id
        raw = RawObject(lake_url, connection.domain, connection.name, sync_id)
        if sync.status != "running":
            if _settle_raw(session, raw, connection, sync.status):
                note_raw_object(session, sync_id, raw.url)
                _log.warning("%s: the raw copy of the %s sync %s is finished: %s", connection.id, sync.status, sync_id, raw.url)
            continue
        kept = _settle_raw(session, raw, connection, "killed")
        finish_sync(session, sync_id, "killed", raw.url if kept else None, _KILLED)
        _log.warning(
            "%s: the sync %s was killed; %s", connection.id, sync_id, f"its raw copy is {raw.url}" if kept else "it left no raw copy"
        )
        killed.append(sync_id)
    return killed


def _settle_raw(session: psycopg.Connection[Any], raw: RawObject, connection: Connection, status: str) -> bool:
    text = raw.manifest_text()
    if text is None:
        raw.clean()  # killed while it wrote the first manifest
        return False
    figures = raw.salvage()
    # The manifest was written before the outcome was known.
    ended = end_manifest(
        decode_json(text),
        status=status,
        finished=datetime.now(UTC),
        received=_counts(raw) if figures else {},
        committed=committed_streams(session, raw.sync_id),
        states=stored_states(session, connection.domain, connection.name),
    )
    raw.put_manifest({**ended, **(figures or {})})
    raw.clean()
    return figures is not None


def _counts(raw: RawObject) -> dict[str, tuple[int, int]]:
    """Records and bytes by stream, as the raw copy has them."""
    counts: dict[str, tuple[int, int]] = {}
    for lines in raw.blocks():
        for line in lines:
            message, _ = decode(line)
            if message is None or message["type"] != "RECORD":
                continue
            name = message["record"]["stream"]
            rows, size = counts.get(name, (0, 0))
            counts[name] = (rows + 1, size + len(line))
    return counts
