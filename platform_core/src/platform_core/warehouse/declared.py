"""What the files declare as single items, each with the domain and product it belongs to; and the record of what was applied last.

The record tells a thing that the files no longer declare (a removal) from one that somebody made by hand (drift).
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime

from psycopg import Connection

from platform_core.contracts import naming
from platform_core.contracts.masking import hiding
from platform_core.contracts.model import Contract, Mesh
from platform_core.warehouse.access import MEMBERS, Access, desired
from platform_core.warehouse.errors import WarehouseError
from platform_core.warehouse.observed import Privilege

Place = tuple[str, str]
"""Domain and product id; the product is empty for what belongs to the domain as a whole, both are for the platform's own."""
Item = tuple[str, ...]
"""``("role", name)``, ``("member", role, member)``, ``("schema", name)``, ``("default", owner, kind)``, ``("grant", *Privilege)``,
``("table", contract, table)``, ``("mask", contract, table, column, mask as JSON)`` or ``("filter", contract, table, column, attribute)``; of the platform itself
``("files", hash)`` and ``("part", kind, name, definition)``."""

CLOSED = ("f", "T")
"""Kinds of ``pg_default_acl`` that everybody may use unless somebody says otherwise: functions and types."""

PLATFORM_ITEMS = {"files", "part"}

KEEPER_READS = (naming.MASK_PASS, "reader_attributes")
"""What port views look up in the platform's schema, with the rights of the keeper who owns them."""

TABLE_PRIVILEGES = ("SELECT", "INSERT", "UPDATE", "DELETE")
"""What the members' group may do with the platform's tables; row security says with which rows."""


@dataclass(frozen=True)
class Declared:
    """What is asked for.

    Attributes:
        access: By role and object, as the compiler gives it.
        grants: Every privilege that anybody but an owner is to have.
        items: All of it as items, with their places.
        places: Schema or role to its place, also of those that were declared when the files were applied last.
        recorded: The items applied last, with their places.
        broken: Domains with products whose files cannot be read: nothing is taken from their roles.
        frozen: Places whose files cannot be read: nothing is taken away there.
    """

    access: Access
    grants: frozenset[Privilege]
    items: Mapping[Item, Place]
    places: Mapping[str, Place]
    recorded: Mapping[Item, Place] = field(default_factory=dict[Item, Place])
    broken: frozenset[str] = frozenset()
    frozen: frozenset[Place] = frozenset()

    def place(self, name: str) -> Place:
        """Where a schema or role belongs; to the platform when nobody knows."""
        return self.places.get(name, ("", ""))

    def of(self, privilege: Privilege) -> Place:
        """Where a privilege belongs: to its schema's product, or to its grantee for the database as a whole."""
        return self.place(privilege.schema or privilege.grantee)

    def kept(self, item: Item) -> bool:
        """Whether an item that nothing declares was applied and stays, because the files that declared it cannot be read now."""
        if item not in self.recorded:
            return False
        mentioned = {naming.owner_role(domain) for domain in self.broken} & set(item)
        return bool(mentioned) or self.recorded[item] in self.frozen


def declare(
    mesh: Mesh, database: str, platform_tables: frozenset[str], recorded: Mapping[Item, Place], now: datetime | None = None
) -> Declared:
    """Compiles the files to items.

    Args:
        mesh: The files.
        database: Name of the warehouse's database.
        platform_tables: The platform's tables that domains write.
        recorded: See ``read_record``.
        now: The moment at which access that ends is judged; the present by default.

    Raises:
        WarehouseError: Two products or domains ask for the same schema or role, or for a name that Postgres would cut.
    """
    access = desired(mesh, now)
    places = _places(mesh)
    grants = frozenset(_grants(access, database, platform_tables))
    items: dict[Item, Place] = {("role", role): places.get(role, ("", "")) for role in access.roles}
    for role, member in access.memberships:
        items["member", role, member] = places.get(role if role != MEMBERS else member, ("", ""))
    items |= {("schema", schema): places.get(schema, ("", "")) for schema in access.schemas}
    items |= {("default", owner, kind): places.get(owner, ("", "")) for owner in access.schemas.values() for kind in CLOSED}
    items |= {("grant", *grant): places.get(grant.schema or grant.grantee, ("", "")) for grant in grants}
    items |= {item: places.get(naming.port_schema(contract.product_id), ("", ""))
              for product in mesh.products.values() for contract in (port.contract for port in product.outputs)
              for item in _port(contract)}  # fmt: skip
    former = {name: place for item, place in recorded.items() if item[0] in {"role", "schema"} for name in item[1:]}
    broken = {product_id: product_id.partition(".")[0] for product_id in mesh.broken}
    frozen = frozenset((domain, product_id) for product_id, domain in broken.items())
    return Declared(access, grants, items, {**former, **places}, recorded, frozenset(broken.values()), frozen)


def read_record(connection: Connection) -> dict[Item, Place]:
    """The items that were applied last, with their places; the table must exist."""
    rows = connection.execute("SELECT domain, product_id, item FROM mesh.declared").fetchall()
    return {tuple(json.loads(item)): (str(domain), str(product)) for domain, product, item in rows}


