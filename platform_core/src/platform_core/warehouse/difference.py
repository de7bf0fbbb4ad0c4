"""The steps from what Postgres holds to what the files declare: roles, memberships, schemas, owners, privileges. Pure."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import sql

from platform_core.contracts import naming
from platform_core.warehouse.access import MEMBERS
from platform_core.warehouse.change import Change, Kind, printed
from platform_core.warehouse.declared import CLOSED, KEEPER_READS, Declared, Item, Place
from platform_core.warehouse.observed import PUBLIC, Membership, Observed, Privilege, RoleState

_OWNABLE = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}


def roles(declared: Declared, found: Observed) -> Iterator[Change]:
    """Roles that are missing, or have powers that no file gives."""
    for role, login in declared.access.roles.items():
        place = declared.place(role)
        target, kind = sql.Identifier(role), sql.SQL("LOGIN" if login else "NOLOGIN")
        state = found.roles.get(role)
        if state is None:
            yield _change(
                "create", f"role {role}", sql.SQL("CREATE ROLE {} {}").format(target, kind), place, missing(declared, ("role", role))
            )
            continue
        if state.login != login:
            statement = sql.SQL("ALTER ROLE {} {}").format(target, kind)
            yield _change("alter", f"role {role} login={login}", statement, place, "drift")
        for power in sorted(state.powers):
            statement = sql.SQL("ALTER ROLE {} {}").format(target, printed(_WITHOUT[power]))
            yield _change("revoke", f"{power} from role {role}", statement, place, "drift")
        for setting in sorted(state.settings - _allowed(role, state)):
            name = setting.partition("=")[0]
            reset = sql.SQL("ALTER ROLE {role} RESET {name}; ALTER ROLE {role} IN DATABASE {database} RESET {name}")
            statement = reset.format(role=target, name=sql.Identifier(name), database=sql.Identifier(found.database))
            yield _change("alter", f"role {role} without {setting}", statement, place, "drift")

    for role in sorted(declared.access.principals - found.roles.keys()):
        detail = "an approved request names it, but it does not exist; once somebody has created it, the next apply grants the access"
        yield Change("report", f"role {role}", None, kind="create", detail=detail)


def _absent(declared: Declared, found: Observed, role: str) -> bool:
    """Whether a role neither exists nor is made by this plan."""
    return role not in found.roles and role not in declared.access.roles


_WITHOUT = {
    "superuser": "NOSUPERUSER",
    "createrole": "NOCREATEROLE",
    "createdb": "NOCREATEDB",
    "replication": "NOREPLICATION",
    "bypassrls": "NOBYPASSRLS",
}


def _allowed(role: str, state: RoleState) -> set[str]:
    """A job role may act as its owner by itself: an Airbyte server's login cannot be told to."""
    return {f"role={role.removesuffix('_job')}_owner"} if state.login and role.endswith("_job") else set()


def memberships(declared: Declared, found: Observed) -> Iterator[Change]:
    """Memberships that are missing or unusable, and those that no file declares, of our roles and in roles that matter here."""
    wanted, ours = declared.access.memberships, declared.access.roles
    held = {(each.role, each.member): each for each in found.memberships if each.usable}
    for role, member in sorted(wanted - held.keys()):
        if _absent(declared, found, member):
            continue
        item = ("member", role, member)
        statement = sql.SQL("GRANT {} TO {} WITH INHERIT TRUE, SET TRUE").format(sql.Identifier(role), sql.Identifier(member))
        place = declared.items[item]
        yield _change("grant", f"role {role} to {member}", statement, place, missing(declared, item), roles=(role, member))
    strong, shared = _strong(found), used_elsewhere(declared, found)
    for each in sorted(found.memberships):
        pair = (each.role, each.member)
        declared_so = pair in wanted and not each.admin
        # Who makes a role is a member of it, to act for it.
        platform = {found.me, naming.PLATFORM_ROLE}
        maker = each.member in platform or (each.role in platform and each.member not in ours)
        if declared_so or maker or declared.kept(("member", *pair)) or _of_another_mesh(declared, found, each, shared):
            continue
        known = each.role in ours or each.role in declared.places or ("member", *pair) in declared.recorded
        if not known and not (each.member in ours and (each.role in strong or each.role == found.me)):
            continue
        place = declared.place(each.role if each.role in declared.places and each.role != MEMBERS else each.member)
        yield _leave(declared, each, place, only_admin=pair in wanted)


