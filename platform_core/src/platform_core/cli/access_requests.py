"""``access``: asking to read a port, deciding, taking back, and who may or could read what."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from platform_core.cli import access_audit
from platform_core.cli.acting import As, acting
from platform_core.cli.port_names import Port
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.contracts import Contract, ContractError, Mesh, did_you_mean, load_mesh, naming
from platform_core.errors import MeshError
from platform_core.settings import Settings

if TYPE_CHECKING:
    from platform_core.contracts import AccessRequest

access = typer.Typer(
    name="access",
    help="Who may read which port: ask, decide, take back, look up. What is decided stands in files under domains/<domain>/access/.",
    no_args_is_help=True,
    suggest_commands=False,
)


def register(app: typer.Typer) -> None:
    """Adds the group."""
    app.add_typer(access, rich_help_panel="Ports")
    access.command("list")(access_audit.list_requests)
    access.command("audit")(access_audit.audit)


def complete_principal(context: typer.Context, incomplete: str) -> list[str]:
    """Those who asked for the port that stands before; the mesh's domains for one who asks."""
    try:
        mesh = load_mesh(Settings.load().repo)
    except MeshError:
        return []
    asked = {request.principal for request in mesh.access if request.contract_id == context.params.get("port")}
    known = sorted(asked) if context.command.name != "request" else [naming.domain_principal(domain) for domain in mesh.domains]
    return [name for name in known if name.startswith(incomplete)]


For = Annotated[
    str,
    typer.Option(
        "--for",
        help="Who reads: domain:<domain of the mesh>, or role:<Postgres role of a person, team or service>.",
        autocompletion=complete_principal,
    ),
]


@access.command()
def request(
    port: Port,
    principal: For,
    purpose: Annotated[str, typer.Option(help="What the data is wanted for; the owners decide by it.")],
    pii: Annotated[bool, typer.Option("--pii", help="Personal data in clear; without it everybody gets it masked.")] = False,
    until: Annotated[
        str | None, typer.Option(metavar="DATE", help="Last day, in UTC: 2027-06-30. Without it the access has no end.")
    ] = None,
    as_: As = None,
    as_json: AsJson = False,
) -> None:
    """Ask to read a port. Writes the request into the owning domain's folder; open a pull request with it.

    Examples:

      ./mesh access request sales.orders --for domain:marketing --purpose "Revenue by campaign"

      ./mesh access request customer.profiles --for role:ana --pii --until 2027-06-30 --purpose "Answer letters of customers"
    """
    session = Session.open()
    contract = session.contract(port)
    if pii and not any(column.personal for table in contract.tables for column in table.columns):
        raise MeshError(f"{contract.id} holds no personal data", remedy="ask without --pii")
    entry: dict[str, Any] = {"purpose": purpose}
    if pii:
        entry["personalData"] = True
    if until is not None:
        entry["until"] = _day(until)
    made = _add(session, contract, principal, "requested", as_, entry)
    _say(session, made, as_json, f"owners who can approve it: {', '.join(_owners(session.mesh, contract)) or 'none is named'}")
    product = session.mesh.products[contract.product_id]
    if pii and len(product.outputs) > 1 and not as_json:
        others = ", ".join(port.contract_id for port in product.outputs if port.contract_id != contract.id)
        err.print(
            f"[yellow]note:[/] personal data is opened for a product as a whole; {principal} sees it in clear in {others} too, where it reads them"
        )


@access.command()
def approve(port: Port, principal: For, as_: As = None, as_json: AsJson = False) -> None:
    """Consent to the open request, as an owner of the product. The next apply grants it.

    Example:

      ./mesh access approve customer.profiles --for domain:marketing
    """
    session = Session.open()
    contract = session.contract(port)
    made = _add(session, contract, principal, "approved", as_, {})
    _say(session, made, as_json, "commit the file; ./mesh apply grants the access")


