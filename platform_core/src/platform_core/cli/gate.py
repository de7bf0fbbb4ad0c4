"""``diff``, ``impact``: what a change of the files does to those who read the ports."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.session import AsJson, err, out, print_json
from platform_core.cli.workflow_commands import annotation
from platform_core.errors import MeshError
from platform_core.settings import Settings

if TYPE_CHECKING:
    from platform_core.contracts.compatibility import ColumnTraces, Report, State
    from platform_core.transformation.lineage import Lineage

WORKING_TREE = "the working tree"
_PATHS = 6
_COLOURS = {"breaking": "red", "additive": "green", "cosmetic": "dim"}


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Product files"
    app.command(rich_help_panel=panel)(diff)
    app.command(rich_help_panel=panel)(impact)


def complete_revision(incomplete: str) -> list[str]:
    """Branches and tags of the clone."""
    from platform_core.contracts.compatibility.git_state import revisions

    try:
        return [name for name in revisions(Settings.load().repo) if name.startswith(incomplete)]
    except MeshError:
        return []  # a shell that completes must not print errors


def complete_target(incomplete: str) -> list[str]:
    """Ports; their tables and columns once the port is typed."""
    from platform_core.contracts.compatibility import folder_state, targets

    try:
        known = targets(folder_state(Settings.load().repo, WORKING_TREE))
    except MeshError:
        return []
    depth = max(3, incomplete.count(".") + 1)
    return [name for name in known if name.startswith(incomplete) and name.count(".") < depth]


def diff(
    revision: Annotated[
        str | None,
        typer.Argument(
            metavar="REF",
            help="A git revision to compare the files with; A..B for two commits, A... for what changed since the branch left A.",
            autocompletion=complete_revision,
        ),
    ] = None,
    from_: Annotated[Path | None, typer.Option("--from", help="Compare two folders: the old state.", file_okay=False)] = None,
    to: Annotated[Path | None, typer.Option("--to", help="The new state; this repository by default.", file_okay=False)] = None,
    allow_breaking: Annotated[
        bool, typer.Option("--allow-breaking", help="Pass although something breaks, when every version took its step.")
    ] = False,
    as_markdown: Annotated[bool, typer.Option("--markdown", help="Print Markdown for the comment of a pull request.")] = False,
    as_github: Annotated[bool, typer.Option("--github", help="Print annotations for GitHub Actions.")] = False,
    as_json: AsJson = False,
) -> None:
    """Classify every change of products, contracts and models; name the version step it demands and the consumers it hits.

    REF is a revision to compare the files with; A..B names two commits, A... what changed since the branch left A.

    The checkout stays as it is. Exit codes: 0 nothing breaks and every version took its step; 1 something breaks (unless
    --allow-breaking), or a version lacks its step or goes back; 2 the states, or some of their files, cannot be compared.

    Examples:

      ./mesh diff origin/main...

      ./mesh diff HEAD~1 --markdown

      ./mesh diff --from ../released --to . --json
    """
    from platform_core.contracts.compatibility import ComparisonError, as_document, compare, folder_state, markdown, states

    traces = None

    try:
        if (revision is None) == (from_ is None) or (to is not None and from_ is None):
            raise ComparisonError("two states are needed", remedy="name a revision (./mesh diff origin/main), or --from DIR [--to DIR]")
        if sum((as_markdown, as_github, as_json)) > 1:
            raise ComparisonError("--json, --markdown and --github exclude each other", remedy="keep one of them")
        if from_ is not None:
            old, new = folder_state(from_, str(from_)), folder_state(to or Settings.load().repo, str(to or WORKING_TREE))
        else:
            old, new = states(Settings.load().repo, str(revision))
            traces = _traces(old) if new.name == WORKING_TREE else None  # the SQL of another commit is not compiled
        report = compare(old, new, traces)
    except MeshError as error:
        err.print("[bold red]error:[/] ", end="")
        err.print(str(error), markup=False, soft_wrap=True)
        sys.exit(2)
    code = report.exit_code(allow_breaking=allow_breaking)
    if as_json:
        print_json(as_document(report, exit_code=code))
    elif as_markdown:
        sys.stdout.write(markdown(report, allow_breaking=allow_breaking))
    elif as_github:
        _annotate(report, allow_breaking=allow_breaking)
    else:
        _show(report)
    sys.exit(code)


def _traces(old: State | None = None) -> ColumnTraces:
    """Column lineage of the files as they lie here; consumers whose SQL still names a column of ``old`` are understood too."""
    from platform_core.contracts import load_mesh
    from platform_core.contracts.compatibility import port_columns
    from platform_core.transformation.lineage import LineageUses, column_lineage

    settings = Settings.load()
    mesh = load_mesh(settings.repo)

    def load() -> Lineage:
        with err.status("compiling the dbt projects that changed"):
            return column_lineage(mesh, settings, port_columns(old) if old else None)

    return LineageUses(mesh, load)


def _show(report: Report) -> None:
    from platform_core.contracts.compatibility import column_use, hit_consumers, what, why

    for change in report.changes:
        out.print(f"[{_COLOURS[change.ruling.verdict]}]{change.ruling.verdict:>8}[/] ", end="")
        out.print(f"{change.subject}: {what(change)} \\[{change.ruling.kind}]".replace("\\[", "["), markup=False, soft_wrap=True)
        former = f" in {report.old}" if change.state == "old" else ""
        out.print(f"         {change.file}:{change.line}{former}: {why(change)}", markup=False, soft_wrap=True, style="dim")
    for check in report.versions:
        out.print("[green]  version[/] " if check.enough else "[red]  version[/] ", end="")
        out.print(f"{check.file}:{check.line}: {check.message}", markup=False, soft_wrap=True)
    for consumer, changes in hit_consumers(report):
        out.print("[yellow]     hits[/] ", end="")
        out.print(
            f"{consumer.product}, {consumer.owned_by}: reads {consumer.contract} {consumer.pinned or ''}", markup=False, soft_wrap=True
        )
        told = (f"{'.'.join(filter(None, (change.table, change.column))) or change.subject}: {column_use(hit)}" for change, hit in changes)
        for line in dict.fromkeys(told):
            out.print(f"         {line}", markup=False, soft_wrap=True, style="dim")
    for problem in report.unreadable:
        out.print("[red]   cannot compare[/] ", end="")
        out.print(f"{problem.file}:{problem.line} in {problem.state}: {problem.message}", markup=False, soft_wrap=True)
    counts = ", ".join(f"{number} {verdict}" for verdict, number in report.counts.items())
    nothing = "nothing changed" if not report.unreadable else "nothing else changed"
    out.print(f"{report.old} -> {report.new}: {counts if report.changes else nothing}", markup=False, soft_wrap=True)


def _annotate(report: Report, *, allow_breaking: bool) -> None:
    from platform_core.contracts.compatibility import what, why

    grades = {"breaking": "warning" if allow_breaking else "error", "additive": "notice", "cosmetic": "notice"}
    for change in report.changes:
        place = (change.file, change.line) if change.state == "new" else (None, None)
        message = f"{change.subject}: {what(change)}. {why(change)}"
        title = f"{change.ruling.verdict}: {change.ruling.kind}"
        sys.stdout.write(annotation(grades[change.ruling.verdict], message, file=place[0], line=place[1], title=title))
    for check in report.missing_steps:
        sys.stdout.write(annotation("error", check.message, file=check.file, line=check.line, title="version step"))
    for problem in report.unreadable:
        sys.stdout.write(annotation("error", problem.message, file=problem.file, line=problem.line, title="cannot compare"))


def impact(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PORT[.COLUMN]",
            help="domain.product.port (or domain.product), and a column or table.column behind it.",
            autocompletion=complete_target,
        ),
    ],
    as_json: AsJson = False,
) -> None:
    """Name the products that a change of a port or column would hit, also through others, with their owners.

    For a column, each is followed by the way the column takes to its ports, model by model.

    PORT is domain.product.port, or domain.product when it has one; behind it a column, a table, or table.column.

    Examples:

      ./mesh impact customer.profiles

      ./mesh impact customer.profiles.profiles.email --json
    """
    from platform_core.contracts.compatibility import column_use, folder_state, hit_document
    from platform_core.contracts.compatibility import impact as who

    found = who(folder_state(Settings.load().repo, WORKING_TREE), target, _traces())
    if as_json:
        print_json({**found.__dict__, "owners": list(found.owners), "hits": [hit_document(hit) for hit in found.hits]})
        return
    name = ".".join(filter(None, (found.contract, found.table, found.column)))
    owner = f"{found.team or 'no team'} <{', '.join(found.owners) or 'no owner named'}>"
    out.print(
        f"{name}, owned by {owner}: {len(found.hits) or 'no'} product{'' if len(found.hits) == 1 else 's'} behind the port",
        markup=False,
        soft_wrap=True,
    )
    for hit in found.hits:
        consumer = hit.consumer
        clear = ", personal data in clear" if consumer.personal and not consumer.via else ""
        how = f": {column_use(hit)}" if found.column or consumer.via else ""
        out.print(
            f"  {consumer.product}, {consumer.owned_by}: reads {consumer.contract} {consumer.pinned or ''}{clear}{how}",
            markup=False,
            soft_wrap=True,
        )
        for path in hit.use.paths[:_PATHS] if hit.use else ():
            out.print(f"    {path}", markup=False, soft_wrap=True, style="dim")
        if hit.use and len(hit.use.paths) > _PATHS:
            out.print(f"    and {len(hit.use.paths) - _PATHS} more (--json)", markup=False, style="dim")
