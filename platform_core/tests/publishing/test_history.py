"""Retention and rollback: which versions stay, and how a port goes back to one."""

from __future__ import annotations

import psycopg
import pytest
from port_bench import LINES, ORDERS, Port, passes, table

from platform_core.publishing import PublishingError, publications, rollback, served
from platform_core.publishing.retention import KEPT
from platform_core.warehouse import readers

pytestmark = pytest.mark.timeout(60)


def _publish(port: Port, *numbers: int) -> list[str]:
    made: list[str] = []
    for number in numbers:
        port.build(number, rows=1)
        made.append(port.publish().publication)
    return made


def _rollback(port: Port, to: str | None = None) -> str:
    return rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), to, actor="ada").publication


def _served(port: Port) -> str:
    with port.warehouse.connect_platform() as connection:
        return served(connection)[port.contract.id].publication


def test_five_publications_are_kept(port: Port) -> None:
    assert KEPT == 5
    made = _publish(port, *range(1, 9))
    assert port.versions() == {f"{name}__{publication}" for publication in made[-5:] for name in ("orders", "lines")}
    with port.warehouse.connect_platform() as connection:
        assert len(publications(connection, port.contract.id)) == 8, "the record of what was published is kept"


def test_what_a_port_serves_is_kept_however_old(port: Port) -> None:
    first = _publish(port, 1, 2)[0]
    _rollback(port)
    for number in range(3, 12):  # nine rejected candidates while the port serves the first publication
        port.build(number, rows=1)
        port.publish(passes(passed=False))
    assert _served(port) == first
    assert port.numbers() == {1}


def test_rejected_candidates_in_a_row_do_not_fill_the_disk(port: Port) -> None:
    _publish(port, 1)
    for number in range(2, 12):
        port.build(number, rows=1)
        port.publish(passes(passed=False))
    assert len(port.versions()) == 2 * (1 + KEPT)
    assert port.numbers() == {1}


def test_what_the_build_schema_still_shows_is_kept(port: Port) -> None:
    """A model that is not rebuilt is published again and again from one version, which its build view shows."""
    _publish(port, 1)
    for _ in range(8):
        port.publish()
    assert port.numbers() == {1}
    assert port.read("SELECT number FROM sales_build.orders", domain="sales") == [(1,)]


def test_versions_that_refer_to_each_other_are_dropped_all_the_same(port: Port) -> None:
    for number in range(1, 10):
        port.build(number, rows=1)
        with port.warehouse.connect_domain("sales") as connection:
            connection.execute("ALTER TABLE sales_build.orders ADD PRIMARY KEY (number)")
            connection.execute("ALTER TABLE sales_build.lines ADD FOREIGN KEY (number) REFERENCES sales_build.orders (number)")
        assert port.publish().published
    assert port.numbers() == {9}
    assert len(port.versions()) <= 2 * KEPT + 1


def test_a_reader_of_an_old_version_delays_only_its_drop(port: Port) -> None:
    _publish(port, *range(1, 6))
    with port.warehouse.connect_domain("sales") as reader:
        oldest = min(port.versions() - {name for name in port.versions() if name.startswith("lines")})
        reader.execute(f"SELECT * FROM sales_orders_data.{oldest}".encode())
        _publish(port, 6)
        assert port.numbers() == {6}
        assert oldest in port.versions()
    _publish(port, 7)
    assert oldest not in port.versions()


def test_rollback_serves_the_publication_before_and_again_the_one_before_that(port: Port) -> None:
    made = _publish(port, 1, 2, 3)
    assert _rollback(port) == made[1]
    assert port.numbers() == {2}
    assert _served(port) == made[1]
    assert _rollback(port) == made[0]
    assert port.numbers() == {1}
    with pytest.raises(PublishingError, match="before the served one"):
        _rollback(port)


def test_rollback_to_a_named_publication_and_forward_again(port: Port) -> None:
    made = _publish(port, 1, 2, 3)
    assert _rollback(port, made[0]) == made[0]
    assert port.numbers() == {1}
    assert _rollback(port, made[2]) == made[2]
    assert port.numbers() == {3}


def test_rollback_skips_what_was_rejected(port: Port) -> None:
    made = _publish(port, 1)
    port.build(2)
    rejected = port.publish(passes(passed=False)).publication
    made += _publish(port, 3)
    assert _rollback(port) == made[0]
    with pytest.raises(PublishingError) as caught:
        _rollback(port, rejected)
    assert rejected in caught.value.what
    assert str(caught.value.remedy) == f"choose one of: {made[1]}"


def test_rollback_without_any_publication(port: Port) -> None:
    with pytest.raises(PublishingError, match="serves nothing yet"):
        _rollback(port)


def test_rollback_to_pruned_data_changes_nothing(port: Port) -> None:
    made = _publish(port, *range(1, 9))
    with pytest.raises(PublishingError, match="retention has dropped it") as caught:
        _rollback(port, made[0])
    assert str(caught.value.remedy) == f"choose one of: {', '.join(made[-2:-6:-1])}", "what is still there is named"
    assert port.numbers() == {8}
    assert _served(port) == made[-1]


def test_rollback_over_a_new_table_or_column_of_the_contract_is_refused(port: Port) -> None:
    made = _publish(port, 1)
    port.change(table("orders", {**ORDERS, "country": "text"}), table("lines", LINES))
    _publish(port, 2)
    with pytest.raises(PublishingError, match="another shape"):
        _rollback(port, made[0])
    port.change(*port.contract.tables, table("returns", LINES))
    made += _publish(port, 3)
    with pytest.raises(PublishingError, match="another shape"):
        _rollback(port, made[0])
    assert port.numbers() == {3}
    assert _served(port) == made[-1]


def test_the_next_publication_ends_a_rollback(port: Port) -> None:
    _publish(port, 1, 2)
    _rollback(port)
    made = _publish(port, 3)
    assert port.numbers() == {3}
    assert _served(port) == made[-1]


def test_rollback_by_another_domain_is_refused(port: Port) -> None:
    _publish(port, 1, 2)
    with port.warehouse.connect_domain("marketing", autocommit=True) as connection:
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute("CREATE OR REPLACE VIEW sales_orders.orders AS SELECT 1 AS number, 'x' AS email")
        assert connection.execute("UPDATE mesh.ports SET publication = 'x'").rowcount == 0
