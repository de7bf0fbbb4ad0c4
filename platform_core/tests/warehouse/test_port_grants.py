"""Who can read and write what, for the real company: expected from the product files by a reading of our own, tried on the real server.

Nothing here asks Postgres what it would allow: every statement is run, as the job role of every domain, with and without its owner role.
"""

from __future__ import annotations

import itertools
import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psycopg
import pytest
import yaml
from psycopg import sql

from platform_core.contracts import Contract, load_mesh
from platform_core.publishing import publish
from platform_core.quality import AuditReport
from platform_core.warehouse import EmbeddedPostgres, Warehouse, WarehouseError, apply, prepare_databases, readers

PLATFORM_TABLES = (
    *("publications", "ports", "check_results", "switches", "pins", "retention_rules"),
    *("catalog_outbox", "alerts", "sync_state", "run_requests"),
)
PERSONAL = {"restricted", "confidential", "pii", "sensitive"}


@dataclass(frozen=True)
class Company:
    """What the files say, read with nothing but a YAML parser.

    Attributes:
        domains: Folders under ``domains/``.
        ports: Port relation to the domain that owns it.
        declared: ``(consumer domain, port relation)`` of every declared input.
        clear: The same, where personal data is declared too.
        personal: Port relation to its columns with personal data.
        columns: Port relation to column and type, to make candidates.
    """

    domains: tuple[str, ...]
    ports: dict[str, str]
    declared: set[tuple[str, str]]
    clear: set[tuple[str, str]]
    personal: dict[str, set[str]]
    columns: dict[str, dict[str, str]]

    @classmethod
    def read(cls, repo: Path) -> Company:
        domains = tuple(sorted(path.name for path in (repo / "domains").iterdir() if (path / "pyproject.toml").is_file()))
        company = cls(domains, {}, set(), set(), {}, {})
        of_contract: dict[str, list[str]] = {}
        for domain in domains:
            for path in (repo / "domains" / domain).glob("src/**/*.odcs.yaml"):
                company._contract(yaml.safe_load(path.read_text()), domain, of_contract)
        for domain in domains:
            for path in (repo / "domains" / domain).glob("src/**/product.odps.yaml"):
                for port in yaml.safe_load(path.read_text()).get("inputPorts") or []:
                    own = {item["property"]: item["value"] for item in port.get("customProperties") or []}
                    for relation in of_contract.get(port.get("contractId"), []):
                        company.declared.add((domain, relation))
                        if own.get("personalData"):
                            company.clear.add((domain, relation))
        return company

    def _contract(self, raw: dict[str, Any], domain: str, of_contract: dict[str, list[str]]) -> None:
        schema = raw["dataProduct"].replace(".", "_")
        for table in raw["schema"]:
            relation = f"{schema}.{table['physicalName']}"
            self.ports[relation] = domain
            of_contract.setdefault(raw["id"], []).append(relation)
            self.columns[relation] = {item["name"]: item["physicalType"] for item in table["properties"]}
            self.personal[relation] = {
                item["name"]
                for item in table["properties"]
                if "pii" in (item.get("tags") or []) or str(item.get("classification")).lower() in PERSONAL
            }


@pytest.fixture(scope="module")
def company(repo: Path) -> Company:
    return Company.read(repo)


@pytest.fixture(scope="module")
def warehouse(postgres: EmbeddedPostgres, repo: Path) -> Iterator[Warehouse]:
    """The company's warehouse: everything applied, every port published, one row in every table."""
    name = f"grants_{os.getpid()}"
    warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
    prepare_databases(warehouse)
    mesh = load_mesh(repo)
    assert [problem for problem in mesh.problems if problem.severity == "error"] == []
    apply(warehouse, mesh)
    for domain in mesh.domains:
        with warehouse.connect_domain(domain) as connection:
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS a").format(sql.Identifier(f"{domain}_raw", "stream")))
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS a").format(sql.Identifier(f"{domain}_build", "model")))
    for contract in mesh.contracts.values():
        _publish(warehouse, contract, readers(mesh, contract))
    yield warehouse
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _publish(warehouse: Warehouse, contract: Contract, roles: tuple[str, ...]) -> None:
    with warehouse.connect_domain(contract.domain) as connection:
        for table in contract.tables:
            values = ", ".join(f"{_value(str(item.physical_type))} AS {item.physical_name}" for item in table.columns)
            connection.execute(f"CREATE TABLE {contract.domain}_build.{table.model} AS SELECT {values}".encode())
    outcome = publish(warehouse, contract, roles, lambda _relations: AuditReport(()), code_version="c0de")
    assert outcome.published


