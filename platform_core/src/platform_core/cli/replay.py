"""``ingest --replay`` and ``--syncs``: raw tables from raw copies, and which there are."""

from __future__ import annotations

from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING

import typer

from platform_core.cli.listing import listing, print_listing
from platform_core.cli.session import Session, err, out, print_json
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.ingestion import Connection, ReplayProgress, ReplayResult
    from platform_core.ingestion.drops import Drop

WORDS = ("latest", "all")


def complete_sync(context: typer.Context, incomplete: str) -> list[str]:
    """``latest``, ``all`` and the ids of the connection's syncs, for the shell."""
    from platform_core.cli.connection_names import find_connection
    from platform_core.errors import MeshError
    from platform_core.ingestion import replayable_syncs
    from platform_core.settings import Settings

    try:
        settings = Settings.load()
        found = replayable_syncs(find_connection(settings.repo, str(context.params.get("connection"))), settings)
    except MeshError:
        found = []
    return [name for name in (*WORDS, *(manifest.sync_id for manifest in reversed(found))) if name.startswith(incomplete)]


def show_syncs(session: Session, connection: Connection, as_json: bool) -> None:
    """Prints the syncs that left a raw copy, newest first."""
    from platform_core.ingestion import replayable_syncs

    with err.status(f"reading the manifests of {connection.id}"):
        found = replayable_syncs(connection, session.settings)[::-1]
    if as_json:
        syncs = [
            {
                "sync": manifest.sync_id,
                "started_at": manifest.started_at.isoformat(),
                "status": manifest.status,
                "rows": manifest.rows,
                "compressed_bytes": manifest.compressed_bytes,
            }
            for manifest in found
        ]
        print_json({"connection": connection.id, "syncs": syncs})
        return
    if not found:
        out.print(f"{connection.id} has no raw copy yet", markup=False)
        return
    from rich.text import Text

    table = listing("sync", "started (UTC)", "status", "rows committed", "size")
    for manifest in found:
        size = (
            f"{manifest.compressed_bytes / 1e6:,.1f} MB"
            if manifest.compressed_bytes >= 1e6
            else f"{manifest.compressed_bytes / 1e3:.1f} kB"
        )
        started = f"{manifest.started_at:%Y-%m-%d %H:%M:%S}"
        table.add_row(Text(manifest.sync_id), started, manifest.status, f"{manifest.rows:,}", size)
    print_listing(table)


def replay(session: Session, connection: Connection, which: str, streams: list[str] | None, as_json: bool) -> None:
    """Loads raw copies again and prints what came of it."""
    from platform_core.ingestion import run_replay

    with _replaying(connection.id) as show:
        result = run_replay(
            connection, which, warehouse=session.warehouse, settings=session.settings, streams=streams or None, on_progress=show
        )
    _print(connection.id, result, as_json)


def replay_files(session: Session, drop: Drop, which: str, as_json: bool) -> None:
    """Loads the raw copies of dropped files again and prints what came of it.

    Raises:
        MeshError: Something else than everything was asked for.
    """
    from platform_core.ingestion.drops import replay_drop

    if which != "all":
        raise MeshError(
            f"{drop.id} is a drop of files: which of them count follows from all of them", remedy=f"./mesh ingest {drop.id} --replay all"
        )
    with _replaying(drop.id) as show:
        result = replay_drop(drop, warehouse=session.warehouse, settings=session.settings, on_progress=show)
    _print(drop.id, result, as_json)


@contextmanager
def _replaying(name: str) -> Generator[Callable[[ReplayProgress], None]]:
    with err.status(f"checking the raw copies of {name}") as status:

        def show(progress: ReplayProgress) -> None:
            rows = sum(progress.rows.values())
            status.update(f"replaying {progress.sync_id} ({progress.number} of {progress.syncs}): {rows:,} rows, {progress.seconds:.0f} s")

        yield show


def _print(name: str, result: ReplayResult, as_json: bool) -> None:
    if as_json:
        print_json({"connection": name, "syncs": result.syncs, "rows": result.rows, "seconds": round(result.seconds, 2)})
        return
    for stream, rows in result.rows.items():
        out.print(f"{result.tables[stream]}: {rows:,} rows", markup=False)
    count = len(result.syncs)
    out.print(f"{result.seconds:.1f} s; {count} sync{'s' if count != 1 else ''} replayed, the source was not asked", soft_wrap=True)
