"""``versions``, ``rollback``: what a port serves."""

from __future__ import annotations

from typing import Annotated

import typer

from platform_core.cli.session import AsJson, Session, out, print_json, relative

Port = Annotated[str, typer.Argument(help="A port: domain.product.port, or domain.product when it has one port.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Ports"
    app.command(rich_help_panel=panel)(versions)
    app.command(rich_help_panel=panel)(rollback)
    app.command(rich_help_panel=panel)(checks)


def versions(port: Port, as_json: AsJson = False) -> None:
    """List the publications of a port, newest first.

    Example:

      ./mesh versions sales.orders
    """
    from rich.table import Table

    from platform_core.publishing import publications

    session = Session.open()
    with session.warehouse.connect_platform(autocommit=True) as connection:
        rows = publications(connection, session.contract(port).id)
    if as_json:
        print_json({"publications": [row.__dict__ for row in rows]})
        return
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in ("", "publication", "state", "version", "rows", "checks", "run"):
        table.add_column(title)
    for row in rows:
        counts = ", ".join(f"{name} {info.get('rows', '-')}" for name, info in row.tables.items())
        checks = f"{row.checks_passed}/{row.checks_passed + row.checks_failed}"
        table.add_row("*" if row.served else "", row.publication, row.state, row.contract_version, counts, checks, (row.run_id or "")[:8])
    out.print(table)


def rollback(
    port: Port,
    to: Annotated[str | None, typer.Option(help="The publication to serve; the one before by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a former publication again, at once.

    Example:

      ./mesh rollback sales.orders
    """
    from platform_core.publishing import rollback as roll
    from platform_core.warehouse import readers

    session = Session.open()
    contract = session.contract(port)
    publication = roll(session.warehouse, contract, readers(session.mesh, contract), to)
    if as_json:
        print_json({"contract": contract.id, "publication": publication})
    else:
        out.print(f"{contract.id} serves {publication}")


def checks(port: Port, as_json: AsJson = False) -> None:
    """Show which rules of which file failed at the latest audit of a port.

    Example:

      ./mesh checks sales.orders
    """
    from platform_core.publishing import failed_checks

    session = Session.open()
    contract = session.contract(port)
    with session.warehouse.connect_platform(autocommit=True) as connection:
        failed = failed_checks(connection, contract.id)
    if as_json:
        print_json({"contract": contract.id, "failed": [{**row.__dict__, "location": relative(session, row.location)} for row in failed]})
        return
    for row in failed:
        colour = "red" if row.severity == "error" else "yellow"
        out.print(f"[{colour}]{row.severity}[/] ", end="")
        out.print(f"{relative(session, row.location)}: {row.rule}: {row.observed}", markup=False, soft_wrap=True)
        if row.sample_query:
            out.print(f"  {row.sample_query}", markup=False, soft_wrap=True)
    if not failed:
        out.print(f"every rule of {contract.id} held at its latest audit")
