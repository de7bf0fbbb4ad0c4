"""Every role against every object and column: what each may see and do, written down here by hand and tried on the real server.

The expectations are a table of this test; nothing of the compiler is asked.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import replace

import psycopg
import pytest
from port_bench import contract, product, reads, table
from psycopg import sql

from platform_core.contracts import Mesh
from platform_core.contracts.model import Role
from platform_core.publishing import governance, publish
from platform_core.quality import AuditReport
from platform_core.warehouse import EmbeddedPostgres, Warehouse, prepare_databases, readers

DOMAINS = ("mx", "my", "mz", "mw")  # producer, consumer in clear, consumer masked, stranger to it

ROLES = {
    # role: (login that may act as it, what it is)
    "mx_owner": "mx_job",
    "mx_job": "mx_job",
    "my_owner": "my_job",
    "mz_owner": "mz_job",
    "mw_owner": "mw_job",
    "mx_p_reader": "matrix_reader",
    "mx_p_reader_pii": "matrix_pii",
    "matrix_pii": "matrix_pii",
    "matrix_stranger": "matrix_stranger",
    "mesh_member": "mx_job",
}
"""Role to a login that acts as it."""

CLEAR, MASKED, DENIED = "clear", "masked", "denied"
COLUMNS = ("number", "email")
SEEN: dict[str, dict[str, tuple[str, str]]] = {
    # relation: {role: what it sees of (number, email)}; whoever is not named is denied
    "mx_raw.source": {"mx_owner": (CLEAR, CLEAR), "mx_job": (CLEAR, CLEAR)},
    "mx_build.inner": {"mx_owner": (CLEAR, CLEAR), "mx_job": (CLEAR, CLEAR)},
    "mx_build.t": {"mx_owner": (CLEAR, CLEAR), "mx_job": (CLEAR, CLEAR)},
    "mx_p_data.{version}": {"mx_owner": (CLEAR, CLEAR), "mx_job": (CLEAR, CLEAR)},
    "mx_p.t": {
        "mx_owner": (CLEAR, CLEAR),
        "mx_job": (CLEAR, CLEAR),
        "my_owner": (CLEAR, CLEAR),
        "mz_owner": (CLEAR, MASKED),
        "mx_p_reader": (CLEAR, MASKED),
        "matrix_pii": (CLEAR, CLEAR),  # a member of both; mx_p_reader_pii alone unmasks, and reads nothing
    },
}

WRITES = ("INSERT INTO {} (number) VALUES (2)", "UPDATE {} SET number = 3", "DELETE FROM {}", "TRUNCATE {}", "DROP TABLE {}")
VIEW_CHANGES = ("CREATE OR REPLACE VIEW {} AS SELECT 1 AS number, ''::text AS email", "DROP VIEW {}", "ALTER VIEW {} RENAME TO other")
WRITABLE = {
    # relation: roles that may change its rows; nobody changes versions or what ports show
    "mx_raw.source": {"mx_owner", "mx_job"},
    "mx_build.inner": {"mx_owner", "mx_job"},
    "mx_p_data.{version}": set[str](),
    "mx_p.t": set[str](),
}

CREATES = {
    # schema: roles that may make a table in it
    "mx_raw": {"mx_owner", "mx_job"},
    "mx_build": {"mx_owner", "mx_job"},
    "mx_p": set[str](),  # what others read is made by the platform's function only
    "mx_p_data": {"mx_owner", "mx_job"},
    "mesh": set[str](),
    "public": set[str](),
}

MEMBERS = {"mx_owner", "mx_job", "my_owner", "mz_owner", "mw_owner", "mesh_member"}
PLATFORM = {
    # table: roles that read the rows of mx
    "publications": MEMBERS,
    "ports": MEMBERS,
    "check_results": MEMBERS,
    "switches": MEMBERS,
    "port_views": set[str](),
    "catalog_outbox": MEMBERS,
    "alerts": MEMBERS,
    "connector_config": {"mx_owner", "mx_job"},
    "declared": set[str](),
    "mask_keys": set[str](),
}
PLATFORM_WRITERS = {"mx_owner", "mx_job"}


@pytest.fixture(scope="module")
def matrix(postgres: EmbeddedPostgres) -> Iterator[tuple[Warehouse, str]]:
    """The four domains, one port with personal data published, a row in what is asked; and the version's name."""
    name = f"matrix_{os.getpid()}"
    warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
    prepare_databases(warehouse)
    roles = (Role("mx_p_reader", "read", None, None), Role("mx_p_reader_pii", "read", None, None, domains=("my",)))
    promise = replace(contract(table("t", {"number": "integer", "email": "text"}), product="mx.p"), roles=roles)
    clear = product(replace(promise, id="my.q.q", domain="my", product_id="my.q", tables=()), reads("mx.p.p", personal_data=True))
    masked = product(replace(promise, id="mz.q.q", domain="mz", product_id="mz.q", tables=()), reads("mx.p.p"))
    items = (product(promise), clear, masked)
    mesh = Mesh(DOMAINS, {item.id: item for item in items}, {item.outputs[0].contract_id: item.outputs[0].contract for item in items}, ())
    assert governance.apply(warehouse, mesh, postgres.folder).failures == ()
    values = "SELECT 1 AS number, 'a@example.com'::text AS email"
    with warehouse.connect_domain("mx") as connection:
        for relation in ("mx_raw.source", "mx_build.inner", "mx_build.t"):
            connection.execute(f"CREATE TABLE {relation} AS {values}".encode())
        connection.execute("INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('mx', 't', 'd', 'stored')")
        connection.execute(
            """INSERT INTO mesh.catalog_outbox (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, value, hash)
               VALUES ('mx', 'mx.p', 'p', 3, 'dataProduct', 'urn:li:dataProduct:mx.p', 'status', '{}', 'h')"""
        )
        connection.execute(
            "INSERT INTO mesh.connector_config (domain, connection, salt, declared, config) VALUES ('mx', 'c', '', '', '{}')"
        )
    made = publish(warehouse, promise, readers(mesh, promise), lambda _: AuditReport(()), code_version="c")
    assert warehouse.server is not None
    with warehouse.connect_platform(autocommit=True) as admin:
        for login in ("matrix_reader", "matrix_pii", "matrix_stranger"):
            secret = warehouse.server.set_password(login)
            admin.execute(sql.SQL("CREATE ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(login), sql.Literal(secret)))
        admin.execute("GRANT mx_p_reader TO matrix_reader, matrix_pii; GRANT mx_p_reader_pii TO matrix_pii")
        admin.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO matrix_stranger").format(sql.Identifier(name)))
    yield warehouse, made.versions["t"]
    with warehouse.database("postgres").connect_platform(autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))
        admin.execute("DROP ROLE matrix_reader, matrix_pii, matrix_stranger")


def _as(warehouse: Warehouse, role: str) -> psycopg.Connection:
    """A session that acts as the role. A reader's role reaches the database by its own right, without the login's."""
    login = ROLES[role]
    return warehouse.connect(login, role=None if login == role else role)


def _ask(connection: psycopg.Connection, statement: str) -> list[tuple[object, ...]] | None:
    """What a statement answers; None where it is forbidden. Nothing stays."""
    try:
        cursor = connection.execute(statement.encode())
        return cursor.fetchall() if cursor.description else [(cursor.rowcount,)]
    except (psycopg.errors.InsufficientPrivilege, psycopg.errors.WrongObjectType, psycopg.errors.ObjectNotInPrerequisiteState):
        return None
    finally:
        connection.rollback()


@pytest.mark.parametrize("role", ROLES)
def test_who_sees_which_column(matrix: tuple[Warehouse, str], role: str) -> None:
    warehouse, version = matrix
    with _as(warehouse, role) as connection:
        found: dict[str, tuple[str, ...]] = {}
        for relation in SEEN:
            told: list[str] = []
            for column in COLUMNS:
                rows = _ask(connection, f"SELECT {column} FROM {relation.format(version=version)}")
                told.append(DENIED if rows is None else CLEAR if rows[0][0] is not None else MASKED)
            found[relation] = tuple(told)
    assert found == {relation: seen.get(role, (DENIED, DENIED)) for relation, seen in SEEN.items()}


@pytest.mark.parametrize("role", ROLES)
def test_who_changes_which_rows(matrix: tuple[Warehouse, str], role: str) -> None:
    warehouse, version = matrix
    with _as(warehouse, role) as connection:
        for relation, writers in WRITABLE.items():
            for statement in WRITES:
                if relation == "mx_p.t" and statement.startswith(("TRUNCATE", "DROP")):
                    continue  # a view has neither
                allowed = _ask(connection, statement.format(relation.format(version=version))) is not None
                assert allowed == (role in writers), f"{role}: {statement} {relation}"
        for statement in VIEW_CHANGES:
            assert _ask(connection, statement.format("mx_p.t")) is None, f"{role}: {statement}"


@pytest.mark.parametrize("role", ROLES)
def test_who_makes_tables_where(matrix: tuple[Warehouse, str], role: str) -> None:
    warehouse, _ = matrix
    with _as(warehouse, role) as connection:
        found = {schema for schema in CREATES if _ask(connection, f"CREATE TABLE {schema}.probe (a int)") is not None}
    assert found == {schema for schema, makers in CREATES.items() if role in makers}


@pytest.mark.parametrize("role", ROLES)
def test_who_reads_and_writes_the_platforms_rows_of_a_domain(matrix: tuple[Warehouse, str], role: str) -> None:
    warehouse, _ = matrix
    with _as(warehouse, role) as connection:
        read, written, truncated = set[str](), set[str](), set[str]()
        for table_name in PLATFORM:
            domain = "''" if table_name == "mask_keys" else "'mx'"
            rows = _ask(connection, f"SELECT domain FROM mesh.{table_name} WHERE domain = {domain}")
            if rows:
                read.add(table_name)
            changed = _ask(connection, f"UPDATE mesh.{table_name} SET domain = domain WHERE domain = {domain}")
            if changed and changed[0][0]:
                written.add(table_name)
            if _ask(connection, f"TRUNCATE mesh.{table_name} CASCADE") is not None:
                truncated.add(table_name)
    assert read == {name for name, readers_ in PLATFORM.items() if role in readers_} - {"check_results"}, (
        "an audit without rules leaves no result"
    )
    on_record = {"publications", "switches"}  # what was written stays as it was written, for its own domain too
    assert written == ((read - on_record) if role in PLATFORM_WRITERS else set())
    assert truncated == set()


@pytest.mark.parametrize("role", ROLES)
def test_no_role_becomes_another(matrix: tuple[Warehouse, str], role: str) -> None:
    warehouse, _ = matrix
    own = {"mx_owner", "mx_job", "mesh_member"} if ROLES[role] == "mx_job" else set[str]()
    own |= {
        "my_owner": {"my_owner", "my_job", "mesh_member", "mx_p_reader_pii"},
        "mz_owner": {"mz_owner", "mz_job", "mesh_member"},
        "mw_owner": {"mw_owner", "mw_job", "mesh_member"},
        "mx_p_reader": {"mx_p_reader"},
        "mx_p_reader_pii": {"mx_p_reader", "mx_p_reader_pii"},  # what its login may become
        "matrix_pii": {"mx_p_reader", "mx_p_reader_pii"},
    }.get(role, set())
    with _as(warehouse, role) as connection:
        others = [*(f"{domain}_{end}" for domain in DOMAINS for end in ("owner", "job")), "mx_p_reader", "mx_p_reader_pii", "mesh_member"]
        others += ["mesh_keeper", "mesh_platform", "pg_read_all_data", "pg_write_all_data", "pg_execute_server_program"]
        found = {other for other in others if _ask(connection, f"SET ROLE {other}") is not None}
    assert found == own
