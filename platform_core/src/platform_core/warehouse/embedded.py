"""The embedded Postgres of a laptop and of CI: real PostgreSQL 18 from a wheel, on loopback, with scram passwords.

State lives in ``<home>/postgres``: the data folder, the log, the remembered port, and ``pgpass`` (libpq's own format,
readable by the owner only), the one place where the generated passwords are kept.
"""

from __future__ import annotations

import os
import secrets
import signal
import subprocess
import threading
import time
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import psycopg

from platform_core.contracts import naming
from platform_core.file_lock import held_alone
from platform_core.loopback import HOST, free_port
from platform_core.warehouse import binaries
from platform_core.warehouse.errors import WarehouseError

_START_SECONDS = 60.0
_RETRY_SECONDS = 15.0
_SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "max_connections": "200",
    "shared_buffers": "128MB",
    "max_wal_size": "1GB",
    # Generated passwords of 192 random bits need no stretching, and Dagster's storage opens a connection a query.
    "scram_iterations": "1",
    "wal_level": "minimal",  # no replica: tables that are made and filled in one transaction skip the log
    "max_wal_senders": "0",
    "log_min_messages": "warning",
    "log_line_prefix": "%m [%p] %u ",
}


@dataclass(frozen=True)
class EmbeddedPostgres:
    """A server whose whole state is one folder."""

    folder: Path

    @property
    def data(self) -> Path:
        """The data folder of the cluster."""
        return self.folder / "data"

    @property
    def passfile(self) -> Path:
        """The generated passwords, in libpq's pass file format."""
        return self.folder / "pgpass"

    @property
    def log(self) -> Path:
        """The server's log."""
        return self.folder / "postgres.log"

    @property
    def port(self) -> int:
        """The remembered port.

        Raises:
            WarehouseError: The server was never made.
        """
        try:
            return int((self.folder / "port").read_text())
        except (OSError, ValueError) as error:
            raise WarehouseError("the embedded Postgres has not been made yet", where=str(self.folder), remedy="run ./mesh up") from error

    def conninfo(self) -> dict[str, str]:
        """libpq parameters of the server, without a user.

        A password is proven, never sent: while the server is down, any program may take its port and ask for it in clear.
        """
        return {"host": HOST, "port": str(self.port), "passfile": str(self.passfile), "require_auth": "scram-sha-256"}

    def running(self) -> bool:
        """Whether the server answers for its owner."""
        if not (self.folder / "port").is_file() or not self.passfile.is_file():
            return False
        try:
            self._connect().close()
        except psycopg.OperationalError:
            return False
        return True

    def start(self) -> bool:
        """Makes the cluster when there is none and starts the server when it is down.

        Returns:
            Whether this call started it.

        Raises:
            WarehouseError: It does not come up; the message carries the end of its log.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        programs = binaries.locate()
        with self._locked():
            if self.running():
                return False
            programs.own(self.folder)
            if not (self.data / "PG_VERSION").is_file():
                self._initialise(programs)
            self._launch(programs)
        return True

    def stop(self) -> bool:
        """Stops the server (fast shutdown: open transactions roll back) and waits for its end; whether it was running."""
        with self._locked():
            pid = self._pid()
            if pid is None:
                return False
            os.kill(pid, signal.SIGINT)
            deadline = time.monotonic() + 60
            while _alive(pid):
                if time.monotonic() > deadline:
                    raise WarehouseError(f"Postgres (process {pid}) does not stop", remedy=f"look into {self.log}")
                time.sleep(0.05)
            return True

    def set_password(self, role: str) -> str:
        """The password of a login role: the remembered one, or a new one that is remembered first."""
        known = self._passwords()
        if role not in known:
            known[role] = secrets.token_urlsafe(24)
            self._write_passwords(known)
        return known[role]

    def remembers(self, role: str) -> bool:
        """Whether the pass file holds a password of the role."""
        return role in self._passwords()

    def _initialise(self, programs: binaries.Programs) -> None:
        half_made = self.data
        if half_made.exists():  # a killed initdb leaves a folder that the next one refuses
            half_made.rename(self.folder / f"data.incomplete.{time.time_ns()}")
        self._write_passwords({naming.PLATFORM_ROLE: secrets.token_urlsafe(24)})
        given = self.folder / "initial-password"
        given.touch(mode=0o600)
        given.write_text(self._passwords()[naming.PLATFORM_ROLE])
        programs.own(given)
        making = self.folder / "data.making"
        try:
            options = ["-A", "scram-sha-256", "-U", naming.PLATFORM_ROLE, f"--pwfile={given}", "-E", "UTF8", "--locale=C.UTF-8"]
            options += ["--set", f"scram_iterations={_SETTINGS['scram_iterations']}"]
            if making.exists():
                making.rename(self.folder / f"data.incomplete.{time.time_ns()}")
            binaries.run(programs.command("initdb", *options, "-D", str(making), reach=self.folder), self.folder)
            making.rename(self.data)
        finally:
            given.unlink(missing_ok=True)

    def _launch(self, programs: binaries.Programs) -> None:
        began = time.monotonic()
        while True:
            port = self._choose_port()
            settings = [part for name, value in _SETTINGS.items() for part in ("-c", f"{name}={value}")]
            command = programs.command("postgres", "-D", str(self.data), "-p", str(port), *settings, reach=self.folder)
            with self.log.open("ab") as log:
                process = subprocess.Popen(
                    command, cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
                )
            while process.poll() is None:
                if self.running():
                    # A killed server that its parent never waits for keeps its number, and its lock file counts as held.
                    threading.Thread(target=process.wait, name="waits for the end of Postgres", daemon=True).start()
                    return
                if time.monotonic() > began + _START_SECONDS:
                    process.send_signal(signal.SIGINT)
                    raise WarehouseError("Postgres does not answer", where=str(self.log), remedy=self._log_tail())
                time.sleep(0.05)
            # A server killed a moment ago may still hold its lock file or shared memory: try again for a while.
            if time.monotonic() > began + _RETRY_SECONDS:
                raise WarehouseError("Postgres does not start", where=str(self.log), remedy=self._log_tail())
            time.sleep(0.3)

    def _choose_port(self) -> int:
        remembered = self.folder / "port"
        port = free_port([int(remembered.read_text())] if remembered.is_file() else ())
        _write_private(remembered, str(port))
        return port

    def _connect(self) -> psycopg.Connection:
        return psycopg.connect(**self.conninfo(), user=naming.PLATFORM_ROLE, dbname="postgres", connect_timeout=5)  # pyright: ignore[reportArgumentType]

    def _pid(self) -> int | None:
        try:
            pid = int((self.data / "postmaster.pid").read_text().split()[0])
        except (OSError, ValueError, IndexError):
            return None
        return pid if _alive(pid) and _serves(pid, self.data) else None

    def _passwords(self) -> dict[str, str]:
        if not self.passfile.is_file():
            return {}
        fields = (line.split(":") for line in self.passfile.read_text().splitlines())
        return {parts[3]: parts[4] for parts in fields if len(parts) == 5}

    def _write_passwords(self, passwords: dict[str, str]) -> None:
        _write_private(self.passfile, "".join(f"*:*:*:{role}:{secret}\n" for role, secret in passwords.items()))

    def _log_tail(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-4:] if self.log.is_file() else []
        return "the log ends with: " + " | ".join(lines)

    def _locked(self) -> AbstractContextManager[None]:
        return held_alone(self.folder / "lock")


def _write_private(path: Path, text: str) -> None:
    temporary = path.with_name(f"{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        file.write(text)
    temporary.replace(path)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:  # a zombie that waits for its parent no longer runs
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return Path("/proc").is_dir() is False


def _serves(pid: int, data: Path) -> bool:
    """Whether a process is the server of this data folder; a lock file that was left behind may name anybody's."""
    try:
        return os.fsencode(data) in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return not Path("/proc").is_dir()
