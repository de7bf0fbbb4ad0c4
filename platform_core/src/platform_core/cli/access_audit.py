"""``access list`` and ``access audit``: what was asked and decided, and who could read which column, when and why."""

from __future__ import annotations

import csv
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Annotated, Any

import typer
from rich.markup import escape

from platform_core.cli.listing import listing, print_listing
from platform_core.cli.port_names import complete_port
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.contracts.access_request import STATES, end_of
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.contracts import AccessRequest
    from platform_core.warehouse import Reading

_COLOURS = {"active": "green", "pending": "yellow", "expired": "dim", "revoked": "dim", "denied": "red", "replaced": "dim"}


def complete_state(incomplete: str) -> list[str]:
    """States of requests, for the shell."""
    return [state for state in STATES if state.startswith(incomplete)]


Port = Annotated[str | None, typer.Option(help="Only this port.", autocompletion=complete_port)]
Principal = Annotated[str | None, typer.Option("--for", help="Only this principal: domain:..., role:...")]


def list_requests(
    state: Annotated[list[str] | None, typer.Option(help=f"Only these: {', '.join(STATES)}.", autocompletion=complete_state)] = None,
    port: Port = None,
    principal: Principal = None,
    domain: Annotated[str | None, typer.Option(help="Only ports of this domain.")] = None,
    as_json: AsJson = False,
) -> None:
    """List the requests to read ports, with what became of them.

    Examples:

      ./mesh access list

      ./mesh access list --state pending --domain customer
    """

    session, now = Session.open(), datetime.now(UTC)
    for name in state or ():
        if name not in STATES:
            raise MeshError(f"there is no state {name!r}", where="--state", remedy=f"use one of: {', '.join(STATES)}")
    wanted = session.contract(port).id if port else None
    (domain,) = session.domains([domain]) if domain else (None,)
    rows = [
        as_document(session, request, now)
        for request in session.mesh.access
        if (not state or request.state(now) in state)
        and wanted in {None, request.contract_id}
        and principal in {None, request.principal}
        and domain in {None, request.contract_id.partition(".")[0]}
    ]
    if as_json:
        print_json({"requests": rows})
        return
    table = listing()
    for title in ("state", "port", "for", "personal data", "until", "asked by", "decided by"):
        table.add_column(title, overflow="fold", no_wrap=title in {"port", "for", "until"})
    table.add_column("purpose", no_wrap=True, overflow="ellipsis", max_width=40)
    for row in rows:
        colour = _COLOURS[row["state"]]
        decision: dict[str, Any] = row["revoked"] or row["approved"] or row["denied"] or {}
        texts = (row["port"], row["for"], "in clear" if row["personal_data"] else "masked", row["until"] or "-", row["requested"]["by"])
        table.add_row(f"[{colour}]{row['state']}[/]", *map(escape, (*texts, decision.get("by", "-"), row["purpose"])))
    if rows:
        print_listing(table)
    else:
        out.print("no request fits" if session.mesh.access else "nobody asked yet; ./mesh access request --help")


def as_document(session: Session, request: AccessRequest, now: datetime) -> dict[str, Any]:
    """A request in the documented JSON form."""
    steps = {"requested": request.requested, "approved": request.approved, "denied": request.denied, "revoked": request.revoked}
    return {
        "port": request.contract_id,
        "for": request.principal,
        "number": request.number,
        "state": request.state(now),
        "purpose": request.purpose,
        "personal_data": request.personal_data,
        "until": request.until.isoformat() if request.until else None,
        **{
            name: {"by": step.by, "at": step.at.isoformat(), **({"reason": step.reason} if step.reason else {})} if step else None
            for name, step in steps.items()
        },
        "file": relative(session, request.requested.location),
    }


def audit(
    port: Port = None,
    principal: Principal = None,
    column: Annotated[str | None, typer.Option(help="Only this column, with or without its table: email, profiles.email.")] = None,
    at: Annotated[
        str | None,
        typer.Option(metavar="WHEN", help="Only what held then, in UTC: month (2026-10), day (2026-10-31), moment (2026-10-31T12:00)."),
    ] = None,
    clear: Annotated[bool, typer.Option("--clear", help="Only columns whose personal data was read in clear.")] = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="Print one line a column as CSV.")] = False,
    as_json: AsJson = False,
) -> None:
    """Tell who could read which column, from when until when, and why.

    `declared` is what the files allow, with the file, the line and the commit; `in force` is what Postgres really allowed, as
    `./mesh apply` and the platform's sensor found it. The owning domain, the platform's role and superusers read everything
    and are not listed.

    Examples:

      ./mesh access audit --port customer.profiles --column email

      ./mesh access audit --at 2026-06-30 --csv
    """
    from platform_core.warehouse import access_events, readings

    session = Session.open()
    first, end = _when(at)
    wanted = session.contract(port).id if port else None
    with session.warehouse.connect_platform(autocommit=True) as connection:
        events = access_events(connection)
    found = [
        reading
        for reading in readings(session.mesh, events, datetime.now(UTC))
        if wanted in {None, reading.contract_id} and principal in {None, reading.principal} and reading.overlaps(first, end)
    ]
    rows = [row for reading in found for row in _rows(session, reading, column, clear)]
    if as_csv:
        writer = csv.DictWriter(sys.stdout, list(_HEAD))
        writer.writeheader()
        writer.writerows(rows)
    elif as_json:
        print_json({"readings": rows})
    else:
        _show(session, found, column, clear)
        err.print("the owning domain, the platform's role and superusers read everything and are not listed", style="dim")


