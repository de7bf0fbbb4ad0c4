"""Who reads which port, compiled to grants: input ports and requests that something allows at a moment.

A domain gets grants on the port's relations and, for personal data in clear, membership in the product's ``_reader_pii`` role; so
do persons, teams and services when the product has several ports. When it has one, they become members of ``_reader``.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from platform_core.contracts import naming
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.access_rules import ground
from platform_core.contracts.model import Contract, DataProduct, Mesh


@dataclass(frozen=True)
class Granted:
    """Privileges on ports, those of the products' own reader roles left out.

    Attributes:
        memberships: ``(role, member)``.
        usage: ``(port schema, role)``.
        reads: ``(port schema, relation, role)``.
        connects: Roles that need to connect to the database by a grant of their own.
        principals: Roles of persons, teams and services that are named; the mesh makes none of them.
    """

    memberships: frozenset[tuple[str, str]] = frozenset()
    usage: frozenset[tuple[str, str]] = frozenset()
    reads: frozenset[tuple[str, str, str]] = frozenset()
    connects: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()

    def __or__(self, other: Granted) -> Granted:
        return Granted(
            self.memberships | other.memberships,
            self.usage | other.usage,
            self.reads | other.reads,
            self.connects | other.connects,
            self.principals | other.principals,
        )

    def __sub__(self, other: Granted) -> Granted:
        return Granted(
            self.memberships - other.memberships,
            self.usage - other.usage,
            self.reads - other.reads,
            self.connects - other.connects,
            self.principals - other.principals,
        )


def granted(mesh: Mesh, now: datetime) -> Granted:
    """What the files allow other domains, persons, teams and services to read.

    Args:
        mesh: The files.
        now: The moment, with a timezone; access that has ended by then is left out.
    """
    return _all(
        [
            *(_reading(product, contract, owner, clear=clear) for product, contract, owner, clear in _inputs(mesh, now)),
            *(given for request in mesh.access if request.in_force(now) for given in by_request(mesh, request)),
        ]
    )


def ended(mesh: Mesh, now: datetime) -> Granted:
    """What requests once gave and nothing gives any more: to be taken back wherever it is still found."""
    former = (given for request in mesh.access if request.approved and not request.in_force(now) for given in by_request(mesh, request))
    still = granted(mesh, now)
    gone = _all(list(former)) - still
    usage = {(schema, role) for schema, role in gone.usage if not any((schema, role) == (s, r) for s, _, r in still.reads)}
    return Granted(gone.memberships, frozenset(usage), gone.reads, gone.connects, gone.principals)


def by_request(mesh: Mesh, request: AccessRequest) -> Iterator[Granted]:
    """What a request gives while it holds; nothing for a port that is not in the mesh."""
    contract = mesh.contracts.get(request.contract_id)
    product = mesh.products.get(contract.product_id) if contract else None
    if contract is None or product is None:
        return
    role = naming.principal_role(request.principal)
    if request.principal == naming.domain_principal(request.principal.partition(":")[2]):
        yield _reading(product, contract, role, clear=request.personal_data)
        return
    if len(product.outputs) == 1:
        pii = {(naming.pii_reader_role(product.id), role)} if request.personal_data else set[tuple[str, str]]()
        yield Granted(frozenset({(naming.reader_role(product.id), role)} | pii), principals=frozenset({role}))
    else:
        yield _reading(product, contract, role, clear=request.personal_data) | Granted(
            connects=frozenset({role}), principals=frozenset({role})
        )


def _inputs(mesh: Mesh, now: datetime) -> Iterator[tuple[DataProduct, Contract, str, bool]]:
    """The input ports that something allows: the product and the port that are read, the role that reads, and whether in clear."""
    for consumer in mesh.products.values():
        for port in consumer.inputs:
            contract = mesh.contracts.get(port.contract_id or "")
            if contract is None or contract.domain == consumer.domain:
                continue
            product, owner = mesh.products[contract.product_id], naming.owner_role(consumer.domain)
            clear = port.personal_data and ground(mesh, contract, consumer.domain, now, clear=True) is not None
            if clear or ground(mesh, contract, consumer.domain, now, clear=False) is not None:
                yield product, contract, owner, clear


def _reading(product: DataProduct, contract: Contract, role: str, *, clear: bool) -> Granted:
    return Granted(
        frozenset({(naming.pii_reader_role(product.id), role)}) if clear else frozenset(),
        frozenset({(product.schema, role)}),
        frozenset((product.schema, table.physical_name, role) for table in contract.tables),
    )


def _all(parts: list[Granted]) -> Granted:
    """The union; one pass, because a mesh may have thousands."""
    return Granted(
        frozenset[tuple[str, str]]().union(*(part.memberships for part in parts)),
        frozenset[tuple[str, str]]().union(*(part.usage for part in parts)),
        frozenset[tuple[str, str, str]]().union(*(part.reads for part in parts)),
        frozenset[str]().union(*(part.connects for part in parts)),
        frozenset[str]().union(*(part.principals for part in parts)),
    )
