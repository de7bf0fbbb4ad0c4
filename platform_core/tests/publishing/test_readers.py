"""Readers while ports are published and rolled back: no error, no empty table, no mix of versions, no long wait."""

from __future__ import annotations

import importlib
import threading
import time
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
from port_bench import Port

from platform_core.publishing import PublishingError, rollback
from platform_core.warehouse import readers

PUBLICATIONS = 100
ORDERS = """SELECT min(number), max(number), count(*) FROM sales_orders.orders"""
LINES = """SELECT min(number), max(number), count(*) FROM sales_orders.lines"""
ROWS = 20
LONG_SECONDS = 20  # a look takes milliseconds; one that queues behind a switch would wait until the long reader ends, which it never does


class Readers:
    """Threads that read until they are stopped; what they saw, and what went wrong."""

    def __init__(
        self, port: Port, *looks: Callable[[psycopg.Connection], tuple[Any, ...]], isolation: psycopg.IsolationLevel | None = None
    ) -> None:
        self._port = port
        self._isolation = isolation
        self._ended = threading.Event()
        self.seen: list[tuple[Any, ...]] = []
        self.wrong: list[object] = []
        self.slowest = 0.0
        self._threads = [threading.Thread(target=self._run, args=(look,)) for look in looks]

    def __enter__(self) -> Readers:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join(120)

    def let_one_through(self) -> None:
        """Waits until one more look has come to its end."""
        before = len(self.seen)
        _wait_until(lambda: len(self.seen) > before, "a reader gets through")

    def _run(self, look: Callable[[psycopg.Connection], tuple[Any, ...]]) -> None:
        try:
            with self._port.warehouse.connect_domain("marketing", autocommit=True) as connection:
                connection.isolation_level = self._isolation
                while not self._ended.wait(0.002):  # polls, with next to no pause
                    began = time.monotonic()
                    found = look(connection)
                    self.slowest = max(self.slowest, time.monotonic() - began)
                    self.seen.append(found)
                    numbers, counts = set(found[:-2]), found[-2:]
                    if len(numbers) != 1 or None in numbers or counts != (ROWS, ROWS):
                        self.wrong.append(found)
        except Exception as error:
            self.wrong.append(error)


def _one_statement(connection: psycopg.Connection) -> tuple[Any, ...]:
    row = connection.execute(
        """SELECT o.low, o.high, l.low, l.high, o.rows, l.rows
           FROM (SELECT min(number) AS low, max(number) AS high, count(*) AS rows FROM sales_orders.orders) AS o,
                (SELECT min(number) AS low, max(number) AS high, count(*) AS rows FROM sales_orders.lines) AS l"""
    ).fetchone()
    assert row is not None
    return row


def _one_transaction(connection: psycopg.Connection) -> tuple[Any, ...]:
    """Two statements, the tables in the other order than they are switched."""
    with connection.transaction():
        lines = connection.execute(LINES).fetchone()
        orders = connection.execute(ORDERS).fetchone()
    assert lines is not None
    assert orders is not None
    return (*orders[:2], *lines[:2], orders[2], lines[2])


def test_a_hundred_publications_under_readers(port: Port) -> None:
    port.build(0, rows=ROWS)
    port.publish()
    repeatable = psycopg.IsolationLevel.REPEATABLE_READ
    with (
        Readers(port, _one_statement, _one_transaction) as common,
        Readers(port, _one_transaction, isolation=repeatable) as strict,
    ):
        for number in range(1, PUBLICATIONS + 1):
            port.build(number, rows=ROWS)
            assert port.publish().published
            if number % 2:  # at least every other one is read
                common.let_one_through()
        for _ in range(3):
            rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), actor="ada")
    assert common.wrong == []
    assert strict.wrong == []
    numbers = {found[0] for found in common.seen}
    assert len(numbers) > PUBLICATIONS / 4, "the readers did not read while the port changed"
    assert common.slowest < LONG_SECONDS, "a reader waited"


def _waiting(port: Port) -> int:
    """How many backends wait for a lock on one of the port's views."""
    return int(
        port.admin(
            """SELECT count(*) FROM pg_locks WHERE NOT granted AND database = (SELECT oid FROM pg_database WHERE datname = current_database())
               AND relation IN ('sales_orders.orders'::regclass, 'sales_orders.lines'::regclass)"""
        )[0][0]
    )


def _wait_until(condition: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + 120
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.01)


@pytest.mark.parametrize("action", ["publish", "rollback"])
def test_a_long_reader_delays_the_switch_but_nobody_else(port: Port, action: str) -> None:
    for number in (1, 2):
        port.build(number, rows=ROWS)
        port.publish()
    port.build(3, rows=ROWS)
    failed: list[BaseException] = []

    def act() -> None:
        try:
            if action == "publish":
                port.publish()
            else:
                rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), actor="ada")
        except BaseException as error:
            failed.append(error)

    switching = threading.Thread(target=act)
    with port.warehouse.connect_domain("inventory") as long:
        long.execute("SELECT count(*) FROM sales_orders.orders")  # its transaction stays open, and with it the lock
        switching.start()
        with Readers(port, _one_statement) as others:
            for _ in range(3):  # the switch queues up, gives way, and queues up again
                _wait_until(lambda: _waiting(port) > 0, "the switch waits")
                others.let_one_through()
        assert switching.is_alive(), "the switch did not wait for the reader"
        assert others.wrong == []
        assert {found[0] for found in others.seen} == {2}
        assert others.slowest < LONG_SECONDS, "readers queued behind the switch"
        long.rollback()
    switching.join(120)
    assert failed == []
    assert port.numbers() == ({3} if action == "publish" else {1})


def test_a_reader_that_never_ends_is_an_error_with_a_remedy_and_the_candidate_is_kept(port: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.import_module("platform_core.publishing.switch"), "_SWITCH_SECONDS", 0.0)
    port.build(1, rows=ROWS)
    port.publish()
    port.build(2, rows=ROWS)
    with port.warehouse.connect_domain("marketing") as long:
        long.execute("SELECT count(*) FROM sales_orders.lines")
        with pytest.raises(PublishingError) as caught:
            port.publish()
        assert caught.value.where == port.contract.id
        assert "pg_stat_activity" in str(caught.value.remedy)
        assert port.read("SELECT DISTINCT number FROM sales_orders.orders") == [(1,)], "the other reader is kept waiting"
        with pytest.raises(PublishingError):
            rollback(port.warehouse, port.contract, (), None, actor="ada")
    assert port.publish().published
    assert port.numbers() == {2}


def test_a_snapshot_older_than_the_publication_is_not_shown_an_empty_table(port: Port) -> None:
    """A REPEATABLE READ transaction (pg_dump, a BI tool) that looked elsewhere first: it may be refused, it must not be misled."""
    port.build(1, rows=ROWS)
    port.publish()
    with port.warehouse.connect_domain("marketing") as old:
        old.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        old.execute("SELECT 1")
        port.build(2, rows=ROWS)
        port.publish()
        try:
            found = old.execute("SELECT number, count(*) FROM sales_orders.orders GROUP BY 1").fetchall()
        except psycopg.errors.SerializationFailure:
            return
        assert found in ([(1, ROWS)], [(2, ROWS)])
