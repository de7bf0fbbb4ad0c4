"""Retention and rollback: which versions stay, and how a port goes back to one."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from port_bench import LINES, ORDERS, Port, passes, table

from platform_core.contracts.lifecycle import Lifecycle
from platform_core.publishing import PublishingError, pin, prune, publications, rollback, rollbacks, served, switches, unpin
from platform_core.publishing.retention import KEPT
from platform_core.warehouse import readers


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


def test_a_rollback_is_on_record_with_who_when_from_to_and_why(port: Port) -> None:
    made = _publish(port, 1, 2)
    rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), actor="ada", reason="prices in euros")
    with port.warehouse.connect_platform() as connection:
        rows = switches(connection, port.contract.id)
        standing = rollbacks(connection)[port.contract.id]
    assert [(row.action, row.from_publication, row.to_publication, row.actor, row.reason) for row in rows] == [
        ("rollback", made[1], made[0], "ada", "prices in euros"),
        ("publication", made[0], made[1], "publisher", None),
        ("publication", None, made[0], "publisher", None),
    ]
    assert [row.happened_at for row in rows] == sorted((row.happened_at for row in rows), reverse=True)
    assert standing == rows[0]
    _publish(port, 3)
    with port.warehouse.connect_platform() as connection:
        assert rollbacks(connection) == {}, "the next publication ends the rollback"


def test_rollback_passes_over_what_shows_the_same_data(port: Port) -> None:
    """A model that is not rebuilt is published again from the same version: going back to that would change nothing."""
    first = _publish(port, 1)[0]
    _publish(port, 2)
    port.publish()
    port.publish()
    assert _rollback(port) == first
    assert port.numbers() == {1}


def test_rollback_passes_over_what_a_rollback_has_left(port: Port) -> None:
    made = _publish(port, 1, 2)
    _rollback(port)
    made += _publish(port, 3)
    assert _rollback(port) == made[0], "the publication that was taken back once was served again"
    _rollback(port, made[1])  # somebody wants it after all
    made += _publish(port, 4)
    assert _rollback(port) == made[1]


def test_rollback_to_what_is_served_is_an_error(port: Port) -> None:
    made = _publish(port, 1, 2)
    with pytest.raises(PublishingError, match=r"serves .* already"):
        _rollback(port, made[1])


def test_rollback_to_another_major_is_refused_and_to_a_minor_is_not(port: Port) -> None:
    made = _publish(port, 1)
    port.contract = replace(port.contract, version="1.1.0")
    made += _publish(port, 2)
    assert _rollback(port) == made[0]
    port.contract = replace(port.contract, version="2.0.0")
    with pytest.raises(PublishingError, match=r"was published for version 1\.1\.0, the contract promises 2\.0\.0") as caught:
        _rollback(port, made[1])
    assert "check out the files of version 1.1.0" in str(caught.value.remedy)
    assert port.numbers() == {1}


def test_rollback_to_a_version_with_another_type_is_refused(port: Port) -> None:
    """The view could show it, but no longer with the type that the contract promises."""
    made = _publish(port, 1)
    port.change(table("orders", {**ORDERS, "number": "bigint"}), table("lines", LINES))
    made += _publish(port, 2)
    with pytest.raises(PublishingError, match=r"another shape than version 1\.0\.0 promises: .*bigint"):
        _rollback(port, made[0])
    assert port.numbers() == {2}


def test_the_contract_says_how_many_publications_are_kept(port: Port) -> None:
    port.contract = replace(port.contract, lifecycle=Lifecycle(keep_publications=2))
    made = _publish(port, 1, 2, 3, 4)
    assert _kept(port) == set(made[-2:])
    port.contract = replace(port.contract, lifecycle=Lifecycle(keep_publications=1, keep_days=7))
    made += _publish(port, 5, 6)
    assert _kept(port) == set(made[-4:]), "publications of the last days stay as well"


def test_a_pinned_publication_is_kept_until_it_is_unpinned(port: Port) -> None:
    made = _publish(port, 1)
    with port.warehouse.connect_domain("sales") as connection:
        pin(connection, port.contract, made[0], actor="ada", reason="year-end report")
    made += _publish(port, *range(2, 9))
    assert made[0] in _kept(port)
    assert _rollback(port, made[0]) == made[0]
    made += _publish(port, 9)
    with port.warehouse.connect_domain("sales") as connection:
        unpin(connection, port.contract, made[0])
        prune(connection, port.contract)
    assert made[0] not in _kept(port)


def test_publications_of_one_version_count_once(port: Port) -> None:
    """An hourly audit of data that is rebuilt once a day must not push yesterday's data out."""
    made = _publish(port, 1, 2)
    for _ in range(10):
        port.publish()
    assert _rollback(port) == made[0]


def test_a_pin_of_nothing_and_an_unpin_of_nothing_are_errors(port: Port) -> None:
    made = _publish(port, 1)
    with port.warehouse.connect_domain("sales") as connection:
        with pytest.raises(PublishingError, match="no publication 'x'"), connection.transaction():
            pin(connection, port.contract, "x", actor="ada")
        with pytest.raises(PublishingError, match="is not pinned"):
            unpin(connection, port.contract, made[0])


def _kept(port: Port) -> set[str]:
    with port.warehouse.connect_platform() as connection:
        return {row.publication for row in publications(connection, port.contract.id) if row.kept}
