"""No domain's role writes, alters or removes what the platform holds of another domain: tried with every trick we know of.

Each attack runs as the job of one domain, acting as its owner, and may fail or not; what counts is what is on record afterwards.
"""

from __future__ import annotations

import os
from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from platform_core.contracts import Mesh
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, plan, prepare_databases

ATTACKER, VICTIM = "forger", "forger_eu"  # what they derive begins alike: forger.eu_p and forger_eu.p would both be forger_eu_p
MESH = Mesh((ATTACKER, VICTIM), {}, {}, ())
PUBLICATION = "20260101t000000000_0000"

OWN = f"""
    INSERT INTO mesh.publications (publication, domain, product_id, contract_id, contract_version, code_version, state, tables)
        VALUES ('{PUBLICATION}', '{{0}}', '{{0}}.p', '{{0}}.p.p', '1.0.0', 'c', 'sealed', '{{{{}}}}');
    INSERT INTO mesh.ports (contract_id, domain, publication) VALUES ('{{0}}.p.p', '{{0}}', '{PUBLICATION}');
    INSERT INTO mesh.check_results (contract_id, publication, rule, domain, table_name, severity, passed, observed, location)
        VALUES ('{{0}}.p.p', '{PUBLICATION}', 'r', '{{0}}', 't', 'error', true, 'x', 'f:1');
    INSERT INTO mesh.sync_state (domain, connection, kind, state, sync_id) VALUES ('{{0}}', 'c', 'GLOBAL', '{{{{}}}}', 's-{{0}}');
    INSERT INTO mesh.syncs (sync_id, domain, connection, connector, status) VALUES ('s-{{0}}', '{{0}}', 'c', 'x', 'succeeded');
    INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('{{0}}', 't', 'd', 'stored');
    INSERT INTO mesh.run_requests (domain, assets, reason) VALUES ('{{0}}', '{{{{}}}}', 'r');
    INSERT INTO mesh.connector_config (domain, connection, salt, declared, config) VALUES ('{{0}}', 'c', '', '', '{{{{}}}}');
    INSERT INTO mesh.catalog_outbox (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, value, hash)
        VALUES ('{{0}}', '{{0}}.p', 'p', 1, 'dataset', 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{{0}}_build.t,PROD)', 'status', '{{{{}}}}', 'h'),
               ('{{0}}', '{{0}}.p', 'p', 1, 'dataset', 'urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{{0}}_raw.t,PROD)', 'status', '{{{{}}}}', 'h'),
               ('{{0}}', '{{0}}.p', 'p', 4, 'assertion', 'urn:li:assertion:{{0}}', 'status', '{{{{}}}}', 'h');
    INSERT INTO mesh.catalog_deliveries (domain, sink, product_id, entity_urn, aspect_name) VALUES ('{{0}}', 's', '{{0}}.p', 'urn:{{0}}', 'status');
"""


def told(product: str, stage: int, entity_type: str, urn: str, aspect: str) -> str:
    """The attacker tells the catalog of something, in the name of a product."""
    return f"""INSERT INTO mesh.catalog_outbox
        (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, value, hash)
        VALUES ('{ATTACKER}', '{product}', 'p', {stage}, '{entity_type}', '{urn}', '{aspect}', '{{}}', 'h')"""


