"""``clauses``: what the platform does with each clause of the standards."""

from __future__ import annotations

import sys
from collections import Counter
from typing import Annotated

import typer

from platform_core.cli.listing import listing, print_listing
from platform_core.cli.session import AsJson, err, out, print_json
from platform_core.errors import MeshError
from platform_core.settings import Settings

_COLOURS = {"enforced": "green", "published": "cyan", "documented only": "dim"}


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Product files")(clauses)


def complete_clause(incomplete: str) -> list[str]:
    """Paths of clauses."""
    from platform_core.contracts.clause_table import clause_rows

    rows = (*clause_rows("odcs"), *clause_rows("odps"))
    return sorted({row.path for row in rows if row.path.startswith(incomplete)})


def clauses(
    words: Annotated[
        str | None,
        typer.Argument(
            metavar="CLAUSE", help="Only clauses whose path holds this, for example logicalTypeOptions.", autocompletion=complete_clause
        ),
    ] = None,
    effect: Annotated[str | None, typer.Option(help="Only this effect: enforced, published, or documented.")] = None,
    markdown: Annotated[bool, typer.Option("--markdown", help="Print the page docs/clauses.md.")] = False,
    write: Annotated[bool, typer.Option("--write", help="Write docs/clauses.md of this repository.")] = False,
    check: Annotated[bool, typer.Option("--check", help="Exit 1 when docs/clauses.md is not current.")] = False,
    as_json: AsJson = False,
) -> None:
    """Say for every clause of ODCS and ODPS whether it is enforced, published or documented only, and where.

    Examples:

      ./mesh clauses logicalTypeOptions

      ./mesh clauses --effect enforced

      ./mesh clauses --check
    """
    from platform_core.contracts.clause_table import CLAUSES_FILE, clause_rows, clauses_page, page_problems

    if sum((markdown, write, check, as_json)) > 1:
        raise MeshError("--markdown, --write, --check and --json exclude each other", remedy="keep one of them")
    if markdown:
        sys.stdout.write(clauses_page())
        return
    if write or check:
        file = Settings.load().repo / CLAUSES_FILE
        if write:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(clauses_page(), encoding="utf-8")
        elif not file.is_file() or page_problems(Settings.load().repo):
            raise MeshError(f"{CLAUSES_FILE} is not current", remedy="write it anew: ./mesh clauses --write")
        err.print(f"{CLAUSES_FILE} is current")
        return
    known = [name for name in _COLOURS if effect and name.startswith(effect)]
    if effect and not known:
        raise MeshError(f"there is no effect {effect!r}", remedy=f"use one of: {', '.join(_COLOURS)}")
    rows = [
        row
        for row in (*clause_rows("odcs"), *clause_rows("odps"))
        if (not words or words.lower() in row.path.lower()) and (not effect or row.effect in known)
    ]
    if as_json:
        print_json([row.__dict__ for row in rows])
        return
    table = listing("standard", "clause", "since", "effect", "where")
    for row in rows:
        table.add_row(row.standard, row.path, row.since, f"[{_COLOURS[row.effect]}]{row.effect}[/]", row.where)
    print_listing(table)
    counts = Counter(row.effect for row in rows)
    out.print(f"{len(rows)} clauses: {', '.join(f'{counts[name]} {name}' for name in _COLOURS)}")