def _value(kind: str) -> str:
    number = any(word in kind for word in ("int", "numeric", "double", "real", "decimal"))
    moment = any(word in kind for word in ("date", "time"))
    return f"({'now()' if moment else '1' if number else 'true' if kind == 'boolean' else chr(39) + 'x' + chr(39)})::{kind}"


def _allowed(connection: psycopg.Connection, statement: str) -> bool:
    """Whether the statement runs; it is undone."""
    try:
        connection.execute(statement.encode())
    except psycopg.errors.InsufficientPrivilege:
        return False
    finally:
        connection.rollback()
    return True


@pytest.fixture(params=["owner", "job"])
def as_owner(request: pytest.FixtureRequest) -> bool:
    """As the platform connects (the job acting as its owner role), and as the job alone."""
    return request.param == "owner"


def _connect(warehouse: Warehouse, domain: str, as_owner: bool) -> psycopg.Connection:
    return warehouse.connect_domain(domain) if as_owner else warehouse.connect(f"{domain}_job")


def test_the_company_is_as_the_test_knows_it(company: Company) -> None:
    """The reading above found something: a wrong reading would expect, and prove, nothing."""
    assert set(company.domains) >= {"customer", "inventory", "sales", "marketing"}
    assert company.declared >= {
        ("sales", "customer_profiles.profiles"),
        ("sales", "inventory_items.items"),
        ("marketing", "sales_orders.orders"),
        ("marketing", "sales_orders.daily_revenue"),
        ("marketing", "customer_profiles.profiles"),
    }
    assert ("marketing", "inventory_items.items") not in company.declared
    assert ("sales", "customer_profiles.profiles") in company.clear
    assert ("marketing", "customer_profiles.profiles") not in company.clear
    assert company.personal["customer_profiles.profiles"]


def test_each_domain_reads_exactly_its_own_and_what_it_declared(warehouse: Warehouse, company: Company, as_owner: bool) -> None:
    everything = [
        *((domain, f"{domain}_raw.stream") for domain in company.domains),
        *((domain, f"{domain}_build.model") for domain in company.domains),
        *((owner, relation) for relation, owner in company.ports.items()),
    ]
    with warehouse.connect_platform() as admin:
        versions = admin.execute(
            r"SELECT relnamespace::regnamespace::text, relname FROM pg_class WHERE relkind = 'r' AND relname ~ '__\d{8}t'"
        ).fetchall()
        admin.rollback()
    assert len(versions) == len(company.ports)
    everything += [
        (next(owner for port, owner in company.ports.items() if schema == f"{port.split('.')[0]}_data"), f"{schema}.{name}")
        for schema, name in versions
    ]
    found, expected = set[tuple[str, str]](), set[tuple[str, str]]()
    for domain in company.domains:
        expected |= {(domain, relation) for owner, relation in everything if owner == domain}
        with _connect(warehouse, domain, as_owner) as connection:
            found |= {(domain, relation) for _, relation in everything if _allowed(connection, f"SELECT * FROM {relation}")}
    expected |= company.declared
    assert found - expected == set(), "read without being declared"
    assert expected - found == set(), "declared, and not readable"