ATTACKS = {
    "insert for another": f"INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('{VICTIM}', 'forged', 'd', 'stored')",
    "update of another's": f"UPDATE mesh.publications SET state = 'published' WHERE domain = '{VICTIM}'",
    "delete of another's": f"DELETE FROM mesh.check_results WHERE domain = '{VICTIM}'",
    "handing a row over": f"UPDATE mesh.alerts SET domain = '{VICTIM}', title = 'forged' WHERE domain = '{ATTACKER}'",
    "upsert over another's": f"""INSERT INTO mesh.ports (contract_id, domain, publication) VALUES ('{VICTIM}.p.p', '{ATTACKER}', '{PUBLICATION}')
        ON CONFLICT (contract_id) DO UPDATE SET publication = excluded.publication, domain = excluded.domain""",
    "merge into another's": f"""MERGE INTO mesh.alerts AS a USING (SELECT '{VICTIM}' AS domain) AS s ON a.domain = s.domain
        WHEN MATCHED THEN UPDATE SET title = 'forged'""",
    # rows of one's own that speak of another's things
    "own row, another's contract": f"""INSERT INTO mesh.publications
        (publication, domain, product_id, contract_id, contract_version, code_version, state, tables)
        VALUES ('29990101t000000000_0000', '{ATTACKER}', '{ATTACKER}.p', '{VICTIM}.p.p', '9.0.0', 'c', 'published', '{{}}')""",
    "own row, another's product": f"""INSERT INTO mesh.publications
        (publication, domain, product_id, contract_id, contract_version, code_version, state, tables)
        VALUES ('29990101t000000000_0001', '{ATTACKER}', '{VICTIM}.p', '{ATTACKER}.p.p', '9.0.0', 'c', 'published', '{{}}')""",
    "own check result of another's publication": f"""INSERT INTO mesh.check_results
        (contract_id, publication, rule, domain, table_name, severity, passed, observed, location)
        VALUES ('{VICTIM}.p.p', '{PUBLICATION}', 'forged', '{ATTACKER}', 't', 'error', false, 'x', 'f:1')""",
    "own event of another's product": told(f"{VICTIM}.p", 3, "dataProduct", f"urn:li:dataProduct:{VICTIM}.p", "status"),
    "own product's event of another's table": told(
        f"{ATTACKER}.p", 1, "dataset", f"urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{VICTIM}_p.t,PROD)", "ownership"
    ),
    "own product's event of another's product": told(f"{ATTACKER}.p", 3, "dataProduct", f"urn:li:dataProduct:{VICTIM}.p", "ownership"),
    "own product's event of another's assertion": f"""INSERT INTO mesh.catalog_outbox
        (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, event, value, hash)
        VALUES ('{ATTACKER}', '{ATTACKER}.p', 'p', 5, 'assertion', 'urn:li:assertion:{VICTIM}', 'assertionRunEvent', '1', '{{}}', 'h')""",
    "own product of another's schema name": told(
        f"{ATTACKER}.eu_p", 1, "dataset", f"urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{VICTIM}_p.t,PROD)", "ownership"
    ),
    "own raw product of another's raw schema": told(
        f"{ATTACKER}.eu_raw", 1, "dataset", f"urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{VICTIM}_raw.t,PROD)", "ownership"
    ),
    "another's table under another type": told(
        f"{ATTACKER}.p", 1, "tag", f"urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{VICTIM}_p.t,PROD)", "ownership"
    ),
    "another's column": told(
        f"{ATTACKER}.p",
        1,
        "schemaField",
        f"urn:li:schemaField:(urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.{VICTIM}_p.t,PROD),c)",
        "globalTags",
    ),
    "own delivery of another's product": f"""INSERT INTO mesh.catalog_deliveries (domain, sink, product_id, entity_urn, aspect_name, delivered_hash)
        VALUES ('{ATTACKER}', 'other', '{VICTIM}.p', 'urn:{VICTIM}', 'status', 'h')""",
    "cascade from one's own publication": f"DELETE FROM mesh.publications WHERE domain = '{ATTACKER}'",
    # the tables themselves
    "truncate": "TRUNCATE mesh.alerts",
    "truncate cascade": "TRUNCATE mesh.publications CASCADE",
    "drop": "DROP TABLE mesh.alerts",
    "no row security": "ALTER TABLE mesh.alerts DISABLE ROW LEVEL SECURITY",
    "a policy of one's own": "CREATE POLICY mine ON mesh.alerts USING (true) WITH CHECK (true)",
    "row_security off": f"SET row_security = off; UPDATE mesh.alerts SET title = 'forged' WHERE domain = '{VICTIM}'",
    "replication role": f"SET session_replication_role = replica; UPDATE mesh.alerts SET title = 'forged' WHERE domain = '{VICTIM}'",
    "owner": f"ALTER TABLE mesh.alerts OWNER TO {ATTACKER}_owner",
    "a trigger": f"""CREATE FUNCTION {ATTACKER}_build.t() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN NEW.title := ''forged''; RETURN NEW; END';
        CREATE TRIGGER t BEFORE INSERT ON mesh.alerts FOR EACH ROW EXECUTE FUNCTION {ATTACKER}_build.t()""",
    "a rule": f"CREATE RULE r AS ON INSERT TO mesh.alerts DO ALSO UPDATE mesh.alerts SET title = 'forged' WHERE domain = '{VICTIM}'",
    "a child table": f"CREATE TABLE {ATTACKER}_build.c () INHERITS (mesh.alerts)",
    "the guard replaced": "CREATE OR REPLACE FUNCTION mesh.may_write(domain text) RETURNS boolean LANGUAGE sql RETURN true",
    "writing the record": f"DELETE FROM mesh.declared WHERE domain = '{VICTIM}'",
    # other roles
    "set role owner": f"SET ROLE {VICTIM}_owner; UPDATE mesh.alerts SET title = 'forged'",
    "set role job": f"SET ROLE {VICTIM}_job; UPDATE mesh.alerts SET title = 'forged'",
    "set role platform": "SET ROLE mesh_platform; UPDATE mesh.alerts SET title = 'forged'",
    "set role group": f"SET ROLE mesh_member; UPDATE mesh.alerts SET title = 'forged' WHERE domain = '{VICTIM}'",
    "session authorization": f"SET SESSION AUTHORIZATION {VICTIM}_job; UPDATE mesh.alerts SET title = 'forged'",
    "reset role": f"RESET ROLE; UPDATE mesh.alerts SET title = 'forged' WHERE domain = '{VICTIM}'",
    "membership": f"GRANT {VICTIM}_owner TO {ATTACKER}_job",
    "a role of that name": f'CREATE ROLE "{ATTACKER}x_owner"',
    "renamed role": f"ALTER ROLE {ATTACKER}_owner RENAME TO {VICTIM}x_owner",
    # what functions, operators and temporary tables could shadow
    "a definer function": f"""CREATE FUNCTION {ATTACKER}_build.d() RETURNS void LANGUAGE sql SECURITY DEFINER
        AS 'UPDATE mesh.alerts SET title = ''forged'' WHERE domain = ''{VICTIM}'''; SELECT {ATTACKER}_build.d()""",
    "operators before Postgres' own": f"""
        CREATE FUNCTION {ATTACKER}_build.yes(name, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE FUNCTION {ATTACKER}_build.yes(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT true';
        CREATE FUNCTION {ATTACKER}_build.me(text, text) RETURNS text LANGUAGE sql IMMUTABLE AS 'SELECT ''{ATTACKER}_owner''';
        CREATE OPERATOR {ATTACKER}_build.= (leftarg = name, rightarg = text, function = {ATTACKER}_build.yes);
        CREATE OPERATOR {ATTACKER}_build.= (leftarg = text, rightarg = text, function = {ATTACKER}_build.yes);
        CREATE OPERATOR {ATTACKER}_build.|| (leftarg = text, rightarg = text, function = {ATTACKER}_build.me);
        SET search_path = {ATTACKER}_build, pg_catalog, mesh;
        INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('{VICTIM}', 'forged', 'd', 'stored')""",
    "operators before the assertion's trigger": f"""
        CREATE FUNCTION {ATTACKER}_build.no(text, text) RETURNS boolean LANGUAGE sql IMMUTABLE AS 'SELECT false';
        CREATE OPERATOR {ATTACKER}_build.<> (leftarg = text, rightarg = text, function = {ATTACKER}_build.no);
        SET search_path = {ATTACKER}_build, pg_catalog, mesh;
        INSERT INTO mesh.catalog_outbox (domain, product_id, publication, stage, entity_type, entity_urn, aspect_name, value, hash)
        VALUES ('{ATTACKER}', '{ATTACKER}.p', 'p', 4, 'assertion', 'urn:li:assertion:{VICTIM}', 'assertionInfo', '{{}}', 'h')""",
    "functions before Postgres' own": f"""
        CREATE FUNCTION {ATTACKER}_build.pg_has_role(name, oid, text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE FUNCTION {ATTACKER}_build.may_write(text) RETURNS boolean LANGUAGE sql AS 'SELECT true';
        CREATE FUNCTION {ATTACKER}_build.split_part(text, text, integer) RETURNS text LANGUAGE sql AS 'SELECT ''{ATTACKER}''';
        SET search_path = {ATTACKER}_build, pg_catalog, mesh;
        INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('{VICTIM}', 'forged', 'd', 'stored')""",
    "a temporary table of roles": f"""
        CREATE TEMPORARY TABLE pg_roles (rolname name, oid oid);
        INSERT INTO pg_temp.pg_roles SELECT '{VICTIM}_owner', oid FROM pg_catalog.pg_roles WHERE rolname = '{ATTACKER}_owner';
        SET search_path = pg_temp, pg_catalog, mesh;
        INSERT INTO mesh.alerts (domain, title, detail, state) VALUES ('{VICTIM}', 'forged', 'd', 'stored')""",
    "a view over the table": f"""CREATE VIEW {ATTACKER}_build.w AS SELECT * FROM mesh.alerts;
        UPDATE {ATTACKER}_build.w SET title = 'forged' WHERE domain = '{VICTIM}'""",
    "the keeper's functions": f"SELECT mesh.keep_versions('{VICTIM}.p.p', ARRAY['t']); SELECT mesh.prune_versions('{VICTIM}.p.p')",
    "a language of one's own": "CREATE FUNCTION pg_temp.f() RETURNS void LANGUAGE c AS 'x'",
    "a file": "COPY mesh.alerts FROM '/etc/passwd'",
    "copy": f"COPY mesh.alerts (domain, title, detail, state) FROM PROGRAM 'echo {VICTIM}'",
}


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres) -> Iterator[Warehouse]:
    """Two domains, each with a row of its own in every kind of table."""
    name = f"forging_{os.getpid()}"
    warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
    prepare_databases(warehouse)
    apply(warehouse, MESH)
    for domain in (ATTACKER, VICTIM):
        with warehouse.connect_domain(domain) as connection:
            connection.execute(OWN.format(domain).encode())
    yield warehouse
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _on_record(warehouse: Warehouse) -> dict[str, list[str]]:
    """Every row of the platform that is the victim's, or names it, by table."""
    with warehouse.connect_platform() as admin:
        tables = admin.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'mesh'::regnamespace AND relkind IN ('r', 'p') ORDER BY 1"
        ).fetchall()
        return {
            str(table): sorted(
                str(row)
                for (row,) in admin.execute(
                    sql.SQL("SELECT to_jsonb(t)::text FROM {} AS t WHERE to_jsonb(t)::text ~ {}").format(
                        sql.Identifier("mesh", str(table)), sql.Literal(VICTIM)
                    )
                )
            )
            for (table,) in tables
        }


