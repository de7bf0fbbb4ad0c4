"""Seal, audit, switch, on the real server: what readers see, what is kept on record, what it costs."""

from __future__ import annotations

import threading

import psycopg
import pytest
from port_bench import LINES, ORDERS, Port, passes, table
from psycopg import Connection

from platform_core.publishing import Outcome, PublishingError, failed_checks, publications, publish, served


def _oid(port: Port, relation: str) -> tuple[int, int]:
    """Identity of a table and of its file on disk: both stay when a table is moved, both change when it is copied."""
    return port.admin("SELECT oid, pg_relation_filenode(oid) FROM pg_class WHERE oid = to_regclass(%s)", relation)[0]


@pytest.mark.parametrize("rows", [10, 200_000])
def test_a_table_is_moved_into_its_version_and_not_copied(port: Port, rows: int) -> None:
    port.build(1, rows=rows)
    before = _oid(port, "sales_build.orders")
    tuple_before = port.admin("SELECT ctid::text, xmin::text FROM sales_build.orders LIMIT 1")
    outcome = port.publish()
    version = f"sales_orders_data.{outcome.versions['orders']}"
    assert _oid(port, version) == before
    assert port.admin(f"SELECT ctid::text, xmin::text FROM {version} LIMIT 1") == tuple_before
    assert outcome.rows == {"orders": rows, "lines": rows}


def test_the_audit_sees_the_sealed_relations_before_any_reader_does(port: Port) -> None:
    port.build(1)
    outcome = port.publish()
    assert port.seen == [{name: ("sales_orders_data", version) for name, version in outcome.versions.items()}]
    port.build(2)

    def announce(_connection: Connection, _outcome: Outcome) -> None:
        assert port.numbers() == {1}, "the port shows a candidate before it is published"

    port.publish(announce=announce)
    assert port.numbers() == {2}


def test_the_build_schema_stays_readable_after_sealing(port: Port) -> None:
    port.build(1)
    port.publish()
    assert port.read("SELECT DISTINCT number FROM sales_build.orders", domain="sales") == [(1,)]
    port.build(2)
    assert port.read("SELECT DISTINCT number FROM sales_build.orders", domain="sales") == [(2,)]
    assert port.numbers() == {1}
    port.publish()
    assert port.numbers() == {2}


