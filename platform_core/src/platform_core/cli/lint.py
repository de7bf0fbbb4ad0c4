"""``lint``: everything that is wrong with the files of the mesh."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable

import typer

from platform_core.cli.session import AsJson, Session, out, print_json, relative
from platform_core.contracts import Problem


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

    return personal_problems(session.mesh, column_lineage(session.mesh, session.settings))


SOURCES: tuple[Callable[[Session], Iterable[Problem]], ...] = (
    _product_files,
    _connections,
    _drops,
    _access,
    _lineage,
)
"""What looks for problems. A source imports its plane when it is called, and says nothing about what another one has said."""


def lint(as_json: AsJson = False) -> None:
    """Check every product, contract and connection file; exit 1 on errors.

    Example:

      ./mesh lint
    """
    session = Session.open()
    problems = [problem for source in SOURCES for problem in source(session)]
    documented = [
        (contract.id, clause, f"{relative(session, at)}")
        for contract in session.mesh.contracts.values()
        for clause, at in contract.documented_only
    ]
    if as_json:
        print_json(
            {
                "problems": [
                    {
                        "rule": problem.rule,
                        "severity": problem.severity,
                        "message": problem.message,
                        "file": relative(session, problem.location.file),
                        "line": problem.location.line,
                        "remedy": problem.remedy,
                    }
                    for problem in problems
                ],
                "documented_only": [{"contract": contract, "clause": clause, "at": at} for contract, clause, at in documented],
            }
        )
    else:
        for problem in problems:
            colour = "red" if problem.severity == "error" else "yellow"
            out.print(f"[{colour}]{problem.severity}[/] ", end="")
            out.print(
                f"{relative(session, problem.location)}: {problem.message} [{problem.rule}]\n  remedy: {problem.remedy}",
                markup=False,
                soft_wrap=True,
            )
        rules = sum(len(item.rules) for contract in session.mesh.contracts.values() for item in contract.tables)
        out.print(
            f"{len(session.mesh.products)} products, {len(session.mesh.contracts)} contracts, {rules} rules, {len(problems)} problems"
        )
    sys.exit(any(problem.severity == "error" for problem in problems))
