"""A connector as a process: started, read block by block, and ended with its whole process group, whatever happens."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import select
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import IO

import orjson

from platform_core.ingestion import guard
from platform_core.ingestion.environment_use import environment_in_use
from platform_core.ingestion.errors import ConnectorError
from platform_core.ingestion.handover import handed_over
from platform_core.ingestion.last_words import last_words
from platform_core.ingestion.protocol import Json
from platform_core.ingestion.scratch import scratch_folder

_READ_BYTES = 1 << 17  # small blocks and their records stay in the processor's cache
_PIPE_BYTES = 1 << 20
_F_SETPIPE_SZ = 1031  # Linux: a pipe of 1 MiB saves sixteen wake-ups of seventeen
_STDERR_LINES = 50
_LINE_LENGTH = 4000
_END_SECONDS = 10.0
# A connector is foreign code: it gets what it needs to reach its source, never the platform's own variables.
_PASSED = ("PATH", "LANG", "LC_ALL", "TZ", "HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
           "SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE")  # fmt: skip

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ConnectorCommand:
    """How to start a connector.

    Attributes:
        argv: Program and fixed arguments; the action and its options follow.
        name: Package, for people.
        version: Exact version.
        label: What people read, name and version by default.
        environment: Folder that must not be removed while the connector runs (see ``environment_store``), if it has one.
        documents: Options with their content, handed over in every action but ``spec`` (a low-code manifest).
    """

    argv: tuple[str, ...]
    name: str
    version: str
    label: str = ""
    environment: Path | None = None
    documents: tuple[tuple[str, bytes], ...] = field(default=(), repr=False)

    def __str__(self) -> str:
        return self.label or f"{self.name} {self.version}"


class ConnectorRun:
    """One running connector. A context manager: leaving it ends the whole process group, in every case."""

    def __init__(
        self,
        command: ConnectorCommand,
        action: str,
        *,
        config: Json | None = None,
        catalog: Json | None = None,
        state: Json | list[Json] | None = None,
        idle_seconds: float = 900,
        total_seconds: float | None = None,
        memory_bytes: int | None = None,
        redact: Callable[[str], str] = str,
    ) -> None:
        """Prepares the run; ``__enter__`` starts it.

        Args:
            command: The connector.
            action: ``spec``, ``check``, ``discover`` or ``read``.
            config: Resolved configuration.
            catalog: Configured catalog, for ``read``.
            state: State to resume from, for ``read``.
            idle_seconds: Longest silence on both output streams.
            total_seconds: Longest run.
            memory_bytes: The most that its processes may hold together.
            redact: Hides secrets in everything that is logged or raised.
        """
        self.command, self.action = command, action
        self._documents = {"config": config, "catalog": catalog, "state": state}
        self._idle, self._total, self._redact = idle_seconds, total_seconds, redact
        self._memory = memory_bytes
        self._held = 0
        self._stack = contextlib.ExitStack()
        self._stderr: deque[str] = deque(maxlen=_STDERR_LINES)
        self._heard = time.monotonic()
        self._process: subprocess.Popen[bytes] | None = None
        self._lifeline = -1
        self._drain: threading.Thread | None = None

    def __enter__(self) -> ConnectorRun:
        try:
            self._start()
        except BaseException:
            self._stack.close()
            raise
        return self

    def _start(self) -> None:
        if self._memory and not Path("/proc/self/statm").is_file():
            _log.warning("%s: memory_limit has no effect on this machine: only Linux tells what a process holds", self.command)
        if self.command.environment is not None:
            self._stack.enter_context(environment_in_use(self.command.environment))
        folder = self._stack.enter_context(scratch_folder())
        argv, inherited = [*self.command.argv, self.action], []
        documents = [(name, orjson.dumps(body, default=_exact)) for name, body in self._documents.items() if body is not None]
        for name, content in [*documents, *(self.command.documents if self.action != "spec" else ())]:
            handover = self._stack.enter_context(handed_over(name, content))
            argv += [f"--{name}", handover.path]
            inherited += [handover.descriptor] if handover.descriptor is not None else []
        read_end, self._lifeline = os.pipe()
        environment = {name: os.environ[name] for name in _PASSED if name in os.environ}
        environment |= {"HOME": folder, "TMPDIR": folder, "DO_NOT_TRACK": "true"}
        try:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(guard.__file__), str(read_end), str(self._memory or 0), *argv],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                pass_fds=(read_end, *inherited),
                cwd=folder,
                env=environment,
                start_new_session=True,  # Ctrl-C reaches the runner alone, which then ends the connector in order
            )
        finally:
            os.close(read_end)
        with contextlib.suppress(OSError):
            fcntl.fcntl(self._output.fileno(), _F_SETPIPE_SZ, _PIPE_BYTES)
        self._drain = threading.Thread(target=self._drain_stderr, name="connector-stderr", daemon=True)
        self._drain.start()

    @property
    def _running(self) -> subprocess.Popen[bytes]:
        if self._process is None:
            raise RuntimeError("a connector run is used outside its context")
        return self._process

    @property
    def _output(self) -> IO[bytes]:
        if self._running.stdout is None:
            raise RuntimeError("the connector's output is not piped")
        return self._running.stdout

    def blocks(self, *, pause: float | None = None) -> Iterator[bytes]:
        """Whole lines of the connector's output, separated by newlines, in blocks as they come.

        Args:
            pause: Give an empty block whenever the connector was silent for so many seconds.

        Raises:
            ConnectorError: The connector was silent, or ran, for too long.
        """
        descriptor = self._output.fileno()
        poll = select.poll()
        poll.register(descriptor, select.POLLIN)
        began = self._heard = time.monotonic()
        pieces: list[bytes] = []
        while True:
            if not self._wait(poll, began, pause):
                yield b""
                continue
            block = os.read(descriptor, _READ_BYTES)
            if not block:
                break
            end = block.rfind(b"\n")
            if end < 0:  # a piece of a long line; joined once, when its end is there
                pieces.append(block)
                continue
            yield b"".join((*pieces, memoryview(block)[:end]))
            pieces = [block[end + 1 :]] if end + 1 < len(block) else []
            self._heard = time.monotonic()  # the time that the loader took is not the connector's silence
        if pieces:
            yield b"".join(pieces)

    def _wait(self, poll: select.poll, began: float, pause: float | None) -> bool:
        """Whether there is output; False after ``pause`` seconds without."""
        until = None if pause is None else time.monotonic() + pause
        while True:
            now = time.monotonic()
            left = self._heard + self._idle - now
            if self._total is not None:
                left = min(left, began + self._total - now)
            if until is not None:
                left = min(left, until - now)
            if poll.poll(max(0, left) * 1000):
                return True
            now = time.monotonic()
            if self._total is not None and now >= began + self._total:
                raise self._timeout(f"ran longer than {self._total:g} s", "total")
            if now >= self._heard + self._idle:
                raise self._timeout(f"was silent for {self._idle:g} s", "idle")
            if until is not None and now >= until:
                return False

    def _timeout(self, what: str, key: str) -> ConnectorError:
        return ConnectorError(
            f"the connector {what} in {self.action} and was ended{self.stderr_tail()}",
            where=str(self.command),
            remedy=f"see whether the source answers; raise timeouts: {key}: if it is only slow",
        )

    def exit_code(self) -> int:
        """Waits for the end; 0 is success.

        Raises:
            ConnectorError: It does not end, or was ended because it held more memory than its limit.
        """
        try:
            code = self._running.wait(self._idle)
        except subprocess.TimeoutExpired as error:
            raise self._timeout(f"did not end within {self._idle:g} s of closing its output", "idle") from error
        if code and self._memory and self._drain is not None:
            self._drain.join(_END_SECONDS)
            if self._held or any("MemoryError" in line for line in self._stderr):
                raise self._out_of_memory(self._memory)
        return code

    def _out_of_memory(self, limit: int) -> ConnectorError:
        held = f" (it held {self._held / (1 << 20):,.0f} MB)" if self._held else ""
        return ConnectorError(
            f"the connector needed more memory than its limit of {limit >> 20:,} MB{held} in {self.action} and was ended",
            where=str(self.command),
            remedy="raise memory_limit: in the connection's file, or have it read less at a time (smaller pages, fewer streams)",
        )

    def stderr_tail(self) -> str:
        """The last lines of the connector's error output, redacted, for messages."""
        if self._drain is not None and self._process is not None and self._process.poll() is not None:
            self._drain.join(1.0)
        text = last_words(self._redact("\n".join(self._stderr)))  # hidden before it is cut: half a secret is not found
        return f"\n  the connector's last words: {text}" if text else ""

    def _drain_stderr(self) -> None:
        for line in self._running.stderr or ():
            self._heard = time.monotonic()
            text = line.decode(errors="replace").rstrip()
            if text.startswith(guard.OVER_MEMORY):
                self._held = int(text.removeprefix(guard.OVER_MEMORY))
                continue
            text = self._redact(text)[:_LINE_LENGTH]
            self._stderr.append(text)
            _log.debug("%s: %s", self.command.name, text)

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        process = self._running
        os.close(self._lifeline)  # the guard now ends the connector, if it still runs
        try:
            process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            _log.error("%s: the connector's guard did not end and is killed", self.command)
            process.kill()
            process.wait()
        if self._drain is not None:
            self._drain.join(_END_SECONDS)
        for stream in (process.stdout, process.stderr):
            if stream is not None:
                stream.close()
        self._stack.close()


def _exact(value: object) -> object:
    return orjson.Fragment(str(value).encode())  # the only foreign type is Decimal, from a state
