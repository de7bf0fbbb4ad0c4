"""The outbox on a real Postgres: nothing is lost, nothing unchanged goes twice, no server holds up a publication."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import Connection

from platform_core.catalog import (
    CatalogError,
    CatalogProduct,
    HttpSink,
    Outgoing,
    Proposal,
    RuleResult,
    SinkUnavailableError,
    Taken,
    announce,
    check_file,
    compile_product,
    declared_urns,
    deliver,
    deliver_all,
    enqueue,
    release,
    standings,
    withdraw,
)
from platform_core.catalog.outbox import EVENTS_KEPT
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


@dataclass
class Recorder:
    """A sink that remembers, and does ``during`` while it has a batch in hand."""

    name: str = "recorder"
    shared: bool = False
    got: list[Outgoing] = field(default_factory=list)
    during: Callable[[Sequence[Outgoing]], None] = lambda batch: None
    failure: SinkUnavailableError | None = None

    def lost(self, products: Collection[str]) -> frozenset[str]:
        return frozenset()

    def send(self, batch: Sequence[Outgoing]) -> Taken:
        if self.failure is not None:
            return Taken(frozenset(), failure=self.failure)
        self.during(batch)
        self.got += batch
        return Taken(frozenset(range(len(batch))))


def tell(connection: Connection, told: CatalogProduct) -> int:
    with connection.transaction():
        return announce(connection, told)


def tags(count: int) -> list[Proposal]:
    return [Proposal("tag", f"urn:li:tag:t{n:04}", "tagKey", {"name": f"t{n:04}"}) for n in range(count)]


def overdue(connection: Connection) -> None:
    connection.execute("UPDATE mesh.catalog_deliveries SET due_at = now()")


def test_unchanged_proposals_are_neither_recorded_nor_sent_again(database: Warehouse, orders: CatalogProduct) -> None:
    sink = Recorder()
    with database.connect_domain("sales", autocommit=True) as connection:
        assert tell(connection, orders) == len(compile_product(orders))
        assert deliver(connection, sink).sent == len(compile_product(orders))
        assert tell(connection, orders) == 0
        assert deliver(connection, sink).sent == 0
        sink.got.clear()
        tables = tuple(replace(table, publication="p2", rows=11) for table in orders.tables)
        assert tell(connection, replace(orders, tables=tables, results=())) == 2
        assert deliver(connection, sink).sent == 2
    assert {item.aspect_name for item in sink.got} == {"datasetProperties"}


def test_a_publication_that_fails_tells_nothing(database: Warehouse, orders: CatalogProduct) -> None:
    with database.connect_domain("sales", autocommit=True) as connection:
        with pytest.raises(ZeroDivisionError), connection.transaction():
            announce(connection, orders)
            raise ZeroDivisionError
        assert deliver(connection, Recorder()).sent == 0


def test_the_order_is_that_of_reference_over_all_products(database: Warehouse, profiles: CatalogProduct, orders: CatalogProduct) -> None:
    sink = Recorder()
    for told in (orders, profiles):
        with database.connect_domain(told.product.domain, autocommit=True) as connection:
            tell(connection, told)
    with database.connect_platform(autocommit=True) as connection:
        deliver(connection, sink)
    stages = [Proposal(item.entity_type, item.entity_urn, item.aspect_name, {}).stage for item in sink.got]
    assert stages == sorted(stages) and set(stages) == set(range(6))


def test_a_connection_that_commits_by_hand_delivers_too(database: Warehouse) -> None:
    with database.connect_domain("sales") as connection:
        enqueue(connection, "sales", "sales.orders", "p1", tags(1))
        connection.commit()
        assert deliver(connection, Recorder()).sent == 1
    with database.connect_domain("sales") as connection:
        assert deliver(connection, Recorder()).sent == 0


def test_a_domain_writes_and_delivers_only_its_own(database: Warehouse, profiles: CatalogProduct, orders: CatalogProduct) -> None:
    sink = Recorder()
    with database.connect_domain("customer", autocommit=True) as customer, database.connect_domain("sales", autocommit=True) as sales:
        tell(customer, profiles)
        tell(sales, orders)
        deliver(customer, sink)
        assert {item.product_id for item in sink.got} == {"customer.profiles"}
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            tell(customer, replace(orders, product=replace(orders.product, id="sales.other")))


def test_a_down_server_costs_a_publication_nothing_and_gets_all_when_it_is_back(
    database: Warehouse, orders: CatalogProduct, gms: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_core.catalog.delivery.FIRST_WAIT_SECONDS", 200.0)  # a machine may stand still longer than 5 s
    sink = HttpSink(gms.url)
    gms.answers = [503, 503]
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
        first = deliver(connection, sink)
        assert first.sent == 0 and first.failure is not None and "503" in caplog.text
        assert deliver(connection, sink).failure is None and gms.posts == 1, "not due yet"
        waits = []
        for _ in range(2):
            due = connection.execute("SELECT max(due_at - clock_timestamp()) FROM mesh.catalog_deliveries WHERE attempts > 0").fetchone()
            waits.append(due[0].total_seconds())
            overdue(connection)
            last = deliver(connection, sink)
        assert 0 < waits[0] <= 200 < waits[1] <= 400
        assert last.sent == len(compile_product(orders)) == len(gms.held)
        [standing] = standings(connection)
        assert (standing.waiting, standing.refused, standing.reason) == (0, 0, None)


@pytest.mark.parametrize(("asked", "low", "high"), [(3000, 2000, 3000), (None, 400, 900)])
def test_the_server_decides_how_long_to_wait_and_waiting_is_bounded(database: Warehouse, asked: int | None, low: int, high: int) -> None:
    sink = Recorder(failure=SinkUnavailableError("busy", retry_after=asked))
    with database.connect_domain("sales", autocommit=True) as connection:
        enqueue(connection, "sales", "sales.orders", "p1", tags(1))
        deliver(connection, sink)
        connection.execute("UPDATE mesh.catalog_deliveries SET due_at = now(), attempts = 1000")
        deliver(connection, sink)
        row = connection.execute("SELECT extract(epoch FROM due_at - clock_timestamp()) FROM mesh.catalog_deliveries").fetchone()
    assert low <= row[0] <= high


def test_the_environment_names_the_sinks_and_a_wrong_address_stops_no_file(
    database: Warehouse, orders: CatalogProduct, gms: Any, tmp_path: Path
) -> None:
    variables = {"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home"), "MESH_DATAHUB_URL": "datahub:8080"}
    total = len(compile_product(orders))
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
    files, server = deliver_all(database, Settings.load(variables), "sales")
    assert (files.sent, files.failure) == (total, None)
    assert server.failure is not None and "MESH_DATAHUB_URL" in str(server.failure)
    files, server = deliver_all(database, Settings.load({**variables, "MESH_DATAHUB_URL": gms.url + "/"}))
    assert (files.sent, server.sent, server.failure) == (0, total, None)
    assert check_file(tmp_path / "home" / "catalog" / "sales.orders.mcps.json") == []


def test_a_poisonous_proposal_is_quarantined_with_its_reason(database: Warehouse, orders: CatalogProduct, gms: Any) -> None:
    gms.poison["dataProductProperties"] = 400
    sink = HttpSink(gms.url)
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
        delivery = deliver(connection, sink)
        [refusal] = delivery.refused
        assert (refusal.aspect_name, refusal.reason) == ("dataProductProperties", "HTTP 400: cannot take dataProductProperties")
        assert delivery.sent == len(compile_product(orders)) - 1
        posts = gms.posts
        overdue(connection)
        assert deliver(connection, sink).refused == () and gms.posts == posts, "not offered again"
        [standing] = standings(connection)
        assert (standing.refused, standing.waiting) == (1, 0) and standing.reason == refusal.reason

        gms.poison.clear()
        tell(connection, replace(orders, product=replace(orders.product, title="Orders, corrected")))
        assert deliver(connection, sink).sent == 1, "new content is a new chance"
        gms.poison["status"] = 400
        tell(connection, replace(orders, product=replace(orders.product, outputs=())))
        refused = deliver(connection, sink).refused
        assert refused
        gms.poison.clear()
        assert release(connection, sink.name) == len(refused)
        assert deliver(connection, sink).sent == len(refused)


def test_killed_between_sending_and_marking_it_sends_again(database: Warehouse, orders: CatalogProduct, gms: Any) -> None:
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
    program = """
