"""Who owns and may read what: declared by the product files, compared with what Postgres holds, applied in one transaction.

Pure functions decide (``desired``, ``changes``), thin ones act (``observe``, ``apply``). Only objects that the mesh names are
looked at: other roles and schemas of the server are none of its business.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Mesh
from platform_core.warehouse.change import Change
from platform_core.warehouse.granted import Granted, ended, granted

MEMBERS = "mesh_member"
"""Group of every domain's owner role: reads the platform's own tables, writes its own rows."""


@dataclass(frozen=True)
class Access:
    """A state of the warehouse.

    Attributes:
        roles: Role name to whether it may log in.
        memberships: ``(role, member)``.
        schemas: Schema to its owner.
        usage: ``(schema, grantee)`` of the privilege USAGE.
        reads: ``(schema, relation, grantee)`` of the privilege SELECT.
        relations: Relations that exist in port schemas, ``(schema, relation)``.
        extra: Privileges that no file can ask for, ``(privilege, schema, relation or "", grantee)``.
        connects: Roles that may connect to the database.
        database: The database's name, once observed.
        principals: Roles of persons, teams and services that requests name; the mesh makes none. Observed: those that exist.
        former: What requests gave that have ended.
    """

    roles: Mapping[str, bool] = field(default_factory=dict[str, bool])
    memberships: frozenset[tuple[str, str]] = frozenset()
    schemas: Mapping[str, str] = field(default_factory=dict[str, str])
    usage: frozenset[tuple[str, str]] = frozenset()
    reads: frozenset[tuple[str, str, str]] = frozenset()
    relations: frozenset[tuple[str, str]] = frozenset()
    extra: frozenset[tuple[str, str, str, str]] = frozenset()
    connects: frozenset[str] = frozenset()
    database: str = ""
    principals: frozenset[str] = frozenset()
    former: Granted = field(default_factory=Granted)


def desired(mesh: Mesh, now: datetime | None = None) -> Access:
    """What the files of the mesh ask for at a moment. A broken product keeps its domain's own schemas and loses no data."""
    now = now or datetime.now(UTC)
    given = granted(mesh, now)
    roles: dict[str, bool] = {MEMBERS: False}
    memberships: set[tuple[str, str]] = set()
    schemas: dict[str, str] = {}
    usage: set[tuple[str, str]] = set()
    reads: set[tuple[str, str, str]] = set()
    connects = {MEMBERS}
    for domain in mesh.domains:
        owner, job = naming.owner_role(domain), naming.job_role(domain)
        roles |= {owner: False, job: True}
        memberships |= {(owner, job), (MEMBERS, owner)}
        schemas |= {naming.raw_schema(domain): owner, naming.build_schema(domain): owner}
    for product in mesh.products.values():
        owner = naming.owner_role(product.domain)
        schemas |= {product.schema: owner, naming.data_schema(product.id): owner}
        reader, pii = naming.reader_role(product.id), naming.pii_reader_role(product.id)
        roles |= {reader: False, pii: False}
        connects |= {reader, pii}  # a person who is given the role needs nothing else
        usage |= {(product.schema, reader)}
        for port in product.outputs:
            reads |= {(product.schema, table.physical_name, reader) for table in port.contract.tables}
    memberships |= given.memberships
    usage |= given.usage
    reads |= given.reads
    connects |= given.connects
    return Access(
        roles,
        frozenset(memberships),
        schemas,
        frozenset(usage),
        frozenset(reads),
        connects=frozenset(connects),
        principals=given.principals,
        former=ended(mesh, now),
    )


def readers(mesh: Mesh, contract: Contract) -> tuple[str, ...]:
    """Roles that the files let read the contract's relations, the owner left out; sorted."""
    schema = naming.port_schema(contract.product_id)
    tables = {table.physical_name for table in contract.tables}
    return tuple(sorted({role for of, relation, role in desired(mesh).reads if of == schema and relation in tables}))


