"""The embedded server: who can reach it, what it keeps secret, and what it survives."""

from __future__ import annotations

import contextlib
import os
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import psutil
import psycopg
import pytest

from platform_core.contracts import naming
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse, WarehouseError


@pytest.fixture(scope="module")
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    made = EmbeddedPostgres(tmp_path_factory.mktemp("own") / "postgres")
    yield made
    made.stop()


@pytest.fixture
def server(own: EmbeddedPostgres) -> EmbeddedPostgres:
    """A running server that the tests of this file may stop and kill."""
    own.start()
    return own


def _connect(server: EmbeddedPostgres, **changed: str) -> psycopg.Connection:
    parameters = {**server.conninfo(), "user": naming.PLATFORM_ROLE, "dbname": "postgres", "connect_timeout": "60", **changed}
    return psycopg.connect(**parameters)  # type: ignore[arg-type]


def _ask(server: EmbeddedPostgres, query: str) -> str:
    with _connect(server) as connection:
        row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return str(row[0])


def _postmaster(server: EmbeddedPostgres) -> psutil.Process:
    return psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))


def test_only_scram_passwords_are_accepted(postgres: EmbeddedPostgres) -> None:
    lines = (postgres.data / "pg_hba.conf").read_text().splitlines()
    methods = {line.split()[-1] for line in lines if line.strip() and not line.startswith("#")}
    assert methods == {"scram-sha-256"}
    assert _ask(postgres, "SELECT DISTINCT left(rolpassword, 14) FROM pg_authid WHERE rolpassword IS NOT NULL") == "SCRAM-SHA-256$"


@pytest.mark.parametrize("password", ["wrong", ""])
def test_a_wrong_or_missing_password_is_refused(postgres: EmbeddedPostgres, password: str) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"password authentication failed|no password supplied"):
        _connect(postgres, passfile=os.devnull, password=password)


def test_the_refusal_is_one_clear_error(postgres: EmbeddedPostgres) -> None:
    warehouse = Warehouse({**postgres.conninfo(), "dbname": "postgres", "passfile": os.devnull})
    with pytest.raises(WarehouseError) as caught:
        warehouse.connect("mesh_platform")
    assert caught.value.where == f"127.0.0.1:{postgres.port}"
    assert "./mesh doctor" in str(caught.value.remedy)


def test_it_listens_on_loopback_and_on_nothing_else(postgres: EmbeddedPostgres) -> None:
    postmaster = _postmaster(postgres)
    connections = postmaster.net_connections("all")
    for backend in postmaster.children(recursive=True):
        with contextlib.suppress(psutil.NoSuchProcess):  # other tests' backends come and go
            connections += backend.net_connections("all")
    listening = {connection.laddr for connection in connections if connection.status == "LISTEN"}
    assert {(address.ip, address.port) for address in listening} == {("127.0.0.1", postgres.port)}
    unix = [connection for connection in connections if connection.family == socket.AF_UNIX and connection.laddr]
    assert unix == [], "a unix socket is open"
    assert not list(Path(tempfile.gettempdir()).glob(f".s.PGSQL.{postgres.port}*"))
    addresses = {item.address for items in psutil.net_if_addrs().values() for item in items if item.family == socket.AF_INET}
    for address in addresses - {"127.0.0.1"}:
        with socket.socket() as probe:
            probe.settimeout(2)
            assert probe.connect_ex((address, postgres.port)) != 0, f"answers on {address}"


def test_secrets_are_for_their_owner_only(server: EmbeddedPostgres) -> None:
    assert stat.S_IMODE(server.passfile.stat().st_mode) == 0o600
    assert server.passfile.stat().st_uid == os.geteuid()
    assert stat.S_IMODE(server.data.stat().st_mode) == 0o700
    assert not (server.folder / "initial-password").exists()
    server.set_password("somebody")
    assert stat.S_IMODE(server.passfile.stat().st_mode) == 0o600
    secrets = _secrets(server)
    assert len(secrets) >= 2
    looked_at = 0
    for folder, _, names in os.walk(server.folder):
        for path in (Path(folder, name) for name in names):
            with contextlib.suppress(FileNotFoundError):  # a running server makes and removes files
                content = path.read_bytes()
                assert path == server.passfile or not any(secret.encode() in content for secret in secrets), path
                looked_at += 1
    assert looked_at > 100


def test_a_password_is_remembered_and_not_made_twice(server: EmbeddedPostgres) -> None:
    first = server.set_password("somebody")
    assert len(first) >= 32
    assert server.set_password("somebody") == first
    assert EmbeddedPostgres(server.folder).set_password("somebody") == first
    assert server.set_password("else") != first


def _secrets(server: EmbeddedPostgres) -> list[str]:
    return [line.split(":")[4] for line in server.passfile.read_text().splitlines()]


