"""Who owns and may read what, as the product files declare it. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cached_property

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Mesh
from platform_core.warehouse.granted import Granted, ended, granted

MEMBERS = "mesh_member"
"""Group of every domain's owner role: reads the platform's own tables, writes its own rows."""


@dataclass(frozen=True)
class Access:
    """What is asked of the warehouse.

    Attributes:
        roles: Role name to whether it may log in.
        memberships: ``(role, member)``.
        schemas: Schema to its owner.
        usage: ``(schema, grantee)`` of the privilege USAGE.
        seals: ``(schema, grantee)`` of the privilege CREATE in a schema of versions: who may put them there.
        reads: ``(schema, relation, grantee)`` of the privilege SELECT.
        connects: Roles that may connect to the database.
        principals: Roles of persons, teams and services that requests name; the mesh makes none.
        former: What requests gave that have ended.
    """

    roles: Mapping[str, bool] = field(default_factory=dict[str, bool])
    memberships: frozenset[tuple[str, str]] = frozenset()
    schemas: Mapping[str, str] = field(default_factory=dict[str, str])
    usage: frozenset[tuple[str, str]] = frozenset()
    seals: frozenset[tuple[str, str]] = frozenset()
    reads: frozenset[tuple[str, str, str]] = frozenset()
    connects: frozenset[str] = frozenset()
    principals: frozenset[str] = frozenset()
    former: Granted = field(default_factory=Granted)

    @cached_property
    def versions(self) -> frozenset[str]:
        """The schemas of versions."""
        return frozenset(schema for schema, _ in self.seals)


def desired(mesh: Mesh, now: datetime | None = None) -> Access:
    """What the files of the mesh ask for at a moment. A broken product keeps its domain's own schemas and loses no data."""
    now = now or datetime.now(UTC)
    given = granted(mesh, now)
    roles: dict[str, bool] = {MEMBERS: False, naming.KEEPER_ROLE: False}
    memberships: set[tuple[str, str]] = set()
    schemas: dict[str, str] = {}
    usage: set[tuple[str, str]] = set()
    seals: set[tuple[str, str]] = set()
    reads: set[tuple[str, str, str]] = set()
    connects = {MEMBERS}
    for domain in mesh.domains:
        owner, job = naming.owner_role(domain), naming.job_role(domain)
        roles |= {owner: False, job: True}
        memberships |= {(owner, job), (MEMBERS, owner)}
        schemas |= {naming.raw_schema(domain): owner, naming.build_schema(domain): owner}
    for product in mesh.products.values():
        owner = naming.owner_role(product.domain)
        # Nobody of a domain owns what others read: Postgres evaluates a view's functions with the rights of its reader.
        schemas |= {product.schema: naming.KEEPER_ROLE, naming.data_schema(product.id): naming.KEEPER_ROLE}
        usage |= {(product.schema, owner), (naming.data_schema(product.id), owner)}
        seals.add((naming.data_schema(product.id), owner))
        reader, pii = naming.reader_role(product.id), naming.pii_reader_role(product.id)
        roles |= {reader: False, pii: False}
        connects |= {reader, pii}  # a person who is given the role needs nothing else
        usage |= {(product.schema, reader)}
        for port in product.outputs:
            reads |= {(product.schema, table.physical_name, role) for table in port.contract.tables for role in (reader, owner)}
    memberships |= given.memberships
    usage |= given.usage
    reads |= given.reads
    connects |= given.connects
    return Access(
        roles,
        frozenset(memberships),
        schemas,
        frozenset(usage),
        frozenset(seals),
        frozenset(reads),
        connects=frozenset(connects),
        principals=given.principals,
        former=ended(mesh, now),
    )


def readers(mesh: Mesh, contract: Contract) -> tuple[str, ...]:
    """Roles that the files let read the contract's relations, the owner left out; sorted."""
    schema, owner = naming.port_schema(contract.product_id), naming.owner_role(contract.domain)
    tables = {table.physical_name for table in contract.tables}
    found = {role for of, relation, role in desired(mesh).reads if of == schema and relation in tables}
    return tuple(sorted(found - {owner}))