@pytest.mark.parametrize("as_owner", [True, False], ids=["as owner", "as job"])
@pytest.mark.parametrize("attack", ATTACKS)
def test_nothing_on_record_of_another_domain_changes(warehouse: Warehouse, attack: str, as_owner: bool) -> None:
    before = _on_record(warehouse)
    assert all(before[table] for table in ("publications", "ports", "check_results", "sync_state", "catalog_outbox", "alerts", "declared"))
    connection = warehouse.connect_domain(ATTACKER) if as_owner else warehouse.connect(f"{ATTACKER}_job")
    with connection:
        try:
            for statement in ATTACKS[attack].split(";\n"):
                connection.execute(statement.encode())
            connection.commit()
        except (psycopg.Error, UnicodeError):
            connection.rollback()
    assert _on_record(warehouse) == before
    with warehouse.connect_platform(autocommit=True) as admin:  # what the attack left of its own is removed for the next one
        admin.execute(
            sql.SQL("DROP SCHEMA {schema} CASCADE; CREATE SCHEMA {schema} AUTHORIZATION {owner}").format(
                schema=sql.Identifier(f"{ATTACKER}_build"), owner=sql.Identifier(f"{ATTACKER}_owner")
            )
        )
        assert [str(step) for step in plan(admin, MESH)] == []