def test_no_password_is_ever_in_a_command_line_or_environment(tmp_path: Path) -> None:
    """Every process of the machine is looked at, as often as possible, while a server is made, started and used."""
    ended, seen = threading.Event(), set[bytes]()

    def look() -> None:
        while not ended.is_set():
            for folder in Path("/proc").iterdir():
                if folder.name.isdigit():
                    with contextlib.suppress(OSError):
                        seen.add((folder / "cmdline").read_bytes())
                        if folder.name != str(os.getpid()):
                            seen.add((folder / "environ").read_bytes())

    watcher = threading.Thread(target=look)
    watcher.start()
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        server.start()
        _ask(server, "SELECT 1")
    finally:
        ended.set()
        watcher.join()
        server.stop()
    assert any(b"initdb" in line for line in seen), "the watcher was too slow to prove anything"
    assert any(str(server.data).encode() in line for line in seen)
    assert [line for line in seen for secret in _secrets(server) if secret.encode() in line] == []


def test_addresses_for_other_libraries_carry_no_password(postgres: EmbeddedPostgres) -> None:
    warehouse = Warehouse({**postgres.conninfo(), "dbname": "postgres"}, server=postgres)
    shown = f"{warehouse!r} {warehouse.sqlalchemy_url('mesh_platform')} {warehouse.libpq_environment('mesh_platform')}"
    assert not [secret for secret in _secrets(postgres) if secret in shown]
    from sqlalchemy import create_engine, text

    engine = create_engine(warehouse.sqlalchemy_url("mesh_platform"))
    with engine.connect() as connection:
        assert connection.execute(text("SELECT current_user")).scalar() == "mesh_platform"
    engine.dispose()


def test_start_is_idempotent_and_keeps_port_and_data(server: EmbeddedPostgres) -> None:
    port = server.port
    with _connect(server) as connection:
        connection.execute("CREATE TABLE stays (a int)")
    assert server.start() is False
    assert server.stop() is True
    assert server.stop() is False
    assert not server.running()
    assert server.start() is True
    assert server.port == port
    assert _ask(server, "SELECT count(*) FROM stays") == "0"


def test_it_survives_being_killed(server: EmbeddedPostgres) -> None:
    """SIGKILL to every process of the server at once, as the end of a machine does; what was committed is there again."""
    with _connect(server) as connection:
        connection.execute("CREATE TABLE kept AS SELECT g AS a FROM generate_series(1, 1000) AS g")
    lost = _connect(server)
    lost.execute("INSERT INTO kept SELECT 0 FROM generate_series(1, 10)")  # not committed
    postmaster = _postmaster(server)
    for process in [postmaster, *postmaster.children(recursive=True)]:
        process.kill()
    assert server.start() is True  # at once: the killed server may still hold its files
    lost.close()
    assert _ask(server, "SELECT count(*) || '/' || min(a) FROM kept") == "1000/1"


def test_a_killed_server_leaves_no_trace_in_a_process_that_lives_on(server: EmbeddedPostgres) -> None:
    """While its parent has not waited for it, nobody could start it again: its number, which the lock file names, would be taken."""
    server.stop()
    server.start()  # by this process
    postmaster = _postmaster(server)
    postmaster.kill()
    deadline = time.monotonic() + 60
    while psutil.pid_exists(postmaster.pid):  # psutil's own wait would take the very part that is tested here
        assert time.monotonic() < deadline, "a zombie stays"
        time.sleep(0.02)
    assert server.start()


