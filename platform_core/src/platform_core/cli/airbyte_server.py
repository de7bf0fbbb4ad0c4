"""What ``plan`` and ``apply`` say of an Airbyte server, when the environment selects one."""

from __future__ import annotations

from typing import Any

from platform_core.cli.session import Session, err, out
from platform_core.ingestion.server import RoleStep, ServerPlan, ServerStep


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


def as_document(plan: ServerPlan | None) -> dict[str, Any]:
    """The same for ``--json``, to be merged into the command's document."""
    if plan is None:
        return {}
    steps = [{"action": step.action, "object": step.object, "changes": list(step.changes)} for step in plan.steps]
    return {"airbyte_server": {"changes": steps, "notes": list(plan.notes)}}


def _connections(session: Session) -> list[Any]:
    from platform_core.ingestion import load_connections

    return [connection for domain in session.mesh.domains for connection in load_connections(session.settings.repo, domain)]