def observe(connection: Connection, wanted: Access) -> Access:
    """What Postgres holds of the objects that ``wanted`` names, in one round trip per catalog table."""
    names, schemas = list(wanted.roles), list(wanted.schemas)
    named = [*names, *wanted.principals, *wanted.former.connects]
    roles = _rows(connection, "SELECT rolname, rolcanlogin FROM pg_roles WHERE rolname = ANY(%s)", named)
    members = _rows(
        connection,
        """SELECT r.rolname, m.rolname FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.roleid
           JOIN pg_roles AS m ON m.oid = a.member WHERE r.rolname = ANY(%s)""",
        names,
    )
    spaces = _rows(connection, "SELECT nspname, nspowner::regrole::text FROM pg_namespace WHERE nspname = ANY(%s)", schemas)
    spaces_acl = _rows(
        connection,
        """SELECT n.nspname, coalesce(g.rolname, 'PUBLIC'), a.privilege_type FROM pg_namespace AS n CROSS JOIN LATERAL aclexplode(n.nspacl) AS a
           LEFT JOIN pg_roles AS g ON g.oid = a.grantee WHERE a.grantee <> n.nspowner AND n.nspname = ANY(%s)""",
        schemas,
    )
    connects = _rows(
        connection,
        """SELECT r.rolname FROM pg_database AS d CROSS JOIN LATERAL aclexplode(d.datacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
           WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' AND a.grantee <> d.datdba AND r.rolname = ANY(%s)""",
        named,
    )
    ports = sorted({schema for schema, _ in wanted.usage})
    relations = _rows(
        connection,
        "SELECT n.nspname, c.relname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace WHERE c.relkind = 'v' AND n.nspname = ANY(%s)",
        ports,
    )
    relations_acl = _rows(
        connection,
        """SELECT n.nspname, c.relname, coalesce(g.rolname, 'PUBLIC'), a.privilege_type
           FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace CROSS JOIN LATERAL aclexplode(c.relacl) AS a
           LEFT JOIN pg_roles AS g ON g.oid = a.grantee WHERE a.grantee <> c.relowner AND n.nspname = ANY(%s)""",
        ports,
    )
    usage = {(str(schema), str(role)) for schema, role, privilege in spaces_acl if privilege == "USAGE"}
    reads = {(str(schema), str(relation), str(role)) for schema, relation, role, privilege in relations_acl if privilege == "SELECT"}
    extra = {(str(privilege), str(schema), "", str(role)) for schema, role, privilege in spaces_acl if privilege != "USAGE"}
    extra |= {
        (str(privilege), str(schema), str(name), str(role)) for schema, name, role, privilege in relations_acl if privilege != "SELECT"
    }
    return Access(
        {str(name): bool(login) for name, login in roles if name in wanted.roles},
        frozenset((str(role), str(member)) for role, member in members),
        {str(name): str(owner).strip('"') for name, owner in spaces},
        frozenset(usage),
        frozenset(reads),
        frozenset((str(schema), str(relation)) for schema, relation in relations),
        frozenset(extra),
        frozenset(str(role) for (role,) in connects),
        connection.info.dbname,
        frozenset(str(name) for name, _ in roles if name in wanted.principals),
    )


def changes(wanted: Access, found: Access) -> tuple[Change, ...]:
    """The steps from ``found`` to ``wanted``: creations, missing grants, and the revocation of access that no file declares.

    A relation that is not published yet needs no grant: its first publication brings the grants along.
    """
    return tuple(_changes(wanted, found))


def plan(connection: Connection, mesh: Mesh, now: datetime | None = None) -> tuple[Change, ...]:
    """The steps that ``apply`` would take now."""
    wanted = desired(mesh, now)
    return changes(wanted, observe(connection, wanted))


