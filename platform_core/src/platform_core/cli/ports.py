"""``versions``, ``rollback``, ``checks``: what a port serves, served and may serve again."""

from __future__ import annotations

import shlex
from typing import Annotated, Any

import typer

from platform_core.cli.acting import As, acting_here
from platform_core.cli.listing import listing, print_listing
from platform_core.cli.port_names import Port, complete_publication
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative

Reason = Annotated[str | None, typer.Option(help="Why, for the record.")]


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Ports"
    app.command(rich_help_panel=panel)(versions)
    app.command(rich_help_panel=panel)(rollback)
    app.command(rich_help_panel=panel)(checks)


def versions(
    port: Port,
    pin: Annotated[
        str | None, typer.Option(help="Keep this publication until it is unpinned.", autocompletion=complete_publication)
    ] = None,
    unpin: Annotated[
        str | None, typer.Option(help="Leave this publication to retention again.", autocompletion=complete_publication)
    ] = None,
    reason: Reason = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """List the publications of a port, newest first, and every change of what it serves.

    `*` is served; `kept` can be served again; `pinned` stays however old it gets.

    Examples:

      ./mesh versions sales.orders

      ./mesh versions sales.orders --pin 20261120t101500123_9f2c --reason "year-end report"
    """
    from platform_core import publishing

    session = Session.open()
    contract = session.contract(port)
    if pin or unpin:
        with session.warehouse.connect_domain(contract.domain) as connection:
            if pin:
                publishing.pin(connection, contract, pin, actor=acting_here(as_, session.settings.repo), reason=reason)
            if unpin:
                publishing.unpin(connection, contract, unpin)
    with session.warehouse.connect_platform(autocommit=True) as connection:
        rows = publishing.publications(connection, contract.id)
        changes = publishing.switches(connection, contract.id)
    if as_json:
        print_json({"publications": [row.__dict__ for row in rows], "switches": [change.__dict__ for change in changes]})
        return
    if not rows:
        out.print(f"nothing of {contract.id} was published yet; ./mesh status shows every port", soft_wrap=True)
        return
    table = listing("", "publication", "state", "version", "rows", "checks", "data", "run")
    for row in rows:
        counts = ", ".join(f"{name} {info.get('rows', '-')}" for name, info in row.tables.items())
        passed = f"{row.checks_passed}/{row.checks_passed + row.checks_failed}"
        data = "pinned" if row.pinned else "kept" if row.kept else "dropped"
        mark = "*" if row.served else ""
        table.add_row(mark, row.publication, row.state, row.contract_version, counts, passed, data, (row.run_id or "")[:8])
    print_listing(table)
    by_hand = [change for change in changes if change.action != "publication"]
    for change in by_hand:
        out.print(_told(change), markup=False, soft_wrap=True)


def rollback(
    port: Port,
    to: Annotated[
        str | None,
        typer.Option(help="The publication to serve; the one before by default.", autocompletion=complete_publication),
    ] = None,
    reason: Reason = None,
    as_: As = None,
    by: Annotated[str | None, typer.Option(hidden=True, help="The former name of --as.")] = None,
    as_json: AsJson = False,
) -> None:
    """Serve a former publication again, at once, without a rebuild.

    The next publication whose audit holds goes forward again. Consumers are told by the catalog and by an observation on the port's
    assets in Dagster; what they have built from the publication that is left is listed, and stays until they build anew.

    Examples:

      ./mesh rollback sales.orders --reason "prices of Tuesday are in euros"

      ./mesh rollback sales.orders --to 20261120t101500123_9f2c
    """
    from platform_core import publishing
    from platform_core.catalog import deliver_all
    from platform_core.warehouse import readers

    session = Session.open()
    contract = session.contract(port)
    who = acting_here(as_ or by, session.settings.repo)
    done = publishing.rollback(
        session.warehouse,
        contract,
        readers(session.mesh, contract),
        to,
        actor=who,
        reason=reason,
        announce=publishing.announce_rollback(session.mesh.products[contract.product_id], contract, actor=who, reason=reason),
    )
    consumers = sorted({product.id for product, _ in session.mesh.consumers(contract.id)})
    if as_json:
        print_json(
            {
                "contract": contract.id,
                "publication": done.publication,
                "instead_of": done.left,
                "seconds": round(done.seconds, 4),
                "consumers": consumers,
            }
        )
    else:
        out.print(f"{contract.id} serves {done.publication} instead of {done.left} ({done.seconds * 1000:.0f} ms)", soft_wrap=True)
        if consumers:
            out.print(f"what these built from {done.left} stays until they build anew: {', '.join(consumers)}", soft_wrap=True)
    for delivery in deliver_all(session.warehouse, session.settings, contract.domain):
        if delivery.failure is not None:
            err.print(f"[yellow]catalog {delivery.sink} takes nothing now, the rest waits in the outbox:[/] ", end="")
            err.print(str(delivery.failure), markup=False, soft_wrap=True)


def _told(change: Any) -> str:
    when = f"{change.happened_at:%Y-%m-%d %H:%M}"
    why = f": {change.reason}" if change.reason else ""
    if change.action == "retirement":
        return f"{when} retired by {change.actor}{why}"
    return f"{when} rolled back from {change.from_publication} to {change.to_publication} by {change.actor}{why}"


def checks(port: Port, as_json: AsJson = False) -> None:
    """Show which rules of which file failed at the latest audit of a port.

    Example:

      ./mesh checks sales.orders
    """
    from platform_core.publishing import audited, failed_checks

    session = Session.open()
    contract = session.contract(port)
    with session.warehouse.connect_platform(autocommit=True) as connection:
        audit, failed = audited(connection, contract.id), failed_checks(connection, contract.id)
    if as_json:
        print_json(
            {
                "contract": contract.id,
                "audited": audit,
                "failed": [{**row.__dict__, "location": relative(session, row.location)} for row in failed],
            }
        )
        return
    for row in failed:
        colour = "red" if row.severity == "error" else "yellow"
        out.print(f"[{colour}]{row.severity}[/] ", end="")
        out.print(f"{relative(session, row.location)}: {row.rule}: {row.observed}", markup=False, soft_wrap=True)
        if row.sample_query:
            out.print(f"  ./mesh query {shlex.quote(row.sample_query)}", markup=False, soft_wrap=True)
    if audit is None:
        out.print(f"{contract.id} was not audited yet: nothing of it was built", soft_wrap=True)
    elif not failed:
        out.print(f"every rule of {contract.id} held at its latest audit, of {audit}", soft_wrap=True)