def test_personal_data_is_clear_exactly_where_it_was_declared(warehouse: Warehouse, company: Company, as_owner: bool) -> None:
    for domain, (relation, owner) in itertools.product(company.domains, company.ports.items()):
        if domain != owner and (domain, relation) not in company.declared:
            continue
        own = _row_of(_connect(warehouse, owner, as_owner), relation)
        seen = _row_of(_connect(warehouse, domain, as_owner), relation)
        assert None not in own.values()
        masked = {name for name, value in seen.items() if value != own[name]}
        clear = domain == owner or (domain, relation) in company.clear
        assert masked == (set() if clear else company.personal[relation]), f"{domain} reads {relation}"


def _row_of(connection: psycopg.Connection, relation: str) -> dict[str, Any]:
    """The one row of a relation, by column."""
    with connection:
        cursor = connection.execute(f"SELECT * FROM {relation}".encode())
        return dict(zip([column.name for column in cursor.description or ()], cursor.fetchone() or (), strict=True))


def test_no_domain_writes_any_other_schema(warehouse: Warehouse, company: Company, as_owner: bool) -> None:
    schemas = [f"{domain}_{part}" for domain in company.domains for part in ("raw", "build")]
    schemas += [f"{relation.split('.')[0]}{end}" for relation in company.ports for end in ("", "_data")]
    for domain in company.domains:
        with _connect(warehouse, domain, as_owner) as connection:
            writable = {
                schema
                for schema in sorted({*schemas, "mesh", "public", "pg_catalog"})
                if _allowed(connection, f"CREATE TABLE {schema}.probe (a int)")
            }
            own = {schema for schema in schemas if schema.startswith((f"{domain}_raw", f"{domain}_build"))}
            own |= {f"{relation.split('.')[0]}_data" for relation, owner in company.ports.items() if owner == domain}
            assert writable == own, domain  # what others read is made by the platform's function only
            for other in set(company.domains) - {domain}:
                for statement in (
                    f"INSERT INTO {other}_raw.stream VALUES (2)",
                    f"DROP TABLE {other}_raw.stream",
                    f"ALTER TABLE {other}_build.model ADD COLUMN b int",
                    f"TRUNCATE {other}_build.model",
                    f"DROP SCHEMA {other}_build CASCADE",
                    f"SET ROLE {other}_owner",
                    f"GRANT {other}_owner TO {domain}_job",
                ):
                    assert not _allowed(connection, statement), f"{domain}: {statement}"
            for statement in (
                "CREATE SCHEMA mine",
                "CREATE ROLE mine",
                "SET ROLE mesh_platform",
                "CREATE EXTENSION vector",
                "COPY (SELECT 1) TO PROGRAM 'true'",
            ):
                assert not _allowed(connection, statement), f"{domain}: {statement}"


def _row(admin: psycopg.Connection, table: str, domain: str) -> tuple[list[str], list[str]]:
    """Columns, and literals that satisfy them, for a row of a platform's table that speaks of ``domain``."""
    described = admin.execute(
        """SELECT a.attname, format_type(a.atttypid, a.atttypmod) FROM pg_attribute AS a LEFT JOIN pg_attrdef AS d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
           WHERE a.attrelid = %s::regclass AND a.attnum > 0 AND NOT a.attisdropped AND a.attnotnull AND a.attidentity = '' AND d.oid IS NULL""",
        (f"mesh.{table}",),
    ).fetchall()
    literals = {
        "text": f"'probe {domain}'", "jsonb": "'{}'", "text[]": "'{}'", "boolean": "true", "integer": "1", "smallint": "1", "bigint": "1",
        "timestamp with time zone": "now()", "uuid": "gen_random_uuid()", "json": "'{}'", "double precision": "1", "bytea": "''",
    }  # fmt: skip
    special = {("domain", "text"): f"'{domain}'", ("state", "text"): "'sealed'", ("kind", "text"): "'STREAM'"}
    special |= {("contract_id", "text"): f"'{domain}.probe.probe'", ("action", "text"): "'rollback'"}
    special |= {("entity_type", "text"): "'tag'", ("entity_urn", "text"): f"'urn:li:tag:probe {domain}'"}
    return [str(name) for name, _ in described], [special.get((name, kind)) or literals[kind] for name, kind in described]


