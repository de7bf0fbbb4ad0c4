"""Who can read which port at this moment, as Postgres itself knows it: granted by the files, by hand, or through another role."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from psycopg import Connection

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh

EVERYBODY = "everybody"
"""The principal of a privilege that PUBLIC holds."""


@dataclass(frozen=True, order=True)
class Standing:
    """One principal's reading of one port.

    Attributes:
        contract_id: The port.
        principal: ``domain:<d>``, ``role:<r>`` or ``everybody``.
        clear: ``<table>.<column>`` that are read as they are, sorted.
        masked: The same, of which only the mask is seen.
    """

    contract_id: str
    principal: str
    clear: tuple[str, ...]
    masked: tuple[str, ...]


def standing(connection: Connection, mesh: Mesh) -> frozenset[Standing]:
    """Everybody who can read a port that is published, its owning domain, the platform's role and superusers left out.

    Args:
        connection: As the platform's role, which sees every catalog.
        mesh: Says which relation is which port, and which columns are masked.
    """
    relations = {
        (naming.port_schema(contract.product_id), table.physical_name): contract.id
        for contract in mesh.contracts.values()
        for table in contract.tables
    }
    columns, granted = _views(connection, sorted({schema for schema, _ in relations}))
    below = _members(connection)
    ours = _Roles.of(mesh)
    reads: dict[tuple[str, str], set[str]] = defaultdict(set)
    for (schema, relation), grantees in granted.items():
        contract_id = relations.get((schema, relation))
        if contract_id is not None:
            for role in _closure(grantees, below):
                principal = ours.principal(role, contract_id.partition(".")[0])
                if principal is not None:
                    reads[contract_id, role].add(relation)
    usable = _usable(connection, {(role, naming.port_schema(contract_id.rpartition(".")[0])) for contract_id, role in reads})
    return frozenset(
        _standing(mesh, contract_id, role, tables, columns, below, ours)
        for (contract_id, role), tables in reads.items()
        if (role, naming.port_schema(contract_id.rpartition(".")[0])) in usable
    )


@dataclass(frozen=True)
class _Roles:
    """The roles that are no principals of their own."""

    owners: Mapping[str, str]
    passed: frozenset[str]

    @classmethod
    def of(cls, mesh: Mesh) -> _Roles:
        readers = {role(product) for product in mesh.products for role in (naming.reader_role, naming.pii_reader_role)}
        jobs = {naming.job_role(domain) for domain in mesh.domains}
        platform = {naming.PLATFORM_ROLE}
        return cls({naming.owner_role(domain): domain for domain in mesh.domains}, frozenset(readers | jobs | platform))

    def principal(self, role: str, domain: str) -> str | None:
        """Whom a role stands for; None for roles that only pass access on, and for the domain's own."""
        if role in self.passed or self.owners.get(role) == domain:
            return None
        return EVERYBODY if role == EVERYBODY else naming.domain_principal(self.owners[role]) if role in self.owners else f"role:{role}"


def _standing(
    mesh: Mesh,
    contract_id: str,
    role: str,
    tables: Iterable[str],
    columns: Mapping[tuple[str, str], tuple[str, ...]],
    below: Mapping[str, frozenset[str]],
    ours: _Roles,
) -> Standing:
    contract = mesh.contracts[contract_id]
    schema = naming.port_schema(contract.product_id)
    unmasked = {naming.pii_reader_role(contract.product_id), naming.owner_role(contract.domain)}
    whole = role in _closure(unmasked, below)
    hidden = {(table.physical_name, column.physical_name) for table in contract.tables for column in table.columns if column.mask}
    clear: list[str] = []
    masked: list[str] = []
    for table in sorted(tables):
        for column in columns.get((schema, table), ()):
            (clear if whole or (table, column) not in hidden else masked).append(f"{table}.{column}")
    return Standing(contract_id, str(ours.principal(role, contract.domain)), tuple(sorted(clear)), tuple(sorted(masked)))


def _closure(roles: Iterable[str], below: Mapping[str, frozenset[str]]) -> set[str]:
    """The roles and all their members, members of members included."""
    found: set[str] = set()
    waiting = list(roles)
    while waiting:
        role = waiting.pop()
        if role not in found:
            found.add(role)
            waiting += below.get(role, ())
    return found


def _views(connection: Connection, schemas: list[str]) -> tuple[dict[tuple[str, str], tuple[str, ...]], dict[tuple[str, str], set[str]]]:
    """The columns of every port view, and the roles that may read it or own it."""
    rows = connection.execute(
        """SELECT n.nspname, c.relname, a.attname FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
           WHERE c.relkind = 'v' AND n.nspname = ANY(%s) ORDER BY 1, 2, a.attnum""",
        (schemas,),
    ).fetchall()
    columns: dict[tuple[str, str], tuple[str, ...]] = {}
    for schema, relation, column in rows:
        key = (str(schema), str(relation))
        columns[key] = (*columns.get(key, ()), str(column))
    rows = connection.execute(
        """SELECT n.nspname, c.relname, CASE a.grantee WHEN 0 THEN %s ELSE pg_get_userbyid(a.grantee) END
           FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
           CROSS JOIN LATERAL aclexplode(coalesce(c.relacl, acldefault('r', c.relowner))) AS a
           WHERE c.relkind = 'v' AND n.nspname = ANY(%s) AND a.privilege_type = 'SELECT'""",
        (EVERYBODY, schemas),
    ).fetchall()
    granted: dict[tuple[str, str], set[str]] = defaultdict(set)
    for schema, relation, role in rows:
        granted[str(schema), str(relation)].add(str(role))
    return columns, granted


def _members(connection: Connection) -> dict[str, frozenset[str]]:
    """Role to its members; who made a role, the platform, is a member of it to act for it and is left out, as are superusers."""
    rows = connection.execute(
        """SELECT r.rolname, m.rolname FROM pg_auth_members AS a JOIN pg_roles AS r ON r.oid = a.roleid
           JOIN pg_roles AS m ON m.oid = a.member WHERE m.rolname <> current_user AND NOT m.rolsuper"""
    ).fetchall()
    found: dict[str, set[str]] = defaultdict(set)
    for role, member in rows:
        found[str(role)].add(str(member))
    return {role: frozenset(members) for role, members in found.items()}


def _usable(connection: Connection, pairs: set[tuple[str, str]]) -> set[tuple[str, str]]:
    """The pairs of role and schema in which the role reaches anything at all: by USAGE, its own or that of a role it may act as."""
    ordered = sorted(pairs)
    rows = connection.execute(
        """SELECT p.role, p.schema FROM unnest(%s::text[], %s::text[]) AS p (role, schema) JOIN pg_namespace AS n ON n.nspname = p.schema
           WHERE CASE p.role WHEN %s
               THEN EXISTS (SELECT FROM aclexplode(n.nspacl) AS a WHERE a.grantee = 0 AND a.privilege_type = 'USAGE')
               ELSE EXISTS (
                   SELECT FROM aclexplode(coalesce(n.nspacl, acldefault('n', n.nspowner))) AS a WHERE a.privilege_type = 'USAGE'
                   AND (a.grantee = 0 OR pg_has_role(p.role::name, a.grantee, 'MEMBER')))
               END""",
        ([role for role, _ in ordered], [schema for _, schema in ordered], EVERYBODY),
    ).fetchall()
    return {(str(role), str(schema)) for role, schema in rows}