def write_record(connection: Connection, declared: Declared, domain: str, pruned: bool) -> None:
    """Records what is declared for a domain (empty: the platform's own), in the transaction that applied it.

    What is no longer declared stays on record until it was pruned: a later plan must still know whose it is.
    """
    wanted = {item: place for item, place in declared.items.items() if place[0] == domain}
    known = {item: place for item, place in declared.recorded.items() if place[0] == domain}
    gone = [
        item
        for item in known.keys() - wanted.keys()
        if item[0] not in PLATFORM_ITEMS and not declared.kept(item) and (pruned or item[0] not in {"role", "schema"})
    ]
    if gone:
        connection.execute("DELETE FROM mesh.declared WHERE item = ANY(%s)", ([json.dumps(item) for item in gone],))
    fresh = sorted((json.dumps(item), place) for item, place in wanted.items() if declared.recorded.get(item) != place)
    if fresh:
        connection.execute(
            """INSERT INTO mesh.declared (domain, product_id, item) SELECT * FROM unnest(%s::text[], %s::text[], %s::text[])
               ON CONFLICT (item) DO UPDATE SET domain = excluded.domain, product_id = excluded.product_id""",
            ([place[0] for _, place in fresh], [place[1] for _, place in fresh], [item for item, _ in fresh]),
        )


def _port(contract: Contract) -> Iterator[Item]:
    """A port's tables, and what they hide: a publication shows no more than was applied, see ``publishing/port_views.sql``."""
    for table in contract.tables:
        yield ("table", contract.id, table.physical_name)
        for column in table.columns:
            mask = hiding(column.mask, personal=column.personal)
            if mask is not None:
                yield ("mask", contract.id, table.physical_name, column.physical_name, json.dumps(asdict(mask), sort_keys=True))
        if table.row_filter is not None:
            yield ("filter", contract.id, table.physical_name, table.row_filter.column, table.row_filter.attribute)


def _grants(access: Access, database: str, platform_tables: frozenset[str]) -> Iterator[Privilege]:
    for schema, role in access.usage:
        yield Privilege("schema", schema, "", "", role, "USAGE")
    for schema, role in access.seals:
        yield Privilege("schema", schema, "", "", role, "CREATE")
    for schema, relation, role in access.reads:
        yield Privilege("relation", schema, relation, "", role, "SELECT")
    for role in access.connects:
        yield Privilege("database", "", database, "", role, "CONNECT")
    yield Privilege("database", "", database, "", MEMBERS, "TEMPORARY")
    yield Privilege("schema", naming.PLATFORM_SCHEMA, "", "", MEMBERS, "USAGE")
    yield Privilege("schema", naming.PLATFORM_SCHEMA, "", "", naming.KEEPER_ROLE, "USAGE")
    for relation in KEEPER_READS:
        yield Privilege("relation", naming.PLATFORM_SCHEMA, relation, "", naming.KEEPER_ROLE, "SELECT")
    for table in platform_tables:
        for privilege in TABLE_PRIVILEGES:
            yield Privilege("relation", naming.PLATFORM_SCHEMA, table, "", MEMBERS, privilege)


def _places(mesh: Mesh) -> dict[str, Place]:
    """Schemas and roles of the files' domains and products, those of broken products too.

    Raises:
        WarehouseError: See ``declare``.
    """
    schemas: dict[str, Place] = {naming.PLATFORM_SCHEMA: ("", ""), "public": ("", "")}
    roles: dict[str, Place] = {MEMBERS: ("", ""), naming.PLATFORM_ROLE: ("", ""), naming.KEEPER_ROLE: ("", "")}
    named = [((domain, ""), (naming.raw_schema(domain), naming.build_schema(domain)), (naming.owner_role(domain), naming.job_role(domain)))
             for domain in mesh.domains]  # fmt: skip
    for product_id in sorted({*mesh.products, *mesh.broken}):
        place = (product_id.partition(".")[0], product_id)
        own = (naming.port_schema(product_id), naming.data_schema(product_id))
        named.append((place, own, (naming.reader_role(product_id), naming.pii_reader_role(product_id))))
    for place, own_schemas, own_roles in named:
        for taken, names, what in ((schemas, own_schemas, "schema"), (roles, own_roles, "role")):
            for name in names:
                other = taken.setdefault(name, place)
                if other != place:
                    both = " and ".join(product or domain or "the platform" for domain, product in (other, place))
                    raise WarehouseError(f"{both} would share the {what} {name!r}", where=name, remedy="rename one of the two")
                if len(name.encode()) > naming.IDENTIFIER_BYTES or name.startswith("pg_"):
                    reason = "begins with pg_" if name.startswith("pg_") else f"is longer than {naming.IDENTIFIER_BYTES} bytes"
                    remedy = f"give {place[1] or place[0]} another name"
                    raise WarehouseError(f"the {what} {name!r} {reason}, which Postgres does not allow", where=name, remedy=remedy)
    return {**roles, **schemas}