def test_a_build_view_on_a_sealed_model_goes_on_showing_it(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("CREATE VIEW sales_build.big_orders AS SELECT * FROM sales_build.orders WHERE number > 0")
    port.publish()
    assert len(port.read("SELECT * FROM sales_build.big_orders", domain="sales")) == 3


def test_published_again_without_a_build_serves_the_same_version(port: Port) -> None:
    port.build(1)
    first = port.publish()
    second = port.publish()
    assert second.publication != first.publication
    assert dict(second.versions) == dict(first.versions)
    assert len(port.versions()) == 2


def test_a_candidate_with_a_primary_key_and_an_identity_is_published_again_and_again(port: Port) -> None:
    """Index and sequence names are unique in a schema, and they move along with their table."""
    for number in (1, 2, 3):
        port.build(number)
        with port.warehouse.connect_domain("sales") as connection:
            connection.execute("ALTER TABLE sales_build.lines ADD COLUMN id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY")
            connection.execute("CREATE INDEX by_number ON sales_build.orders (number)")
        assert port.publish().published
        assert port.numbers() == {number}
    found = port.admin("SELECT count(*) FROM pg_indexes WHERE schemaname = 'sales_orders_data'")
    assert found == [(6,)], "a version keeps its indexes"


def test_an_unlogged_candidate_is_made_safe_against_a_crash(port: Port) -> None:
    """Postgres empties unlogged tables after a crash; a port must never show that."""
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("ALTER TABLE sales_build.orders SET UNLOGGED")
    outcome = port.publish()
    found = port.admin("SELECT relpersistence::text FROM pg_class WHERE relname = %s", outcome.versions["orders"])
    assert found == [("p",)]


def test_an_incremental_model_keeps_its_table(port: Port) -> None:
    port.change(table("orders", ORDERS, incremental=True), table("lines", LINES))
    port.build(1)
    before = _oid(port, "sales_build.orders")
    outcome = port.publish()
    assert _oid(port, "sales_build.orders") == before
    assert port.admin("SELECT relkind::text FROM pg_class WHERE oid = 'sales_build.orders'::regclass") == [("r",)]
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("INSERT INTO sales_build.orders VALUES (7, 'late@example.com')")
    assert port.numbers() == {1}, "a build changed what was published"
    port.publish()
    assert port.numbers() == {1, 7}
    assert outcome.versions["orders"] in port.versions()


def test_a_model_that_is_a_view_is_copied(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("ALTER TABLE sales_build.orders RENAME TO stg_orders")
        connection.execute("CREATE VIEW sales_build.orders AS SELECT number, email FROM sales_build.stg_orders")
    port.publish()
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("DELETE FROM sales_build.stg_orders")
    assert port.numbers() == {1}


def test_without_a_candidate_the_error_names_clause_and_asset(port: Port) -> None:
    with pytest.raises(PublishingError) as caught:
        port.publish()
    assert str(caught.value.where) == "contracts/orders.odcs.yaml:5"
    assert "sales_build.orders" in caught.value.what
    assert "sales/build/orders" in str(caught.value.remedy)
    assert port.admin("SELECT count(*) FROM mesh.publications") == [(0,)]


def test_when_one_of_two_candidates_is_missing_nothing_is_sealed(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("DROP TABLE sales_build.lines")
    with pytest.raises(PublishingError, match=r"sales_build\.lines"):
        port.publish()
    assert port.admin("SELECT relkind::text FROM pg_class WHERE oid = 'sales_build.orders'::regclass") == [("r",)]
    assert port.versions() == set()


def test_a_rejected_candidate_leaves_the_former_version_served_and_says_which_rule(port: Port) -> None:
    port.build(1)
    first = port.publish()
    port.build(2)
    outcome = port.publish(
        passes("orders__fine"), passes("orders__paid", passed=False, line=97), passes("orders__few", passed=False, severity="warning")
    )
    assert not outcome.published
    assert [result.rule.name for result in outcome.broken] == ["orders__paid"]
    assert port.numbers() == {1}
    with port.warehouse.connect_platform() as connection:
        assert served(connection)[port.contract.id].publication == first.publication
        states = [(row.publication, row.state, row.checks_passed, row.checks_failed) for row in publications(connection, port.contract.id)]
        failed = failed_checks(connection, port.contract.id)
    assert states == [(outcome.publication, "rejected", 1, 2), (first.publication, "published", 1, 0)]
    assert [(row.rule, row.severity, row.observed, row.sample_query, row.location) for row in failed] == [
        ("orders__paid", "error", "1 of 1 rows", "SELECT 1", "contracts/orders.odcs.yaml:97"),
        ("orders__few", "warning", "1 of 1 rows", "SELECT 1", "contracts/orders.odcs.yaml:42"),
    ]


def test_a_warning_alone_does_not_hold_a_candidate_back(port: Port) -> None:
    port.build(1)
    outcome = port.publish(passes(), passes("orders__few", passed=False, severity="warning"))
    assert outcome.published
    assert outcome.broken == ()


def test_an_audit_that_raises_publishes_nothing(port: Port) -> None:
    port.build(1)
    port.publish()
    port.build(2)

    def burst() -> None:
        raise RuntimeError("the scan was cut")

    with pytest.raises(RuntimeError, match="the scan was cut"):
        publish(port.warehouse, port.contract, (), port.audit(then=burst), code_version="c0de")
    assert port.numbers() == {1}
    assert port.publish().published
    assert port.numbers() == {2}


def test_what_cannot_be_announced_is_not_published(port: Port) -> None:
    """The catalog's outbox and the switch are one transaction: neither happens without the other."""
    port.build(1)
    port.publish()
    port.build(2)

    def refuse(connection: Connection, _outcome: Outcome) -> None:
        connection.execute("INSERT INTO mesh.run_requests (domain, assets, reason) VALUES ('sales', '{x}', 'told')")
        raise RuntimeError("no outbox")

    with pytest.raises(RuntimeError, match="no outbox"):
        port.publish(announce=refuse)
    assert port.numbers() == {1}
    assert port.admin("SELECT count(*) FROM mesh.run_requests") == [(0,)]
    with port.warehouse.connect_platform() as connection:
        assert [row.state for row in publications(connection, port.contract.id)] == ["sealed", "published"]


def test_two_publishers_at_once_take_turns(port: Port) -> None:
    port.build(1)
    inside, most = threading.Lock(), []
    outcomes: list[Outcome] = []
    errors: list[BaseException] = []
    auditing = 0

    def enter() -> None:
        nonlocal auditing
        with inside:
            auditing += 1
            most.append(auditing)

    def leave(_connection: Connection, _outcome: Outcome) -> None:
        nonlocal auditing
        with inside:
            auditing -= 1

    def run() -> None:
        try:
            outcomes.append(publish(port.warehouse, port.contract, (), port.audit(then=enter), code_version="c0de", announce=leave))
        except Exception as error:
            errors.append(error)

    threads = [threading.Thread(target=run) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert errors == []
    assert most == [1, 1, 1, 1], "two publishers audited the same port at once"
    assert len({outcome.publication for outcome in outcomes}) == 4
    with port.warehouse.connect_platform() as connection:
        assert served(connection)[port.contract.id].publication == max(outcome.publication for outcome in outcomes)


def test_publishers_of_two_ports_do_not_wait_for_each_other(port: Port) -> None:
    port.build(1)
    with port.warehouse.connect_domain("sales", autocommit=True) as other:
        other.execute("SELECT pg_advisory_lock(hashtextextended('mesh port sales.returns.returns', 0))")
        assert port.publish().published


def test_statistics_are_there_at_the_first_query(port: Port) -> None:
    port.build(1, rows=500)
    version = port.publish().versions["orders"]
    assert port.admin("SELECT reltuples::int FROM pg_class WHERE relname = %s", version) == [(500,)]


def test_consumers_can_neither_see_nor_change_versions(port: Port) -> None:
    port.build(1)
    version = port.publish().versions["orders"]
    for statement in (
        f"SELECT * FROM sales_orders_data.{version}",
        "SELECT * FROM sales_build.orders",
        "DELETE FROM sales_orders.orders",
        "INSERT INTO sales_orders.lines VALUES (9, 9)",
        "UPDATE sales_orders.orders SET number = 9",
        "CREATE TABLE sales_orders.x (a int)",
        "DROP VIEW sales_orders.orders",
    ):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            port.read(statement)