@access.command()
def deny(port: Port, principal: For, reason: Annotated[str, typer.Option(help="Why.")], as_: As = None, as_json: AsJson = False) -> None:
    """Refuse the open request, as an owner of the product.

    Example:

      ./mesh access deny customer.profiles --for role:ana --reason "Age bands answer the question without personal data"
    """
    session = Session.open()
    made = _add(session, session.contract(port), principal, "denied", as_, {"reason": reason})
    _say(session, made, as_json, "commit the file")


@access.command()
def revoke(port: Port, principal: For, reason: Annotated[str, typer.Option(help="Why.")], as_: As = None, as_json: AsJson = False) -> None:
    """End an access before its time. Anybody may: it takes something away, and the review of the file sees it.

    Example:

      ./mesh access revoke customer.profiles --for role:ana --reason "Ana moved to another team"
    """
    session = Session.open()
    made = _add(session, session.contract(port), principal, "revoked", as_, {"reason": reason})
    _say(session, made, as_json, "commit the file; the platform takes the access back within a minute of reading it, ./mesh apply at once")


@access.command()
def codeowners(as_json: AsJson = False) -> None:
    """Print the lines of a CODEOWNERS file that ask the owners of each product to review what is decided about its ports.

    Example:

      ./mesh access codeowners >> .github/CODEOWNERS
    """
    session = Session.open()
    lines = [
        (
            f"/domains/{product.domain}/access/{product.id}.*",
            sorted({name for port in product.outputs for name in _owners(session.mesh, port.contract)}),
        )
        for _, product in sorted(session.mesh.products.items())
    ]
    if as_json:
        print_json({"codeowners": [{"pattern": pattern, "owners": owners} for pattern, owners in lines]})
        return
    for pattern, owners in lines:
        sys.stdout.write(f"{pattern} {' '.join(owners)}\n")


def _add(session: Session, contract: Contract, principal: str, action: str, as_: str | None, entry: Mapping[str, Any]) -> AccessRequest:
    from platform_core.contracts.access_file import Ports, principal_problem
    from platform_core.contracts.access_history import access_path, add_entry

    mesh = session.mesh
    ports = Ports(mesh.domains, mesh.products, mesh.broken)
    wrong = principal_problem(principal, contract.domain, ports)
    if wrong is not None:
        raise MeshError(wrong[0], where=f"--for {principal}", remedy=wrong[1])
    path = access_path(session.settings.repo, contract.id, principal)
    if action != "requested" and not path.is_file():
        known = [found.principal for found in mesh.access if found.contract_id == contract.id]
        remedy = (
            f"name one of: {', '.join(dict.fromkeys(known))}" if known else f"nobody asked yet: ./mesh access request {contract.id} ..."
        )
        raise MeshError(f"{principal} has no request for {contract.id}{did_you_mean(principal, known)}", remedy=remedy)
    who = acting(as_, session.settings.repo)
    owners = _owners(mesh, contract)
    if action in {"approved", "denied"} and who not in owners:
        remedy = f"have one of them decide: {', '.join(owners)}" if owners else "name an owner in the team of the product"
        raise ContractError(f"{who} is no owner of {contract.product_id}", where=relative(session, path), remedy=remedy)
    moment = datetime.now(UTC).replace(microsecond=0)
    lock = session.settings.home / "locks" / "access"
    return add_entry(path, contract.id, principal, {"action": action, "at": moment, "by": who, **entry}, ports, lock)


def _owners(mesh: Mesh, contract: Contract) -> list[str]:
    """Those who may decide today."""
    from platform_core.contracts.access_file import Ports

    terms = Ports(mesh.domains, mesh.products, mesh.broken).owners(contract.id) or ()
    return sorted({term.username for term in terms if term.holds(datetime.now(UTC))})


def _say(session: Session, made: AccessRequest, as_json: bool, then: str) -> None:
    document = access_audit.as_document(session, made, datetime.now(UTC))
    if as_json:
        print_json(document)
        return
    out.print(f"{made.id}: {document['state']}", markup=False)
    out.print(f"  {document['file']}: {then}", markup=False, soft_wrap=True)


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise MeshError(f"{text!r} is no day", where="--until", remedy="write for example 2027-06-30") from error
