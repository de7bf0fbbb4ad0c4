"""Which raw copies a replay loads, which of their streams, and which state it leaves. Pure: decides, touches nothing."""

from __future__ import annotations

import logging
from collections.abc import Collection, Sequence
from dataclasses import dataclass

from platform_core.contracts import did_you_mean
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.errors import ReplayError
from platform_core.ingestion.protocol import Json, StreamKey
from platform_core.ingestion.raw_manifest import ReplayStream, SyncManifest

LATEST, ALL = "latest", "all"

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ReplayPlan:
    """A replay, decided.

    Attributes:
        syncs: In order.
        first: For each stream, the place in ``syncs`` of the first that is loaded: what a later one replaced is left out.
        rebuild: The tables are emptied before.
        later: Ids of the syncs after the last of ``syncs``.
        states: The connection's states that are written.
        restored: Streams whose state is exchanged for that of ``states``; None for everything, shared states too.
    """

    syncs: tuple[SyncManifest, ...]
    first: dict[StreamKey, int]
    rebuild: bool
    later: tuple[str, ...]
    states: tuple[Json, ...]
    restored: frozenset[StreamKey] | None

    def streams_of(self, manifest: SyncManifest) -> list[ReplayStream]:
        """The streams of one sync that are loaded."""
        place = next(at for at, each in enumerate(self.syncs) if each is manifest)
        return [
            stream
            for stream in manifest.streams
            if stream.committed is not None and stream.task.key in self.first and place >= self.first[stream.task.key]
        ]


def plan_replay(connection: Connection, known: Sequence[SyncManifest], which: str, streams: Collection[str] | None) -> ReplayPlan:
    """Decides a replay.

    Args:
        connection: For messages.
        known: All manifests of the connection, oldest first.
        which: A sync id, ``latest`` or ``all``.
        streams: Names of streams, all by default.

    Raises:
        ReplayError: There is nothing to replay under that name.
    """
    names = {stream.task.name for manifest in known for stream in manifest.streams}
    for name in streams or ():
        if name not in names:
            raise ReplayError(
                f"no raw copy has a stream {name!r}{did_you_mean(name, names)}",
                where=connection.id,
                remedy=f"use: {', '.join(sorted(names))}",
            )
    syncs = _chosen(connection, known, which)
    place = {manifest.sync_id: at for at, manifest in enumerate(known)}
    first: dict[StreamKey, int] = {}
    for at, manifest in enumerate(syncs):
        for stream in manifest.streams:
            if stream.committed is None or (streams is not None and stream.task.name not in streams):
                continue
            if stream.task.replace or stream.task.key not in first:
                first[stream.task.key] = at
    if not first:
        raise ReplayError(
            "nothing to replay: no row of these streams was committed by it",
            where=f"{connection.id} {which}",
            remedy=f"choose another sync; see: mesh ingest {connection.id} --syncs",
        )
    newest = syncs[-1]
    committing = [manifest for manifest in known if manifest.touched]
    is_newest = not committing or place[newest.sync_id] >= place[committing[-1].sync_id]
    restored = (
        frozenset(first)
        if is_newest and streams is not None
        else None
        if is_newest
        else frozenset(stream.task.key for stream in newest.streams if stream.task.replace and stream.task.key in first)
    )
    later = tuple(manifest.sync_id for manifest in known[place[newest.sync_id] + 1 :])
    return ReplayPlan(tuple(syncs), first, which == ALL, later, newest.state_after, restored)


def _chosen(connection: Connection, known: Sequence[SyncManifest], which: str) -> list[SyncManifest]:
    see = f"see: mesh ingest {connection.id} --syncs"
    if not known:
        raise ReplayError("has no raw copy", where=connection.id, remedy="check MESH_LAKE_URL, or run the connection first")
    if which == LATEST:
        done = [manifest for manifest in known if manifest.status == "succeeded"]
        if not done:
            raise ReplayError("no sync of it succeeded", where=connection.id, remedy=f"name one by its id; {see}")
        return [done[-1]]
    if which == ALL:
        # An unsettled sync is the last one before the warehouse was lost: the state before it goes with the rows before it.
        for manifest in known:
            if not manifest.settled:
                _log.warning("%s: the sync %s is left out, nobody knows what it committed", connection.id, manifest.sync_id)
        chosen = [manifest for manifest in known if manifest.settled and manifest.touched]
        if not chosen:
            raise ReplayError("no sync of it committed anything", where=connection.id, remedy=see)
        return chosen
    found = [manifest for manifest in known if manifest.sync_id == which]
    if not found:
        guess = did_you_mean(which, [manifest.sync_id for manifest in known])
        raise ReplayError(f"no raw copy of a sync {which!r}{guess}", where=connection.id, remedy=see)
    if not found[0].settled:
        raise ReplayError(
            "nothing is known of the outcome of this sync: neither its manifest nor mesh.syncs tell what it committed",
            where=f"{connection.id} {which}",
            remedy=f"replay the others by their ids; {see}",
        )
    return found
