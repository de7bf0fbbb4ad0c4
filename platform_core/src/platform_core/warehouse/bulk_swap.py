"""Puts a new table in the place of a relation, inside the caller's transaction, so that readers see the old or the new one.

The old relation may be a table, or the view that publishing leaves where it took a build table away. Views that other models
built on the old relation are made again on the new one, with their grants, options and comments: Postgres ties a view to the
relation and not to its name, so they would otherwise forbid the replacement (or, with CASCADE, be lost).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import LiteralString

import psycopg
from psycopg import sql

from platform_core.warehouse.bulk_describe import Relation
from platform_core.warehouse.bulk_errors import BulkError

_DROP: dict[str, LiteralString] = {"r": "DROP TABLE {}", "v": "DROP VIEW {}", "m": "DROP MATERIALIZED VIEW {}"}


@dataclass(frozen=True)
class Existing:
    """A relation as the catalog knows it; ``kind`` is ``pg_class.relkind``."""

    oid: int
    kind: str


def lock(connection: psycopg.Connection, relation: Relation, *, shared: bool) -> None:
    """Makes writers of the same table wait for each other until the transaction ends (writers of partitions may share it)."""
    function = "pg_advisory_xact_lock_shared" if shared else "pg_advisory_xact_lock"
    query = sql.SQL("SELECT {}(hashtextextended(%s, 0))").format(sql.Identifier(function))
    connection.execute(query, (f"mesh bulk write {relation}",))


def find(connection: psycopg.Connection, relation: Relation) -> Existing | None:
    """The relation of that name now.

    Raises:
        BulkError: It is neither a table nor a view.
    """
    row = connection.execute(
        "SELECT c.oid, c.relkind::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
        " WHERE n.nspname = %s AND c.relname = %s",
        (relation.schema, relation.name),
    ).fetchone()
    if row is None:
        return None
    if row[1] not in _DROP:
        raise BulkError(f"is neither a table nor a view (relkind {row[1]!r})", remedy="write to another name, or drop it first")
    return Existing(*row)


def swap(connection: psycopg.Connection, new: Relation, relation: Relation) -> None:
    """Drops ``relation`` when there is one and gives its name, dependent views and (of a table) grants to ``new``.

    The grants of a view are not handed to the table: a view may have shown less than the table does.

    Raises:
        BulkError: Something depends on the old relation that cannot be made again.
    """
    restore: list[sql.Composed] = []
    old = find(connection, relation)
    if old is not None:
        if old.kind == "r":
            restore += _grants(connection, old.oid, relation)
        views = _dependent_views(connection, old.oid)
        restore += [statement for _, statements in views for statement in statements]
        for view, _ in reversed(views):
            connection.execute(sql.SQL("DROP VIEW {}").format(view.sql))
        connection.execute(sql.SQL(_DROP[old.kind]).format(relation.sql))
    connection.execute(sql.SQL("ALTER TABLE {} RENAME TO {}").format(new.sql, sql.Identifier(relation.name)))
    for statement in restore:
        connection.execute(statement)


_VIEWS = """
WITH RECURSIVE dependent(oid, depth) AS (
    SELECT DISTINCT r.ev_class, 1 FROM pg_depend d JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.refobjid = %(oid)s AND r.ev_class <> %(oid)s
  UNION
    SELECT r.ev_class, p.depth + 1 FROM dependent p JOIN pg_depend d ON d.refobjid = p.oid JOIN pg_rewrite r ON r.oid = d.objid
    WHERE d.classid = 'pg_rewrite'::regclass AND d.refclassid = 'pg_class'::regclass AND r.ev_class <> p.oid
)
SELECT n.nspname, c.relname, c.oid, c.relkind::text, pg_has_role(c.relowner, 'USAGE'), pg_get_viewdef(c.oid), c.reloptions
FROM (SELECT oid, max(depth) AS depth FROM dependent GROUP BY oid) v
JOIN pg_class c ON c.oid = v.oid JOIN pg_namespace n ON n.oid = c.relnamespace ORDER BY v.depth, c.oid
"""


def _dependent_views(connection: psycopg.Connection, oid: int) -> list[tuple[Relation, list[sql.Composed]]]:
    """Views built on a relation, nearest first, each with the statements that make it again."""
    found: list[tuple[Relation, list[sql.Composed]]] = []
    for schema, name, view, kind, owned, definition, options in connection.execute(_VIEWS, {"oid": oid}).fetchall():
        relation = Relation(schema, name)
        if kind != "v" or not owned:
            raise BulkError(
                f"{relation} depends on it and cannot be made again by this role", remedy=f"drop {relation}, then build it again"
            )
        with_options = sql.SQL(" WITH ({})").format(sql.SQL(", ").join(map(_option, options))) if options else sql.SQL("")
        # the definition is Postgres' own text of the view
        create = sql.SQL("CREATE VIEW {}{} AS {}").format(relation.sql, with_options, sql.SQL(definition))
        found.append((relation, [create, *_grants(connection, view, relation), *_comments(connection, view, relation)]))
    return found


def _option(option: str) -> sql.Composable:
    name, _, value = option.partition("=")
    return sql.SQL("{}={}").format(sql.Identifier(name), sql.Literal(value))


def _grants(connection: psycopg.Connection, oid: int, relation: Relation) -> list[sql.Composed]:
    rows = connection.execute(
        "SELECT CASE WHEN a.grantee = 0 THEN NULL ELSE pg_get_userbyid(a.grantee) END, a.privilege_type, a.is_grantable"
        " FROM pg_class c, aclexplode(c.relacl) a WHERE c.oid = %s AND a.grantee <> c.relowner",
        (oid,),
    ).fetchall()
    return [
        sql.SQL("GRANT {} ON {} TO {}{}").format(
            sql.SQL(privilege),  # one of Postgres' key words
            relation.sql,
            sql.SQL("PUBLIC") if grantee is None else sql.Identifier(grantee),
            sql.SQL(" WITH GRANT OPTION" if grantable else ""),
        )
        for grantee, privilege, grantable in rows
    ]


def _comments(connection: psycopg.Connection, oid: int, relation: Relation) -> list[sql.Composed]:
    rows = connection.execute(
        "SELECT a.attname, d.description FROM pg_description d LEFT JOIN pg_attribute a"
        " ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0"
        " WHERE d.classoid = 'pg_class'::regclass AND d.objoid = %s",
        (oid,),
    ).fetchall()
    return [
        sql.SQL("COMMENT ON VIEW {} IS {}").format(relation.sql, sql.Literal(text))
        if column is None
        else sql.SQL("COMMENT ON COLUMN {}.{} IS {}").format(relation.sql, sql.Identifier(column), sql.Literal(text))
        for column, text in rows
    ]
