"""``ingest``: a connection by hand - run it, ask it, check it."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Annotated, Any

import typer

from platform_core.cli.connection_names import complete_connection, complete_stream, find_connection, paths_from
from platform_core.cli.ingest_drop import drop_as_connection, find_drop, ingest_drop, refuse_options
from platform_core.cli.replay import complete_sync, replay_files, show_syncs
from platform_core.cli.replay import replay as replay_raw
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.contracts import did_you_mean
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.ingestion import Connection, SyncResult

Name = Annotated[
    str,
    typer.Argument(
        help="A connection, airbyte/<domain>/<name>.yaml, or a drop, airbyte/<domain>/drops/<name>.yaml: domain/name.",
        autocompletion=complete_connection,
    ),
]


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Data")(ingest)


def ingest(
    connection: Name,
    stream: Annotated[list[str] | None, typer.Option(help="Only this stream; may be repeated.", autocompletion=complete_stream)] = None,
    full_refresh: Annotated[bool, typer.Option("--full-refresh", help="Forget the state and read everything again.")] = False,
    accept_changes: Annotated[
        bool, typer.Option("--accept-changes", help="Take what changed in the source's schema, where the connection pauses for it.")
    ] = False,
    check: Annotated[bool, typer.Option("--check", help="Only ask the connector whether it reaches its source.")] = False,
    discover: Annotated[bool, typer.Option("--discover", help="Only show the streams that the source offers.")] = False,
    replay: Annotated[
        str | None,
        typer.Option(
            help="Rebuild raw tables from the raw copies in the lake, without the source: a sync id, latest, or all.",
            metavar="SYNC",
            autocompletion=complete_sync,
        ),
    ] = None,
    syncs: Annotated[bool, typer.Option("--syncs", help="Only list the syncs that can be replayed.")] = False,
    as_json: AsJson = False,
) -> None:
    """Run a connection, or load dropped files, now, outside Dagster too; a running platform sees the new data and goes on from it.

    Examples:

      ./mesh ingest sales/shop

      ./mesh ingest sales/shop --stream purchases --full-refresh

      ./mesh ingest sales/shop --discover

      ./mesh ingest sales/shop --replay all

      ./mesh ingest marketing/budgets
    """
    from platform_core.orchestration.local_services import use_running_services

    session = Session.open()
    use_running_services(session.settings, os.environ)
    with paths_from(session.settings.repo):
        drop = find_drop(session.settings.repo, connection)
        if drop is not None:
            refuse_options(drop, {"--stream": stream, "--accept-changes": accept_changes, "--check": check, "--discover": discover})
            if replay is not None or syncs:
                if full_refresh or (syncs and replay):
                    raise typer.BadParameter("--replay and --syncs go with nothing else")
                if replay is None:
                    show_syncs(session, drop_as_connection(drop), as_json)
                else:
                    replay_files(session, drop, replay, as_json)
                return
            raise typer.Exit(ingest_drop(session, drop, full_refresh=full_refresh, as_json=as_json))
        loaded = find_connection(session.settings.repo, connection)
        if replay is not None or syncs:
            if check or discover or full_refresh or accept_changes or (syncs and (replay or stream)):
                raise typer.BadParameter("--replay goes with --stream only, --syncs with nothing")
            if replay is None:
                show_syncs(session, loaded, as_json)
            else:
                replay_raw(session, loaded, replay, stream, as_json)
            return
        _refuse_nonsense(loaded, stream, asks=check + discover, changes=full_refresh or accept_changes)
        if check:
            _check(session, loaded, as_json)
        elif discover:
            _discover(session, loaded, stream, as_json)
        else:
            _sync(session, loaded, stream, full_refresh=full_refresh, accept_changes=accept_changes, as_json=as_json)


def _refuse_nonsense(connection: Connection, streams: list[str] | None, *, asks: int, changes: bool) -> None:
    if asks > 1 or (asks and changes):
        raise typer.BadParameter("--check and --discover load nothing: give one of them, without --full-refresh or --accept-changes")
    known = [selection.name for selection in connection.streams]
    for name in streams or () if not asks else ():
        if name not in known:
            raise MeshError(
                f"has no stream {name!r}{did_you_mean(name, known)}", where=str(connection.path), remedy=f"use: {', '.join(known)}"
            )


def _sync(
    session: Session, connection: Connection, streams: list[str] | None, *, full_refresh: bool, accept_changes: bool, as_json: bool
) -> None:
    if session.settings.airbyte is not None:
        from platform_core.cli.airbyte_server import server_ingest

        server_ingest(session, connection, streams, alters=full_refresh or accept_changes, as_json=as_json)
        return
    from platform_core.cli.ingest_progress import SyncDisplay
    from platform_core.ingestion import run_sync

    began = time.monotonic()
    wanted = streams or [selection.name for selection in connection.streams]
    with SyncDisplay(connection, wanted, err) as display:
        result = run_sync(
            connection,
            warehouse=session.warehouse,
            settings=session.settings,
            streams=wanted,
            full_refresh=full_refresh,
            accept_changes=accept_changes,
            on_progress=display.update,
        )
    _report(session, connection.domain, result)
    seconds = time.monotonic() - began
    if as_json:
        print_json({"sync": result.sync_id, "seconds": round(seconds, 2), "raw": result.raw_object, "streams": _figures(result)})
        return
    for value in result.streams.values():
        out.print(f"{value.table}: {value.rows:,} rows, {value.bytes:,} bytes, cursor {value.cursor or 'none'}", markup=False)
        for title, lines in (("changed", value.schema_changes), ("ignored", value.ignored_changes)):
            for line in lines:
                out.print(f"  {title}: {line}", markup=False)
    out.print(f"{seconds:.1f} s; sync {result.sync_id}, raw copy {relative(session, result.raw_object)}", soft_wrap=True, markup=False)


def _figures(result: SyncResult) -> dict[str, Any]:
    return {
        name: {
            "table": value.table,
            "rows": value.rows,
            "bytes": value.bytes,
            "cursor": value.cursor,
            "schema_changes": value.schema_changes,
            "ignored_changes": value.ignored_changes,
            "removed": value.removed,
            "undeclared": value.undeclared,
        }
        for name, value in result.streams.items()
    }


def _check(session: Session, connection: Connection, as_json: bool) -> None:
    from platform_core.ingestion import open_source

    with (
        err.status(f"asking {connection.connector_label}"),
        open_source(connection, warehouse=session.warehouse, settings=session.settings) as (_, _, discovery, kept),
    ):
        discovery.check(connection, kept)
    if as_json:
        print_json({"connection": connection.id, "status": "SUCCEEDED"})
    else:
        out.print(f"{connection.id}: {connection.connector_label} reaches its source", markup=False)


def _discover(session: Session, connection: Connection, streams: list[str] | None, as_json: bool) -> None:
    from platform_core.ingestion import offered_streams, open_source

    with (
        err.status(f"asking {connection.connector_label}"),
        open_source(connection, warehouse=session.warehouse, settings=session.settings) as (_, _, discovery, kept),
    ):
        offered = offered_streams(discovery.catalog(connection, kept, refresh=True))
    known = [stream.name for stream in offered]
    for name in streams or ():
        if name not in known:
            raise MeshError(f"the source has no stream {name!r}{did_you_mean(name, known)}", remedy=f"use: {', '.join(known)}")
    shown = [stream for stream in offered if not streams or stream.name in streams]
    selected = {selection.name: selection.sync_mode for selection in connection.streams}
    if as_json:
        print_json(
            {"connection": connection.id, "streams": [{**stream.as_json(), "selected": selected.get(stream.name)} for stream in shown]}
        )
        return
    from rich.table import Table
    from rich.text import Text

    for stream in shown:
        facts = [
            f"in the file as {selected[stream.name]}" if stream.name in selected else "not in the file",
            f"modes {', '.join(stream.modes)}",
            f"key {', '.join(stream.primary_key) or 'none'}",
            f"cursor {'.'.join(stream.cursor) or 'none'}",
        ]
        out.print(Text.assemble((stream.name, "bold"), f"  {'; '.join(facts)}"), soft_wrap=True)
        table = Table(box=None, pad_edge=False, show_header=False, padding=(0, 2))
        for field, kind in stream.fields.items():
            marks = ["key"] * (field in stream.primary_key) + ["cursor"] * (stream.cursor == (field,))
            table.add_row("", Text(field), Text(kind, style="dim"), ", ".join(marks))
        out.print(table)


def _report(session: Session, domain: str, result: SyncResult) -> None:
    """Tells a Dagster that has an instance here about the new data, so that its conditions see it."""
    from platform_core.orchestration.local_instance import instance_home

    if not (instance_home(session.settings) / "dagster.yaml").is_file():
        return
    from platform_core.orchestration.ingestion_assets import report_sync

    report_sync(instance_home(session.settings), domain, result)
