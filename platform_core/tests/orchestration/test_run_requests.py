"""Runs on request: what the command asks for becomes one run, whatever happens in between."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import dagster as dg
import psycopg
import pytest

from platform_core.orchestration.run_requests import pending_requests, request_run, run_request_sensor
from platform_core.warehouse import Warehouse

Tick = Callable[[], list[dg.RunRequest]]


@pytest.fixture
def warehouse(database: Warehouse, repo: Path, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None]) -> Warehouse:
    """The test's database, selected as in production: by environment variables."""
    select(database, repo, tmp_path)
    return database


@pytest.fixture
def tick(warehouse: Warehouse) -> Tick:
    """Evaluates the sensor of ``sales`` once, in its location."""

    @dg.multi_asset(specs=[dg.AssetSpec(["sales", "orders", name]) for name in ("orders", "daily_revenue")])
    def publish(): ...

    @dg.asset(key=["sales", "build", "orders"])
    def build() -> None: ...

    sensor = run_request_sensor("sales")
    repository = dg.Definitions(assets=[publish, build], sensors=[sensor]).get_repository_def()

    def evaluate() -> list[dg.RunRequest]:
        with dg.DagsterInstance.ephemeral() as instance:
            context = dg.build_sensor_context(instance=instance, repository_def=repository, sensor_name="run_requests")
            return list(sensor.evaluate_tick(context).run_requests or [])

    return evaluate


def _ask(warehouse: Warehouse, *assets: str, domain: str = "sales", reason: str = "test") -> None:
    with warehouse.connect_platform() as connection:
        request_run(connection, domain, assets, reason)


def _pending(warehouse: Warehouse) -> int:
    with warehouse.connect_platform() as connection:
        return pending_requests(connection)


def test_nothing_asked_nothing_started(tick: Tick) -> None:
    assert tick() == []


def test_a_request_is_one_run_of_its_assets(warehouse: Warehouse, tick: Tick) -> None:
    _ask(warehouse, "sales/orders/orders", "sales/orders/daily_revenue", reason="mesh up: the former attempt failed")
    assert _pending(warehouse) == 1
    (request,) = tick()
    assert request.run_key == "request-1"
    assert {key.to_user_string() for key in request.asset_selection or ()} == {"sales/orders/orders", "sales/orders/daily_revenue"}
    assert request.tags["mesh/reason"] == "mesh up: the former attempt failed"
    assert _pending(warehouse) == 0


def test_every_request_has_one_run_key_however_often_it_is_offered(warehouse: Warehouse, tick: Tick) -> None:
    """A sensor killed after it took a request, and before Dagster stored the run, offers it again; the run key keeps it one run."""
    _ask(warehouse, "sales/build/orders")
    _ask(warehouse, "sales/build/orders")
    first = [request.run_key for request in tick()]
    assert first == ["request-1", "request-2"], "the same wish twice is two requests"
    _ask(warehouse, "sales/orders/orders", "sales/orders/daily_revenue")
    assert [request.run_key for request in tick()] == [*first, "request-3"]
    assert [request.run_key for request in tick()] == [*first, "request-3"]


def test_requests_of_other_domains_are_theirs(warehouse: Warehouse, tick: Tick) -> None:
    _ask(warehouse, "marketing/build/x", domain="marketing")
    assert tick() == []
    assert _pending(warehouse) == 1


def test_an_asset_that_is_gone_does_not_stop_the_others(warehouse: Warehouse, tick: Tick) -> None:
    _ask(warehouse, "sales/build/renamed")
    _ask(warehouse, "sales/build/renamed", "sales/build/orders")
    (request,) = tick()
    assert request.run_key == "request-2"
    assert [key.to_user_string() for key in request.asset_selection or ()] == ["sales/build/orders"]
    assert _pending(warehouse) == 0, "a wish that nobody can fulfil would be waited for"


def test_a_request_is_forgotten_after_a_day(warehouse: Warehouse, tick: Tick) -> None:
    _ask(warehouse, "sales/build/orders")
    with warehouse.connect_platform() as connection:
        connection.execute("UPDATE mesh.run_requests SET requested_at = now() - interval '2 days'")
    assert tick() == []
    assert _pending(warehouse) == 0


def test_a_request_that_was_rolled_back_is_none(warehouse: Warehouse, tick: Tick) -> None:
    with warehouse.connect_domain("sales") as connection:
        request_run(connection, "sales", ["sales/build/orders"], "never committed")
        connection.rollback()
    assert tick() == []


def test_a_domain_asks_for_its_own_runs_only(warehouse: Warehouse) -> None:
    with warehouse.connect_domain("marketing") as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        request_run(connection, "sales", ["sales/build/orders"], "not mine")


def test_the_sensor_is_on_and_quick() -> None:
    sensor = run_request_sensor("sales")
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds is not None
    assert sensor.minimum_interval_seconds <= 10