def used_elsewhere(declared: Declared, found: Observed) -> set[str]:
    """Roles that were ours and that another database of the server uses. A job owns nothing anywhere: it is used where its owner is."""
    gone = {item[1] for item in declared.recorded if item[0] == "role"} - declared.access.roles.keys()
    places = {declared.place(role) for role in gone if role in found.roles and found.roles[role].elsewhere}
    return {role for role in gone if declared.place(role) in places}


def _of_another_mesh(declared: Declared, found: Observed, each: Membership, shared: set[str]) -> bool:
    """Whether a membership is another database's: of a domain there in the group that all share, or between roles that it uses."""
    member = found.roles[each.member]
    joins = each.member not in declared.places and member.elsewhere and not member.matters
    return (joins or each.member in shared) and (each.role == MEMBERS or each.role in shared)


def _leave(declared: Declared, each: Membership, place: Place, *, only_admin: bool) -> Change:
    parts = {"role": sql.Identifier(each.role), "member": sql.Identifier(each.member), "grantor": sql.Identifier(each.grantor)}
    if only_admin:
        statement = sql.SQL("REVOKE ADMIN OPTION FOR {role} FROM {member} GRANTED BY {grantor} CASCADE").format(**parts)
        return _change("revoke", f"admin option of role {each.role} from {each.member}", statement, place, "drift")
    statement = sql.SQL("REVOKE {role} FROM {member} GRANTED BY {grantor} CASCADE").format(**parts)
    kind = surplus(declared, ("member", each.role, each.member))
    return _change("revoke", f"role {each.role} from {each.member}", statement, place, kind, roles=(each.role, each.member))


def _strong(found: Observed) -> set[str]:
    """Roles that give a member something here: the server's own, those with powers, those that own or may do anything, and their members."""
    strong = {name for name, state in found.roles.items() if name.startswith("pg_") or state.powers or state.matters}
    while True:
        more = {each.member for each in found.memberships if each.role in strong} - strong
        if not more:
            return strong
        strong |= more


def schemas(declared: Declared, found: Observed, *, upgraded: bool = False) -> Iterator[Change]:
    """Schemas that are missing or belong to somebody else, and what is in them.

    Args:
        declared: What the files say.
        found: What is there.
        upgraded: Whether another version of the platform applied last: then another owner is a change and no drift.
    """
    other: Kind = "change" if upgraded else "drift"
    for schema, owner in declared.access.schemas.items():
        place, target = declared.place(schema), sql.Identifier(schema)
        if schema not in found.schemas:
            statement = sql.SQL("CREATE SCHEMA {} AUTHORIZATION {}").format(target, sql.Identifier(owner))
            yield _change("create", f"schema {schema}", statement, place, missing(declared, ("schema", schema)), roles=(owner,))
        elif found.schemas[schema] != owner:
            statement = sql.SQL("ALTER SCHEMA {} OWNER TO {}").format(target, sql.Identifier(owner))
            what = f"schema {schema} owner {owner}"
            kind = other if ("schema", schema) in declared.recorded else "change"
            yield _change("alter", what, statement, place, kind, roles=(owner,), detail=f"is {found.schemas[schema]}")
    for (schema, relation), state in sorted(found.relations.items()):
        if schema in declared.access.schemas and state.kind in _OWNABLE:
            yield from _owned(declared, schema, relation, state.owner, printed(_OWNABLE[state.kind]), other)
    for (schema, signature), state in sorted(found.functions.items()):
        if schema in declared.access.schemas and state.owner not in _owners(declared, schema):
            owner = declared.access.schemas[schema]
            statement = sql.SQL("ALTER ROUTINE {} OWNER TO {}").format(printed(signature), sql.Identifier(owner))
            what = f"function {signature} owner {owner}"
            yield _change("alter", what, statement, declared.place(schema), other, roles=(owner,), detail=f"is {state.owner}")