_HEAD: tuple[str, ...] = ("basis", "port", "for", "column", "sees", "from", "to", "why", "approved_by", "file", "commit")
_EVER = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))


def _when(text: str | None) -> tuple[datetime, datetime]:
    """The moments that are asked for: a whole month or day, or one instant."""
    if text is None:
        return _EVER
    try:
        if len(text) == 7:
            first = datetime.fromisoformat(f"{text}-01").replace(tzinfo=UTC)
            return first, (first + timedelta(days=31)).replace(day=1)
        if len(text) == 10:
            day = date.fromisoformat(text)
            return end_of(day) - timedelta(days=1), end_of(day)
        moment = datetime.fromisoformat(text)
    except (ValueError, OverflowError) as error:
        raise MeshError(
            f"{text!r} is no month, day or moment", where="--at", remedy="write for example 2026-06, 2026-06-30 or 2026-06-30T12:00"
        ) from error
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return moment, moment + timedelta(microseconds=1)


def _rows(session: Session, reading: Reading, column: str | None, clear: bool) -> Iterator[dict[str, Any]]:
    personal = _personal(session, reading.contract_id)
    for sees, names in (("clear", reading.clear), ("masked", reading.masked)):
        for name in names:
            if column not in {None, name, name.partition(".")[2]} or (clear and (sees == "masked" or name not in personal)):
                continue
            yield dict(
                zip(
                    _HEAD,
                    (
                        *(reading.basis, reading.contract_id, reading.principal, name, sees),
                        *(moment.isoformat() if moment else None for moment in (reading.begins, reading.ends)),
                        *(reading.why, reading.by, reading.file, reading.commit),
                    ),
                    strict=True,
                )
            )


def _personal(session: Session, contract_id: str) -> set[str]:
    """The columns of a port that are masked for somebody, as far as the files know the port still."""
    contract = session.mesh.contracts.get(contract_id)
    tables = contract.tables if contract else ()
    return {f"{table.physical_name}.{column.physical_name}" for table in tables for column in table.columns if column.mask}


def _show(session: Session, found: list[Reading], column: str | None, clear: bool) -> None:
    heading = ""
    for reading in found:
        kept = {(row["column"], row["sees"]) for row in _rows(session, reading, column, clear)}
        if not kept:
            continue
        title = f"{reading.contract_id}, read by {reading.principal}"
        if title != heading:
            out.print(f"{chr(10) if heading else ''}[bold]{escape(title)}[/]")
            heading = title
        shown = [
            f"{word} {_columns(session, reading, names, kept, sees)}"
            for word, sees, names in (("in clear:", "clear", reading.clear), ("masked:", "masked", reading.masked))
            if any((name, sees) in kept for name in names)
        ]
        since = f"{reading.begins:%Y-%m-%d %H:%M:%S}" if reading.begins else "not committed"
        until = f"{reading.ends:%Y-%m-%d %H:%M:%S}" if reading.ends else "now"
        colour = "cyan" if reading.basis == "declared" else "green"
        out.print(f"  [{colour}]{reading.basis:<8}[/]  {since:<19} to {until:<19}  ", end="")
        out.print("; ".join(shown), markup=False, soft_wrap=True)
        for line in _why(reading):
            out.print(f"            {line}", markup=False, soft_wrap=True, style="dim")
    if not heading:
        out.print("nobody")


def _why(reading: Reading) -> list[str]:
    """Why, and by which line of which commit; what was found in force says itself what it rests on."""
    if reading.file is None:
        return reading.why.splitlines()
    commit = f"commit {reading.commit[:9]}" if reading.commit else "not committed"
    approved = f", approved by {reading.by}" if reading.by else ""
    return [" ".join(reading.why.split()), f"{reading.file}, {commit}{approved}"]


def _columns(session: Session, reading: Reading, names: tuple[str, ...], kept: set[tuple[str, str]], sees: str) -> str:
    """The columns by name, those without personal data by their number where nothing else was asked for."""
    shown = [name for name in names if (name, sees) in kept]
    whole = len(kept) == len(reading.clear) + len(reading.masked)
    personal = _personal(session, reading.contract_id)
    several = len({name.partition(".")[0] for name in (*reading.clear, *reading.masked)}) > 1
    named = [name for name in shown if not whole or name in personal]
    texts = [name if several else name.partition(".")[2] for name in named]
    plain = len(shown) - len(named)
    return ", ".join([*texts, *([f"{plain} without personal data"] if plain else [])])
