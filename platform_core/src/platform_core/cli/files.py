"""``plan``, ``apply``, ``prepare``: what the files say, and making it so."""

from __future__ import annotations

from typing import Annotated

import typer

from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Product files"
    app.command(rich_help_panel=panel)(plan)
    app.command(rich_help_panel=panel)(apply)
    app.command(rich_help_panel=panel)(prepare)


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


def prepare(
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the dbt manifests that code locations load; images do this when they are built.

    Example:

      ./mesh prepare --domain sales
    """
    from platform_core.transformation import parse_all

    parsed = [project.domain for project in parse_all(projects(Settings.load(), domain))]
    if as_json:
        print_json({"parsed": parsed})
    else:
        err.print(f"parsed: {', '.join(parsed)}" if parsed else "every manifest is current")


def projects(settings: Settings, domains: list[str] | None = None) -> list:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    """The dbt projects of the given domains, of all by default."""
    from platform_core.transformation import DbtProject

    found = sorted(path.parent.name.removesuffix("_dbt") for path in (settings.repo / "dbt_projects").glob("*_dbt/dbt_project.yml"))
    return [DbtProject.of(domain, settings) for domain in domains or found]
