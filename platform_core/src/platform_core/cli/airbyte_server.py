"""What ``plan``, ``apply`` and ``ingest`` do with an Airbyte server, when the environment selects one."""

from __future__ import annotations

import sys
from typing import Any

from platform_core.cli.session import Session, err, out, print_json
from platform_core.ingestion import Connection
from platform_core.ingestion.server import Outcome, RoleStep, ServerPlan, ServerStep
from platform_core.orchestration.local_instance import instance_home


def server_plan(session: Session) -> ServerPlan | None:
    """What an apply would change on the server; None when connectors run embedded."""
    from platform_core.ingestion.server import plan_server

    if session.settings.airbyte is None:
        return None
    with err.status(f"comparing the connection files with {session.settings.airbyte.url}"):
        return plan_server(_connections(session), session.settings, session.warehouse)


def server_apply(session: Session) -> ServerPlan | None:
    """Makes the server what the connection files say; None when connectors run embedded."""
    from platform_core.ingestion.server import apply_server

    if session.settings.airbyte is None:
        return None
    with err.status(f"comparing the connection files with {session.settings.airbyte.url}") as shown:

        def progress(step: RoleStep | ServerStep) -> None:
            shown.update(f"{step.action} {step.object}")

        return apply_server(_connections(session), session.settings, session.warehouse, progress=progress)


def show(plan: ServerPlan | None, *, applied: bool) -> None:
    """Prints the steps for people; nothing without a server."""
    if plan is None:
        return
    for step in plan.steps:
        out.print(f"{step.action:>10} {step.object}", markup=False, soft_wrap=True)
        for change in step.changes:
            out.print(f"{'':>10}   {change}", markup=False, soft_wrap=True)
    for note in plan.notes:
        out.print(f"note: {note}", markup=False, soft_wrap=True)
    if plan.steps:
        out.print(f"{len(plan.steps)} changes {'applied to' if applied else 'on'} the Airbyte server")
    else:
        out.print("the Airbyte server is what the files say")


def server_ingest(session: Session, connection: Connection, streams: list[str] | None, *, alters: bool, as_json: bool) -> None:
    """Runs a connection on the server: what ``ingest`` does when one is selected. Exits with 1 when a stream failed.

    Raises:
        ServerError: The server cannot be used, or is asked for what its API cannot do.
    """
    from platform_core.ingestion.server import AirbyteApi, ServerError, run_on_server

    settings = session.settings.airbyte
    assert settings is not None
    if alters:
        remedy = "refresh the stream, or accept its changes, in the server's own user interface; then run this without the option"
        what = "--full-refresh and --accept-changes are not for an Airbyte server: its API has no sync that does either"
        raise ServerError(what, where=connection.id, remedy=remedy)
    with err.status(f"syncing {connection.id} on {settings.url}"):
        outcomes = run_on_server(connection, AirbyteApi(settings), streams)
    home = instance_home(session.settings)
    if (home / "dagster.yaml").is_file():
        from platform_core.orchestration.server_assets import report_outcomes

        report_outcomes(home, connection, outcomes, settings)
    if as_json:
        print_json({"airbyte_server": settings.url, "syncs": [_outcome(outcome) for outcome in outcomes]})
    else:
        for outcome in outcomes:
            if outcome.error is not None:
                err.print(f"error: {outcome.error}", markup=False, soft_wrap=True)
            elif outcome.job is not None:
                moved = f"{outcome.job.rows or 0:,} rows, {outcome.job.bytes or 0:,} bytes in {outcome.seconds:.1f} s"
                joined = " (joined)" if outcome.attached else ""
                out.print(f"{', '.join(outcome.target.streams)}: {moved}, job {outcome.job.id}{joined}", markup=False, soft_wrap=True)
    if any(outcome.error is not None for outcome in outcomes):
        sys.exit(1)


def _outcome(outcome: Outcome) -> dict[str, Any]:
    job = outcome.job
    return {
        "connection": outcome.target.name,
        "streams": list(outcome.target.streams),
        "job": job.id if job else None,
        "rows": job.rows if job else None,
        "bytes": job.bytes if job else None,
        "seconds": round(outcome.seconds, 2),
        "joined": outcome.attached,
        "error": str(outcome.error) if outcome.error is not None else None,
    }


def as_document(plan: ServerPlan | None) -> dict[str, Any]:
    """The same for ``--json``, to be merged into the command's document."""
    if plan is None:
        return {}
    steps = [{"action": step.action, "object": step.object, "changes": list(step.changes)} for step in plan.steps]
    return {"airbyte_server": {"changes": steps, "notes": list(plan.notes)}}


def _connections(session: Session) -> list[Connection]:
    from platform_core.ingestion import load_connections

    return [connection for domain in session.mesh.domains for connection in load_connections(session.settings.repo, domain)]
