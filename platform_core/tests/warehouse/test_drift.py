"""What somebody changes by hand in the warehouse: each such change is seen, called drift, undone, and then nothing is left to do."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest
from psycopg import sql

from platform_core.contracts import Mesh
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, plan, prepare_databases

DOMAINS = ("drift_a", "drift_b")  # names of their own: roles belong to the whole server
MESH = Mesh(DOMAINS, {}, {}, ())


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """Two domains, with a table, a view and a function each."""
    name = f"drift_{os.getpid()}"
    warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
    prepare_databases(warehouse)
    apply(warehouse, MESH)
    for domain in DOMAINS:
        with warehouse.connect_domain(domain) as connection:
            connection.execute(
                f"""CREATE TABLE {domain}_raw.t (a int, b text); CREATE VIEW {domain}_build.v AS SELECT * FROM {domain}_raw.t;
                    CREATE FUNCTION {domain}_build.f(a int) RETURNS int LANGUAGE sql AS 'SELECT $1'""".encode()
            )
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE ROLE drift_stranger")
        assert plan(admin, MESH) == ()
    yield warehouse
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        connection.execute("DROP ROLE drift_stranger")


CASES = [
    # roles
    ("ALTER ROLE drift_a_job SUPERUSER", ["revoke superuser from role drift_a_job"]),
    (
        "ALTER ROLE drift_a_owner CREATEROLE CREATEDB",
        ["revoke createdb from role drift_a_owner", "revoke createrole from role drift_a_owner"],
    ),
    ("ALTER ROLE drift_a_job BYPASSRLS", ["revoke bypassrls from role drift_a_job"]),
    ("ALTER ROLE mesh_member REPLICATION", ["revoke replication from role mesh_member"]),
    ("ALTER ROLE drift_a_owner LOGIN", ["alter role drift_a_owner login=False"]),
    ("ALTER ROLE drift_a_job SET search_path = drift_b_raw", ["alter role drift_a_job without search_path=drift_b_raw"]),
    (
        "ALTER ROLE drift_a_job IN DATABASE {database} SET role = drift_b_owner",
        ["alter role drift_a_job without role=drift_b_owner"],
    ),
    # memberships
    ("GRANT drift_a_owner TO drift_b_job", ["revoke role drift_a_owner from drift_b_job"]),
    ("GRANT drift_a_owner TO drift_stranger", ["revoke role drift_a_owner from drift_stranger"]),
    ("GRANT mesh_member TO drift_stranger", ["revoke role mesh_member from drift_stranger"]),
    ("GRANT drift_a_owner TO drift_a_job WITH ADMIN OPTION", ["revoke admin option of role drift_a_owner from drift_a_job"]),
    ("GRANT drift_a_owner TO drift_a_job WITH SET FALSE", ["grant role drift_a_owner to drift_a_job"]),
    ("REVOKE drift_a_owner FROM drift_a_job", ["grant role drift_a_owner to drift_a_job"]),
    ("GRANT pg_read_all_data TO drift_a_job", ["revoke role pg_read_all_data from drift_a_job"]),
    ("GRANT mesh_platform TO drift_a_owner", ["revoke role mesh_platform from drift_a_owner"]),
    (
        "GRANT pg_execute_server_program TO drift_stranger; GRANT drift_stranger TO drift_a_owner",
        ["revoke role drift_stranger from drift_a_owner"],
    ),
    # the database, and the schema that everybody has
    ("GRANT CONNECT ON DATABASE {database} TO PUBLIC", ["revoke connect from PUBLIC"]),
    ("GRANT TEMPORARY ON DATABASE {database} TO PUBLIC", ["revoke temporary on database {database} from PUBLIC"]),
    ("GRANT CREATE ON DATABASE {database} TO drift_a_owner", ["revoke create on database {database} from drift_a_owner"]),
    ("REVOKE CONNECT ON DATABASE {database} FROM mesh_member", ["grant connect to mesh_member"]),
    ("GRANT CREATE ON SCHEMA public TO PUBLIC", ["revoke create on schema public from PUBLIC"]),
    # schemas and owners
    ("ALTER SCHEMA drift_a_raw OWNER TO drift_b_owner", ["alter schema drift_a_raw owner drift_a_owner"]),
    ("GRANT USAGE ON SCHEMA drift_a_raw TO PUBLIC", ["revoke usage on schema drift_a_raw from PUBLIC"]),
    ("ALTER TABLE drift_a_raw.t OWNER TO drift_b_owner", ["alter drift_a_raw.t owner drift_a_owner"]),
    ("ALTER VIEW drift_a_build.v OWNER TO mesh_platform", ["alter drift_a_build.v owner drift_a_owner"]),
    ("ALTER FUNCTION drift_a_build.f OWNER TO mesh_platform", ["alter function drift_a_build.f(integer) owner drift_a_owner"]),
    # privileges of relations, columns and functions
    ("GRANT SELECT ON drift_a_raw.t TO drift_b_owner", ["revoke select on drift_a_raw.t from drift_b_owner"]),
    ("GRANT SELECT (b) ON drift_a_raw.t TO drift_b_owner", ["revoke select on column drift_a_raw.t.b from drift_b_owner"]),
    (
        "GRANT UPDATE (a, b) ON drift_a_raw.t TO PUBLIC",
        ["revoke update on column drift_a_raw.t.a from PUBLIC", "revoke update on column drift_a_raw.t.b from PUBLIC"],
    ),
    ("GRANT EXECUTE ON FUNCTION drift_a_build.f TO PUBLIC", ["revoke execute on function drift_a_build.f(integer) from PUBLIC"]),
    (
        "GRANT TRUNCATE, TRIGGER ON mesh.alerts TO mesh_member",
        ["revoke trigger on mesh.alerts from mesh_member", "revoke truncate on mesh.alerts from mesh_member"],
    ),
    ("REVOKE INSERT ON mesh.alerts FROM mesh_member", ["grant insert on mesh.alerts to mesh_member"]),
    ("GRANT SELECT ON mesh.declared TO drift_a_owner", ["revoke select on mesh.declared from drift_a_owner"]),
    ("GRANT SELECT (detail) ON mesh.alerts TO PUBLIC", ["revoke select on column mesh.alerts.detail from PUBLIC"]),
    ("GRANT CREATE ON SCHEMA mesh TO drift_a_owner", ["revoke create on schema mesh from drift_a_owner"]),
    (
        "GRANT USAGE ON SCHEMA mesh TO mesh_member WITH GRANT OPTION",
        ["revoke grant option of usage on schema mesh from mesh_member"],
    ),
    # default privileges
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE drift_a_owner IN SCHEMA drift_a_raw GRANT SELECT ON TABLES TO drift_b_owner",
        ["revoke default select on tables of drift_a_owner in schema drift_a_raw from drift_b_owner"],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE drift_a_owner GRANT EXECUTE ON FUNCTIONS TO PUBLIC",
        ["alter default privileges of drift_a_owner on routines: none to PUBLIC"],
    ),
    (
        "ALTER DEFAULT PRIVILEGES FOR ROLE drift_a_owner GRANT INSERT ON TABLES TO drift_stranger",
        ["revoke default insert on tables of drift_a_owner from drift_stranger"],
    ),
    # the platform's row security, functions, triggers and constraints
    ("ALTER TABLE mesh.alerts DISABLE ROW LEVEL SECURITY", ["alter row security of mesh.alerts"]),
    ("DROP POLICY insert ON mesh.alerts", ["replace policy insert of mesh.alerts"]),
    ("ALTER POLICY insert ON mesh.alerts WITH CHECK (true)", ["replace policy insert of mesh.alerts"]),
    ("ALTER POLICY read ON mesh.alerts TO drift_a_owner", ["replace policy read of mesh.alerts"]),
    ("ALTER POLICY read ON mesh.connector_config USING (true)", ["replace policy read of mesh.connector_config"]),
    ("CREATE POLICY backdoor ON mesh.alerts USING (true)", ["drop policy backdoor of mesh.alerts"]),
    (
        "CREATE OR REPLACE FUNCTION mesh.may_write(domain text) RETURNS boolean LANGUAGE sql RETURN true",
        ["replace function mesh.may_write(text)"],
    ),
    ("ALTER FUNCTION mesh.may_write SECURITY DEFINER", ["replace function mesh.may_write(text)"]),
    ("ALTER TABLE mesh.alerts ALTER detail DROP NOT NULL", ["replace column mesh.alerts.detail"]),
    ("ALTER TABLE mesh.alerts ALTER detail TYPE varchar(10)", ["replace column mesh.alerts.detail"]),
    (
        "CREATE FUNCTION drift_a_build.g() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NULL; END';"
        " CREATE TRIGGER spy BEFORE INSERT ON mesh.alerts EXECUTE FUNCTION drift_a_build.g()",
        [
            "drop trigger mesh.alerts.spy",
            "alter function drift_a_build.g() owner drift_a_owner",
            "revoke execute on function drift_a_build.g() from PUBLIC",
        ],
    ),
    (
        "ALTER TABLE mesh.publications DROP CONSTRAINT publications_state_check",
        ["replace constraint mesh.publications.publications_state_check"],
    ),
]


@pytest.mark.parametrize(("by_hand", "steps"), CASES, ids=[statement[:70] for statement, _ in CASES])
def test_every_drift_is_seen_called_so_and_undone(warehouse: Warehouse, by_hand: str, steps: list[str]) -> None:
    with warehouse.connect_platform(autocommit=True) as admin:
        database = admin.info.dbname
        admin.execute(by_hand.format(database=database).encode())
        found = plan(admin, MESH)
    assert [str(step) for step in found] == [step.format(database=database) for step in steps]
    assert {step.kind for step in found} == {"drift"}
    assert [str(step) for step in apply(warehouse, MESH)] == [str(step) for step in found]
    assert apply(warehouse, MESH) == ()


def test_what_a_domain_makes_later_is_for_nobody_else(warehouse: Warehouse) -> None:
    with warehouse.connect_domain("drift_a") as connection:
        connection.execute(
            """CREATE TABLE drift_a_raw.later (a int); CREATE TYPE drift_a_raw.kind AS ENUM ('x');
               CREATE FUNCTION drift_a_raw.later() RETURNS int LANGUAGE sql AS 'SELECT 1'"""
        )
        rows = connection.execute(
            """SELECT has_table_privilege('drift_b_owner', 'drift_a_raw.later', 'SELECT'),
                      has_function_privilege('drift_b_owner', 'drift_a_raw.later()', 'EXECUTE'),
                      has_type_privilege('drift_b_owner', 'drift_a_raw.kind', 'USAGE'),
                      has_function_privilege('drift_a_owner', 'drift_a_raw.later()', 'EXECUTE')"""
        ).fetchall()
        connection.rollback()
    assert rows == [(False, False, False, True)]


def test_a_table_that_somebody_put_among_the_platforms_stops_no_apply_and_goes_with_prune(warehouse: Warehouse) -> None:
    """It has no column that says whose a row is, so none of the platform's policies fits it."""
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute(
            "CREATE TABLE mesh.odd (a int PRIMARY KEY); GRANT SELECT ON mesh.odd TO drift_b_owner; ALTER ROLE drift_a_job CREATEDB"
        )
        found = plan(admin, MESH)
    assert {step.kind for step in found} == {"drift"}
    steps = {str(step): step.prune for step in found}
    assert steps == {
        "revoke createdb from role drift_a_job": False,
        "revoke select on mesh.odd from drift_b_owner": False,
        "drop table mesh.odd": True,
    }
    assert "drop table mesh.odd" not in {str(step) for step in apply(warehouse, MESH)}
    with warehouse.connect_platform(autocommit=True) as admin:
        assert [str(step) for step in plan(admin, MESH)] == ["drop table mesh.odd"]
        admin.execute("GRANT SELECT ON mesh.odd TO drift_b_owner")
    apply(warehouse, MESH, prune=True)
    with warehouse.connect_platform(autocommit=True) as admin:
        assert plan(admin, MESH) == ()
