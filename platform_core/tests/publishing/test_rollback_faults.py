"""Rollback and retention under fire: killed at every step, at once with each other, and while a publication is under way."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable
from typing import Any

import pytest
from port_bench import Port, after, die, killed, passes

from platform_core.publishing import PublishingError, port_view, publications, retention, rollback, served, switches
from platform_core.warehouse import readers

rolling = importlib.import_module("platform_core.publishing.rollback")  # the package gives the function of this name
publishing = importlib.import_module("platform_core.publishing.publish")


def _rollback(port: Port, to: str | None = None, **options: Any) -> str:
    return rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), to, actor="ada", **options).publication


def _chosen(port: Port) -> None:
    rolling.switch = die
    _rollback(port)


def _recorded(port: Port) -> None:
    rolling.serve = after(rolling.serve)
    _rollback(port)


def _announcing(port: Port) -> None:
    _rollback(port, announce=die)


def _half_switched(port: Port) -> None:
    port_view.point = after(port_view.point)
    _rollback(port)


def _all_but_committed(port: Port) -> None:
    port_view.point = after(port_view.point, calls=2)
    _rollback(port)


def _switched(port: Port) -> None:
    rolling.switch = after(rolling.switch)
    _rollback(port)


def _publish(port: Port, *numbers: int) -> list[str]:
    made: list[str] = []
    for number in numbers:
        port.build(number)
        made.append(port.publish().publication)
    return made


def _story(port: Port) -> tuple[str, list[str]]:
    """What is served by the record, and the actions on record, newest first."""
    with port.warehouse.connect_platform() as connection:
        return served(connection)[port.contract.id].publication, [row.action for row in switches(connection, port.contract.id)]


STEPS = [_chosen, _recorded, _announcing, _half_switched, _all_but_committed, _switched]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: step.__name__.strip("_"))
def test_a_rollback_that_is_killed_is_whole_or_was_not(port: Port, step: Callable[[Port], None]) -> None:
    made = _publish(port, 1, 2)
    killed(step, port)
    done = step is _switched
    assert port.numbers() == ({1} if done else {2}), "readers see a half state"
    now, actions = _story(port)
    assert (now, actions.count("rollback")) == ((made[0], 1) if done else (made[1], 0)), "the record and the views differ"
    if not done:
        assert _rollback(port) == made[0], "a second attempt waits for nobody"
        assert port.numbers() == {1}
    port.build(3)
    assert port.publish().published
    assert port.numbers() == {3}


def test_retention_that_is_killed_drops_all_or_nothing_and_ends_the_next_time(port: Port) -> None:
    _publish(port, *range(1, 6))
    port.build(6)
    before = port.versions()

    def step(port: Port) -> None:
        retention.prune = after(retention.prune)  # its transaction is not committed yet
        port.publish()

    killed(step, port)
    assert before <= port.versions(), "a version went, although the transaction did not end"
    assert port.numbers() == {6}
    _publish(port, 7)
    assert len(port.versions()) == 2 * retention.KEPT


def test_of_two_rollbacks_at_once_one_wins_and_the_other_is_told(port: Port) -> None:
    """Two people press the button for the same bad publication: the port goes back one step, not two."""
    made = _publish(port, 1, 2, 3)
    both = threading.Barrier(2)
    done: list[str] = []
    refused: list[PublishingError] = []
    original = rolling.switch

    def together(*arguments: Any, **options: Any) -> None:
        both.wait(30)  # both have looked at what is served, none has switched
        original(*arguments, **options)

    def run() -> None:
        try:
            done.append(_rollback(port))
        except PublishingError as error:
            refused.append(error)

    rolling.switch = together
    try:
        threads = [threading.Thread(target=run) for _ in range(2)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(30)
    finally:
        rolling.switch = original
    assert done == [made[1]]
    assert ["switched meanwhile" in error.what for error in refused] == [True]
    assert port.numbers() == {2}
    assert _story(port) == (made[1], ["rollback", "publication", "publication", "publication"])


def test_a_rollback_does_not_wait_for_an_audit_and_the_publication_goes_forward(port: Port) -> None:
    made = _publish(port, 1, 2)
    port.build(3)
    publishing.publish(
        port.warehouse,
        port.contract,
        readers(port.mesh, port.contract),
        port.audit(then=lambda: made.append(_rollback(port))),
        code_version="c0de",
    )
    assert made[2] == made[0], "the rollback was done while the audit ran"
    assert port.numbers() == {3}
    assert _story(port)[1] == ["publication", "rollback", "publication", "publication"]


def test_a_rejected_candidate_leaves_a_rollback_alone(port: Port) -> None:
    made = _publish(port, 1, 2)
    _rollback(port)
    port.build(3)
    assert not port.publish(passes(passed=False)).published
    assert port.numbers() == {1}
    assert _story(port)[0] == made[0]


def test_what_a_rollback_has_chosen_is_dropped_meanwhile(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    made = _publish(port, 1, 2)
    original = rolling.switch

    def late(*arguments: Any, **options: Any) -> None:
        for table in ("orders", "lines"):
            port.admin(f"DROP TABLE sales_orders_data.{table}__{made[0]}", rows=False)
        original(*arguments, **options)

    monkeypatch.setattr(rolling, "switch", late)
    with pytest.raises(PublishingError, match="retention has dropped it"):
        _rollback(port)
    assert port.numbers() == {2}
    with port.warehouse.connect_platform() as connection:
        assert [row.served for row in publications(connection, port.contract.id)] == [True, False]
