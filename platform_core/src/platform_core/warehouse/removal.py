"""What no file declares any more, and what somebody put into our schemas by hand. Both are dropped only when asked to prune."""

from __future__ import annotations

from collections.abc import Iterator

from psycopg import Connection, sql

from platform_core.contracts.model import Mesh
from platform_core.warehouse.change import Change, printed
from platform_core.warehouse.declared import Declared
from platform_core.warehouse.difference import used_elsewhere
from platform_core.warehouse.observed import Observed

_DROP = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE", "S": "SEQUENCE"}


def removals(connection: Connection, mesh: Mesh, declared: Declared, found: Observed) -> Iterator[Change]:
    """Schemas and roles that no file declares any more, schemas of ours that none ever did, and relations in port schemas that are no port's."""
    gone = [name for name in _recorded(declared, "schema") if name in found.schemas]
    strays = [
        schema
        for schema, owner in sorted(found.schemas.items())
        if schema not in declared.places and (owner in declared.access.roles or owner in _recorded(declared, "role"))
    ]
    leaning = _leaning(connection, declared, found, [*gone, *strays])
    # Views stand on versions, and versions are made of tables: what is on top goes first.
    for schema in sorted(gone, key=lambda name: (declared.place(name), name.endswith("_data"), name.endswith("_raw"), name)):
        place = declared.place(schema)
        if schema in leaning:
            detail = f"no file declares it, but {leaning[schema]} stands on it: rebuild that without it first"
            yield Change("report", f"schema {schema}", None, *place, "remove", detail=detail)
            continue
        statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
        yield Change("drop", f"schema {schema}", statement, *place, "remove", prune=True, detail=_content(found, schema))
    for schema in strays:
        place = declared.place(found.schemas[schema])
        if schema in leaning:
            yield Change(
                "report", f"schema {schema}", None, *place, "drift", detail=f"was made by hand, and {leaning[schema]} stands on it"
            )
            continue
        statement = sql.SQL("DROP SCHEMA IF EXISTS {} CASCADE").format(sql.Identifier(schema))
        detail = f"was made by hand; {_content(found, schema)}"
        yield Change("drop", f"schema {schema}", statement, *place, "drift", prune=True, detail=detail)
    yield from _relations(mesh, declared, found)
    elsewhere = used_elsewhere(declared, found)
    for role in _recorded(declared, "role"):
        if role in found.roles:
            yield _role(declared, found, role, elsewhere=role in elsewhere)


def _recorded(declared: Declared, kind: str) -> list[str]:
    """Schemas or roles that were applied and are no longer declared, those of unreadable files left out."""
    return sorted(item[1] for item in declared.recorded if item[0] == kind and item not in declared.items and not declared.kept(item))


def _role(declared: Declared, found: Observed, role: str, *, elsewhere: bool) -> Change:
    name, me = sql.Identifier(role), sql.Identifier(found.me)
    clear = sql.SQL("REASSIGN OWNED BY {role} TO {me}; DROP OWNED BY {role}").format(role=name, me=me)
    place = declared.place(role)
    if elsewhere:
        detail = "another database of the server uses the role, so it stays"
        return Change("drop", f"all rights of role {role}", clear, *place, "remove", prune=True, detail=detail)
    statement = sql.SQL("{}; DROP ROLE {}").format(clear, name)
    return Change("drop", f"role {role}", statement, *place, "remove", prune=True, drops=role)


def _relations(mesh: Mesh, declared: Declared, found: Observed) -> Iterator[Change]:
    """Relations in port schemas that are no table of a port: a port that is gone, or something made by hand."""
    ports = {
        (product.schema, table.physical_name): product.id
        for product in mesh.products.values()
        for port in product.outputs
        for table in port.contract.tables
    }
    schemas = {product.schema for product in mesh.products.values()}
    reads = {(item[2], item[3]) for item in declared.recorded if item[:2] == ("grant", "relation")}
    for (schema, relation), state in sorted(found.relations.items()):
        if schema not in schemas or (schema, relation) in ports or state.kind not in _DROP:
            continue
        known = (schema, relation) in reads
        statement = sql.SQL("DROP {} IF EXISTS {}").format(printed(_DROP[state.kind]), sql.Identifier(schema, relation))
        detail = "no contract declares it any more" if known else "was made by hand: no contract declares it"
        shown = f"{_DROP[state.kind].lower()} {schema}.{relation}"
        yield Change("drop", shown, statement, *declared.place(schema), "remove" if known else "drift", prune=True, detail=detail)


def _content(found: Observed, schema: str) -> str:
    tables = sum(1 for (of, _), state in found.relations.items() if of == schema and state.kind in "rpm")
    views = sum(1 for (of, _), state in found.relations.items() if of == schema and state.kind == "v")
    return f"with {tables} tables and {views} views" if tables or views else "empty"


def _leaning(connection: Connection, declared: Declared, found: Observed, schemas: list[str]) -> dict[str, str]:
    """Schema to a relation of another domain that a CASCADE would take along; asked once for all."""
    if not schemas:
        return {}
    taken: dict[str, str] = {}
    for schema, other, relation in connection.execute(_LEANING, {"schemas": schemas}).fetchall():
        mine, theirs = (declared.place(of)[0] or declared.place(found.schemas.get(of, ""))[0] for of in (schema, other))
        if theirs != mine:
            taken.setdefault(schema, f"{other}.{relation}")
    return taken


_LEANING = """
    WITH RECURSIVE stands (upper, lower) AS (
        SELECT w.ev_class, d.refobjid
        FROM pg_catalog.pg_depend AS d JOIN pg_catalog.pg_rewrite AS w ON w.oid = d.objid
        WHERE d.classid = 'pg_catalog.pg_rewrite'::pg_catalog.regclass AND d.refclassid = 'pg_catalog.pg_class'::pg_catalog.regclass
          AND w.ev_class <> d.refobjid
        UNION
        SELECT k.conrelid, k.confrelid FROM pg_catalog.pg_constraint AS k WHERE k.contype = 'f' AND k.conrelid <> k.confrelid
    ), leaning (schema, relation) AS (
        SELECT n.nspname, c.oid FROM pg_catalog.pg_class AS c JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = ANY(%(schemas)s)
        UNION
        SELECT leaning.schema, stands.upper FROM leaning JOIN stands ON stands.lower = leaning.relation
    )
    SELECT leaning.schema, n.nspname, c.relname
    FROM leaning JOIN pg_catalog.pg_class AS c ON c.oid = leaning.relation JOIN pg_catalog.pg_namespace AS n ON n.oid = c.relnamespace
    WHERE n.nspname <> leaning.schema ORDER BY 1, 2, 3"""
