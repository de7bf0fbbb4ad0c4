"""``lint``: everything that is wrong with the files of the mesh, or with contracts that others wrote."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Sequence
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from platform_core.cli.lint_formats import documents, sarif, shown, workflow_annotations
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.contracts import Problem
from platform_core.contracts.inspection import Inspection, contract_files, inspect
from platform_core.errors import MeshError
from platform_core.settings import Settings, SettingsError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Product files")(lint)


def _product_files(session: Session) -> Iterable[Problem]:
    return session.mesh.problems


def _connections(session: Session) -> Iterable[Problem]:
    from platform_core.ingestion import check_connections

    return check_connections(session.settings.repo)


def _drops(session: Session) -> Iterable[Problem]:
    from platform_core.ingestion.drops import check_drops

    return check_drops(session.settings.repo)


def _access(session: Session) -> Iterable[Problem]:
    from datetime import UTC, datetime

    from platform_core.contracts import access_problems

    return access_problems(session.settings.repo, session.mesh, datetime.now(UTC))


def _lineage(session: Session) -> Iterable[Problem]:
    from platform_core.transformation.lineage import column_lineage, personal_problems
    from platform_core.transformation.model_columns import column_problems

    with err.status("compiling the dbt projects that changed"):
        lineage = column_lineage(session.mesh, session.settings)
    return (*personal_problems(session.mesh, lineage), *column_problems(session.mesh, lineage, session.settings.repo))


def _owners(session: Session) -> Iterable[Problem]:
    from platform_core.contracts.team_file import owner_problems

    return owner_problems(session.settings.repo, session.mesh)


def _clauses_page(session: Session) -> Iterable[Problem]:
    from platform_core.contracts.clause_table import page_problems

    return page_problems(session.settings.repo)


def _masking(session: Session) -> Iterable[Problem]:
    from platform_core.contracts.masking_policy import masking_problems
    from platform_core.contracts.masking_schema import MASKING_SCHEMA

    return (*MASKING_SCHEMA.problems(session.settings.repo), *masking_problems(session.mesh))


SOURCES: tuple[Callable[[Session], Iterable[Problem]], ...] = (
    _product_files,
    _connections,
    _drops,
    _access,
    _lineage,
    _owners,
    _clauses_page,
    _masking,
)
"""What looks for problems. A source imports its plane when it is called, and says nothing about what another one has said."""


class Format(StrEnum):
    """How the problems are printed."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"


def lint(
    paths: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[PATH]...", help="Contracts that others wrote: ODCS files, or folders with some. The mesh by default."),
    ] = None,
    format_: Annotated[
        Format, typer.Option("--format", help="SARIF is for code scanning, github for annotations of a workflow.")
    ] = Format.TEXT,
    documented: Annotated[bool, typer.Option("--documented", help="Also list each clause that is documented only, with its line.")] = False,
    as_json: AsJson = False,
) -> None:
    """Check every product, contract and connection file of the mesh; exit 1 on errors.

    With PATH, check contracts that lie anywhere, of any release of ODCS from v3.0.0 to v3.2.0, whatever their servers: whether
    they are valid, what their clauses would do here, and what keeps them from being served.

    Examples:

      ./mesh lint

      ./mesh lint --format github

      ./mesh lint --format sarif > lint.sarif

      ./mesh lint ../partner/contracts shipments.odcs.yaml
    """
    chosen = Format.JSON if as_json else format_
    if paths:
        sys.exit(_lint_paths(paths, chosen, documented=documented))
    session = Session.open()
    with err.status("reading the files of the mesh"):
        problems = [problem for source in SOURCES for problem in source(session)]
    told = [(owner, clause, relative(session, at)) for owner, clause, at in session.mesh.documented_only]
    if chosen is Format.JSON:
        listed = [{"contract": owner, "clause": clause, "at": at} for owner, clause, at in told]
        print_json({"problems": documents(problems, session.settings.repo), "documented_only": listed})
    elif chosen is not Format.TEXT:
        _print_problems(problems, session.settings.repo, chosen)
    else:
        _print_problems(problems, session.settings.repo, chosen)
        for owner, clause, at in told if documented else ():
            out.print(f"documented only: {owner}: {clause} ({at})", style="dim", markup=False, soft_wrap=True)
        rules = sum(len(item.rules) for contract in session.mesh.contracts.values() for item in contract.tables)
        mesh = session.mesh
        out.print(f"{len(mesh.products)} products, {len(mesh.contracts)} contracts, {rules} rules, {len(problems)} problems")
        if told and not documented:
            out.print(f"{len(told)} clauses are documented only (--documented lists them)", style="dim")
    sys.exit(_failed(problems))


