"""``plan``, ``apply``: what the files say, compared with what is there, and making it so."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from platform_core.cli.session import AsJson, Session, err, out, print_json, relative

if TYPE_CHECKING:
    from platform_core.publishing.governance import Plan
    from platform_core.warehouse import Applied, Change

CHANGES = 2
"""Exit code of ``plan --exit-code`` when there is something to do."""
_MARK = {"create": "[green]+[/]", "change": "[yellow]~[/]", "remove": "[red]-[/]", "drift": "[magenta]![/]"}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Product files"
    app.command(rich_help_panel=panel)(plan)
    app.command(rich_help_panel=panel)(apply)


def plan(
    to: Annotated[Path | None, typer.Option("--out", help="Write the plan to this file, for apply.", dir_okay=False)] = None,
    exit_code: Annotated[bool, typer.Option("--exit-code", help="Exit with 2 when there is something to do.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show what `apply` would change in the warehouse and the catalog; nothing is touched.

    + is new, ~ is declared otherwise now, - is declared no more, ! was changed by hand. With MESH_AIRBYTE_URL set, also what it would
    change on that Airbyte server. How many clauses nothing enforces is said too; --json names them, with their places.

    Examples:

      ./mesh plan

      ./mesh plan --out release.plan       then: ./mesh apply release.plan

      ./mesh plan --exit-code              for CI: 0 nothing to do, 2 changes, 1 error
    """
    from platform_core.cli.airbyte_server import as_document, server_plan, show
    from platform_core.publishing import governance

    session = Session.open()
    with err.status("comparing the files with the warehouse"):
        made = governance.plan(session.warehouse, session.mesh, session.settings.repo)
    if to is not None:
        governance.write_plan(made, to)
    documented = [(owner, clause, relative(session, at)) for owner, clause, at in session.mesh.documented_only]
    server = server_plan(session)
    if as_json:
        print_json(
            {
                **made.document(),
                "documented_only": [{"contract": owner, "clause": clause, "at": at} for owner, clause, at in documented],
                **as_document(server),
            }
        )
    else:
        _show(made)
        if to is not None:
            out.print(f"written to {to}; do exactly this with ./mesh apply {to}", markup=False, soft_wrap=True)
        if documented:
            out.print(f"{len(documented)} clauses are documented only (./mesh lint --documented lists them)", style="dim", soft_wrap=True)
        show(server, applied=False)
    if exit_code and (made.steps or (server is not None and server.steps)):
        sys.exit(CHANGES)


def apply(
    planned: Annotated[Path | None, typer.Argument(metavar="[PLAN]", help="A plan written by plan --out: exactly this is done.")] = None,
    prune: Annotated[bool, typer.Option("--prune", help="Also remove what no file declares any more, with its data.")] = False,
    as_json: AsJson = False,
) -> None:
    """Make the warehouse and the catalog what the files say: what is shown is done, or nothing. A second time changes nothing.

    Each domain is one transaction: where one fails, it stays as it was, the others are applied, and the exit code is 1. With
    MESH_AIRBYTE_URL set, also the sources, destinations and connections of that Airbyte server.

    Examples:

      ./mesh apply

      ./mesh apply release.plan            refused when files or warehouse changed since the plan

      ./mesh apply --prune                 drops the schemas, roles and versions of products that are gone
    """
    from platform_core.cli.airbyte_server import as_document, server_apply, show
    from platform_core.publishing import governance
    from platform_core.publishing.mask_key import use_mask_key

    session = Session.open()
    if planned is not None:
        expected: Any = governance.read_plan(planned)
    else:
        with err.status("comparing the files with the warehouse"):
            expected = governance.plan(session.warehouse, session.mesh, session.settings.repo)
        if not as_json and expected.steps:
            _show(expected)
    with err.status("applying"):
        applied = governance.apply(session.warehouse, session.mesh, session.settings.repo, expected=expected, prune=prune)
    if not applied.failures and use_mask_key(session.warehouse, session.settings.mask_key):
        err.print("the key of hashed columns is that of MESH_MASK_KEY from now on: every hash is another one")
    server = None if applied.failures else server_apply(session)
    if as_json:
        print_json(_document(applied) | as_document(server))
    else:
        _report(applied)
        show(server, applied=True)
    sys.exit(bool(applied.failures))


def _show(made: Plan) -> None:
    """Steps by domain and product, then their number."""
    for domain, products in _grouped(made.steps).items():
        out.print(f"[bold]{domain or 'platform'}[/]")
        for product, steps in products.items():
            indent = "  "
            if product:
                out.print(f"  {product}", markup=False)
                indent = "    "
            for step in steps:
                out.print(f"{indent}{_MARK[step.kind]} {step.action:>7} ", end="")
                out.print(_line(step), markup=False, soft_wrap=True)
    if not made.steps:
        out.print("the warehouse is what the files say")
        return
    counts = made.counts
    out.print(f"Plan: {counts['create']} to create, {counts['change']} to change, {counts['remove']} to remove, {counts['drift']} drifted")
    pruned = sum(step.prune for step in made.steps)
    if pruned:
        out.print(f"{pruned} of them only with ./mesh apply --prune")
    findings = sum(not step.doable for step in made.steps)
    if findings:
        out.print(f"{findings} of them need a person")


def _line(step: Change) -> str:
    notes = [step.detail] if step.detail else []
    notes += ["with --prune"] if step.prune else []
    return f"{step.object}  ({'; '.join(notes)})" if notes else step.object


def _report(applied: Applied) -> None:
    for domain, products in _grouped(applied.taken).items():
        steps = sum(len(steps) for steps in products.values())
        out.print(f"{domain or 'platform'}: {steps} change{'s' if steps != 1 else ''} applied")
    for failure in applied.failures:
        err.print("[bold red]error:[/] ", end="")
        whose = failure.domain or "platform"
        err.print(f"{whose}: {failure.object}: {failure.reason}\n  remedy: {failure.remedy}", markup=False, soft_wrap=True)
        out.print(f"{whose}: left as it was")
    if not applied.taken and not applied.failures:
        out.print("nothing to change")
    for step in applied.left:
        out.print(f"{_MARK[step.kind]} left: {step.action} ", end="")
        out.print(_line(step), markup=False, soft_wrap=True)


def _document(applied: Applied) -> dict[str, Any]:
    from platform_core.publishing.governance import as_document

    return {
        "changes": [as_document(step) for step in applied.taken],
        "left": [as_document(step) for step in applied.left],
        "failures": [failure.__dict__ for failure in applied.failures],
    }


def _grouped(steps: Iterable[Change]) -> dict[str, dict[str, Sequence[Change]]]:
    """Steps by domain, then by product; the platform's own and a domain's own first."""
    grouped: dict[str, dict[str, list[Change]]] = {}
    for step in sorted(steps, key=lambda step: (step.domain, step.product)):
        grouped.setdefault(step.domain, {}).setdefault(step.product, []).append(step)
    return {domain: dict(products) for domain, products in grouped.items()}
