"""Runs a connector so that nothing of it outlives the sync. Executed as a script by ``connector``; imports the standard library only.

The runner holds the other end of a pipe. When the runner ends in any way, SIGKILL included, the kernel closes that end and
the guard ends the connector's whole process group; worker processes of a connector (faker's, for one) would stay for ever.

It also ends the group when its processes together hold more memory than their limit. Measured with sixty idle threads in 14 MB: RLIMIT_AS
(1.5 GB counted) and RLIMIT_DATA (0.5 GB counted) both refuse them, since they count addresses, not memory. So the guard looks at
what is resident, ten times a second, and RLIMIT_DATA stands far above as a fuse for what grows faster than that.

It starts a connector's every action, so it imports little: ``subprocess`` would take as long to load as all the rest.

Usage: guard.py LIFELINE_FD MEMORY_LIMIT PROGRAM [ARGUMENT ...]   (a limit in bytes, 0 for none)
"""

from __future__ import annotations

import os
import select
import signal
import sys
import time

_GRACE_SECONDS = 2.0
_LOOK_SECONDS = 0.1
_MEMBERS_SECONDS = 1.0
_FUSE_BYTES = 1 << 30
OVER_MEMORY = "mesh-guard: over the memory limit, bytes held: "
"""Begins the line of the error output that says why the guard ended the program."""


def main(arguments: list[str]) -> int:
    """Runs the program; returns its exit code, or 128 plus the signal that ended it."""
    lifeline, limit, command = int(arguments[0]), int(arguments[1]), arguments[2:]
    os.set_inheritable(lifeline, False)
    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, _noticed)
    if limit:  # on the guard itself, which holds next to nothing: the program is born with it
        import resource

        fuse = 2 * limit + _FUSE_BYTES
        resource.setrlimit(resource.RLIMIT_DATA, (fuse, fuse))
    # A group of its own, which can be ended as a whole. The configuration's descriptors pass through; signals that Python ignores do not.
    child = Child(os.posix_spawnp(command[0], command, os.environ, setpgroup=0, setsigdef=[signal.SIGPIPE, signal.SIGXFSZ]))
    memory = Memory(child.pid)
    # The guard must not hold the connector's output open after the connector is gone.
    null = os.open(os.devnull, os.O_RDWR)
    for descriptor in (0, 1):
        os.dup2(null, descriptor)
    while child.runs():
        ready, _, _ = select.select([lifeline, wake_read], [], [], _LOOK_SECONDS if limit else 1.0)
        held = memory.held() if limit else 0
        if held > limit:
            os.write(2, f"{OVER_MEMORY}{held}\n".encode())
            break
        if lifeline in ready:
            _end(child, signal.SIGTERM)
            deadline = time.monotonic() + _GRACE_SECONDS
            while child.runs() and time.monotonic() < deadline:
                time.sleep(0.02)
            break
        if wake_read in ready:
            os.read(wake_read, 4096)
    _end(child, signal.SIGKILL)
    return child.end()


class Child:
    """The program that runs."""

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self._code: int | None = None

    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._look(os.WNOHANG) is None

    def end(self) -> int:
        """Waits for its end; its exit code, or 128 plus the signal that ended it."""
        code = self._look(0) or 0
        return 128 - code if code < 0 else code

    def _look(self, options: int) -> int | None:
        if self._code is None:
            pid, status = os.waitpid(self.pid, options)
            self._code = os.waitstatus_to_exitcode(status) if pid else None
        return self._code


class Memory:
    """What the processes of a group hold. Members are looked up once a second, what they hold at every look."""

    def __init__(self, group: int) -> None:
        self._group = group
        self._members = [group]
        self._looked = 0.0

    def held(self) -> int:
        """Bytes of memory, without the pages of files; 0 where there is no ``/proc``."""
        if time.monotonic() - self._looked > _MEMBERS_SECONDS:
            self._looked = time.monotonic()
            self._members = [pid for pid in map(int, filter(str.isdigit, _listed("/proc"))) if self._belongs(pid)]
        return sum(map(_resident, self._members))

    def _belongs(self, pid: int) -> bool:
        # pid (name) state parent group ...; the name may hold anything, so the fields are counted from its end
        fields = _content(f"/proc/{pid}/stat").rpartition(b")")[2].split()
        return len(fields) > 2 and int(fields[2]) == self._group


def _resident(pid: int) -> int:
    fields = _content(f"/proc/{pid}/statm").split()
    return (int(fields[1]) - int(fields[2])) * os.sysconf("SC_PAGE_SIZE") if len(fields) > 2 else 0


def _listed(path: str) -> list[str]:
    try:
        return os.listdir(path)  # noqa: PTH208 - looked at ten times a second, so without objects
    except OSError:
        return []  # no Linux


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:  # noqa: PTH123 - as above
            return file.read()
    except OSError:
        return b""  # it ended while it was looked at


def _noticed(_number: int, _frame: object) -> None:
    """SIGCHLD must have a handler to wake ``select``; there is nothing to do in it."""


def _end(child: Child, number: signal.Signals) -> None:
    try:  # noqa: SIM105 - contextlib would have to be imported for it
        os.killpg(child.pid, number)
    except (ProcessLookupError, PermissionError):
        pass  # it has ended


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
