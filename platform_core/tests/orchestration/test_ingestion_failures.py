"""What a failed or cancelled ingestion run looks like: the connector's own words in Dagster, and no process left."""

from __future__ import annotations

import json
import multiprocessing.forkserver
import os
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.launcher.base import LaunchRunContext

from platform_core.ingestion import load_connection, sync
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.orchestration import ingestion_assets, run_launcher
from platform_core.orchestration.local_instance import write_instance
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse, prepare_databases

FAKE = Path(__file__).parents[1] / "ingestion" / "fake_connector.py"
NOBODY: Any = None  # the launcher needs no workspace
ROW = {"send": {"type": "RECORD", "record": {"stream": "orders", "data": {"id": 1}, "emitted_at": 1}}}

# The job as a code location would have it, but for the connector, which is a script.
JOB = """
import sys
import dagster as dg
from platform_core.ingestion import ConnectorCommand, load_connection, sync
from platform_core.orchestration import ingestion_assets
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

command = ConnectorCommand((sys.executable, "-I", "-S", {fake!r}, {scenario!r}), "source-fake", "1.0.0")
settings = Settings.load({environment!r})
sync.connection_command = lambda *_, **__: command
Settings.load = staticmethod(lambda: settings)
Warehouse.from_settings = staticmethod(lambda _: Warehouse({parameters!r}))
assets = ingestion_assets(load_connection(__import__("pathlib").Path({file!r})))
job = dg.define_asset_job("ingests", executor_def=dg.in_process_executor)
ingests = dg.Definitions(assets=[assets], jobs=[job]).get_job_def("ingests")
"""


@pytest.fixture
def shop(tmp_path: Path) -> Callable[[list[dict[str, Any]]], Path]:
    """Writes a connection file and the script of its connector."""

    def write(script: list[dict[str, Any]]) -> Path:
        file = tmp_path / "airbyte" / "sales" / "shop.yaml"
        file.parent.mkdir(parents=True)
        offered = {"name": "orders", "json_schema": {"properties": {"id": {"type": "integer"}}}, "supported_sync_modes": ["full_refresh"]}
        (tmp_path / "scenario.json").write_text(json.dumps({"catalog": [offered], "script": script}))
        streams = [{"name": "orders", "sync_mode": "full_refresh_overwrite"}]
        file.write_text(json.dumps({"connector": {"package": "source-fake", "version": "1.0.0"}, "streams": streams}))
        return file

    return write


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return {"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home")}


def test_the_failure_in_dagster_is_the_connectors_user_facing_message(shop, environment, database, tmp_path, monkeypatch):
    error = {"message": "Your API key was revoked on Monday.", "internal_message": "HTTP 401", "failure_type": "config_error"}
    file = shop([ROW, {"send": {"type": "TRACE", "trace": {"type": "ERROR", "emitted_at": 1, "error": error}}}, {"exit": 1}])
    command = ConnectorCommand((sys.executable, "-I", "-S", str(FAKE), str(tmp_path / "scenario.json")), "source-fake", "1.0.0")
    settings = Settings.load(environment)
    monkeypatch.setattr("platform_core.ingestion.sync.connection_command", lambda *_, **__: command)
    monkeypatch.setattr(Settings, "load", lambda: settings)
    monkeypatch.setattr(Warehouse, "from_settings", lambda _: database)
    with dg.DagsterInstance.ephemeral() as instance:
        failed = dg.materialize([ingestion_assets(load_connection(file))], instance=instance, raise_on_error=False)
        (event,) = failed.filter_events(lambda event: event.is_step_failure)
    shown = event.step_failure_data.error.to_string()
    assert "read failed: Your API key was revoked on Monday." in shown and "detail: HTTP 401" in shown
    assert "remedy: correct the configuration" in shown and "shop.yaml (source-fake 1.0.0)" in shown


@pytest.fixture
def instance(postgres: EmbeddedPostgres, environment: dict[str, str]) -> Iterator[dg.DagsterInstance]:
    """The laptop's instance as ``mesh up`` writes it."""
    prepare_databases(Warehouse({**postgres.conninfo(), "dbname": "cancels"}, server=postgres))
    home = write_instance(Settings.load(environment), postgres)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_launcher, "_PRELOAD", ["platform_core.orchestration.run_launcher", "dagster_postgres"])
        with dg.DagsterInstance.from_config(str(home)) as made:
            yield made
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]


def until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def test_a_cancelled_run_ends_the_connectors_process_group(shop, environment, database, instance, tmp_path, monkeypatch):
    for owner, name in ((sync, "connection_command"), (Settings, "load"), (Warehouse, "from_settings")):
        monkeypatch.setattr(owner, name, getattr(owner, name))  # this process loads the job too: put back afterwards
    marks = [tmp_path / "connector", tmp_path / "worker-of-the-connector"]
    file = shop([ROW, {"child": str(marks[1])}, {"pid": str(marks[0])}, ROW, {"wait": 600}])
    given = {
        "fake": str(FAKE),
        "scenario": str(tmp_path / "scenario.json"),
        "environment": environment,
        "parameters": dict(database.parameters),
        "file": str(file),
    }
    module = tmp_path / "job.py"
    module.write_text(JOB.format(**given))
    job = ReconstructableJob.for_file(str(module), "ingests")
    run = instance.create_run_for_job(job.get_definition(), job_code_origin=job.get_python_origin())
    instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=NOBODY))
    until(lambda: all(mark.exists() and mark.read_text() for mark in marks), "the connector reads")
    pids = [int(mark.read_text()) for mark in marks]
    assert os.getpgid(pids[0]) == os.getpgid(pids[1]) != os.getpgid(0)

    assert instance.run_launcher.terminate(run.run_id) is True
    until(lambda: instance.get_run_by_id(run.run_id).is_finished, "the run ends")
    assert instance.get_run_by_id(run.run_id).status is dg.DagsterRunStatus.CANCELED
    until(lambda: not any(psutil.pid_exists(pid) and psutil.Process(pid).status() != "zombie" for pid in pids), "the connector is gone")
    with database.connect_domain("sales", autocommit=True) as session:
        assert session.execute("SELECT status FROM mesh.syncs").fetchall() == [("cancelled",)]
