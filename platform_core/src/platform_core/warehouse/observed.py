"""What Postgres holds of roles, memberships, schemas, relations, functions, privileges and policies: one round trip per catalog table."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from psycopg import Connection

PUBLIC = ""
"""The grantee that stands for everybody; no role can have this name."""

_WATCHED = ("role=", "search_path=", "row_security=", "session_preload_libraries=", "local_preload_libraries=", "session_replication_role=")
_POWERS = ("superuser", "createrole", "createdb", "replication", "bypassrls")


class Privilege(NamedTuple):
    """One privilege on one object.

    Attributes:
        kind: ``database``, ``schema``, ``relation``, ``column`` or ``function``.
        schema: Empty for a database.
        name: The database, the relation, or the function with its arguments as Postgres writes it; empty for a schema.
        column: Of a column's privilege.
        grantee: A role, or ``PUBLIC``.
        privilege: As Postgres names it.
    """

    kind: str
    schema: str
    name: str
    column: str
    grantee: str
    privilege: str


@dataclass(frozen=True)
class RoleState:
    """A role of the server.

    Attributes:
        powers: ``superuser``, ``createrole``, ``createdb``, ``replication``, ``bypassrls``: those it has.
        settings: Defaults of its sessions that change what statements mean, as ``name=value``.
        matters: Whether it owns or may do anything in this database.
        elsewhere: Whether it does in another database of the server.
    """

    login: bool
    powers: frozenset[str] = frozenset()
    settings: frozenset[str] = frozenset()
    matters: bool = False
    elsewhere: bool = False


class Membership(NamedTuple):
    """One grant of a role to a member."""

    role: str
    member: str
    grantor: str
    admin: bool
    usable: bool


@dataclass(frozen=True)
class RelationState:
    """A table, view, sequence or foreign table; ``kind`` as in ``pg_class.relkind``, ``secured`` is its row security."""

    kind: str
    owner: str
    secured: bool
    forced: bool
    comment: str


@dataclass(frozen=True)
class FunctionState:
    """A function; ``definer`` is whether it acts as its owner."""

    name: str
    owner: str
    definer: bool
    settings: tuple[str, ...]
    source: str


class Policy(NamedTuple):
    """A row security policy, expressions as Postgres prints them."""

    table: str
    name: str
    command: str
    permissive: bool
    everybody: bool
    using: str
    check: str


@dataclass(frozen=True)
class Observed:
    """A state of the warehouse.

    Attributes:
        roles: Every role of the server.
        memberships: Every membership of the server.
        schemas: Every schema with its owner, the system's left out.
        comments: Schema to its comment.
        relations: ``(schema, relation)``, of the schemas that were asked for.
        functions: ``(schema, signature)``.
        privileges: Held by anybody but the owner.
        handed_on: Those of them that may be granted on.
        defaults: Default privileges, ``(role, schema or "", type of object, grantee, privilege)``.
        policies: Of the platform's tables.
        database: Its name, and ``owner`` its owner.
        me: The role that looked, and ``superuser`` whether it is one.
    """

    roles: Mapping[str, RoleState] = field(default_factory=dict[str, RoleState])
    memberships: tuple[Membership, ...] = ()
    schemas: Mapping[str, str] = field(default_factory=dict[str, str])
    comments: Mapping[str, str] = field(default_factory=dict[str, str])
    relations: Mapping[tuple[str, str], RelationState] = field(default_factory=dict[tuple[str, str], RelationState])
    functions: Mapping[tuple[str, str], FunctionState] = field(default_factory=dict[tuple[str, str], FunctionState])
    privileges: frozenset[Privilege] = frozenset()
    handed_on: frozenset[Privilege] = frozenset()
    defaults: frozenset[tuple[str, str, str, str, str]] = frozenset()
    policies: frozenset[Policy] = frozenset()
    database: str = ""
    me: str = ""
    superuser: bool = True


def observe(connection: Connection, schemas: Iterable[str], owners: Iterable[str], platform: str) -> Observed:
    """Looks at the warehouse; nothing is touched.

    Args:
        connection: As the platform's role.
        schemas: Schemas whose relations and functions are looked at.
        owners: Roles whose other schemas are looked at as well: what was made by hand there must not be overlooked.
        platform: Schema of the platform's own tables, looked at with its policies.
    """
    roles = {
        str(name): RoleState(
            bool(login),
            frozenset(power for power, has in zip(_POWERS, powers, strict=True) if has),
            frozenset(str(setting) for setting in settings or () if str(setting).startswith(_WATCHED)),
            bool(here),
            bool(elsewhere),
        )
        for name, login, *powers, settings, here, elsewhere in connection.execute(_ROLES).fetchall()
    }
    memberships = tuple(Membership(*row) for row in connection.execute(_MEMBERSHIPS).fetchall())
    database, me, held, handed = "", "", set[Privilege](), set[Privilege]()

    def note(kind: str, schema: str, name: str, column: str, grantee: str | None, privilege: str | None, grantable: bool) -> None:
        if privilege is None:
            return
        item = Privilege(kind, schema, name, column, PUBLIC if grantee is None else grantee, privilege)
        held.add(item)
        if grantable:
            handed.add(item)

    for name, role, grantee, privilege, grantable in connection.execute(_DATABASE).fetchall():
        database, me = str(name), str(role)
        note("database", "", database, "", grantee, privilege, grantable)
    found: dict[str, str] = {}
    comments: dict[str, str] = {}
    for schema, owner, comment, grantee, privilege, grantable in connection.execute(_SCHEMAS).fetchall():
        found[schema], comments[schema] = owner, comment
        note("schema", schema, "", "", grantee, privilege, grantable)
    own = set(owners)
    scope = sorted({*schemas, platform, *(schema for schema, owner in found.items() if owner in own)})
    relations: dict[tuple[str, str], RelationState] = {}
    for schema, name, kind, owner, secured, forced, comment, grantee, privilege, grantable in _ask(connection, _RELATIONS, scope):
        relations[schema, name] = RelationState(kind, owner, secured, forced, comment)
        note("relation", schema, name, "", grantee, privilege, grantable)
    for schema, name, column, grantee, privilege, grantable in _ask(connection, _COLUMNS, scope):
        note("column", schema, name, column, grantee, privilege, grantable)
    functions: dict[tuple[str, str], FunctionState] = {}
    for schema, signature, name, owner, definer, settings, source, grantee, privilege, grantable in _ask(connection, _FUNCTIONS, scope):
        functions[schema, signature] = FunctionState(name, owner, definer, tuple(settings or ()), source)
        note("function", schema, signature, "", grantee, privilege, grantable)
    defaults = {
        (str(role), str(schema), str(kind), grantee or PUBLIC, str(privilege))
        for role, schema, kind, grantee, privilege in connection.execute(_DEFAULTS, {"schemas": scope, "roles": sorted(own)}).fetchall()
    }
    policies = frozenset(Policy(*row) for row in connection.execute(_POLICIES, {"schema": platform}).fetchall())
    return Observed(
        roles,
        memberships,
        found,
        comments,
        relations,
        functions,
        frozenset(held),
        frozenset(handed),
        frozenset(defaults),
        policies,
        database,
        me,
        "superuser" in roles[me].powers,
    )


def _ask(connection: Connection, query: str, schemas: list[str]) -> list[tuple[Any, ...]]:
    return connection.execute(query.encode(), {"schemas": schemas}).fetchall()


_ROLES = """
    WITH here AS (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database()),
         settings AS (
             SELECT s.setrole, pg_catalog.array_agg(c.setting) AS said
             FROM pg_catalog.pg_db_role_setting AS s JOIN here ON s.setdatabase IN (0, here.oid), LATERAL pg_catalog.unnest(s.setconfig) AS c (setting)
             GROUP BY 1),
         held AS (
             SELECT refobjid, pg_catalog.bool_or(at = here.oid) AS here, pg_catalog.bool_or(at NOT IN (0, here.oid)) AS elsewhere
             FROM (SELECT refobjid, CASE WHEN classid = 'pg_catalog.pg_database'::pg_catalog.regclass THEN objid ELSE dbid END AS at
                   FROM pg_catalog.pg_shdepend WHERE refclassid = 'pg_catalog.pg_authid'::pg_catalog.regclass) AS each, here
             GROUP BY 1)
    SELECT r.rolname, r.rolcanlogin, r.rolsuper, r.rolcreaterole, r.rolcreatedb, r.rolreplication, r.rolbypassrls, settings.said,
           coalesce(held.here, false), coalesce(held.elsewhere, false)
    FROM pg_catalog.pg_roles AS r LEFT JOIN settings ON settings.setrole = r.oid LEFT JOIN held ON held.refobjid = r.oid"""

_MEMBERSHIPS = """
    SELECT r.rolname, m.rolname, g.rolname, a.admin_option, a.inherit_option AND a.set_option
    FROM pg_catalog.pg_auth_members AS a JOIN pg_catalog.pg_roles AS r ON r.oid = a.roleid
    JOIN pg_catalog.pg_roles AS m ON m.oid = a.member JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantor"""

_DATABASE = """
    SELECT d.datname, current_user::text, g.rolname, a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_database AS d LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.aclexplode(coalesce(d.datacl, pg_catalog.acldefault('d', d.datdba))) AS e WHERE e.grantee <> d.datdba
    ) AS a ON true LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE d.datname = pg_catalog.current_database()"""

_SCHEMAS = r"""
    SELECT n.nspname, o.rolname, coalesce(pg_catalog.obj_description(n.oid, 'pg_namespace'), ''), g.rolname, a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_namespace AS n JOIN pg_catalog.pg_roles AS o ON o.oid = n.nspowner LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.aclexplode(n.nspacl) AS e WHERE e.grantee <> n.nspowner
    ) AS a ON true LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'"""

