"""A whole platform for the cross-cutting tests: a copy of the repository with a home of its own, started by the real command."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import dagster as dg
import psutil
import psycopg
import pytest
from dagster._core.definitions.run_request import InstigatorType

from platform_core.orchestration.conditions import SENSOR
from platform_core.orchestration.local_instance import instance_home
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

USERS = 400
PATIENCE_SECONDS = 120.0  # for what takes seconds on a machine with nothing else to do
LOOK_SECONDS = 0.5  # between two looks, which cost the platform under test some work
_COPIED = ("domains", "dbt_projects", "airbyte", "platform_core", "workspace.yaml", "pyproject.toml", "uv.lock", "mesh")
_LEFT_OUT = shutil.ignore_patterns("__pycache__", "*.egg-info", "tests", ".pytest_cache", "target", "logs")


@dataclass
class Platform:
    """A platform under test."""

    repo: Path
    home: Path
    ui: str = ""
    process: subprocess.Popen[str] | None = None
    first_up: dict[str, Any] = field(default_factory=dict)

    @property
    def environment(self) -> dict[str, str]:
        """Environment in which the copy's code is used, not the checkout's."""
        sources = [self.repo / "platform_core" / "src", *sorted((self.repo / "domains").glob("*/src"))]
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "DAGSTER_", "PG", "DBT_"))}
        return {
            **kept,
            "PYTHONPATH": os.pathsep.join(str(source) for source in sources),
            "MESH_REPO": str(self.repo),
            "MESH_HOME": str(self.home),
            "MESH_DEMO_USERS": str(USERS),
            "MESH_UV": os.environ.get("MESH_UV") or shutil.which("uv") or "",
            "COLUMNS": "200",
        }

    @property
    def warehouse(self) -> Warehouse:
        """Its warehouse."""
        return Warehouse.from_settings(Settings.load({"MESH_REPO": str(self.repo), "MESH_HOME": str(self.home)}))

    def command(self, *arguments: str) -> list[str]:
        """The command line of a mesh command."""
        return [sys.executable, "-m", "platform_core.cli", *arguments]

    def run(self, *arguments: str, timeout: float = 280, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Runs a mesh command to its end."""
        result = subprocess.run(
            self.command(*arguments), env=self.environment, cwd=self.repo, capture_output=True, text=True, timeout=timeout
        )
        assert not check or result.returncode == 0, (
            f"mesh {' '.join(arguments)}: {result.returncode}\n{result.stdout}\n{result.stderr}\n{self.log()}"
        )
        return result

    def log(self) -> str:
        """The end of Dagster's log."""
        path = self.home / "logs" / "dagster.log"
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        return "\n".join(line for line in lines if "ERROR" in line or "Error" in line)[-4000:]

    def owns(self, process: psutil.Process) -> bool:
        """Whether a process belongs to it: Dagster's by their mark, Postgres by its folder."""
        try:
            marked = process.environ().get("MESH_STACK") == str(self.home)
            return process.pid != os.getpid() and (marked or str(self.home / "postgres") in " ".join(process.cmdline()))
        except psutil.Error:
            return False

    def rows(self, query: str, *values: Any) -> list[tuple[Any, ...]]:
        """What a query gives, as the platform."""
        with self.warehouse.connect_platform(autocommit=True) as connection:
            return connection.execute(query.encode(), values or None).fetchall()

    def graphql(self, query: str, **variables: Any) -> Any:
        """What the web server answers."""
        body = json.dumps({"query": query, "variables": variables}).encode()
        request = urllib.request.Request(f"{self.ui}/graphql", body, {"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as answer:
            document = json.load(answer)
        assert "errors" not in document, document["errors"]
        return document["data"]

    def start(self) -> None:
        """Starts `mesh up` with the UI and waits until it serves."""
        self.process = subprocess.Popen(
            self.command("up", "--json", "--timeout", "240"),
            env=self.environment,
            cwd=self.repo,
            stdout=subprocess.PIPE,
            stderr=(self.home / "up.log").open("w"),
            text=True,
        )
        assert self.process.stdout is not None
        text = ""
        for line in self.process.stdout:
            text += line
            if line.rstrip() == "}":
                break
        assert text, f"mesh up said nothing:\n{(self.home / 'up.log').read_text()}\n{self.log()}"
        self.ui = json.loads(text)["ui"]

    def stop(self) -> int:
        """Presses Ctrl-C and waits; the exit code."""
        assert self.process is not None
        self.process.send_signal(signal.SIGINT)
        return self.process.wait(timeout=PATIENCE_SECONDS)

    def left_running(self) -> list[str]:
        """Its processes that are still there after a patient look: whatever was ended may take a moment to go."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            left = [process for process in psutil.process_iter() if self.owns(process)]
            if not left or time.monotonic() > deadline:
                return [str(process) for process in left]
            time.sleep(0.2)


@pytest.fixture(scope="session")
def repository_copy(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Platform:
    """A copy of the repository that tests may change, not started; connectors are shared with the checkout's home."""
    folder = tmp_path_factory.mktemp("platform")
    copy, home = folder / "repo", folder / "home"
    copy.mkdir()
    home.mkdir()
    for name in _COPIED:
        source = repo / name
        if source.is_dir():
            shutil.copytree(source, copy / name, ignore=_LEFT_OUT)
        else:
            shutil.copy2(source, copy / name)
    shared = Path(os.environ.get("MESH_TEST_HOME", repo / ".mesh")) / "connectors"
    shared.mkdir(parents=True, exist_ok=True)
    (home / "connectors").symlink_to(shared)
    return Platform(copy, home)


@pytest.fixture(scope="session")
def published_platform(repository_copy: Platform) -> Iterator[Platform]:
    """The platform after its first `mesh up --no-ui`, which was killed once on its way; nothing runs but Postgres, on demand."""
    platform = repository_copy
    _kill_halfway(platform)
    result = platform.run("up", "--no-ui", "--json", "--timeout", "450", timeout=500)
    platform.first_up = json.loads(result.stdout)
    platform.run("status")  # starts Postgres again, which `up --no-ui` stopped with everything else
    yield platform
    platform.run("down", check=False)


@pytest.fixture(scope="session")
def running_platform(published_platform: Platform) -> Iterator[Platform]:
    """The platform with the UI, everything published."""
    published_platform.start()
    yield published_platform
    if published_platform.process is not None and published_platform.process.poll() is None:
        published_platform.stop()


@pytest.fixture
def quiet_platform(running_platform: Platform) -> Iterator[Platform]:
    """The platform when nothing runs, and nothing is about to."""
    settings = Settings.load({"MESH_REPO": str(running_platform.repo), "MESH_HOME": str(running_platform.home)})
    with dg.DagsterInstance.from_config(str(instance_home(settings))) as instance:
        wait_for("quiet", _Quiet(running_platform, instance).look)
    yield running_platform
    wait_for("quiet", lambda: None not in _ends(running_platform))


def _ends(platform: Platform) -> list[float | None]:
    """When the last runs ended."""
    runs = platform.graphql("{ runsOrError(limit: 100) { ... on Runs { results { endTime } } } }")["runsOrError"]["results"]
    return [run["endTime"] for run in runs]


class _Quiet:
    """Whether every location has looked for news, from start to end, since the last run ended, and found none."""

    def __init__(self, platform: Platform, instance: dg.DagsterInstance) -> None:
        self._platform = platform
        self._instance = instance
        self._looks: dict[str, set[float]] = {}

    def look(self) -> bool:
        """Whether it is quiet by now; looked at again and again."""
        looks = self._begun()  # before the runs: a look that started one is not taken for a quiet one
        ends = _ends(self._platform)
        waiting = self._platform.rows("SELECT count(*) FROM mesh.run_requests WHERE taken_at IS NULL")[0][0]
        ended = max((end for end in ends if end is not None), default=0.0)
        if waiting or None in ends:
            self._looks.clear()
            return False
        for location, began in looks.items():
            if began > ended:
                self._looks.setdefault(location, set()).add(began)
        # One that begins after another began, began after the other's end.
        return len(self._looks) == len(looks) and all(len(begun) >= 2 for begun in self._looks.values())

    def _begun(self) -> dict[str, float]:
        """When the conditions of each location were last begun to be evaluated."""
        found: dict[str, float] = {}
        for state in self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            if state.instigator_name == SENSOR:
                location = state.origin.repository_origin.code_location_origin.location_name
                found[location] = float(getattr(state.instigator_data, "last_tick_timestamp", None) or 0)
        return found


def wait_for(what: str, look: Callable[[], Any], seconds: float = 240) -> Any:
    """Looks until something is there."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if found := look():
            return found
        time.sleep(LOOK_SECONDS)
    pytest.fail(f"{what}: not within {seconds:.0f} s")


def _kill_halfway(platform: Platform) -> None:
    """Kills `mesh up` and every process of it, Postgres too, as soon as the first rows of a sync are in the warehouse."""
    process = subprocess.Popen(
        platform.command("up", "--no-ui"), env=platform.environment, cwd=platform.repo, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    deadline = time.monotonic() + 200
    while time.monotonic() < deadline and process.poll() is None:
        if _something_loaded(platform):
            break
        time.sleep(0.1)
    assert process.poll() is None, f"mesh up ended before it could be killed: {process.returncode}\n{platform.log()}"
    process.kill()
    process.wait()
    while owned := [candidate for candidate in psutil.process_iter() if platform.owns(candidate)]:  # some are just being born
        for candidate in owned:
            with contextlib.suppress(psutil.NoSuchProcess):  # ended by itself, as others of it were killed
                candidate.kill()
        psutil.wait_procs(owned, timeout=3)


def _something_loaded(platform: Platform) -> bool:
    try:
        return bool(platform.rows("SELECT 1 FROM pg_stat_user_tables WHERE schemaname LIKE '%%\\_raw' AND n_live_tup > 0 LIMIT 1"))
    except (psycopg.Error, Exception):
        return False