@pytest.mark.parametrize("table", PLATFORM_TABLES)
def test_no_domain_writes_the_platforms_rows_of_another(warehouse: Warehouse, company: Company, table: str, as_owner: bool) -> None:
    with warehouse.connect_platform() as admin:
        admin.execute("SET session_replication_role = replica")  # the probes refer to nothing
        for domain in company.domains:
            columns, values = _row(admin, table, domain)
            conflict = "ON CONFLICT DO NOTHING"
            admin.execute(f"INSERT INTO mesh.{table} ({', '.join(columns)}) VALUES ({', '.join(values)}) {conflict}".encode())
        admin.commit()
        counted = dict(admin.execute(f"SELECT domain, count(*) FROM mesh.{table} GROUP BY 1".encode()).fetchall())
    assert set(counted) >= set(company.domains)
    for domain, other in itertools.permutations(company.domains, 2):
        with _connect(warehouse, domain, as_owner) as connection:
            for statement in (
                f"UPDATE mesh.{table} SET domain = domain WHERE domain = '{other}'",
                f"DELETE FROM mesh.{table} WHERE domain = '{other}'",
            ):
                assert connection.execute(statement.encode()).rowcount == 0, f"{domain}: {statement}"
            assert not _allowed(connection, f"UPDATE mesh.{table} SET domain = '{other}' WHERE domain = '{domain}'"), (
                "a row was handed over"
            )
            with warehouse.connect_platform() as admin:
                columns, values = _row(admin, table, other)
                values = [value.replace("probe", "forged") for value in values]
                admin.rollback()
            assert not _allowed(connection, f"INSERT INTO mesh.{table} ({', '.join(columns)}) VALUES ({', '.join(values)})"), (
                f"{domain} forged a row of {other}"
            )
            for statement in (
                f"TRUNCATE mesh.{table}",
                f"ALTER TABLE mesh.{table} DISABLE ROW LEVEL SECURITY",
                f"DROP TABLE mesh.{table}",
                f"CREATE POLICY all_mine ON mesh.{table} USING (true)",
            ):
                assert not _allowed(connection, statement), f"{domain}: {statement}"
            assert connection.execute(f"SELECT count(*) FROM mesh.{table} WHERE domain = '{other}'".encode()).fetchone() == (
                counted[other],
            ), "members read"


def test_a_domain_writes_its_own_platform_rows(warehouse: Warehouse, company: Company, as_owner: bool) -> None:
    for domain in company.domains:
        with _connect(warehouse, domain, as_owner) as connection:
            assert _allowed(connection, f"INSERT INTO mesh.run_requests (domain, assets, reason) VALUES ('{domain}', '{{}}', 'test')")
            assert connection.execute("UPDATE mesh.ports SET served_since = now() WHERE domain = %s", (domain,)).rowcount > 0
            connection.rollback()


def test_every_platform_table_speaks_of_a_domain_and_is_secured(warehouse: Warehouse) -> None:
    with warehouse.connect_platform() as admin:
        rows = admin.execute(
            """SELECT c.relname, c.relrowsecurity, EXISTS (SELECT FROM pg_attribute AS a WHERE a.attrelid = c.oid AND a.attname = 'domain' AND a.attnotnull),
                      pg_get_userbyid(c.relowner)
               FROM pg_class AS c WHERE c.relnamespace = 'mesh'::regnamespace AND c.relkind IN ('r', 'p')"""
        ).fetchall()
    assert {str(name) for name, *_ in rows} >= set(PLATFORM_TABLES)
    assert [name for name, secured, domain, owner in rows if not secured or not domain or owner != "mesh_platform"] == []