_RELATIONS = """
    SELECT n.nspname, c.relname, c.relkind::text, o.rolname, c.relrowsecurity, c.relforcerowsecurity,
           coalesce(pg_catalog.obj_description(c.oid, 'pg_class'), ''), g.rolname, a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid = c.relowner LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.aclexplode(c.relacl) AS e WHERE e.grantee <> c.relowner
    ) AS a ON true LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S') AND n.nspname = ANY(%(schemas)s)"""

_COLUMNS = """
    SELECT n.nspname, c.relname, t.attname, g.rolname, a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_attribute AS t JOIN pg_catalog.pg_class AS c ON c.oid = t.attrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(t.attacl) AS a LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE t.attacl IS NOT NULL AND NOT t.attisdropped AND a.grantee <> c.relowner AND n.nspname = ANY(%(schemas)s)"""

_FUNCTIONS = """
    SELECT n.nspname, p.oid::pg_catalog.regprocedure::text, p.proname, o.rolname, p.prosecdef, p.proconfig,
           coalesce(pg_catalog.pg_get_function_sqlbody(p.oid), p.prosrc), g.rolname, a.privilege_type, a.is_grantable
    FROM pg_catalog.pg_proc AS p JOIN pg_catalog.pg_namespace AS n ON n.oid = p.pronamespace
    JOIN pg_catalog.pg_roles AS o ON o.oid = p.proowner LEFT JOIN LATERAL (
        SELECT * FROM pg_catalog.aclexplode(coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))) AS e WHERE e.grantee <> p.proowner
    ) AS a ON true LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE n.nspname = ANY(%(schemas)s)"""

