"""The raw table of a drop from its raw copies: every file that counts, also those that nobody has any more."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from platform_core.ingestion.drops import ledger
from platform_core.ingestion.drops.drop import Drop
from platform_core.ingestion.drops.load_file import as_connection
from platform_core.ingestion.errors import ReplayError
from platform_core.ingestion.raw_manifest import SyncManifest
from platform_core.ingestion.recovery import settle_dead_syncs
from platform_core.ingestion.replay import ReplayProgress, ReplayResult, replay_known, replayable_syncs
from platform_core.ingestion.replay_plan import ALL
from platform_core.ingestion.session import locked_session
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


def replay_drop(
    drop: Drop, *, warehouse: Warehouse, settings: Settings, on_progress: Callable[[ReplayProgress], None] | None = None
) -> ReplayResult:
    """Empties the table and loads the raw copies of all files that count, in their order; in one transaction.

    A file counts as it was loaded last; a deleted one too. Types, ``_airbyte_raw_id`` and the history stay what they were.

    Args:
        drop: The declaration.
        warehouse: Where the raw table is.
        settings: For the lake.
        on_progress: Called about twice a second.

    Raises:
        ReplayError: A raw copy is missing or damaged; the table is as it was.
        RawCopyError, LakeError: The lake cannot be read.
        ConcurrentSyncError: Somebody loads files of this drop.
        LoadError: The table belongs to another connection.
    """
    connection = as_connection(drop)
    with locked_session(warehouse, connection) as session:
        settle_dead_syncs(session, connection, settings.lake_url)
        loads = ledger.standing_loads(session, drop)
        known = [manifest for manifest in replayable_syncs(connection, settings) if manifest.sync_id in loads]
        missing = sorted(loads[sync_id] for sync_id in loads.keys() - {manifest.sync_id for manifest in known})
        if missing:
            raise ReplayError(
                f"the raw copies of these files are not in the lake: {', '.join(missing)}",
                where=drop.id,
                remedy="restore them there, or check MESH_LAKE_URL; files that still lie in the drop are loaded with --full-refresh",
            )

        def in_transaction() -> None:
            ledger.note_replayed(session, drop, list(loads))

        return replay_known(
            session, connection, _as_kept(known), ALL, settings=settings, on_progress=on_progress, in_transaction=in_transaction
        )


def _as_kept(known: Sequence[SyncManifest]) -> list[SyncManifest]:
    """With the newest type of each column throughout: a file that left a column empty knew less than a later one."""
    kinds = {column.name: column.kind for manifest in known for stream in manifest.streams for column in stream.task.columns}

    def kept(manifest: SyncManifest) -> SyncManifest:
        streams = tuple(
            replace(stream, task=replace(stream.task, columns=tuple(replace(each, kind=kinds[each.name]) for each in stream.task.columns)))
            for stream in manifest.streams
        )
        return replace(manifest, streams=streams)

    return [kept(manifest) for manifest in known]
