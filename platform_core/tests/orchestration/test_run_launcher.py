"""The warm run launcher: real runs in forked processes, on a real instance that stores in Postgres."""

from __future__ import annotations

import inspect
import logging
import multiprocessing
import multiprocessing.forkserver
import os
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, cast

import dagster as dg
import psutil
import pytest
from dagster._core.definitions.reconstruct import ReconstructableJob
from dagster._core.launcher.base import LaunchRunContext, WorkerStatus
from dagster._daemon import asset_daemon
from dagster._daemon.monitoring.run_monitoring import monitor_started_run

from platform_core.orchestration import run_launcher
from platform_core.orchestration.conditions import TICK_SECONDS
from platform_core.orchestration.daemon_pace import keep_pace
from platform_core.orchestration.local_instance import write_instance
from platform_core.orchestration.run_launcher import WORKER_TAG, WarmRunLauncher
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse, prepare_databases

JOBS = Path(__file__).with_name("launched_jobs.py")
NOBODY: Any = None  # the launcher needs no workspace


@pytest.fixture(scope="module")
def instance(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Iterator[dg.DagsterInstance]:
    """The laptop's instance as ``mesh up`` writes it; only the fork server imports less, to be ready sooner."""
    settings = Settings.load({"MESH_REPO": str(repo), "MESH_HOME": str(tmp_path_factory.mktemp("home"))})
    prepare_databases(Warehouse({**postgres.conninfo(), "dbname": "launcher"}, server=postgres))
    home = write_instance(settings, postgres)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run_launcher, "_PRELOAD", ["platform_core.orchestration.run_launcher", "dagster_postgres"])
        with dg.DagsterInstance.from_config(str(home)) as made:
            yield made
        multiprocessing.forkserver._forkserver._stop()  # type: ignore[attr-defined]


@pytest.fixture
def launch(instance: dg.DagsterInstance, tmp_path: Path) -> Callable[[str], tuple[str, Path]]:
    """Launches a job of ``launched_jobs.py``; gives the run and the file that its worker writes."""

    def go(name: str) -> tuple[str, Path]:
        marker = tmp_path / name
        job = ReconstructableJob.for_file(str(JOBS), name)
        op = {"succeeds": "note", "stays": "stay"}.get(name)
        config = {"ops": {op: {"config": {"marker": str(marker)}}}} if op else {}
        run = instance.create_run_for_job(job.get_definition(), run_config=config, job_code_origin=job.get_python_origin())
        instance.run_launcher.launch_run(LaunchRunContext(dagster_run=run, workspace=NOBODY))
        return run.run_id, marker

    return go


def _until(condition: Callable[[], Any], what: str) -> None:
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"never happened: {what}"
        time.sleep(0.02)


def _run(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRun:
    run = instance.get_run_by_id(run_id)
    assert run is not None
    return run


def _ended(instance: dg.DagsterInstance, run_id: str) -> dg.DagsterRunStatus:
    _until(lambda: _run(instance, run_id).is_finished, "the run ends")
    return _run(instance, run_id).status


def test_the_instance_is_the_platforms(instance: dg.DagsterInstance) -> None:
    assert isinstance(instance.run_launcher, WarmRunLauncher)
    assert type(instance.event_log_storage).__module__.startswith("dagster_postgres")
    assert instance.run_launcher.supports_check_run_worker_health
    written = (Path(cast(str, instance.root_directory)) / "dagster.yaml").read_text()
    assert "passfile" in written
    assert "password" not in written.replace("passfile", "")


def test_the_daemon_looks_as_often_as_the_sensors_ask(monkeypatch: pytest.MonkeyPatch) -> None:
    """The constant is private to the pinned Dagster: a version without it, or whose loop reads another, must not pass unseen."""
    assert "MIN_INTERVAL_LOOP_SECONDS - " in inspect.getsource(asset_daemon.AssetDaemon.core_loop)
    monkeypatch.setattr(asset_daemon, "MIN_INTERVAL_LOOP_SECONDS", asset_daemon.MIN_INTERVAL_LOOP_SECONDS)  # put back afterwards
    keep_pace()
    assert asset_daemon.MIN_INTERVAL_LOOP_SECONDS == TICK_SECONDS < 5


def test_a_run_succeeds_in_a_process_of_its_own(instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]) -> None:
    run_id, marker = launch("succeeds")
    assert _ended(instance, run_id) is dg.DagsterRunStatus.SUCCESS
    pid, session = marker.read_text().split()
    assert int(pid) != os.getpid()
    assert session == pid, "Ctrl-C at the terminal would reach the run"
    assert _run(instance, run_id).tags[WORKER_TAG].split()[0] == pid
    _until(lambda: not psutil.pid_exists(int(pid)), "the worker is gone, and is no zombie")


def test_a_run_that_fails_is_reported_by_itself(instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]) -> None:
    run_id, _ = launch("fails")
    assert _ended(instance, run_id) is dg.DagsterRunStatus.FAILURE
    assert instance.run_launcher.terminate(run_id) is False, "a finished run cannot be stopped"


