"""A published version stays as it was: not even the domain that built it can change a row of it, or take it away."""

from __future__ import annotations

import psycopg
import pytest
from port_bench import LINES, ORDERS, Port, hosted_port, table
from psycopg import errors

from platform_core.contracts import naming
from platform_core.publishing import publications, publish, rollback
from platform_core.warehouse import apply

CHANGES = (
    "INSERT INTO sales_orders_data.{version} VALUES (9, 'x')",
    "UPDATE sales_orders_data.{version} SET number = 9",
    "DELETE FROM sales_orders_data.{version}",
    "TRUNCATE sales_orders_data.{version}",
    "DROP TABLE sales_orders_data.{version} CASCADE",
    "ALTER TABLE sales_orders_data.{version} ADD COLUMN late text",
    "ALTER TABLE sales_orders_data.{version} OWNER TO sales_owner",
    "ALTER TABLE sales_orders_data.{version} SET SCHEMA sales_build",
    "ALTER TABLE sales_orders_data.{version} RENAME TO other",
    "ALTER TABLE sales_orders_data.{version} DISABLE TRIGGER ALL",
    "CREATE INDEX ON sales_orders_data.{version} (number)",
    "CREATE TRIGGER late BEFORE INSERT ON sales_orders_data.{version} EXECUTE FUNCTION mesh.keep_record()",
    "CREATE RULE late AS ON SELECT TO sales_orders_data.{version} DO INSTEAD SELECT 1",
    "LOCK TABLE sales_orders_data.{version} IN EXCLUSIVE MODE",
    "DROP SCHEMA sales_orders_data CASCADE",
    "ALTER SCHEMA sales_orders_data OWNER TO sales_owner",
    "ALTER SCHEMA sales_orders_data RENAME TO gone",
    "SET ROLE mesh_keeper",
    "GRANT mesh_keeper TO sales_job",
    "DELETE FROM mesh.publications",
    "UPDATE mesh.publications SET state = 'rejected'",
    "DELETE FROM mesh.switches",
    "UPDATE mesh.switches SET reason = 'none'",
)


@pytest.mark.parametrize("role", ["owner", "job"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.replace("sales_orders_data.{version}", "it")[:40])
def test_the_domain_cannot_change_what_it_published(published: tuple[Port, str], change: str, role: str) -> None:
    port, version = published
    statement = change.format(version=version).encode()
    acting = port.warehouse.connect_domain("sales") if role == "owner" else port.warehouse.connect(naming.job_role("sales"))
    refused = (errors.InsufficientPrivilege, errors.WrongObjectType)  # a table cannot be given a SELECT rule by anybody
    with acting as connection, pytest.raises(refused):
        connection.execute(statement)
    assert port.read(f"SELECT count(*), min(number) FROM sales_orders_data.{version}", domain="sales") == [(3, 1)]


@pytest.fixture(scope="module")
def published(module_port: Port) -> tuple[Port, str]:
    """A port that serves its first version, and that version of its table."""
    module_port.build(1)
    return module_port, module_port.publish().versions["orders"]


@pytest.mark.parametrize("grant", ["INSERT ON {} TO sales_owner", "SELECT ON {} TO marketing_owner"])
def test_the_domain_cannot_give_rights_to_what_it_published(published: tuple[Port, str], grant: str) -> None:
    """Postgres answers such a GRANT with a warning: what counts is that nothing changes."""
    port, version = published
    acl = "SELECT relacl::text FROM pg_class WHERE relname = %s"
    before = port.admin(acl, version)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute(f"GRANT {grant.format(f'sales_orders_data.{version}')}".encode())
    assert port.admin(acl, version) == before


def test_the_rows_are_out_of_the_domains_hands_before_they_are_audited(port: Port) -> None:
    port.build(1)
    refused: list[type[Exception]] = []

    def tamper() -> None:
        for version in port.versions():
            with port.warehouse.connect_domain("sales", autocommit=True) as connection:
                try:
                    connection.execute(f"DELETE FROM sales_orders_data.{version}".encode())
                except psycopg.Error as error:
                    refused.append(type(error))

    outcome = publish(port.warehouse, port.contract, (), port.audit(then=tamper), code_version="c0de")
    assert refused == [errors.InsufficientPrivilege] * 2
    assert outcome.published
    assert port.read("SELECT count(*) FROM sales_orders.orders", domain="sales") == [(3,)]


def test_a_copied_candidate_is_immutable_too_and_its_model_is_not(port: Port) -> None:
    port.change(table("orders", ORDERS, incremental=True), table("lines", LINES))
    port.build(1)
    version = port.publish().versions["orders"]
    with port.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("UPDATE sales_build.orders SET number = 7")
        with pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"UPDATE sales_orders_data.{version} SET number = 7".encode())