def _owned(declared: Declared, schema: str, relation: str, owner: str, what: sql.SQL, kind: Kind) -> Iterator[Change]:
    if owner in _owners(declared, schema):
        return
    wanted = declared.access.schemas[schema]
    statement = sql.SQL("ALTER {} {} OWNER TO {}").format(what, sql.Identifier(schema, relation), sql.Identifier(wanted))
    shown = f"{schema}.{relation} owner {wanted}"
    yield _change("alter", shown, statement, declared.place(schema), kind, roles=(wanted,), detail=f"is {owner}")


def _owners(declared: Declared, schema: str) -> set[str]:
    """Who may own what is in a schema: its owner; among versions also the domain, whose candidate becomes one."""
    owner = declared.access.schemas[schema]
    return {owner, naming.owner_role(declared.place(schema)[0])} if schema in declared.access.versions else {owner}


def privileges(declared: Declared, found: Observed) -> Iterator[Change]:
    """Privileges that are missing, those that no file declares, and those that may be granted on."""
    fresh = {schema for schema in declared.access.schemas if schema not in found.schemas}
    known = {
        *found.relations,
        *((naming.PLATFORM_SCHEMA, name) for name in KEEPER_READS),
    }  # the latter are made by the planes' own SQL, before
    for grant in sorted(declared.grants - found.privileges):
        if grant.kind == "relation" and (grant.schema, grant.name) not in known:
            continue  # its first publication brings the grant along, as what makes a table of the platform does
        if _absent(declared, found, grant.grantee):
            continue
        statement = sql.SQL("GRANT {} ON {} TO {}").format(_word(grant), target(grant), sql.Identifier(grant.grantee))
        kind = "create" if grant.schema in fresh else missing(declared, ("grant", *grant))
        yield _change("grant", f"{shown(grant)} to {grant.grantee}", statement, declared.of(grant), kind, roles=(grant.grantee,))
    for grant in sorted(found.privileges - declared.grants):
        if _watched(declared, found, grant) and not declared.kept(("grant", *grant)):
            yield _take(declared, grant)
    for grant in sorted(found.handed_on & declared.grants):
        statement = sql.SQL("REVOKE GRANT OPTION FOR {} ON {} FROM {} CASCADE").format(
            _word(grant), target(grant), sql.Identifier(grant.grantee)
        )
        yield _change("revoke", f"grant option of {shown(grant)} from {grant.grantee}", statement, declared.of(grant), "drift")


def _take(declared: Declared, grant: Privilege) -> Change:
    everybody = grant.grantee == PUBLIC
    grantee = sql.SQL("PUBLIC") if everybody else sql.Identifier(grant.grantee)
    statement = sql.SQL("REVOKE {} ON {} FROM {} CASCADE").format(_word(grant), target(grant), grantee)
    what = f"{shown(grant)} from {'PUBLIC' if everybody else grant.grantee}"
    return _change("revoke", what, statement, declared.of(grant), surplus(declared, ("grant", *grant)), roles=(grant.grantee,))


def _watched(declared: Declared, found: Observed, grant: Privilege) -> bool:
    """Whether a privilege that no file declares is ours to take back."""
    if grant.kind == "database":
        # Logins that others made may connect; everybody may not, nor may our roles beyond what they need.
        former = grant.privilege == "CONNECT" and (
            grant.grantee in declared.access.former.connects or ("grant", *grant) in declared.recorded
        )
        return grant.grantee == PUBLIC or grant.grantee in declared.places or former
    if grant.schema == "public":
        return grant.privilege == "CREATE" and (grant.grantee == PUBLIC or grant.grantee in declared.places)
    if grant.schema == naming.PLATFORM_SCHEMA:
        if grant.kind == "function":
            return False  # said in the planes' own SQL
        # Who looks after the platform may let others look on.
        return grant.grantee == PUBLIC or grant.grantee in declared.places or grant.privilege not in {"SELECT", "USAGE"}
    gone = grant.schema not in declared.access.schemas and found.schemas.get(grant.schema) == naming.KEEPER_ROLE
    if grant.kind == "relation" and (gone or grant.schema in declared.access.versions):
        # A version passes to the keeper, and the domain that made it goes on reading it.
        return (grant.grantee, grant.privilege) != (naming.owner_role(declared.place(grant.schema)[0]), "SELECT")
    return grant.schema in declared.places or found.schemas.get(grant.schema) in declared.access.roles


