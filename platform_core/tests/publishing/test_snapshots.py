"""What a transaction with an old snapshot gets from a port that was published meanwhile; and that asking costs nothing while a query runs."""

from __future__ import annotations

import psycopg
import pytest
from port_bench import Port

READ = "SELECT number FROM sales_orders.orders"


@pytest.mark.parametrize("prepared", [False, True])
def test_an_old_snapshot_is_told_so_and_never_sees_an_empty_port(port: Port, prepared: bool) -> None:
    """A plan made before the switch is thrown away by it, so a prepared statement asks anew."""
    port.build(1)
    port.publish()
    with port.warehouse.connect_domain("marketing") as reader:
        reader.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        assert reader.execute(READ, prepare=prepared).fetchall() == [(1,)] * 3
        reader.commit()  # who has read the port holds it: the publisher waits for them
        reader.execute("SELECT count(*) FROM pg_class")  # the snapshot of the transaction
        port.build(2)
        port.publish()
        with pytest.raises(psycopg.errors.SerializationFailure, match="published after"):
            reader.execute(READ, prepare=prepared)
        reader.rollback()
        assert reader.execute(READ, prepare=prepared).fetchall() == [(2,)] * 3


def test_a_prepared_statement_in_read_committed_follows_the_port(port: Port) -> None:
    port.build(1)
    port.publish()
    with port.warehouse.connect_domain("marketing") as reader:
        for number in (1, 2, 3):
            assert reader.execute(READ, prepare=True).fetchall() == [(number,)] * 3
            reader.commit()
            port.build(number + 1)
            port.publish()


def test_the_plan_of_a_port_without_masks_is_that_of_its_table(port: Port) -> None:
    port.build(1)
    port.publish()
    ((version,),) = port.admin("SELECT tables -> 'lines' ->> 'version' FROM mesh.publications WHERE state = 'published'")

    def plan(relation: str) -> list[str]:
        with port.warehouse.connect_domain("sales", autocommit=True) as owner:
            rows = owner.execute(f"EXPLAIN (COSTS OFF) SELECT sum(number) FROM {relation} WHERE line > 1".encode()).fetchall()
        return [str(row[0]).replace("v.", "").replace(f"{version} v", version) for row in rows]

    assert plan("sales_orders.lines") == plan(f'sales_orders_data."{version}"')
