"""The laptop's run launcher: runs are forked from a process that has already imported what runs need.

Starting a run the stock way costs an interpreter with dagster (1.4 CPU-s), dagster-dbt (1.5) and Great Expectations (5.5) each time.
Here one fork server imports them once; a run starts in milliseconds and shares their memory. The run itself does what
``dagster api execute_run`` does in a Kubernetes Job, so both worlds execute the same way.
"""

from __future__ import annotations

import multiprocessing
import os
import threading
from collections.abc import Mapping
from multiprocessing.context import ForkServerContext
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

import psutil
from dagster._core.launcher.base import CheckRunHealthResult, LaunchRunContext, RunLauncher, WorkerStatus
from dagster._core.storage.dagster_run import DagsterRun
from dagster._serdes import ConfigurableClass, ConfigurableClassData, serialize_value

if TYPE_CHECKING:
    from dagster._config import UserConfigSchema

WORKER_TAG = "mesh/run_worker"
_PRELOAD = ["platform_core.orchestration.run_preload", "platform_core.components"]
_lock = threading.Lock()


class WarmRunLauncher(RunLauncher[Any], ConfigurableClass):
    """Launches each run as a fork of a warm process on this machine.

    The worker's process id and start time are a tag of the run, so every process of the instance (the web server that cancels, the
    daemon that watches) finds it, also after a restart.
    """

    def __init__(self, inst_data: ConfigurableClassData | None = None) -> None:
        self._inst_data = inst_data
        self._context: ForkServerContext | None = None
        self._workers: list[BaseProcess] = []
        super().__init__()

    def warm_up(self) -> None:
        """Begins to import, in the fork server; returns at once."""
        threading.Thread(target=self._forks, daemon=True).start()

    @property
    def inst_data(self) -> ConfigurableClassData | None:
        """The configuration it was made from."""
        return self._inst_data

    @classmethod
    def config_type(cls) -> UserConfigSchema:
        """No settings."""
        return {}

    @classmethod
    def from_config_value(cls, inst_data: ConfigurableClassData, config_value: Mapping[str, Any]) -> WarmRunLauncher:
        """Makes the launcher from ``dagster.yaml``."""
        return cls(inst_data=inst_data, **config_value)

    def launch_run(self, context: LaunchRunContext) -> None:
        """Forks the worker of a run and returns."""
        run = context.dagster_run
        worker = self._forks().Process(
            target=_work, args=(serialize_value(self._instance.get_ref()), run.run_id), name=f"run {run.run_id[:8]}", daemon=False
        )
        worker.start()
        assert worker.pid is not None, "a started process has an identifier"
        self._workers = [process for process in self._workers if process.is_alive()] + [worker]  # reaps what ended
        self._instance.add_run_tags(run.run_id, {WORKER_TAG: _identity(worker.pid)})
        self._instance.report_engine_event(f"Forked a warm process for the run (pid: {worker.pid}).", run, cls=self.__class__)

    def terminate(self, run_id: str) -> bool:
        """Interrupts the worker, which reports the cancellation itself; false when it is gone."""
        run = self._instance.get_run_by_id(run_id)
        if run is None or run.is_finished:
            return False
        self._instance.report_run_canceling(run)
        worker = _worker(run)
        if worker is None:
            self._instance.report_run_canceled(run, message="the worker process is gone")
            return True
        worker.terminate()
        return True

    @property
    def supports_check_run_worker_health(self) -> bool:
        """Whether the monitoring daemon may ask for a worker's health: yes."""
        return True

    def check_run_worker_health(self, run: DagsterRun) -> CheckRunHealthResult:
        """Whether the worker of a run still lives, for the monitoring daemon."""
        if _worker(run) is not None:
            return CheckRunHealthResult(WorkerStatus.RUNNING)
        return CheckRunHealthResult(WorkerStatus.FAILED, f"the worker process {run.tags.get(WORKER_TAG, '')} is gone")

    def _forks(self) -> ForkServerContext:
        with _lock:
            if self._context is None:
                context = multiprocessing.get_context("forkserver")
                context.set_forkserver_preload(_PRELOAD)
                context.Process(target=_nothing).start()  # starts the server
                self._context = context
            return self._context


def _identity(pid: int) -> str:
    try:
        return f"{pid} {psutil.Process(pid).create_time():.2f}"
    except psutil.NoSuchProcess:
        return f"{pid} 0"


def _worker(run: DagsterRun) -> psutil.Process | None:
    """The living worker of a run; a process that merely got the same identifier is none."""
    tag = run.tags.get(WORKER_TAG, "")
    try:
        process = psutil.Process(int(tag.split()[0]))
        alive = _identity(process.pid) == tag and process.status() != psutil.STATUS_ZOMBIE
    except (psutil.NoSuchProcess, ValueError, IndexError):
        return None
    return process if alive else None


def _nothing() -> None:
    """The first child only brings the fork server up."""


def _work(instance_ref: str, run_id: str) -> None:
    """Executes a run in this process, as ``dagster api execute_run`` does."""
    from dagster import DagsterInstance
    from dagster._cli.api import _execute_run_command_body  # pyright: ignore[reportPrivateUsage]
    from dagster._core.instance import InstanceRef
    from dagster._serdes import deserialize_value
    from dagster._utils.interrupts import setup_interrupt_handlers

    os.setsid()  # Ctrl-C at the terminal is for the command, which decides what happens to runs
    setup_interrupt_handlers()
    with DagsterInstance.from_ref(deserialize_value(instance_ref, InstanceRef)) as instance:
        _execute_run_command_body(run_id, instance, lambda _event: None, set_exit_code_on_failure=False)
