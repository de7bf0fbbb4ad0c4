"""Runs a connector so that nothing of it outlives the sync. Executed as a script by ``connector``; imports the standard library only.

The runner holds the other end of a pipe. When the runner ends in any way, SIGKILL included, the kernel closes that end and
the guard ends the connector's whole process group; worker processes of a connector (faker's, for one) would stay for ever.

Usage: guard.py LIFELINE_FD PROGRAM [ARGUMENT ...]
"""

from __future__ import annotations

import contextlib
import os
import select
import signal
import subprocess
import sys
import time

_GRACE_SECONDS = 2.0


def main(arguments: list[str]) -> int:
    """Runs the program; returns its exit code, or 128 plus the signal that ended it."""
    lifeline, command = int(arguments[0]), arguments[1:]
    os.set_inheritable(lifeline, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, _noticed)
    # close_fds=False: the configuration's descriptors pass through. A group of its own: it can be ended as a whole.
    child = subprocess.Popen(command, close_fds=False, process_group=0)
    # The guard must not hold the connector's output open after the connector is gone.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    while child.poll() is None:
        ready, _, _ = select.select([lifeline, wake_read], [], [], 1.0)
        if lifeline in ready:
            _end(child, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while child.poll() is None and time.monotonic() < deadline:
                time.sleep(0.02)
            break
        if wake_read in ready:
            os.read(wake_read, 4096)
    _end(child, signal.SIGKILL)
    code = child.wait()
    return 128 - code if code < 0 else code


def _noticed(_number: int, _frame: object) -> None:
    """SIGCHLD must have a handler to wake ``select``; there is nothing to do in it."""


def _end(child: subprocess.Popen[bytes], number: signal.Signals) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(child.pid, number)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
