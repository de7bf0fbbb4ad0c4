"""``connectors list``, ``connectors gc``: the connectors' environments and remembered answers in the home."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.listing import listing, print_listing
from platform_core.cli.session import AsJson, Session, err, out, print_json
from platform_core.contracts import naming
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.ingestion import StoredConnector

connectors = typer.Typer(
    help="Connectors' environments and remembered answers: what is there, and removing what nobody needs.",
    no_args_is_help=True,
    suggest_commands=False,
)


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    app.add_typer(connectors, name="connectors", rich_help_panel="Data")


@connectors.command("list")
def list_(as_json: AsJson = False) -> None:
    """Show what is kept for connectors, its size, and which connections need it.

    Example:

      ./mesh connectors list
    """
    stored = _stored(Session.open())
    if as_json:
        print_json({"connectors": [_document(one) for one in stored]})
        return
    if not stored:
        out.print("nothing is kept: no connector has run here yet")
        return
    _show(stored)


@connectors.command()
def gc(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    as_json: AsJson = False,
) -> None:
    """Remove environments, answers and locks that no connection file needs. One in which a connector runs stays.

    Example:

      ./mesh connectors gc --yes
    """
    from platform_core.ingestion import remove_stored

    session = Session.open()
    garbage = [one for one in _stored(session) if not one.used_by]
    removed: list[StoredConnector] = []
    if garbage and not yes:
        if as_json or not sys.stdin.isatty():
            raise MeshError(f"{len(garbage)} things would be removed, and there is nobody to ask", remedy="add --yes")
        _show(garbage)
        if not typer.confirm("remove these?"):
            raise typer.Exit(1)
    for one in garbage:
        with err.status(f"removing {one.path.name}"):
            if remove_stored(session.settings.home, one):
                removed.append(one)
            else:
                err.print(f"{one.label}: a connector runs in it, so it stays", markup=False)
    if as_json:
        print_json({"removed": [_document(one) for one in removed]})
    else:
        freed = sum(one.bytes for one in removed)
        out.print(f"{len(removed)} removed, {freed / 1_000_000:,.1f} MB" if garbage else "nothing to remove")


def _stored(session: Session) -> list[StoredConnector]:
    from platform_core.ingestion import load_connections, stored_connectors

    repo = session.settings.repo
    folders = [path.name for path in sorted((repo / "airbyte").iterdir()) if path.is_dir()] if (repo / "airbyte").is_dir() else []
    with paths_from(repo):  # a file that cannot be read may need any of them: its error ends the command
        connections = [one for name in folders if name not in naming.AIRBYTE_SHARED for one in load_connections(repo, name)]
    return stored_connectors(repo, session.settings.home, connections)


def _document(one: StoredConnector) -> dict[str, object]:
    return {"kind": one.kind, "label": one.label, "bytes": one.bytes, "used_by": one.used_by, "running": one.running}


def _show(stored: list[StoredConnector]) -> None:
    table = listing("connector", "what", "MB", "used by", right=("MB",))
    for one in stored:
        users = ", ".join(one.used_by) or "[yellow]nobody[/]"
        table.add_row(one.label, one.kind, f"{one.bytes / 1_000_000:,.1f}", users + (" [green](running)[/]" if one.running else ""))
    print_listing(table)
