"""What consumers read is nobody's to write by hand: Postgres runs what stands in a view with the rights of whoever reads it."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest
from port_bench import Port, contract, table
from psycopg import sql

from platform_core.publishing import publish
from platform_core.quality import AuditReport

REFUSED = (
    psycopg.errors.InsufficientPrivilege,
    psycopg.errors.InvalidTextRepresentation,
    psycopg.errors.InvalidParameterValue,
    psycopg.errors.UndefinedColumn,
    psycopg.errors.NameTooLong,
    psycopg.errors.WrongObjectType,
)
PLAIN: dict[str, Any] = {"columns": [{"name": "number", "mask": None, "comment": ""}], "filter": None, "comment": ""}


def _show(
    port: str = "sales.orders.orders",
    relation: str = "orders",
    definition: Any = PLAIN,
    readers: tuple[str, ...] = (),
    function: str = "show_version",
) -> str:
    made = sql.SQL("SELECT {}({}, {}, {}::jsonb, {}::text[], true)").format(
        sql.Identifier("mesh", function),
        sql.Literal(port),
        sql.Literal(relation),
        sql.Literal(json.dumps(definition)),
        sql.Literal(list(readers)),
    )
    return made.as_string(None)


def _column(name: str) -> dict[str, Any]:
    return {**PLAIN, "columns": [{"name": name}]}


def _masked(**mask: Any) -> dict[str, Any]:
    return {**PLAIN, "columns": [{"name": "number", "mask": mask, "comment": ""}]}


BY_HAND = {
    "replace the view": "CREATE OR REPLACE VIEW sales_orders.orders AS SELECT 1 AS number, sales_build.mine()::text AS email",
    "drop it": "DROP VIEW sales_orders.orders",
    "drop it with what stands on it": "DROP VIEW sales_orders.orders CASCADE",
    "another name": "ALTER VIEW sales_orders.orders RENAME TO other",
    "another column's name": "ALTER VIEW sales_orders.orders RENAME COLUMN email TO other",
    "another schema": "ALTER VIEW sales_orders.orders SET SCHEMA sales_build",
    "options": "ALTER VIEW sales_orders.orders SET (security_invoker = true)",
    "a default": "ALTER VIEW sales_orders.orders ALTER COLUMN number SET DEFAULT sales_build.mine()",
    "take it": "ALTER VIEW sales_orders.orders OWNER TO sales_owner",
    "take its schema": "ALTER SCHEMA sales_orders OWNER TO sales_owner",
    "drop its schema": "DROP SCHEMA sales_orders CASCADE",
    "rename its schema": "ALTER SCHEMA sales_orders RENAME TO other",
    "a rule": "CREATE RULE r AS ON INSERT TO sales_orders.orders DO INSTEAD SELECT sales_build.mine()",
    "its own rule": 'CREATE OR REPLACE RULE "_RETURN" AS ON SELECT TO sales_orders.orders DO INSTEAD SELECT 1 AS number, NULL::text AS email',
    "a trigger": "CREATE TRIGGER t INSTEAD OF INSERT ON sales_orders.orders FOR EACH ROW EXECUTE FUNCTION mesh.keep_record()",
    "a comment": "COMMENT ON VIEW sales_orders.orders IS 'mine'",
    "its type": "ALTER TYPE sales_orders.orders OWNER TO sales_owner",
    "a function beside it": "CREATE FUNCTION sales_orders.f() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
    "a view beside it": "CREATE VIEW sales_orders.mine AS SELECT 1 AS number",
    "a table beside it": "CREATE TABLE sales_orders.mine (number integer)",
    "an operator beside it": "CREATE OPERATOR sales_orders.= (leftarg = text, rightarg = integer, function = sales_build.mine)",
    "rows through it": "INSERT INTO sales_orders.orders (number) VALUES (7)",
    "the keeper": "SET ROLE mesh_keeper",
    "the platform's function": """CREATE OR REPLACE FUNCTION mesh.show_version(text, text, jsonb, text[], boolean)
        RETURNS void LANGUAGE sql AS 'SELECT'""",
    "the platform's function's owner": "ALTER FUNCTION mesh.show_version(text, text, jsonb, text[], boolean) OWNER TO sales_owner",
    "its record": "UPDATE mesh.port_views SET declared = 'x'",
    "what was applied": "DELETE FROM mesh.declared",
    "the hashes' pass": "SELECT pass FROM mesh.mask_pass",
}
BY_FUNCTION = {
    "without asking": _show(function="make_view"),
    "another's port": _show("marketing.segments.segments", "segments"),
    "another's port, without asking": _show("marketing.segments.segments", "segments", function="make_view"),
    "another's table at one's own port": _show(relation="segments"),
    "a schema that two names could mean": _show("sales.eu_orders.orders"),
    "a product that is not there": _show("sales.other.orders"),
    "a port that is not there": _show("sales.orders.other"),
    "half a port": _show("sales"),
    "no port": _show(""),
    "a longer port": _show("sales.orders.orders.orders"),
    "a table that is not there": _show(relation="nothing"),
    "a name with quotes": _show(relation='orders" AS SELECT 1; --'),
    "a port with quotes": _show('sales.orders"; SELECT 1; --.orders'),
    "a smiling face": _show("😀.orders.orders", "😀"),
    "a name of 64 bytes": _show(relation="o" * 64),
    "a column that is not there": _show(definition=_column("other")),
    "a column with an expression": _show(definition=_column("number, sales_build.mine() AS email")),
    "a column with quotes": _show(definition=_column('number" AS x, sales_build.mine() AS "y')),
    "a system column": _show(definition=_column("tableoid")),
    "a mask that it does not know": _show(definition=_masked(kind="sales_build.mine()")),
    "a mask that it does not know on a masked column": _show(
        definition={**PLAIN, "columns": [{"name": "email", "mask": {"kind": "none"}}]}
    ),
    "a mask of no kind": _show(definition=_masked(first=1)),
    "a mask with SQL in its width": _show(definition=_masked(kind="bucket", width="1) OR sales_build.mine(")),
    "a mask with SQL in its length": _show(definition=_masked(kind="partial", first="1, sales_build.mine()")),
    "a mask without end": _show(definition=_masked(kind="bucket", width="Infinity")),
    "a bucket of nothing": _show(definition=_masked(kind="bucket")),
    "the views of another": "SELECT mesh.lock_views('marketing.segments.segments', ARRAY['segments'])",
    "the platform's helpers": "SELECT mesh.note_view('sales.orders.orders', 'orders', 'sales_orders.orders'::regclass, '{}', '[]')",
    "what was applied": "SELECT * FROM mesh.applied_items('marketing.segments.segments')",
}
PRELUDE = """
    CREATE FUNCTION sales_build.mine() RETURNS integer LANGUAGE sql AS 'SELECT 666';
    CREATE FUNCTION sales_build.mine(text, integer) RETURNS boolean LANGUAGE sql AS 'SELECT true'"""


@pytest.fixture(scope="module")
def published(module_port: Port) -> Port:
    """Two domains' ports, published; sales reads nothing of marketing's."""
    module_port.build(1)
    module_port.publish()
    segments = contract(table("segments", {"number": "integer"}), product="marketing.segments")
    with module_port.warehouse.connect_domain("marketing", autocommit=True) as connection:
        connection.execute("CREATE TABLE marketing_build.segments AS SELECT 5 AS number")

    def audit(_relations: Any) -> AuditReport:
        return AuditReport(())

    publish(module_port.warehouse, segments, (), audit, code_version="c")
    with module_port.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute(PRELUDE)
    return module_port


def _state(port: Port) -> list[tuple[Any, ...]]:
    """Everything about what others read: rows, definitions, owners, rights, comments, and what is in their schemas."""
    return [
        *port.read("SELECT * FROM sales_orders.orders ORDER BY 1, 2", domain="inventory"),
        *port.admin(
            """SELECT n.nspname, n.nspowner::regrole::text, n.nspacl::text, c.relname, c.relkind::text, c.relowner::regrole::text, c.relacl::text,
                      c.reloptions, CASE WHEN c.relkind = 'v' THEN pg_get_viewdef(c.oid) END, obj_description(c.oid, 'pg_class'),
                      (SELECT count(*) FROM pg_trigger AS t WHERE t.tgrelid = c.oid), (SELECT count(*) FROM pg_rewrite AS w WHERE w.ev_class = c.oid)
               FROM pg_namespace AS n LEFT JOIN pg_class AS c ON c.relnamespace = n.oid
               WHERE n.nspname IN ('sales_orders', 'marketing_segments') ORDER BY 1, 4"""
        ),
        *port.admin("SELECT count(*) FROM pg_proc WHERE pronamespace = 'sales_orders'::regnamespace"),
        *port.admin("SELECT contract_id, table_name, declared, made, columns::text FROM mesh.port_views ORDER BY 1, 2"),
        *port.admin("SELECT count(*) FROM mesh.declared"),
    ]


@pytest.mark.parametrize("role", ["owner", "job"])
def test_no_role_of_a_domain_writes_what_others_read(published: Port, role: str) -> None:
    before = _state(published)
    for name, attack in (BY_HAND | BY_FUNCTION).items():
        acting = published.warehouse.connect_domain("sales") if role == "owner" else published.warehouse.connect("sales_job")
        with acting as connection:
            try:
                connection.execute(attack.encode())
            except REFUSED:
                connection.rollback()
            else:
                pytest.fail(f"{name} was allowed")
    assert _state(published) == before


def test_a_right_given_by_hand_is_none(published: Port) -> None:
    """Postgres answers such a GRANT with a warning: what counts is that nothing changes."""
    before = _state(published)
    for grant in (
        "SELECT ON sales_orders.orders TO customer_owner",
        "ALL ON sales_orders.orders TO PUBLIC",
        "USAGE ON SCHEMA sales_orders TO customer_owner",
    ):
        with published.warehouse.connect_domain("sales") as connection:
            connection.execute(f"GRANT {grant}".encode())
    assert _state(published) == before


def test_the_function_opens_a_port_for_nobody_whom_the_applied_files_do_not_let_read(published: Port) -> None:
    with published.warehouse.connect_domain("sales") as connection:
        connection.execute(_show(readers=("customer_owner", "mesh_member", "inventory_owner", "marketing_job")).encode())
        held = connection.execute(
            """SELECT grantee::regrole::text FROM pg_class, aclexplode(relacl)
               WHERE pg_class.oid = 'sales_orders.orders'::regclass AND grantee <> relowner ORDER BY 1"""
        ).fetchall()
        connection.rollback()
    assert held == [("inventory_owner",), ("sales_owner",)]


def test_nothing_that_a_search_path_or_a_temporary_object_offers_gets_into_a_view(published: Port) -> None:
    before = _state(published)
    with published.warehouse.connect_domain("sales") as connection:
        connection.execute(
            """CREATE FUNCTION sales_build.format(text, VARIADIC text[]) RETURNS text LANGUAGE sql AS $$ SELECT 'SELECT 1' $$;
               CREATE FUNCTION sales_build.split_part(text, text, integer) RETURNS text LANGUAGE sql AS $$ SELECT 'sales' $$;
               CREATE FUNCTION sales_build.pg_has_role(name, name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
               CREATE FUNCTION sales_build.eq(text, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
               CREATE OPERATOR sales_build.= (leftarg = text, rightarg = text, function = sales_build.eq);
               CREATE FUNCTION sales_build.same(name, text) RETURNS boolean LANGUAGE sql AS $$ SELECT true $$;
               CREATE OPERATOR sales_build.= (leftarg = name, rightarg = text, function = sales_build.same);
               CREATE FUNCTION pg_temp.left(text, integer) RETURNS text LANGUAGE sql AS $$ SELECT 'spied' $$;
               CREATE TEMPORARY TABLE pg_roles (rolname name, oid oid);
               CREATE TEMPORARY TABLE ports (contract_id text, publication text);
               SET search_path = sales_build, pg_temp, pg_catalog, mesh"""
        )
        with pytest.raises(REFUSED), connection.transaction():
            connection.execute(_show("marketing.segments.segments", "segments").encode())
        mine = {**PLAIN, "columns": [{"name": "number"}, {"name": "email", "mask": {"kind": "partial", "first": 1}}]}
        connection.execute(_show(definition=mine).encode())
        connection.execute("RESET search_path; SET LOCAL search_path = pg_catalog")
        used = connection.execute(
            """SELECT DISTINCT n.nspname::text FROM pg_depend AS d JOIN pg_rewrite AS w ON w.oid = d.objid JOIN pg_proc AS p ON p.oid = d.refobjid
               JOIN pg_namespace AS n ON n.oid = p.pronamespace WHERE w.ev_class = 'sales_orders.orders'::regclass AND d.refclassid = 'pg_proc'::regclass"""
        ).fetchall()  # Postgres' own are on no record of dependencies
        connection.rollback()
    assert used == [("mesh",)]
    assert _state(published) == before


def test_a_session_lends_no_right_to_whom_it_acts_as(published: Port) -> None:
    """Who acts as marketing in a session of the platform's publishes nothing of sales, although the session may."""
    with published.warehouse.connect_platform() as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SET ROLE marketing_owner")
        connection.execute(_show().encode())


def test_a_domain_still_publishes_its_own(published: Port) -> None:
    """The tries above fail for what they are, not for a typing error."""
    for role in (None, "sales_owner"):
        with published.warehouse.connect("sales_job", role=role) as connection:
            connection.execute("SELECT mesh.lock_views('sales.orders.orders', ARRAY['orders', 'lines'])")
            connection.execute(_show().encode())
            assert connection.execute("SELECT * FROM sales_orders.orders ORDER BY 1").fetchall() == [(1,)] * 3
            connection.rollback()