def test_versions_of_a_schema_with_the_same_name_are_not_pruned(warehouse: Warehouse) -> None:
    """A domain can record publications of a product that it does not have; the procedure that drops versions acts for others."""
    data, version = f"{VICTIM}_orders_data", "orders__20260101t000000000_0000"
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute(f"CREATE SCHEMA {data} AUTHORIZATION mesh_keeper; CREATE TABLE {data}.{version} (n integer)".encode())
        admin.execute(f"ALTER TABLE {data}.{version} OWNER TO mesh_keeper".encode())
    port = f"{ATTACKER}.{VICTIM.removeprefix(f'{ATTACKER}_')}_orders.orders"
    with warehouse.connect_domain(ATTACKER, autocommit=True) as connection:
        for at in range(3):
            tables = f'{{"orders": {{"version": "{version if at == 0 else f"orders__{at}"}", "rows": 1}}}}'
            connection.execute(
                """INSERT INTO mesh.publications (publication, domain, product_id, contract_id, contract_version, code_version, state, tables)
                   VALUES (%s, %s, %s, %s, '1.0.0', 'c', 'published', %s)""",
                (f"2026010{at + 1}t000000000_0000", ATTACKER, port.rpartition(".")[0], port, tables),
            )
        connection.execute("INSERT INTO mesh.retention_rules VALUES (%s, %s, 1, 0)", (port, ATTACKER))
        pruned = connection.execute("SELECT * FROM mesh.prune_versions(%s)", (port,)).fetchall()
    with warehouse.connect_platform(autocommit=True) as admin:
        still = admin.execute("SELECT to_regclass(%s) IS NOT NULL", (f"{data}.{version}",)).fetchone()
        admin.execute(f"DROP SCHEMA {data} CASCADE".encode())
    assert (pruned, still) == ([], (True,))


def test_a_domain_still_writes_its_own(warehouse: Warehouse) -> None:
    """The tries above fail for what they are, not for a typing error."""
    with warehouse.connect_domain(ATTACKER) as connection:
        for statement in (
            f"UPDATE mesh.alerts SET title = 'mine' WHERE domain = '{ATTACKER}'",
            f"UPDATE mesh.ports SET served_since = now() WHERE domain = '{ATTACKER}'",
            f"UPDATE mesh.catalog_outbox SET hash = 'other' WHERE domain = '{ATTACKER}'",
            f"DELETE FROM mesh.sync_state WHERE domain = '{ATTACKER}'",
        ):
            assert connection.execute(statement.encode()).rowcount > 0
        connection.rollback()


def test_connector_secrets_are_read_by_their_domain_only(warehouse: Warehouse) -> None:
    with warehouse.connect_domain(ATTACKER) as connection:
        assert connection.execute("SELECT domain FROM mesh.connector_config").fetchall() == [(ATTACKER,)]
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("SELECT FROM mesh.mask_keys")