import os, psycopg
from platform_core.catalog import HttpSink, deliver
class Killed(HttpSink):
    def send(self, batch):
        super().send(batch)
        os.kill(os.getpid(), 9)
connection = psycopg.connect(options="-c role=sales_owner", application_name="victim")
deliver(connection, Killed(os.environ["GMS"]))
"""
    environment = {**os.environ, **database.libpq_environment("sales_job"), "GMS": gms.url}
    victim = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, timeout=240, check=False)
    assert victim.returncode == -9, victim.stderr
    total = len(compile_product(orders))
    assert len(gms.log) == total
    held = dict(gms.held)
    with database.connect_platform(autocommit=True) as watcher:  # its locks end with its backend, an instant later
        deadline = time.monotonic() + 60
        while watcher.execute("SELECT 1 FROM pg_stat_activity WHERE application_name = 'victim'").fetchone():
            assert time.monotonic() < deadline
    with database.connect_domain("sales", autocommit=True) as connection:
        assert deliver(connection, HttpSink(gms.url)).sent == total
        assert deliver(connection, HttpSink(gms.url)).sent == 0
    assert len(gms.log) == 2 * total and gms.held == held


def test_two_deliverers_share_the_work_and_send_nothing_twice(database: Warehouse) -> None:
    holding, go_on = threading.Event(), threading.Event()

    def hold(batch: Sequence[Outgoing]) -> None:
        holding.set()
        assert go_on.wait(120)

    slow, quick = Recorder(during=hold), Recorder()
    with database.connect_domain("sales", autocommit=True) as first, database.connect_domain("sales", autocommit=True) as second:
        with first.transaction():
            enqueue(first, "sales", "sales.orders", "p1", tags(450))
        worker = threading.Thread(target=deliver, args=(first, slow))
        worker.start()
        assert holding.wait(120)
        deliver(second, quick)
        go_on.set()
        worker.join()
        assert deliver(second, quick).sent == 0
    assert (len(slow.got), len(quick.got)) == (200, 250)
    assert len({item.entity_urn for item in (*slow.got, *quick.got)}) == 450


def test_a_publication_never_waits_for_a_slow_server_and_its_news_goes_next(database: Warehouse, orders: CatalogProduct) -> None:
    def publish(batch: Sequence[Outgoing]) -> None:
        sink.during = lambda batch: None
        with database.connect_domain("sales", autocommit=True) as other, other.transaction():
            other.execute("SET LOCAL lock_timeout = '5s'")
            enqueue(other, "sales", "sales.orders", "p2", [Proposal("tag", "urn:li:tag:t0000", "tagKey", {"name": "renamed"})])
            announce(other, replace(orders, product=replace(orders.product, outputs=())))

    sink = Recorder(during=publish)
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
        with connection.transaction():
            enqueue(connection, "sales", "sales.orders", "p1", tags(1))
        deliver(connection, sink)
    said = [item.value for item in sink.got if item.entity_urn == "urn:li:tag:t0000"]
    assert said[-1] == '{"name":"renamed"}'


def test_two_products_share_an_entity_that_a_server_is_told_of_once(database: Warehouse, orders: CatalogProduct) -> None:
    server, files = Recorder("server", shared=True), Recorder("files")
    shared = tags(2)
    with database.connect_domain("sales", autocommit=True) as connection:
        for sink in (server, files):
            enqueue(connection, "sales", "sales.orders", "p1", shared)
            deliver(connection, sink)
            enqueue(connection, "sales", "sales.returns", "p1", shared)
            deliver(connection, sink)
        assert [item.product_id for item in server.got] == ["sales.orders"] * 2
        assert sorted(item.product_id for item in files.got) == ["sales.orders"] * 2 + ["sales.returns"] * 2
        assert {standing.waiting for standing in standings(connection)} == {0}


def test_a_sink_named_later_gets_everything(database: Warehouse, orders: CatalogProduct) -> None:
    late = Recorder("late")
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
        deliver(connection, Recorder("early"))
        assert deliver(connection, late).sent == len(compile_product(orders))


def test_what_the_files_no_longer_declare_is_marked_removed_and_comes_back(database: Warehouse, orders: CatalogProduct) -> None:
    port = orders.product.outputs[0]
    contract = replace(port.contract, tables=port.contract.tables[:1])
    smaller = replace(
        orders, product=replace(orders.product, outputs=(replace(port, contract=contract),)), tables=orders.tables[:1], results=()
    )
    sink = Recorder()
    with database.connect_domain("sales", autocommit=True) as connection:
        tell(connection, orders)
        deliver(connection, sink)
        sink.got.clear()
        tell(connection, smaller)
        deliver(connection, sink)
        removed = {item.entity_urn for item in sink.got if item.value == '{"removed":true}'}
        assert removed == declared_urns(orders.product) - declared_urns(smaller.product)
        sink.got.clear()
        assert tell(connection, smaller) == 0
        tell(connection, orders)
        deliver(connection, sink)
        assert {item.entity_urn for item in sink.got if item.value == '{"removed":false}'} == removed
        sink.got.clear()
        with connection.transaction():
            withdraw(connection, "sales", "sales.orders")
        deliver(connection, sink)
        assert {item.entity_urn for item in sink.got} == declared_urns(orders.product) | {"urn:li:dataProduct:sales.orders"}


def test_every_result_of_a_rule_reaches_a_server_that_was_away_within_bounds(database: Warehouse, orders: CatalogProduct) -> None:
    from datetime import timedelta

    rule, when = orders.tables[0].table.rules[0], orders.tables[0].published_at
    sink = Recorder()
    with database.connect_domain("sales", autocommit=True) as connection:
        for hour in range(EVENTS_KEPT + 5):
            tell(connection, replace(orders, results=(RuleResult(rule, True, when + timedelta(hours=hour)),)))
        deliver(connection, sink)
    events = [item.event for item in sink.got if item.aspect_name == "assertionRunEvent"]
    assert len(events) == EVENTS_KEPT and events == sorted(events)


def test_a_delivery_inside_a_transaction_is_refused(database: Warehouse) -> None:
    with database.connect_domain("sales") as connection:
        connection.execute("SELECT 1")
        with pytest.raises(CatalogError, match="after the commit"):
            deliver(connection, Recorder())