_DEFAULT_KINDS = {"r": "TABLES", "S": "SEQUENCES", "f": "ROUTINES", "T": "TYPES", "n": "SCHEMAS", "L": "LARGE OBJECTS"}


def defaults(declared: Declared, found: Observed) -> Iterator[Change]:
    """Default privileges: what an owner makes later is for nobody but the owner."""
    explicit = {(role, schema, kind) for role, schema, kind, _, _ in found.defaults}
    for owner in sorted(set(declared.access.schemas.values())):
        place = declared.place(owner)
        for kind in CLOSED:
            if (owner, "", kind) not in explicit:
                statement = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {} REVOKE ALL ON {} FROM PUBLIC").format(
                    sql.Identifier(owner), printed(_DEFAULT_KINDS[kind])
                )
                fresh: Kind = "create" if owner not in found.roles else missing(declared, ("default", owner, kind))
                what = f"default privileges of {owner} on {_DEFAULT_KINDS[kind].lower()}: none to PUBLIC"
                yield _change("alter", what, statement, place, fresh, roles=(owner,))
    for role, schema, kind, grantee, privilege in sorted(found.defaults):
        if role == grantee:
            continue
        statement = sql.SQL("ALTER DEFAULT PRIVILEGES FOR ROLE {}{} REVOKE {} ON {} FROM {}").format(
            sql.Identifier(role),
            sql.SQL(" IN SCHEMA {}").format(sql.Identifier(schema)) if schema else sql.SQL(""),
            printed(privilege),
            printed(_DEFAULT_KINDS[kind]),
            sql.SQL("PUBLIC") if grantee == PUBLIC else sql.Identifier(grantee),
        )
        within = f" in schema {schema}" if schema else ""
        what = f"default {privilege.lower()} on {_DEFAULT_KINDS[kind].lower()} of {role}{within} from {grantee or 'PUBLIC'}"
        yield _change("revoke", what, statement, declared.place(role), "drift")


def missing(declared: Declared, item: Item) -> Kind:
    """What it is that a declared item does not exist: new, or taken away by hand since it was applied."""
    return "drift" if item in declared.recorded else "create"


def surplus(declared: Declared, item: Item) -> Kind:
    """What it is that an item exists which nothing declares: no longer declared, or made by hand."""
    return "remove" if item in declared.recorded else "drift"


def shown(grant: Privilege) -> str:
    """A privilege for people, without its grantee."""
    word = grant.privilege.lower()
    match grant.kind:
        case "database":
            return "connect" if word == "connect" else f"{word} on database {grant.name}"
        case "schema":
            return f"{word} on schema {grant.schema}"
        case "column":
            return f"{word} on column {grant.schema}.{grant.name}.{grant.column}"
        case "function":
            return f"{word} on function {grant.name}"
        case _:
            return f"{word} on {grant.schema}.{grant.name}"


def target(grant: Privilege) -> sql.Composable:
    """The object of a privilege, as GRANT and REVOKE want it."""
    match grant.kind:
        case "database":
            return sql.SQL("DATABASE {}").format(sql.Identifier(grant.name))
        case "schema":
            return sql.SQL("SCHEMA {}").format(sql.Identifier(grant.schema))
        case "function":
            return sql.SQL("ROUTINE {}").format(printed(grant.name))
        case _:
            return sql.Identifier(grant.schema, grant.name)


def _word(grant: Privilege) -> sql.Composable:
    word = printed(grant.privilege)
    return sql.SQL("{} ({})").format(word, sql.Identifier(grant.column)) if grant.column else word


def _change(
    action: str, what: str, statement: sql.Composed, place: Place, kind: Kind, *, roles: tuple[str, ...] = (), detail: str = ""
) -> Change:
    return Change(action, what, statement, place[0], place[1], kind, roles=roles, detail=detail)  # pyright: ignore[reportArgumentType]
