"""Alerts: always stored; sent when the webhook takes them; and the webhook's address, a secret, is in no record."""

from __future__ import annotations

import contextlib
import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_core.orchestration import alerts
from platform_core.orchestration.alerts import Alert, failed_run, send
from platform_core.orchestration.platform_location import run_failure_alert
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

SECRET = "T0000/B0000/s3cr3tpart"
ALERT = Alert("sales", "run of sales/orders/orders failed", "one rule did not hold", "run-1")


class _Webhook(BaseHTTPRequestHandler):
    """Behaves as the server's ``manner`` says."""

    def do_POST(self) -> None:
        server: Any = self.server
        server.heard.append((self.path, json.loads(self.rfile.read(int(self.headers["Content-Length"])))))
        if server.manner == "slow":
            server.ended.wait(60)
        elif server.manner == "garbage":
            self.wfile.write(b"SSH-2.0-OpenSSH_9.2\r\n")
        elif server.manner == "echo":
            self.send_response(404, f"nothing at {self.path}")
            self.end_headers()
        elif server.manner == "hangup":
            self.connection.close()
        else:
            self.send_response(int(server.manner))
            self.send_header("Location", f"http://127.0.0.1:1/{SECRET}")
            self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextlib.contextmanager
def _webhook(manner: str) -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Webhook)
    server.manner, server.heard, server.ended = manner, [], threading.Event()  # type: ignore[attr-defined]
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield server
    finally:
        server.ended.set()  # type: ignore[attr-defined]
        server.shutdown()
        server.server_close()
        thread.join()


def _settings(tmp_path: Path, webhook: str | None) -> Settings:
    return Settings.load({"MESH_REPO": str(tmp_path), **({"MESH_ALERT_WEBHOOK": webhook} if webhook else {})})


def _stored(warehouse: Warehouse) -> list[tuple[Any, ...]]:
    with warehouse.connect_platform() as connection:
        return connection.execute("SELECT domain, title, detail, run_id, state, failure FROM mesh.alerts ORDER BY id").fetchall()


def _check(database: Warehouse, said: str, state: str, caplog: pytest.LogCaptureFixture) -> str | None:
    (row,) = _stored(database)
    assert row[:5] == ("sales", ALERT.title, ALERT.detail, "run-1", state)
    everything = f"{row} {said} {caplog.text}"
    assert SECRET not in everything
    assert SECRET.rsplit("/", 1)[-1] not in everything
    return row[5]


