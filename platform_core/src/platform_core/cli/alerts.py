"""``alerts``: what went wrong without anybody looking, newest first."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.session import AsJson, Session, out, print_json

if TYPE_CHECKING:
    from psycopg import Connection


@dataclass(frozen=True)
class Raised:
    """One row of ``mesh.alerts``.

    Attributes:
        state: ``stored`` (no webhook was set), ``sent``, or ``not sent``, with the reason in ``failure``.
    """

    id: int
    domain: str
    title: str
    detail: str
    run_id: str | None
    state: str
    failure: str | None
    raised_at: datetime


def raised(
    connection: Connection, domains: Iterable[str] | None = None, *, limit: int | None = None, since: datetime | None = None
) -> list[Raised]:
    """The newest alerts first; of all domains, all times and however many by default."""
    from psycopg.rows import class_row

    wanted = list(domains) if domains is not None else None
    with connection.cursor(row_factory=class_row(Raised)) as cursor:
        return cursor.execute(
            """SELECT id, domain, title, detail, run_id, state, failure, raised_at FROM mesh.alerts
               WHERE (%(domains)s::text[] IS NULL OR domain = ANY(%(domains)s)) AND (%(since)s::timestamptz IS NULL OR raised_at >= %(since)s)
               ORDER BY id DESC LIMIT %(limit)s""",
            {"domains": wanted, "since": since, "limit": limit},
        ).fetchall()


def of_last_day(session: Session) -> list[Raised]:
    """What was raised in the last 24 hours, the newest first."""
    with session.warehouse.connect_platform(autocommit=True) as connection:
        return raised(connection, since=datetime.now(UTC) - timedelta(days=1))


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="The platform on this machine")(alerts)


def alerts(
    domain: Annotated[str | None, typer.Option(help="Only of this domain.")] = None,
    limit: Annotated[int, typer.Option(help="How many at the most.", min=1)] = 10,
    as_json: AsJson = False,
) -> None:
    """Show what went wrong without anybody looking, newest first: failed runs, files put aside, access that ends.

    Examples:

      ./mesh alerts

      ./mesh alerts --domain sales --limit 1
    """
    session = Session.open()
    wanted = session.domains([domain]) if domain else None
    with session.warehouse.connect_platform(autocommit=True) as connection:
        found = raised(connection, wanted, limit=limit)
    if as_json:
        print_json({"alerts": [alert.__dict__ for alert in found]})
        return
    for alert in found:
        out.print(f"[bold]{alert.raised_at.astimezone():%Y-%m-%d %H:%M:%S}[/] [red]{alert.domain}[/] ", end="")
        out.print(alert.title, markup=False, soft_wrap=True)
        for line in alert.detail.splitlines():
            out.print(f"  {line}".rstrip(), markup=False, soft_wrap=True)
        sent = f"{alert.state} ({alert.failure})" if alert.failure else alert.state
        out.print(f"  {f'run {alert.run_id}, ' if alert.run_id else ''}{sent}", style="dim", markup=False, soft_wrap=True)
    if not found:
        out.print("nothing was raised")