def _failed(problems: Iterable[Problem]) -> bool:
    return any(problem.severity == "error" for problem in problems)


def _print_problems(problems: Sequence[Problem], repo: Path, chosen: Format) -> None:
    if chosen is Format.SARIF:
        print_json(sarif(problems, repo))
    elif chosen is Format.GITHUB:
        sys.stdout.write(workflow_annotations(problems, repo))
    else:
        for problem in problems:
            out.print(f"[{'red' if problem.severity == 'error' else 'yellow'}]{problem.severity}[/] ", end="")
            place = f"{shown(problem.location.file, repo)}:{problem.location.line}"
            text = f"{place}: {problem.message} [{problem.rule}]\n  remedy: {problem.remedy}"
            out.print(text, markup=False, soft_wrap=True)


def _lint_paths(paths: Sequence[Path], chosen: Format, *, documented: bool) -> bool:
    """Contracts anywhere; whether one of them is not valid."""
    try:
        root = Settings.load().repo
    except SettingsError:  # contracts can be judged without a mesh around
        root = Path.cwd()
    files = [file for path in paths for file in contract_files(path)]
    if not files:
        raise MeshError(f"no contract in {', '.join(map(str, paths))}", remedy="name an ODCS file, or a folder with some")
    with err.status(f"reading {len(files)} contracts"):
        found = [inspect(file) for file in files]
    problems = [problem for one in found for problem in one.problems]
    if chosen is Format.JSON:
        print_json({"contracts": [_document(one, root) for one in found], "problems": documents(problems, root)})
    elif chosen is not Format.TEXT:
        _print_problems(problems, root, chosen)
    else:
        for one in found:
            _show(one, root, documented=documented)
        valid = sum(one.valid for one in found)
        served = sum(one.valid and not one.hindrances for one in found)
        out.print(f"{len(found)} contracts, {valid} valid by the standard, {served} could be served here as they are")
    return not all(one.valid for one in found)


def _show(one: Inspection, root: Path, *, documented: bool) -> None:
    verdict = f"valid {one.version}" if one.valid else f"not valid {one.version}" if one.release else "not a contract that can be read"
    if one.release and one.release != one.version:
        verdict += f" (by the schema of {one.release})"
    out.print(f"[bold]{'[green]' if one.valid else '[red]'}{verdict}[/][/] ", end="")
    out.print(f"{shown(one.path, root)} {one.id or ''}", markup=False, soft_wrap=True)
    if one.servers:
        out.print(f"  servers: {', '.join(f'{name} ({kind})' for name, kind in one.servers)}", markup=False, soft_wrap=True)
    if one.clauses is not None:
        counts = ", ".join(f"{len(clauses)} {effect}" for effect, clauses in one.clauses.items())
        out.print(f"  clauses that it uses: {counts}")
    if one.later:
        out.print(f"  later than {one.release}: {', '.join(one.later)}", markup=False, soft_wrap=True)
    _print_problems(one.problems, root, Format.TEXT)
    for clause, at in one.documented if documented else ():
        out.print(f"  documented only: {clause} (line {at.line})", style="dim", markup=False, soft_wrap=True)


def _document(one: Inspection, root: Path) -> dict[str, object]:
    return {
        "file": shown(one.path, root),
        "id": one.id,
        "apiVersion": one.version,
        "judged_by": one.release,
        "valid": one.valid,
        "servable": one.valid and not one.hindrances,
        "servers": [{"server": name, "type": kind} for name, kind in one.servers],
        "clauses": one.clauses,
        "documented_only": [{"clause": clause, "line": at.line} for clause, at in one.documented],
        "later_clauses": one.later,
        "problems": documents(one.problems, root),
    }
