"""``doctor`` and ``reload`` beside a platform that serves: what they find and say. The platform is a mark in a process' environment."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from platform_core.cli import checkup
from platform_core.orchestration.local_stack import LocalStack
from platform_core.settings import Settings

Mesh = Any  # the fixtures' types; test modules do not import each other
Applied = Any


class _WebServer(BaseHTTPRequestHandler):
    """Takes every reload, except that of ``sales``, which is broken, and of ``marketing``, which it does not know."""

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        error = {"__typename": "PythonError", "message": "no module"} if asked["variables"]["name"] == "sales" else None
        entry = {"__typename": "WorkspaceLocationEntry", "locationOrLoadError": error}
        unknown = {"__typename": "RepositoryLocationNotFound", "message": "Location marketing does not exist."}
        answer = unknown if asked["variables"]["name"] == "marketing" else entry
        body = json.dumps({"data": {"reloadRepositoryLocation": answer}}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Silence."""


@contextmanager
def _served() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _WebServer)
    thread = threading.Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _database(settings: Settings) -> checkup.Finding:
    return next(finding for finding in checkup._database(settings) if finding.name == "database")


@pytest.mark.parametrize("serving", [True, False])
def test_doctor_does_not_ask_for_a_second_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, serving: bool) -> None:
    monkeypatch.setattr(LocalStack, "processes", lambda _stack: [object()] if serving else [])
    settings = Settings.load({"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home")})
    assert _database(settings).found == "no database yet"
    (tmp_path / "home" / "postgres").mkdir(parents=True)
    (tmp_path / "home" / "postgres" / "port").write_text("1")
    found = _database(settings)
    assert found.remedy is not None
    if serving:
        assert found.state == "error" and "starts it again" in found.remedy and "./mesh down, then ./mesh up" in found.remedy
    else:
        assert (found.state, found.remedy) == ("warning", "run ./mesh up")


def test_a_reload_that_is_piped_says_what_it_does(mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform_core.transformation.parse_all", lambda _projects, _environment: [])  # dbt is not what is asked about
    with _served() as address:
        monkeypatch.setattr(LocalStack, "address", lambda _stack: address)
        said = mesh("reload", "inventory", "sales", "--json")
    assert said.err.splitlines()[:4] == [
        "applying schemas, roles and grants",
        "parsing the dbt projects that changed",
        "loading the code location inventory (1 of 2)",
        "loading the code location sales (2 of 2)",
    ]
    assert said.code == 1
    assert said.json()["locations"] == [{"location": "inventory", "error": None}, {"location": "sales", "error": "no module"}]


def test_a_reload_of_a_domain_that_is_newer_than_the_platform_says_how_it_is_taken_in(
    mesh: Mesh, applied: Applied, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("platform_core.transformation.parse_all", lambda _projects, _environment: [])
    with _served() as address:
        monkeypatch.setattr(LocalStack, "address", lambda _stack: address)
        said = mesh("reload", "inventory", "marketing")
    assert said.code == 1 and "loaded inventory\n" in said.out
    assert "marketing is not loaded: is newer than the platform that serves: ./mesh down, then ./mesh up" in said.err