def test_a_killed_initdb_does_not_stand_in_the_way(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    for half_made in ("data", "data.making"):
        (folder / half_made).mkdir(parents=True)
        (folder / half_made / "pg_hba.conf").write_text("half")
    server = EmbeddedPostgres(folder)
    try:
        assert server.start() is True
        assert _ask(server, "SELECT 1") == "1"
    finally:
        server.stop()


def test_two_servers_side_by_side(postgres: EmbeddedPostgres, server: EmbeddedPostgres) -> None:
    assert postgres.port != server.port
    assert _ask(server, "SHOW data_directory") == str(server.data)
    assert _ask(postgres, "SHOW data_directory") == str(postgres.data)
    with pytest.raises(psycopg.OperationalError):
        _connect(server, passfile=str(postgres.passfile))


def test_starts_at_once_make_one_server(tmp_path: Path) -> None:
    folder = tmp_path / "postgres"
    started: list[bool] = []
    threads = [threading.Thread(target=lambda: started.append(EmbeddedPostgres(folder).start())) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    try:
        assert sorted(started) == [False, False, True]
    finally:
        EmbeddedPostgres(folder).stop()


def test_stop_never_ends_the_server_of_another_checkout(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    """After a reboot the process id of a lock file that was left behind may be anybody's, also another server's."""
    other = EmbeddedPostgres(tmp_path / "postgres")
    other.data.mkdir(parents=True)
    (other.data / "postmaster.pid").write_text(f"{_postmaster(postgres).pid}\n")
    assert other.stop() is False
    assert postgres.running()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root has to drop rights")
def test_as_root_it_works_below_a_folder_that_only_root_may_enter() -> None:
    with tempfile.TemporaryDirectory() as name:
        private = Path(name)
        private.chmod(0o700)
        server = EmbeddedPostgres(private / "home" / "postgres")
        try:
            server.start()
            assert _ask(server, "SELECT 1") == "1"
            assert _postmaster(server).uids().effective != 0
            assert stat.S_IMODE(private.stat().st_mode) == 0o700, "a folder of the user was opened up"
            assert private.stat().st_uid == 0
            assert stat.S_IMODE(server.passfile.stat().st_mode) == 0o600
        finally:
            server.stop()


@contextlib.contextmanager
def _stranger(port: int, answer: bytes = b"") -> Iterator[list[bytes]]:
    """Another program on a port; sends ``answer`` to whoever says something, and keeps what it hears."""
    heard: list[bytes] = []
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen()
        listener.settimeout(0.1)
        ended = threading.Event()

        def serve() -> None:
            while not ended.is_set():
                with contextlib.suppress(OSError):
                    connection, _ = listener.accept()
                    with connection:
                        connection.settimeout(1)
                        while data := connection.recv(1024):
                            heard.append(data)
                            connection.sendall(
                                b"N" if data[4:8] == b"\x04\xd2\x16\x2f" or data[4:8] == b"\x04\xd2\x16\x30" else answer or b"what?"
                            )

        thread = threading.Thread(target=serve)
        thread.start()
        yield heard
        ended.set()
        thread.join()


def test_a_port_taken_by_another_program_is_given_up(server: EmbeddedPostgres) -> None:
    taken = server.port
    server.stop()
    with _stranger(taken):
        assert server.start() is True
        assert server.port != taken
        assert _ask(server, "SELECT 1") == "1"
    assert EmbeddedPostgres(server.folder).port == server.port, "the new port is remembered"


def test_a_program_on_our_port_that_asks_for_the_password_does_not_get_it(server: EmbeddedPostgres) -> None:
    """Loopback ports are anybody's: who takes ours while we are down could ask for the password in clear."""
    taken = server.port
    server.stop()
    cleartext = b"R\x00\x00\x00\x08\x00\x00\x00\x03"  # AuthenticationCleartextPassword
    with _stranger(taken, cleartext) as heard:
        assert not server.running()
        with pytest.raises(WarehouseError):
            Warehouse({**server.conninfo(), "dbname": "mesh"}, server=server).connect("mesh_platform")
    assert heard, "nobody asked"
    assert not [data for data in heard for secret in _secrets(server) if secret.encode() in data]


def test_a_server_that_cannot_start_says_why(server: EmbeddedPostgres, monkeypatch: pytest.MonkeyPatch) -> None:
    from platform_core.warehouse import embedded

    server.stop()
    monkeypatch.setitem(embedded._SETTINGS, "shared_buffers", "nonsense")
    monkeypatch.setattr(embedded, "_RETRY_SECONDS", 0.5)
    with pytest.raises(WarehouseError) as caught:
        server.start()
    assert "shared_buffers" in str(caught.value.remedy)
    assert caught.value.where == str(server.log)


def test_before_it_was_made_the_error_says_what_to_do(tmp_path: Path) -> None:
    settings = Settings.load({"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home")})
    with pytest.raises(WarehouseError, match=r"run \./mesh up"):
        Warehouse.from_settings(settings)
    assert EmbeddedPostgres(tmp_path / "nowhere").running() is False
    assert EmbeddedPostgres(tmp_path / "nowhere").stop() is False


@pytest.mark.parametrize(
    ("dsn", "said"),
    [
        ("postgresql://u:secret@db:5432/mesh", "carries a password"),
        ("host=db password=secret", "carries a password"),
        ("this is none", "is not a Postgres address"),
    ],
)
def test_a_wrong_warehouse_address_is_one_clear_error_without_the_secret(tmp_path: Path, dsn: str, said: str) -> None:
    settings = Settings.load({"MESH_REPO": str(tmp_path), "MESH_WAREHOUSE_DSN": dsn})
    with pytest.raises(WarehouseError, match=said) as caught:
        Warehouse.from_settings(settings)
    assert caught.value.where == "MESH_WAREHOUSE_DSN"
    assert "secret" not in str(caught.value)


def test_the_server_outlives_the_command_that_started_it_and_its_terminal(tmp_path: Path) -> None:
    code = "import sys; from pathlib import Path; from platform_core.warehouse import EmbeddedPostgres; EmbeddedPostgres(Path(sys.argv[1])).start()"
    server = EmbeddedPostgres(tmp_path / "postgres")
    try:
        subprocess.run([sys.executable, "-c", code, str(server.folder)], check=True, timeout=240)
        assert server.running()
        postmaster = _postmaster(server)
        assert os.getsid(postmaster.pid) == postmaster.pid, "Ctrl-C at the terminal would stop it in the middle of its work"
    finally:
        server.stop()