@pytest.mark.parametrize(
    ("grant", "step"),
    [
        ("SELECT ON sales_orders.orders TO PUBLIC", "revoke select on sales_orders.orders from PUBLIC"),
        ("SELECT ON sales_orders.orders TO inventory_owner", "revoke select on sales_orders.orders from inventory_owner"),
        ("INSERT ON sales_orders.daily_revenue TO marketing_owner", "revoke insert on sales_orders.daily_revenue from marketing_owner"),
        ("USAGE ON SCHEMA sales_orders_data TO marketing_owner", "revoke usage on schema sales_orders_data from marketing_owner"),
        ("CREATE ON SCHEMA sales_orders TO marketing_owner", "revoke create on schema sales_orders from marketing_owner"),
        ("CONNECT ON DATABASE {database} TO marketing_job", "revoke connect from marketing_job"),
        ("sales_orders_reader_pii TO marketing_owner", "revoke role sales_orders_reader_pii from marketing_owner"),
    ],
)
def test_access_given_by_hand_is_taken_back(warehouse: Warehouse, repo: Path, grant: str, step: str) -> None:
    mesh = load_mesh(repo)
    assert apply(warehouse, mesh) == ()
    with warehouse.connect_platform() as admin:
        admin.execute(f"GRANT {grant.format(database=admin.info.dbname)}".encode())
    assert [str(item) for item in apply(warehouse, mesh)] == [step]
    assert apply(warehouse, mesh) == ()


def test_a_person_needs_nothing_but_the_products_role(warehouse: Warehouse) -> None:
    """A login made by hand connects and reads the port, masked, and nothing else, once it has the reader's role."""
    assert warehouse.server is not None
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE ROLE analyst LOGIN")
        admin.execute(f"ALTER ROLE analyst PASSWORD '{warehouse.server.set_password('analyst')}'".encode())
        with pytest.raises(WarehouseError, match="permission denied for database"):
            warehouse.connect("analyst")
        admin.execute("GRANT customer_profiles_reader TO analyst")
        with warehouse.connect("analyst", autocommit=True) as person:
            assert person.execute("SELECT given_name, email FROM customer_profiles.profiles").fetchall() == [(None, "***")]
            for forbidden in ("customer_build.profiles", "customer_raw.users", "sales_orders.orders", "mesh.publications"):
                with pytest.raises(psycopg.errors.InsufficientPrivilege):
                    person.execute(f"SELECT FROM {forbidden}".encode())
        admin.execute("DROP ROLE analyst")


def test_public_has_nothing(warehouse: Warehouse, company: Company) -> None:
    """A login role that no file names can connect to no database of ours and read nothing."""
    with warehouse.connect_platform() as admin:
        schemas = [f"{domain}_{part}" for domain in company.domains for part in ("raw", "build")] + ["mesh"]
        schemas += [f"{relation.split('.')[0]}{end}" for relation in company.ports for end in ("", "_data")]
        found = admin.execute(
            """SELECT 'schema ' || nspname FROM pg_namespace CROSS JOIN LATERAL aclexplode(nspacl) AS a WHERE a.grantee = 0 AND nspname = ANY(%(schemas)s)
               UNION ALL
               SELECT 'relation ' || c.oid::regclass FROM pg_class AS c CROSS JOIN LATERAL aclexplode(relacl) AS a
               WHERE a.grantee = 0 AND c.relnamespace::regnamespace::text = ANY(%(schemas)s)
               UNION ALL
               SELECT 'database ' || datname FROM pg_database CROSS JOIN LATERAL aclexplode(coalesce(datacl, acldefault('d', datdba))) AS a
               WHERE a.grantee = 0 AND datname IN (current_database(), 'dagster')""",
            {"schemas": schemas},
        ).fetchall()
    assert found == []


def test_jobs_cannot_enter_dagsters_database_nor_dagster_the_warehouse(warehouse: Warehouse, company: Company) -> None:
    from platform_core.warehouse import WarehouseError

    for domain in company.domains:
        with pytest.raises(WarehouseError, match="permission denied for database"):
            warehouse.database("dagster").connect(f"{domain}_job")
    with pytest.raises(WarehouseError, match="permission denied for database"):
        warehouse.connect("dagster")
