"""``lineage``: where a column comes from, and where it goes."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.gate import complete_target
from platform_core.cli.session import AsJson, Session, err, out, print_json
from platform_core.contracts import ContractError, did_you_mean, naming

if TYPE_CHECKING:
    from platform_core.transformation.lineage import Branch, Lineage, Ref


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Product files")(lineage)


def lineage(
    target: Annotated[
        str,
        typer.Argument(
            metavar="PORT[.COLUMN]",
            help="domain.product.port (or domain.product), and a column or table.column behind it; or schema.table.column of a raw stream.",
            autocompletion=complete_target,
        ),
    ],
    downstream: Annotated[
        bool, typer.Option("--downstream/--upstream", help="Where the values go, instead of where they come from.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show what a column is computed from, through models and across domains; with --downstream, the ports that it reaches.

    It goes by the SQL that dbt compiles, without a database. Filters and join keys are left out: ./mesh impact names them.

    Examples:

      ./mesh lineage sales.orders.daily_revenue

      ./mesh lineage sales.orders.orders.customer_email

      ./mesh lineage customer_raw.users.email --downstream
    """
    from platform_core.transformation.lineage import column_lineage, downstream_tree, upstream_tree

    session = Session.open()
    with err.status("compiling the dbt projects that changed"):
        found = column_lineage(session.mesh, session.settings)
    branches = [(downstream_tree if downstream else upstream_tree)(found, ref) for ref in _refs(session, found, target)]
    if as_json:
        print_json({"direction": "downstream" if downstream else "upstream", "columns": [branch.as_document() for branch in branches]})
        return
    for branch in branches:
        _show(branch)
    for problem in found.problems:
        err.print(f"{problem.severity}: {problem.location.in_repo}: {problem.message}", markup=False, soft_wrap=True, style="yellow")


def _refs(session: Session, found: Lineage, target: str) -> list[Ref]:
    """The columns that a target means.

    Raises:
        ContractError: There is no such port, table or column.
    """
    from platform_core.contracts.compatibility import folder_state, impact
    from platform_core.transformation.lineage import Ref

    schema, _, rest = target.partition(".")
    if schema in {make(domain) for domain in session.mesh.domains for make in (naming.raw_schema, naming.build_schema)}:
        table, _, column = rest.partition(".")
        relation = f"{schema}.{table}"
        known = found.column_names(relation)
        if not known or (column and column not in known):
            names = [name for name in (*found.relations, *found.marks) if name.startswith(f"{schema}.") and "#" not in name]
            hint = did_you_mean(column or table, known or [name.partition(".")[2] for name in names])
            remedy = f"name one of: {', '.join(known or names) or 'nothing is known there'}"
            raise ContractError(f"nothing is known of {target!r}{hint}", remedy=remedy)
        return [Ref(relation, name) for name in ([column] if column else known)]
    asked = impact(folder_state(session.settings.repo, "the working tree"), target)
    contract = session.contract(asked.contract)
    relations = [table for table in contract.tables if asked.table in {None, table.physical_name}]
    return [
        Ref(f"{naming.port_schema(contract.product_id)}.{table.physical_name}", column.physical_name)
        for table in relations
        for column in table.columns
        if asked.column in {None, column.physical_name}
    ]


def _show(branch: Branch, before: str = "", below: str = "") -> None:
    from rich.markup import escape

    declared = f" [dim]({escape(branch.declared)})[/]" if branch.declared else ""
    step = f" [cyan]{escape(f'[{branch.expression}]')}[/]" if branch.expression else ""
    out.print(f"[dim]{before}[/]{escape(branch.label)}{declared}{step}", soft_wrap=True)
    for number, inner in enumerate(branch.branches, 1):
        last = number == len(branch.branches)
        _show(inner, f"{below}{'└── ' if last else '├── '}", f"{below}{'    ' if last else '│   '}")
