"""``plan``, ``apply``: what the files say, compared with what is there, and making it so."""

from __future__ import annotations

import typer

from platform_core.cli.session import AsJson, Session, out, print_json, relative


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Product files"
    app.command(rich_help_panel=panel)(plan)
    app.command(rich_help_panel=panel)(apply)


def plan(as_json: AsJson = False) -> None:
    """Show what `apply` would change in the warehouse; nothing is touched. Clauses that nothing enforces are listed too.

    With MESH_AIRBYTE_URL set, also what it would change on that Airbyte server.

    Example:

      ./mesh plan
    """
    from platform_core import warehouse
    from platform_core.cli.airbyte_server import as_document, server_plan, show

    session = Session.open()
    with session.warehouse.connect_platform() as connection:
        steps = warehouse.plan(connection, session.mesh)
        connection.rollback()
    documented = [(contract, clause, at) for contract in session.mesh.contracts.values() for clause, at in contract.documented_only]
    if as_json:
        print_json(
            {
                "changes": [{"action": step.action, "object": step.object} for step in steps],
                "documented_only": [
                    {"contract": contract.id, "clause": clause, "at": relative(session, at)} for contract, clause, at in documented
                ],
                **as_document(server_plan(session)),
            }
        )
        return
    for step in steps:
        out.print(f"[{'red' if step.action == 'revoke' else 'green'}]{step.action:>7}[/] {step.object}")
    out.print(f"{len(steps)} changes" if steps else "the warehouse is what the files say")
    for contract, clause, at in documented:
        out.print(f"[dim]documented only:[/] {contract.id}: {clause} ({relative(session, at)})", soft_wrap=True)
    show(server_plan(session), applied=False)


def apply(as_json: AsJson = False) -> None:
    """Make the warehouse what the files say: schemas, roles, grants. A second time changes nothing.

    With MESH_AIRBYTE_URL set, also the sources, destinations and connections of that Airbyte server.

    Example:

      ./mesh apply
    """
    from platform_core import warehouse
    from platform_core.cli.airbyte_server import as_document, server_apply, show

    session = Session.open()
    steps = warehouse.apply(session.warehouse, session.mesh)
    if as_json:
        print_json({"changes": [{"action": step.action, "object": step.object} for step in steps], **as_document(server_apply(session))})
        return
    for step in steps:
        out.print(f"{step.action:>7} {step.object}")
    out.print(f"{len(steps)} changes applied" if steps else "nothing to change")
    show(server_apply(session), applied=True)
