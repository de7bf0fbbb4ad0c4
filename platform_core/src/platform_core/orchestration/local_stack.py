"""Dagster on this machine, started and stopped as one thing."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import psutil

from platform_core.contracts import naming
from platform_core.errors import MeshError
from platform_core.loopback import HOST, answers, free_port
from platform_core.orchestration.local_instance import instance_home
from platform_core.settings import WORKSPACE_FILE, Settings
from platform_core.warehouse import Warehouse

MARK = "MESH_STACK"
"""Environment variable that every process of a stack carries, with the home as its value."""
_STOP_SECONDS = 3.0  # a daemon sleeps through a polite request for up to five; like everything here, it may be killed
_KILL_SECONDS = 60.0
_COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class StackError(MeshError):
    """Dagster does not start, or stops by itself."""


@dataclass(frozen=True)
class LocalStack:
    """The Dagster processes of this checkout. Every one carries the mark of its home in its environment, so none is ever lost."""

    settings: Settings

    @property
    def log(self) -> Path:
        """What Dagster's processes print."""
        return self.settings.home / "logs" / "dagster.log"

    @property
    def _record(self) -> Path:
        return self.settings.home / "stack.json"

    def environment(self) -> dict[str, str]:
        """Environment of every process of the stack, and of who wants to act like one."""
        warehouse = Warehouse.from_settings(self.settings)
        return {
            **os.environ,
            **warehouse.libpq_environment(naming.PLATFORM_ROLE),
            "DAGSTER_HOME": str(instance_home(self.settings)),
            "MESH_REPO": str(self.settings.repo),
            "MESH_HOME": str(self.settings.home),
            "MESH_DEMO_USERS": str(self.settings.demo_users),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "GX_ANALYTICS_ENABLED": "false",
            "DATAHUB_TELEMETRY_ENABLED": "false",
            "PYTHONWARNINGS": "ignore",
            MARK: str(self.settings.home),
        }

    def start(self, *, ui: bool) -> tuple[subprocess.Popen[bytes], str | None]:
        """Starts the daemon and the code locations, with the web server when ``ui``.

        Returns:
            The process, and the address of the web server.
        """
        binaries, workspace = Path(sys.executable).parent, str(self.settings.repo / WORKSPACE_FILE)
        address = None
        if ui:
            port = self._port()
            address = f"http://{HOST}:{port}"
            command = [str(binaries / "dagster"), "dev", "-w", workspace, "-h", HOST, "-p", str(port)]
        else:
            command = [str(binaries / "dagster-daemon"), "run", "-w", workspace]
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("ab") as log:
            process = subprocess.Popen(
                command,
                cwd=self.settings.repo,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._record.write_text(json.dumps({"pid": process.pid, "ui": address}))
        return process, address

    def address(self) -> str | None:
        """Address of the web server, when one runs."""
        if not self._record.is_file() or not self.processes():
            return None
        return json.loads(self._record.read_text())["ui"]

    def processes(self) -> list[psutil.Process]:
        """Every living process of the stack, found by the mark in its environment."""
        found: list[psutil.Process] = []
        own = os.getpid()
        for process in psutil.process_iter():
            try:
                if (
                    process.pid != own
                    and process.environ().get(MARK) == str(self.settings.home)
                    and process.status() != psutil.STATUS_ZOMBIE
                ):
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
                continue
        return found

    def stop(self) -> int:
        """Ends every process of the stack and waits for it.

        Runs are killed rather than cancelled: a cancelled run counts as the user's wish and is not tried again, a killed one is
        noticed at the next start and tried again, and every write of a run survives being killed.

        Returns:
            How many processes were ended.

        Raises:
            StackError: One of them cannot be killed.
        """
        processes = self.processes()
        for process in processes:
            kind = signal.SIGKILL if _is_worker(process) else signal.SIGTERM
            _send(process, kind)
        psutil.wait_procs(processes, timeout=_STOP_SECONDS)
        deadline = time.monotonic() + _KILL_SECONDS
        while left := self.processes():  # a child born meanwhile, too
            if time.monotonic() > deadline:
                raise StackError(f"{len(left)} processes of Dagster do not end", where=str(left[0]), remedy="./mesh down again")
            for process in left:
                _send(process, signal.SIGKILL)
            psutil.wait_procs(left, timeout=_STOP_SECONDS)
        self._record.unlink(missing_ok=True)
        return len(processes)

    def log_tail(self, lines: int = 5) -> str:
        """The last lines of the log, without the colours that Dagster writes into it."""
        text = self.log.read_text(errors="replace") if self.log.is_file() else ""
        return "\n".join(_COLOUR.sub("", line) for line in text.splitlines()[-lines:])

    def _port(self) -> int:
        """The remembered port when it is free, else a new one."""
        remembered = self.settings.home / "ui-port"
        port = free_port([int(remembered.read_text()) if remembered.is_file() else 3000])
        remembered.write_text(str(port))
        return port


def wait_for_ui(address: str, process: subprocess.Popen[bytes], stack: LocalStack, seconds: float = 120) -> None:
    """Waits until the web server answers.

    Raises:
        StackError: It does not, or Dagster ended.
    """
    port = int(address.rpartition(":")[2])
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if process.poll() is not None:
            raise StackError(f"Dagster ended ({process.returncode})", where=str(stack.log), remedy=stack.log_tail())
        if answers(port):
            return
        time.sleep(0.2)
    raise StackError("the web server does not answer", where=address, remedy=f"look into {stack.log}")


def _is_worker(process: psutil.Process) -> bool:
    """Whether the process works for a run (fork server, run, dbt, connector) rather than being a server of Dagster's."""
    try:
        line = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return True
    programs = {Path(word).name for word in line[:2]}
    modules = {after for word, after in pairwise(line) if word == "-m"}
    servers = {"dagster", "dagster-daemon", "dagster-webserver", "dagster_webserver", "dagster._daemon"}
    return not ((programs | modules) & servers)


def _send(process: psutil.Process, kind: signal.Signals) -> None:
    try:
        process.send_signal(kind)
    except psutil.NoSuchProcess:
        return
