"""A table that becomes a version holds rows and nothing that acts: Postgres would run it for whoever reads, or as the keeper."""

from __future__ import annotations

import psycopg
import pytest
from port_bench import Port
from psycopg import sql

from platform_core.publishing import PublishingError

SPY = """CREATE FUNCTION sales_build.spy(integer) RETURNS integer LANGUAGE sql IMMUTABLE AS 'SELECT $1';
    GRANT USAGE ON SCHEMA sales_build TO PUBLIC; GRANT EXECUTE ON FUNCTION sales_build.spy(integer) TO PUBLIC; """
CALLS = "what calls function sales_build.spy(integer)"
ACTING = [
    ("ALTER TABLE sales_build.orders ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY", "row security"),
    ("CREATE POLICY p ON sales_build.orders USING (sales_build.spy(1) = 1)", "the policy p"),
    ("CREATE RULE r AS ON INSERT TO sales_build.orders DO INSTEAD NOTHING", "the rule r"),
    ("CREATE TABLE sales_build.child () INHERITS (sales_build.orders)", "inheritance or partitions"),
    ("CREATE INDEX ON sales_build.orders (sales_build.spy(number))", CALLS),
    ("CREATE INDEX ON sales_build.orders (number) WHERE sales_build.spy(1) = 1", CALLS),
    ("ALTER TABLE sales_build.orders ADD CHECK (sales_build.spy(1) = 1)", CALLS),
    ("CREATE STATISTICS sales_build.s ON (sales_build.spy(number)) FROM sales_build.orders", CALLS),
    (
        """CREATE TABLE sales_build.parent (number integer PRIMARY KEY); INSERT INTO sales_build.parent VALUES (2);
           ALTER TABLE sales_build.orders ADD CONSTRAINT f FOREIGN KEY (number) REFERENCES sales_build.parent ON DELETE CASCADE""",
        "the foreign key f, which changes rows",
    ),
]
OWN_TYPES = ("DOMAIN sales_build.kind AS text CHECK (sales_build.spy(1) = 1)", "TYPE sales_build.kind AS (a integer)")


def _refused(port: Port, statement: str) -> str:
    """Adds something to the candidate, and says why it is not published."""
    port.build(2)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute(f"DROP FUNCTION IF EXISTS sales_build.spy CASCADE; {SPY} {statement}".encode())
    with pytest.raises(PublishingError) as caught:
        port.publish()
    assert port.numbers() == {1}, "the former publication stays"
    return caught.value.what


def test_a_table_that_acts_for_its_domain_becomes_no_version(port: Port) -> None:
    port.build(1)
    port.publish()
    for statement, reason in ACTING:
        assert _refused(port, statement).endswith(f"cannot become a version: it has {reason}"), statement
    of_the_domain = "SELECT count(*) FROM pg_class WHERE relnamespace = 'sales_orders_data'::regnamespace AND relkind = 'r' AND relowner = 'sales_owner'::regrole"
    assert port.admin(of_the_domain) == [(2 * len(ACTING),)], "what is refused stays the domain's"
    port.build(3)
    assert port.publish().published
    assert port.numbers() == {3}


def test_a_column_of_a_domains_own_type_is_not_shown(port: Port) -> None:
    """Its checks and casts are the domain's functions, and a mask casts."""
    port.build(1)
    port.publish()
    for kind in OWN_TYPES:
        change = f"DROP TYPE IF EXISTS sales_build.kind CASCADE; CREATE {kind}; ALTER TABLE sales_build.orders DROP email, ADD email sales_build.kind"
        assert "the column email is of the type sales_build.kind" in _refused(port, change)


def test_what_does_not_act_when_rows_are_read_is_no_hindrance(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute(
            (
                SPY
                + """CREATE TABLE sales_build.known (number integer PRIMARY KEY); INSERT INTO sales_build.known VALUES (1);
                     CREATE TYPE sales_build.mood AS ENUM ('x'); CREATE INDEX ON sales_build.orders (lower(email));
                     ALTER TABLE sales_build.orders ALTER number SET DEFAULT sales_build.spy(1), ADD CHECK (number > 0), ADD more serial,
                         ADD twice integer GENERATED ALWAYS AS (number * 2) STORED, ADD mood sales_build.mood,
                         ADD FOREIGN KEY (number) REFERENCES sales_build.known"""
            ).encode()
        )
    assert port.publish().published


def test_rights_that_a_domain_gave_end_when_the_table_becomes_a_version(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute(
            "GRANT ALL ON sales_build.orders TO sales_job, PUBLIC; GRANT UPDATE (number), SELECT (email) ON sales_build.orders TO marketing_owner"
        )
    version = port.publish().versions["orders"]
    with port.warehouse.connect("sales_job") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier("sales_orders_data", version)))
    held = """SELECT grantee::regrole::text, privilege_type FROM pg_class, aclexplode(relacl) WHERE relname = %s AND grantee <> relowner
              UNION ALL SELECT attname::text, attacl::text FROM pg_attribute JOIN pg_class ON pg_class.oid = attrelid
              WHERE relname = %s AND attacl IS NOT NULL"""
    assert port.admin(held, version, version) == [("sales_owner", "SELECT")]
