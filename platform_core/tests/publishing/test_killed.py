"""A publisher that is killed (a real SIGKILL, no cleanup) at every step: readers notice nothing, the next attempt finishes."""

from __future__ import annotations

import importlib
from collections.abc import Callable

import pytest
from port_bench import Port, after, die, killed, passes

from platform_core.publishing import port_view, publications, retention, seal, served

publishing = importlib.import_module("platform_core.publishing.publish")  # the package gives the function of this name


def _seal_half(port: Port) -> None:
    seal._seal_table = after(seal._seal_table)
    port.publish()


def _sealed(port: Port) -> None:
    publishing.publish(port.warehouse, port.contract, (), die, code_version="c0de")


def _audited(port: Port) -> None:
    publishing.publish(port.warehouse, port.contract, (), port.audit(then=die), code_version="c0de")


def _recorded(port: Port) -> None:
    publishing._record = after(publishing._record)
    port.publish()


def _announcing(port: Port) -> None:
    port.publish(announce=die)


def _half_switched(port: Port) -> None:
    port_view.point = after(port_view.point)
    port.publish()


def _all_but_committed(port: Port) -> None:
    port_view.point = after(port_view.point, calls=2)
    port.publish()


def _switched(port: Port) -> None:
    retention.prune = die
    port.publish()


def _pruned(port: Port) -> None:
    retention.prune = after(retention.prune)
    port.publish()


STEPS = [_seal_half, _sealed, _audited, _recorded, _announcing, _half_switched, _all_but_committed, _switched, _pruned]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__.strip("_"))
def test_killed_and_tried_again(port: Port, step: Callable[[Port], None]) -> None:
    port.build(1)
    port.publish()
    port.build(2)
    candidate = port.admin("SELECT pg_relation_filenode('sales_build.orders')")
    killed(step, port)

    after = {2} if step in {_switched, _pruned} else {1}
    assert port.numbers() == after, "readers see a half state"
    assert port.read("SELECT DISTINCT number FROM sales_build.orders UNION SELECT number FROM sales_build.lines", domain="sales") == [(2,)]
    with port.warehouse.connect_platform() as connection:
        shown = served(connection)[port.contract.id]
    assert port.numbers() == ({1} if shown.tables["orders"]["version"] == min(_of_orders(port)) else {2}), "the record and the view differ"

    outcome = port.publish()  # waits for nobody: the killed publisher's lock is gone
    assert outcome.published
    assert port.numbers() == {2}
    version = f"sales_orders_data.{outcome.versions['orders']}"
    assert port.admin(f"SELECT pg_relation_filenode('{version}')") == candidate, "the sealed candidate was not picked up"
    assert len(_of_orders(port)) == 2
    with port.warehouse.connect_platform() as connection:
        assert served(connection)[port.contract.id].publication == outcome.publication
        states = [row.state for row in publications(connection, port.contract.id)]
    assert states[0] == "published"


def test_a_candidate_built_after_the_kill_is_the_one_that_is_published(port: Port) -> None:
    port.build(1)
    port.publish()
    port.build(2)
    killed(_audited, port)
    port.build(3)
    port.publish()
    assert port.numbers() == {3}
    assert port.build(4) is None
    port.publish(passes(passed=False))
    assert port.numbers() == {3}


def test_candidates_of_killed_publishers_are_dropped_in_time(port: Port) -> None:
    for number in range(1, 9):
        port.build(number, rows=1)
        killed(_sealed, port)
    port.build(9, rows=1)
    port.publish()
    assert port.numbers() == {9}
    assert len(_of_orders(port)) <= 1 + retention.KEPT


def _of_orders(port: Port) -> list[str]:
    return sorted(name for name in port.versions() if name.startswith("orders__"))