_DEFAULTS = """
    SELECT r.rolname, coalesce(n.nspname, ''), d.defaclobjtype::text, g.rolname, a.privilege_type
    FROM pg_catalog.pg_default_acl AS d JOIN pg_catalog.pg_roles AS r ON r.oid = d.defaclrole
    LEFT JOIN pg_catalog.pg_namespace AS n ON n.oid = d.defaclnamespace
    CROSS JOIN LATERAL pg_catalog.aclexplode(d.defaclacl) AS a LEFT JOIN pg_catalog.pg_roles AS g ON g.oid = a.grantee
    WHERE r.rolname = ANY(%(roles)s) OR n.nspname = ANY(%(schemas)s)"""

_POLICIES = """
    SELECT c.relname, p.polname,
           CASE p.polcmd WHEN 'r' THEN 'select' WHEN 'a' THEN 'insert' WHEN 'w' THEN 'update' WHEN 'd' THEN 'delete' ELSE 'all' END,
           p.polpermissive, p.polroles = '{0}', coalesce(pg_catalog.pg_get_expr(p.polqual, p.polrelid), ''),
           coalesce(pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid), '')
    FROM pg_catalog.pg_policy AS p JOIN pg_catalog.pg_class AS c ON c.oid = p.polrelid
    JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace WHERE n.nspname = %(schema)s"""