def test_without_a_webhook_an_alert_is_stored(database: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    said = send(ALERT, _settings(tmp_path, None), database)
    assert said == f"stored: {ALERT.title}"
    assert _check(database, said, "stored", caplog) is None


@pytest.mark.parametrize("status", ["200", "204"])
def test_a_webhook_that_answers_gets_the_text(database: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, status: str) -> None:
    with _webhook(status) as server:
        said = send(ALERT, _settings(tmp_path, f"http://127.0.0.1:{server.server_port}/{SECRET}"), database)
        ((path, body),) = server.heard  # type: ignore[attr-defined]
    assert path == f"/{SECRET}"
    assert body == {"text": "*sales*: run of sales/orders/orders failed\none rule did not hold\nrun run-1"}
    assert said == f"sent: {ALERT.title}"
    assert _check(database, said, "sent", caplog) is None


@pytest.mark.parametrize(
    ("manner", "word"),
    [
        ("500", "500"),
        ("403", "403"),
        ("404", "404"),
        ("302", "302"),
        ("echo", "404"),
        ("garbage", "BadStatusLine"),
        ("hangup", "no HTTP (RemoteDisconnected)"),
        ("slow", "timed out"),
    ],
)
def test_a_webhook_that_fails_is_recorded_and_raises_nothing(
    database: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch, manner: str, word: str
) -> None:
    caplog.set_level(logging.DEBUG)
    if manner == "slow":  # it says nothing for a minute
        monkeypatch.setattr(alerts, "_TIMEOUT_SECONDS", 0.3)
    began = time.monotonic()
    with _webhook(manner) as server:
        said = send(ALERT, _settings(tmp_path, f"http://127.0.0.1:{server.server_port}/{SECRET}"), database)
    assert time.monotonic() - began < 20, "the run waits for the webhook"
    failure = _check(database, said, "not sent", caplog)
    assert failure is not None
    assert word in failure


@pytest.mark.parametrize(
    ("webhook", "word"),
    [
        (f"http://127.0.0.1:1/{SECRET}", "refused"),
        (f"http://127.0.0.1:1/{SECRET} with a space", "no address"),
        (f"http://[{SECRET}", "no address"),
        (f"http://127.0.0.1:port/{SECRET}", "no address"),
        (f"http:///{SECRET}", "no host"),
        (f"file:///etc/{SECRET}", "no http address"),
        (SECRET, "no http address"),
    ],
)
def test_an_address_that_cannot_be_reached_is_recorded_without_it(
    database: Warehouse, tmp_path: Path, caplog: pytest.LogCaptureFixture, webhook: str, word: str
) -> None:
    caplog.set_level(logging.DEBUG)
    said = send(ALERT, _settings(tmp_path, webhook), database)
    failure = _check(database, said, "not sent", caplog)
    assert failure is not None
    assert word in failure


def test_the_webhook_is_not_in_the_settings_text(tmp_path: Path) -> None:
    assert SECRET not in repr(_settings(tmp_path, f"https://hooks.example/{SECRET}"))


def test_a_failed_run_of_any_domain_becomes_an_alert(
    database: Warehouse, repo: Path, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None]
) -> None:
    select(database, repo, tmp_path)

    @dg.asset(key=["sales", "orders", "orders"])
    def orders() -> None:
        raise dg.Failure("sales.orders.orders keeps its former version")

    job = dg.Definitions(assets=[orders]).get_repository_def().get_implicit_global_asset_job_def()
    with dg.DagsterInstance.ephemeral() as instance:
        result = job.execute_in_process(instance=instance, raise_on_error=False, asset_selection=[orders.key])
        event = next(item for item in result.all_events if item.is_run_failure)
        with dg.build_run_status_sensor_context("run_failure_alert", event, instance, result.dagster_run).for_run_failure() as context:
            run_failure_alert(context)
    ((domain, title, detail, run_id, state, _),) = _stored(database)
    assert (domain, title, run_id, state) == ("sales", "run of sales.orders failed", result.run_id, "stored")
    assert detail == "sales.orders.orders keeps its former version\nassets: sales/orders/orders"


def _title(*assets: str) -> str:
    return failed_run([tuple(asset.split("/")) for asset in assets], "a_job", "", "run-1").title


def test_the_title_names_products_and_stays_short() -> None:
    models = [f"sales/build/model_{number}" for number in range(40)]
    assert _title(*models, "sales/orders/orders", "sales/orders/daily_revenue", "sales/returns/returns") == (
        "run of sales.orders, sales.returns failed"
    )
    assert _title(*models) == "run of sales/build/model_0, sales/build/model_1, sales/build/model_10 and 37 more failed"
    assert _title("sales/raw/purchases") == "run of sales/raw/purchases failed"
    assert _title() == "run of a_job failed"
    alert = failed_run([tuple(model.split("/")) for model in models], "a_job", "dbt said so", "run-1")
    assert alert.detail.startswith("dbt said so\nassets: sales/build/model_0, ") and all(model in alert.detail for model in models)


def test_the_alert_sensor_watches_every_location_and_is_on() -> None:
    assert run_failure_alert.default_status is dg.DefaultSensorStatus.RUNNING
    assert run_failure_alert.minimum_interval_seconds is not None
    assert run_failure_alert.minimum_interval_seconds <= 30