def test_runs_work_side_by_side_and_are_told_apart(instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]) -> None:
    first, marker = launch("stays")
    _until(marker.exists, "the first run works")
    second, _ = launch("succeeds")
    assert _ended(instance, second) is dg.DagsterRunStatus.SUCCESS
    assert instance.run_launcher.check_run_worker_health(_run(instance, first)).status is WorkerStatus.RUNNING
    assert instance.run_launcher.terminate(first) is True
    assert _ended(instance, first) is dg.DagsterRunStatus.CANCELED


def test_a_run_is_stopped_on_request_and_says_so(instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]) -> None:
    run_id, marker = launch("stays")
    _until(marker.exists, "the run works")
    # As the web server does: another process, with a launcher that launched nothing.
    stranger = WarmRunLauncher()
    stranger.register_instance(instance)
    assert stranger.check_run_worker_health(_run(instance, run_id)).status is WorkerStatus.RUNNING
    assert stranger.terminate(run_id) is True
    assert _ended(instance, run_id) is dg.DagsterRunStatus.CANCELED
    pid = int(marker.read_text().split()[0])
    _until(lambda: not psutil.pid_exists(pid), "the worker is gone")
    assert stranger.terminate(run_id) is False


def test_a_killed_worker_is_noticed_and_its_run_is_reported_failed(
    instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]
) -> None:
    run_id, marker = launch("stays")
    _until(marker.exists, "the run works")
    pid = int(marker.read_text().split()[0])
    psutil.Process(pid).kill()
    _until(
        lambda: instance.run_launcher.check_run_worker_health(_run(instance, run_id)).status is WorkerStatus.FAILED,
        "the health check says so",
    )
    assert str(pid) in str(instance.run_launcher.check_run_worker_health(_run(instance, run_id)).msg)
    (record,) = instance.get_run_records(dg.RunsFilter(run_ids=[run_id]))
    monitor_started_run(instance, NOBODY, record, logging.getLogger("monitor"))
    assert _run(instance, run_id).status is dg.DagsterRunStatus.FAILURE


def test_a_run_whose_worker_is_gone_can_be_stopped(instance: dg.DagsterInstance, launch: Callable[[str], tuple[str, Path]]) -> None:
    run_id, marker = launch("stays")
    _until(marker.exists, "the run works")
    worker = psutil.Process(int(marker.read_text().split()[0]))
    worker.kill()
    _until(lambda: not worker.is_running(), "the worker is gone")
    assert instance.run_launcher.terminate(run_id) is True
    assert _run(instance, run_id).status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize("tag", [f"{os.getpid()} 1.00", "999999999 1.00", "", "none"], ids=["reused", "unknown", "empty", "no number"])
def test_a_process_that_merely_has_the_same_identifier_is_not_the_worker(instance: dg.DagsterInstance, tag: str) -> None:
    """Identifiers are used again: after a restart of the machine the tag may name anybody, who must not be stopped for it."""
    job = ReconstructableJob.for_file(str(JOBS), "stays")
    config = {"ops": {"stay": {"config": {"marker": "x"}}}}
    run = instance.create_run_for_job(job.get_definition(), run_config=config, tags={WORKER_TAG: tag})
    assert instance.run_launcher.check_run_worker_health(run).status is WorkerStatus.FAILED
    assert instance.run_launcher.terminate(run.run_id) is True, "and with it this process, had it been taken for the worker"
    assert _run(instance, run.run_id).status is dg.DagsterRunStatus.CANCELED


@pytest.mark.parametrize(
    ("arguments", "warms"),
    [
        (["dagster-webserver"], False),
        (["dagster-daemon", "run"], True),
        (["/x/dagster/_daemon/__main__.py", "run"], True),
    ],
)
def test_the_fork_server_starts_with_the_daemon(
    instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch, arguments: list[str], warms: bool
) -> None:
    """Dagster asks for the coordinator when the daemon starts, and for the launcher at the first run only."""
    warmed = threading.Event()
    monkeypatch.setattr(WarmRunLauncher, "_forks", lambda _self: warmed.set())
    monkeypatch.setattr(asset_daemon, "MIN_INTERVAL_LOOP_SECONDS", 5)
    monkeypatch.setattr("sys.argv", arguments)
    with dg.DagsterInstance.from_config(str(instance.root_directory)) as another:
        assert another.get_required_daemon_types()
        if warms:
            _until(warmed.is_set, "the fork server starts")
        else:
            assert not warmed.is_set()


def test_a_run_starts_no_fork_server_of_its_own(instance: dg.DagsterInstance, monkeypatch: pytest.MonkeyPatch) -> None:
    """A forked run has the daemon's arguments; a second fork server in each would cost six CPU-seconds and 300 MB."""
    warmed = threading.Event()
    monkeypatch.setattr(WarmRunLauncher, "_forks", lambda _self: warmed.set())
    monkeypatch.setattr("sys.argv", ["dagster-daemon", "run"])
    monkeypatch.setattr("multiprocessing.parent_process", multiprocessing.current_process)
    with dg.DagsterInstance.from_config(str(instance.root_directory)) as another:
        assert another.get_required_daemon_types()
    assert not warmed.is_set()
