"""``mesh adopt``: an existing dbt project becomes a domain."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.file_changes import DryRun, Manner, Yes, finish
from platform_core.cli.new_product import built_relations
from platform_core.cli.session import AsJson, Session, err, out

if TYPE_CHECKING:
    from platform_core.transformation.adoption import Adoption


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Product files")(adopt)


def adopt(
    path: Annotated[Path, typer.Argument(help="Folder of the dbt project; nothing in it is touched.", exists=True, file_okay=False)],
    domain: Annotated[str | None, typer.Option(help="Name of the domain; by default that of the project.")] = None,
    owner: Annotated[str | None, typer.Option(help="E-mail address of the owner of products for which the project names none.")] = None,
    team: Annotated[str | None, typer.Option(help="Team of products whose team the project does not name.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Make a domain of an existing dbt project: its models, contracts proposed from its manifest and tests, and a report.

    The project is copied to dbt_projects/; one product is proposed for each exposure and each folder of marts. What a person must
    decide is listed in domains/DOMAIN/ADOPTION.md; what keeps lint from being green is marked open. A second run, for example after a
    first build has given every column its type, changes only files that nobody has touched since.

    Examples:

      ./mesh adopt ~/code/jaffle_shop --owner data@example.com

      ./mesh adopt ~/code/analytics --domain finance --dry-run --json
    """
    from platform_core.transformation import adoption, starting

    session = Session.open()
    repo = session.settings.repo
    with paths_from(repo):
        read = adoption.read_project(path.resolve())
        name = domain or starting.fitting(read.name, "analytics")
        lock = repo / "uv.lock"
        starting.check_domain_name(name, session.mesh, starting.locked_packages(lock.read_text()) if lock.is_file() else ())
        with err.status(f"compiling {read.name} as the domain {name}"):
            made = adoption.adopt(read, name, session.settings, session.mesh, built_relations(session, name), owner=owner, team=team)
        counted = f"{len(made.changes.created)} new files, {len(made.changes.edited)} edited, {len(made.products)} products"
        finish(
            repo,
            made.changes,
            Manner.of(dry_run=dry_run, yes=yes, as_json=as_json),
            said={"domain": name, **adoption.report_json(made.products, made.decisions, made.carried)},
            following="./mesh lint && ./mesh apply",
            preview=(counted,),
            question=f"make the domain {name}?",
            tell=lambda: _say(name, made, dry_run=dry_run),
        )


def _say(name: str, made: Adoption, *, dry_run: bool) -> None:
    from platform_core.transformation.adoption import KINDS

    for product in made.products:
        tables = ", ".join(f"{table.name} ({len(table.columns)} columns)" for table in product.tables)
        out.print(f"{product.id}: {tables}", markup=False)
    for kind, heading in KINDS.items():
        chosen = [item for item in made.decisions if item.kind == kind]
        if chosen:
            waiting = sum(item.blocks for item in chosen)
            out.print(f"  {heading.lower()}: {len(chosen)}{f', {waiting} open' if waiting else ''}", markup=False)
    changes = made.changes
    if changes.empty:
        return
    verb = "would write" if dry_run else "written"
    out.print(f"{verb}: {len(changes.created)} new files, {len(changes.edited)} edited, {len(changes.kept)} kept as they are", markup=False)
    for path in changes.kept:
        out.print(f"  kept: {path}", markup=False)
    if not dry_run:
        out.print(f"report: domains/{name}/ADOPTION.md", markup=False)
