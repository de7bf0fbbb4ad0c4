"""``mesh bench up``: from an installed environment to all products published."""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

from platform_core.cli.bench_measure import machine
from platform_core.cli.session import err
from platform_core.errors import MeshError
from platform_core.settings import Settings

_LOOK_SECONDS = 1.0  # looking costs CPU too: it must not be what is measured
# What a process of the platform is, by a word of its command line; the first that fits.
_KINDS = (
    ("transformation.parse", "dbt parse"),
    ("forkserver", "runs"),
    ("postgres", "postgres"),
    ("code-server", "code locations"),
    ("api grpc", "code locations"),
    ("dagster-daemon", "daemon"),
    ("dagster._daemon", "daemon"),
    ("bin/dbt", "dbt build"),
    ("/connectors/", "connectors"),
    ("platform_core.cli", "mesh command"),
)


@dataclass
class Usage:
    """What the processes of one run took."""

    cpu: dict[str, float] = field(default_factory=dict[str, float])
    peak_mb: float = 0.0


def bench_up(repeat: int) -> dict[str, Any]:
    """From an installed environment to all products published, several times from an empty home.

    Returns:
        The documented form: ``results`` holds the whole, its phases in seconds of wall time, and the CPU seconds by kind of process.
        Memory is the proportional set size of the whole process tree, so that shared pages count once.
    """
    settings = Settings.load()
    walls: list[float] = []
    usages: list[Usage] = []
    phases: list[dict[str, float]] = []
    rows = 0
    for number in range(repeat):
        err.print(f"run {number + 1} of {repeat}")
        with tempfile.TemporaryDirectory(prefix="mesh-bench-") as folder:
            home = Path(folder) / "home"
            home.mkdir()
            shared = settings.home / "connectors"
            shared.mkdir(parents=True, exist_ok=True)
            (home / "connectors").symlink_to(shared)
            wall, usage, document = _one(settings, home)
            walls.append(wall)
            usages.append(usage)
            phases.append(json.loads((home / "logs" / "up-phases.json").read_text()))
            rows = sum(port["rows"] for product in document["products"] for port in product["ports"])
            shutil.rmtree(home / "postgres", ignore_errors=True)
    results: list[dict[str, Any]] = [
        {
            "name": f"mesh up --no-ui, {settings.demo_users:,} users",
            "wall_s": round(statistics.median(walls), 2),
            "wall_spread": [round(min(walls), 2), round(max(walls), 2)],
            "cpu_client_s": round(statistics.median(sum(usage.cpu.values()) for usage in usages), 1),
            "peak_mb": round(statistics.median(usage.peak_mb for usage in usages)),
            "rows": rows,
        }
    ]
    for phase in phases[0]:
        seconds = [each.get(phase, 0.0) for each in phases]
        spread = [round(min(seconds), 2), round(max(seconds), 2)]
        results.append({"name": f"phase: {phase}", "wall_s": round(statistics.median(seconds), 2), "wall_spread": spread})
    for kind in sorted({kind for usage in usages for kind in usage.cpu}):
        results.append(
            {"name": f"processes: {kind}", "cpu_client_s": round(statistics.median(usage.cpu.get(kind, 0.0) for usage in usages), 1)}
        )
    return {"bench": "up", "machine": machine(), "results": results, "ratios": {}}


def _one(settings: Settings, home: Path) -> tuple[float, Usage, dict[str, Any]]:
    environment = {**os.environ, "MESH_HOME": str(home), "MESH_REPO": str(settings.repo), "MESH_DEMO_USERS": str(settings.demo_users)}
    began = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-m", "platform_core.cli", "up", "--no-ui", "--json"],
        env=environment,
        cwd=settings.repo,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    )
    usage = Usage()
    spent: dict[tuple[int, float], tuple[float, str]] = {}
    while process.poll() is None:
        memory = 0
        for each in psutil.process_iter():
            try:
                if not _ours(each, process.pid, home):
                    continue
                times = each.cpu_times()
                spent[each.pid, each.create_time()] = (times.user + times.system, _kind(" ".join(each.cmdline())))
                memory += each.memory_full_info().pss if sys.platform == "linux" else each.memory_info().rss
            except psutil.Error:
                continue
        usage.peak_mb = max(usage.peak_mb, memory / 1e6)
        time.sleep(_LOOK_SECONDS)
    wall = time.monotonic() - began
    assert process.stdout is not None
    said = process.stdout.read()
    if process.returncode:
        raise MeshError(f"mesh up failed ({process.returncode})", where=str(home / "logs"), remedy="run ./mesh up and look at its message")
    for seconds, kind in spent.values():
        usage.cpu[kind] = usage.cpu.get(kind, 0.0) + seconds
    return wall, usage, json.loads(said)


def _ours(process: psutil.Process, root: int, home: Path) -> bool:
    if process.pid == root:
        return True
    environment, line = process.environ(), " ".join(process.cmdline())
    # A connector knows no home, and its program lies in the connectors' folder that homes share.
    return environment.get("MESH_HOME") == str(home) or str(home) in line or str((home / "connectors").resolve()) in line


def _kind(line: str) -> str:
    return next((kind for word, kind in _KINDS if word in line), "other")
