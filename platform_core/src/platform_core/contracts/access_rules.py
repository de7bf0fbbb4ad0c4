"""Who may read a port, and on which ground: the contract's roles, or a request that was approved and has not ended."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Literal

from platform_core.contracts import naming
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.access_rewritten import rewritten
from platform_core.contracts.model import Contract, DataProduct, InputPort, Mesh
from platform_core.contracts.problem import Problem
from platform_core.contracts.role_clauses import role_for
from platform_core.contracts.source import Location

_CLOCKS_DIFFER = timedelta(hours=1)


@dataclass(frozen=True)
class Ground:
    """Why a domain may read a port.

    Attributes:
        kind: ``role`` is an entry of the contract's ``roles``, ``request`` an approved request.
        location: The entry, or the approval.
        request: The request, when it is one.
    """

    kind: Literal["role", "request"]
    location: Location
    request: AccessRequest | None = None


def ground(mesh: Mesh, contract: Contract, domain: str, now: datetime, *, clear: bool) -> Ground | None:
    """Why another domain may read a port now, None when it may not.

    Args:
        mesh: The files.
        contract: The port.
        domain: Who reads.
        now: The moment, with a timezone.
        clear: Whether personal data is to be read in clear.
    """
    role = role_for(contract, domain, clear=clear)
    if role is not None:
        return Ground("role", role.location or Location(contract.path, 1))
    principal = naming.domain_principal(domain)
    for request in mesh.requests(contract.id, principal):
        if request.approved and request.in_force(now) and (request.personal_data or not clear):
            return Ground("request", request.approved.location, request)
    return None


def access_problems(repo: Path, mesh: Mesh, now: datetime) -> tuple[Problem, ...]:
    """Input ports that nothing allows, histories that were rewritten, decisions from the future, a stale schema.

    What is wrong with a file by itself is in ``mesh.problems``.

    Args:
        repo: Root of the monorepo.
        mesh: Its files.
        now: The moment, with a timezone: what was approved may have ended.
    """
    from platform_core.contracts.access_schema import ACCESS_SCHEMA  # nothing but this check needs it

    return (*ACCESS_SCHEMA.problems(repo), *rewritten(repo), *_problems(mesh, now))


def _problems(mesh: Mesh, now: datetime) -> Iterator[Problem]:
    for _, product in sorted(mesh.products.items()):
        for port in product.inputs:
            contract = mesh.contracts.get(port.contract_id or "")
            if contract is not None and contract.domain != product.domain:
                yield from _input(mesh, product, port, contract, now)
    for _, contract in sorted(mesh.contracts.items()):
        for role in contract.roles:
            for domain in role.domains or ():
                if domain not in mesh.domains:
                    message = f"the role {role.name!r} lists the domain {domain!r}, which does not exist"
                    yield Problem("role", message, role.location or Location(contract.path, 1), "name folders under domains/")
    for request in mesh.access:
        for entry in (request.requested, request.approved, request.denied, request.revoked):
            if entry is not None and entry.at > now + _CLOCKS_DIFFER:
                message = f"the entry is dated {entry.at:%Y-%m-%dT%H:%M:%SZ}, which is still to come"
                yield Problem("access-history", message, entry.location, "write the moment at which it happened, in UTC")


def _input(mesh: Mesh, product: DataProduct, port: InputPort, contract: Contract, now: datetime) -> Iterator[Problem]:
    for clear in (False, True) if port.personal_data else (False,):
        if ground(mesh, contract, product.domain, now, clear=clear) is not None:
            continue
        principal = naming.domain_principal(product.domain)
        what = f"personal data of {contract.id!r} in clear" if clear else repr(contract.id)
        message = f"nothing allows the domain {product.domain!r} to read {what}{_history(mesh, contract, principal, now)}"
        flag = " --pii" if port.personal_data else ""
        command = f'./mesh access request {contract.id} --for {principal}{flag} --purpose "..."'
        yield Problem("access-not-granted", message, port.location, f"ask for it: {command}; an owner of {contract.product_id} approves it")
        return


def _history(mesh: Mesh, contract: Contract, principal: str, now: datetime) -> str:
    """What became of the latest request, as the end of a sentence."""
    requests = mesh.requests(contract.id, principal)
    if not requests:
        return ""
    latest = requests[-1]
    state = latest.state(now)
    at = latest.requested.location.in_repo
    if state == "active":
        return f"; what is approved is without personal data ({at})"
    return f"; the request at {at} is {state}" + (
        f" since {latest.ends_at:%Y-%m-%d %H:%M} UTC" if state == "expired" and latest.ends_at else ""
    )
