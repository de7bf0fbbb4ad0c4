"""Why the files let somebody read a port: an input port that a role or a request allows, or a request alone."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Literal

from platform_core.contracts import naming
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.access_rules import ground
from platform_core.contracts.model import Contract, Mesh
from platform_core.contracts.source import Location


@dataclass(frozen=True)
class Reason:
    """One ground on which a principal reads a port.

    Attributes:
        kind: ``input port`` for a domain whose product declares the port and that a role of the contract lets read; ``request``.
        clear: Whether personal data is read in clear.
        location: The line that declares the reading: the input port, or the approval.
        allowed_by: The line that allows it: the contract's role, or the approval again.
        purpose: Why: what the product is for, or the purpose of the request.
        request: The request, when it is one.
        reader: The product with the input port, when it is one.
        role: The entry of the contract's ``roles`` that allows it.
    """

    kind: Literal["input port", "request"]
    clear: bool
    location: Location
    allowed_by: Location
    purpose: str
    request: AccessRequest | None = None
    reader: str | None = None
    role: str | None = None

    @property
    def text(self) -> str:
        """One line; without line numbers, so that it stays the same while only the lines around it change."""
        if self.request is not None:
            by = self.request.approved.by if self.request.approved else "nobody"
            return f"request #{self.request.number} of {self.request.requested.location.file.name}, approved by {by}"
        return f"input port of {self.reader}, allowed by the contract's role {self.role}"


def reasons(mesh: Mesh, contract: Contract, principal: str, now: datetime) -> tuple[Reason, ...]:
    """The grounds of a principal at a moment, none when the files give it nothing."""
    found = [request_reason(request) for request in mesh.requests(contract.id, principal) if request.in_force(now)]
    kind, _, name = principal.partition(":")
    for product, port in mesh.consumers(contract.id) if kind == "domain" else ():
        if product.domain != name or name == contract.domain:
            continue
        for clear in (True, False) if port.personal_data else (False,):
            allowed = ground(mesh, contract, name, now, clear=clear)
            if allowed is not None and allowed.kind == "role":
                purpose = (product.description_purpose or product.title).strip()
                role = naming.pii_reader_role(contract.product_id) if clear else naming.reader_role(contract.product_id)
                found.append(Reason("input port", clear, port.location, allowed.location, purpose, reader=product.id, role=role))
                break
    return tuple(found)


def request_reason(request: AccessRequest) -> Reason:
    """A request as a ground."""
    entry = request.approved or request.requested
    return Reason("request", request.personal_data, entry.location, entry.location, request.purpose, request)


def principals(mesh: Mesh, contract: Contract) -> list[str]:
    """Everybody whom the files speak of as reading a port, now or once; sorted."""
    domains = {naming.domain_principal(product.domain) for product, _ in mesh.consumers(contract.id) if product.domain != contract.domain}
    return sorted(domains | {request.principal for request in mesh.access if request.contract_id == contract.id})
