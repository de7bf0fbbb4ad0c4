"""``query``: data by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from platform_core.cli.listing import listing, print_listing
from platform_core.cli.port_names import complete_domain
from platform_core.cli.session import AsJson, Session, err, print_json
from platform_core.errors import MeshError


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Data"
    app.command(rich_help_panel=panel)(query)


def query(
    sql: Annotated[str, typer.Argument(help="One SQL statement; it runs in a read-only transaction.")],
    domain: Annotated[
        str | None, typer.Option("--as", help="Act as this domain: see exactly what its roles let it see.", autocompletion=complete_domain)
    ] = None,
    limit: Annotated[int, typer.Option(help="Rows to print.", min=1)] = 100,
    as_json: AsJson = False,
) -> None:
    """Query the warehouse: every table, nothing but reading; personal data of ports is masked unless --as a domain that may see it.

    Examples:

      ./mesh query "select * from sales_orders.daily_revenue order by 1 desc limit 5"

      ./mesh query --as marketing "select count(*) from sales_orders.orders"
    """
    import psycopg
    from rich.text import Text

    from platform_core.warehouse import reading

    session = Session.open()
    if domain is not None:
        session.domains([domain])
    with reading(session.warehouse, domain) as connection:
        try:
            # Prepared, it can be one statement only: a second one could end the transaction that is read-only.
            cursor = connection.execute(sql.encode(), prepare=True)
            rows = cursor.fetchmany(limit + 1) if cursor.description else []
        except psycopg.errors.InsufficientPrivilege as error:
            remedy = f"name the port as an input in a product file of {domain}, then ./mesh apply" if domain else "ask the platform team"
            raise MeshError(str(error).strip(), remedy=remedy) from error
        except psycopg.Error as error:
            raise MeshError(str(error).strip(), remedy="correct the statement, or run ./mesh status to see the ports") from error
        names = [column.name for column in cursor.description or ()]
    if as_json:
        print_json({"columns": names, "rows": [list(row) for row in rows[:limit]], "truncated": len(rows) > limit})
        return
    table = listing(*map(Text, names))
    for row in rows[:limit]:
        table.add_row(*(Text("" if value is None else str(value)) for value in row))  # data is no markup
    print_listing(table)
    if len(rows) > limit:
        err.print(f"[dim]more than {limit} rows; add --limit[/]")