def test_versions_from_before_the_keeper_pass_to_it_with_the_next_publication(port: Port) -> None:
    port.build(1)
    version = port.publish().versions["orders"]
    port.admin(f"ALTER TABLE sales_orders_data.{version} OWNER TO sales_owner", rows=False)
    port.publish()
    assert port.admin("SELECT relowner::regrole::text FROM pg_class WHERE relname = %s", version) == [("mesh_keeper",)]


def test_the_procedures_do_only_what_the_records_say_whoever_calls_them(port: Port) -> None:
    """Another domain cannot use them to seal, to drop, or to reach into a schema that is not the keeper's."""
    port.build(1)
    version = port.publish().versions["orders"]
    port.build(2)
    for domain in ("marketing", "sales"):
        port.read("SELECT mesh.keep_versions('sales.build.x', ARRAY['orders', 'lines'])", domain=domain)
        port.read("SELECT mesh.keep_versions('sales.orders.orders', ARRAY['orders'])", domain=domain)
        assert port.read("SELECT * FROM mesh.prune_versions('sales.orders.orders')", domain=domain) == []
    assert version in port.versions()
    assert port.admin("SELECT relowner::regrole::text FROM pg_class WHERE oid = 'sales_build.orders'::regclass") == [("sales_owner",)]
    with port.warehouse.connect_domain("marketing", autocommit=True) as connection:
        for statement in (
            "INSERT INTO mesh.retention_rules VALUES ('sales.orders.orders', 'marketing', 1, 0)",
            """INSERT INTO mesh.publications (publication, domain, product_id, contract_id, contract_version, code_version, state, tables)
               VALUES ('z', 'marketing', 'sales.orders', 'sales.orders.orders', '1.0.0', '', 'published', '{}')""",
        ):
            with pytest.raises(errors.InsufficientPrivilege):
                connection.execute(statement.encode())


def test_the_warehouse_and_the_platform_name_a_ports_schema_alike(port: Port) -> None:
    for contract in ("sales.orders.orders", "sales.orders.orders_v2", "a_b.c_d.e_f"):
        assert port.admin("SELECT mesh.data_schema(%s)", contract) == [(naming.data_schema(contract.rpartition(".")[0]),)]


def test_the_record_of_a_publication_is_listed_with_what_became_of_its_data(port: Port) -> None:
    made = []
    for number in range(1, 8):
        port.build(number, rows=1)
        made.append(port.publish().publication)
    with port.warehouse.connect_platform() as connection:
        rows = publications(connection, port.contract.id)
    assert [(row.publication, row.kept, row.served) for row in rows] == [
        (publication, at < 5, at == 0) for at, publication in enumerate(reversed(made))
    ]


def test_it_holds_where_the_platforms_role_is_no_superuser(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As at a hosted Postgres, where nobody is one: the role may make roles, and owns the database."""
    with hosted_port(tmp_path_factory.mktemp("hosted"), "sales", "marketing") as (port, _):
        assert apply(port.warehouse, port.mesh) == (), "a second apply has something to do"
        for number in range(1, 8):
            port.build(number)
            assert port.publish().published
        assert len(port.versions()) == 10, "retention drops as the platform's role"
        rollback(port.warehouse, port.contract, ("marketing_owner",), actor="ada")
        assert port.numbers() == {6}
        with port.warehouse.connect_domain("sales") as connection, pytest.raises(errors.InsufficientPrivilege):
            connection.execute(f"DROP TABLE sales_orders_data.{min(port.versions())}".encode())
