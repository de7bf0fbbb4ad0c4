"""What a program takes: wall time, CPU of itself and of the Postgres it works on, memory."""

from __future__ import annotations

import contextlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Generator, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from platform_core.errors import MeshError
from platform_core.warehouse import EmbeddedPostgres

_LOOK_SECONDS = 0.2
_SETTLE_SECONDS = 5.0
_CHILDREN = Path("/proc/thread-self/children")  # where the kernel tells; psutil reads the state of every process of the machine


@dataclass(frozen=True)
class Measured:
    """One run of one contestant.

    Attributes:
        wall_s: From start to end of its process.
        cpu_client_s: User and system time of the process and all it started.
        cpu_server_s: The same of every process of the Postgres server, while it ran.
        peak_mb: Highest sum of the proportional set sizes of its processes, in MB; looked at five times a second, since a look
            takes CPU from who is measured.
    """

    wall_s: float
    cpu_client_s: float
    cpu_server_s: float
    peak_mb: float


@contextlib.contextmanager
def own_server(bench: str) -> Generator[tuple[Path, EmbeddedPostgres]]:
    """A folder, and a running server in it, that end with the benchmark."""
    with tempfile.TemporaryDirectory(prefix=f"mesh-bench-{bench}-") as folder:
        server = EmbeddedPostgres(Path(folder) / "postgres")
        server.start()
        try:
            yield Path(folder), server
        finally:
            server.stop()


def machine() -> dict[str, Any]:
    """Where the figures come from."""
    memory = round(psutil.virtual_memory().total / (1 << 30))
    return {"cores": psutil.cpu_count(), "memory_gb": memory, "python": platform.python_version(), "system": platform.platform()}


def measure(command: Sequence[str], *, environment: Mapping[str, str], folder: Path, server: Path) -> Measured:
    """Runs a program to its end.

    Args:
        command: Program and arguments.
        environment: All its environment variables.
        folder: Its working folder.
        server: Data folder of the Postgres that it uses.

    Raises:
        MeshError: It failed; with the end of what it printed.
    """
    postmaster = psutil.Process(int((server / "postmaster.pid").read_text().split()[0]))
    before = len(postmaster.children())
    server_before, client_before = _server_seconds(postmaster), _children_seconds()
    with tempfile.TemporaryFile() as said:
        began = time.monotonic()
        process = subprocess.Popen(command, env=dict(environment), cwd=folder, stdin=subprocess.DEVNULL, stdout=said, stderr=said)
        ended: list[float] = []

        def wait() -> None:  # not Popen.wait with a timeout: it looks only every 50 ms
            process.wait()
            ended.append(time.monotonic())

        waiter = threading.Thread(target=wait, daemon=True)
        waiter.start()
        peak = 0
        while waiter.is_alive():
            peak = max(peak, _memory(process.pid))
            waiter.join(_LOOK_SECONDS)
        wall = ended[0] - began
        if process.returncode:
            said.seek(0)
            tail = said.read().decode(errors="replace")[-3000:]
            raise MeshError(f"{' '.join(command[:3])} ended with code {process.returncode}: {tail}", where=str(folder))
    deadline = time.monotonic() + _SETTLE_SECONDS
    while len(postmaster.children()) > before and time.monotonic() < deadline:  # its sessions end a moment later
        time.sleep(0.02)
    return Measured(wall, _children_seconds() - client_before, _server_seconds(postmaster) - server_before, peak / 1e6)


def summary(name: str, runs: Sequence[Measured], rows: int) -> dict[str, Any]:
    """The documented form of a result: medians, and the spread of wall time and CPU."""
    cpu = [run.cpu_client_s + run.cpu_server_s for run in runs]
    return {
        "name": name,
        "runs": len(runs),
        "wall_s": round(statistics.median(run.wall_s for run in runs), 3),
        "wall_spread": [round(min(run.wall_s for run in runs), 3), round(max(run.wall_s for run in runs), 3)],
        "cpu_client_s": round(statistics.median(run.cpu_client_s for run in runs), 3),
        "cpu_server_s": round(statistics.median(run.cpu_server_s for run in runs), 3),
        "cpu_spread": [round(min(cpu), 3), round(max(cpu), 3)],
        "peak_mb": round(max(run.peak_mb for run in runs)),
        "rows": rows,
    }


def _children_seconds() -> float:
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    return usage.ru_utime + usage.ru_stime


def _server_seconds(postmaster: psutil.Process) -> float:
    times = postmaster.cpu_times()
    total = times.user + times.system + times.children_user + times.children_system  # sessions that ended
    for child in postmaster.children():
        with contextlib.suppress(psutil.Error):
            own = child.cpu_times()
            total += own.user + own.system
    return total


def _memory(pid: int) -> int:
    total = 0
    for each in _family(pid):
        with contextlib.suppress(psutil.Error):
            total += each.memory_full_info().pss if sys.platform == "linux" else each.memory_info().rss
    return total


def _family(pid: int) -> Iterator[psutil.Process]:
    """A process and all that come from it."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        yield process
        if not _CHILDREN.exists():
            yield from process.children(recursive=True)
            return
    with contextlib.suppress(OSError):
        for children in Path(f"/proc/{pid}/task").glob("*/children"):
            for child in children.read_text().split():
                yield from _family(int(child))