def _changes(wanted: Access, found: Access) -> Iterator[Change]:
    name = sql.Identifier
    missing = wanted.principals - found.principals
    for role in sorted(missing):
        detail = "an approved request names it, but it does not exist; once somebody has created it, the next apply grants the access"
        yield Change("report", f"role {role}", None, kind="create", detail=detail)
    wanted = _to_existing(wanted, missing)
    for role, login in wanted.roles.items():
        if role not in found.roles:
            kind = sql.SQL("LOGIN" if login else "NOLOGIN")
            yield Change("create", f"role {role}", sql.SQL("CREATE ROLE {} {}").format(name(role), kind))
        elif found.roles[role] != login:
            kind = sql.SQL("LOGIN" if login else "NOLOGIN")
            yield Change("alter", f"role {role} login={login}", sql.SQL("ALTER ROLE {} {}").format(name(role), kind))
    for role in sorted(wanted.connects - found.connects):
        yield Change("grant", f"connect to {role}", sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(name(found.database), name(role)))
    by_hand = found.connects - wanted.roles.keys() - wanted.former.connects  # to a role that is not ours, and by no request
    for role in sorted(found.connects - wanted.connects - by_hand):
        yield Change(
            "revoke", f"connect from {role}", sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(name(found.database), name(role))
        )
    for role, member in sorted(wanted.memberships - found.memberships):
        yield Change("grant", f"role {role} to {member}", sql.SQL("GRANT {} TO {}").format(name(role), name(member)))
    managed = {role for role in wanted.roles if role.endswith(("_owner", "_job"))}
    for role, member in sorted(found.memberships - wanted.memberships):
        if member in managed or (role, member) in wanted.former.memberships:
            yield Change("revoke", f"role {role} from {member}", sql.SQL("REVOKE {} FROM {}").format(name(role), name(member)))
    for schema, owner in wanted.schemas.items():
        if schema not in found.schemas:
            yield Change("create", f"schema {schema}", sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(name(schema), name(owner)))
        elif found.schemas[schema] != owner:
            yield Change(
                "alter", f"schema {schema} owner {owner}", sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(name(schema), name(owner))
            )
    for schema, role in sorted(wanted.usage - found.usage):
        yield Change(
            "grant", f"usage on schema {schema} to {role}", sql.SQL("GRANT USAGE ON SCHEMA {} TO {}").format(name(schema), name(role))
        )
    for schema, role in sorted(found.usage - wanted.usage):
        yield Change(
            "revoke",
            f"usage on schema {schema} from {role}",
            sql.SQL("REVOKE ALL ON SCHEMA {} FROM {} CASCADE").format(name(schema), _grantee(role)),
        )
    for schema, relation, role in sorted(wanted.reads - found.reads):
        if (schema, relation) in found.relations:
            target = name(schema, relation)
            yield Change(
                "grant", f"select on {schema}.{relation} to {role}", sql.SQL("GRANT SELECT ON {} TO {}").format(target, name(role))
            )
    for schema, relation, role in sorted(found.reads - wanted.reads):
        target = name(schema, relation)
        yield Change(
            "revoke",
            f"select on {schema}.{relation} from {role}",  # noqa: S608 - a label, no statement
            sql.SQL("REVOKE ALL ON {} FROM {} CASCADE").format(target, _grantee(role)),
        )
    for privilege, schema, relation, role in sorted(found.extra):
        target = name(schema, relation) if relation else sql.SQL("SCHEMA {}").format(name(schema))
        shown = f"{schema}.{relation}" if relation else f"schema {schema}"
        revoke = sql.SQL("REVOKE {} ON {} FROM {} CASCADE").format(_keyword(privilege), target, _grantee(role))
        yield Change("revoke", f"{privilege.lower()} on {shown} from {role}", revoke)


def _to_existing(wanted: Access, missing: frozenset[str]) -> Access:
    """What is wanted without the grants to roles that nobody has created yet."""
    return replace(
        wanted,
        memberships=frozenset(pair for pair in wanted.memberships if pair[1] not in missing),
        usage=frozenset(pair for pair in wanted.usage if pair[1] not in missing),
        reads=frozenset(read for read in wanted.reads if read[2] not in missing),
        connects=wanted.connects - missing,
    )


def _grantee(role: str) -> sql.Composable:
    return sql.SQL("PUBLIC") if role == "PUBLIC" else sql.Identifier(role)


def _keyword(privilege: str) -> sql.SQL:
    """A privilege's name, which comes from Postgres itself."""
    return sql.SQL(privilege)  # pyright: ignore[reportArgumentType]


def _rows(connection: Connection, query: str, names: list[str]) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), (names,)).fetchall()
