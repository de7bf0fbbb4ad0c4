"""Companion processes of a laptop: started with what their callers need, replaced by a variable, gone with who started them."""

from __future__ import annotations

import multiprocessing
import os
import signal
import socket
import time
import urllib.request
from pathlib import Path

import psutil
import pytest

from platform_core.orchestration.local_services import LocalServiceError, declared_services, local_services, use_running_services
from platform_core.orchestration.local_stack import LocalStack
from platform_core.settings import Settings

DECLARED = """
[[tool.mesh.local_services]]
name = "api"
command = ["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]
address_variable = "SHOP_API_URL"
environment = { SHOP_API_TOKEN = "demo" }
"""


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    (tmp_path / "domains" / "sales").mkdir(parents=True)
    (tmp_path / "domains" / "sales" / "pyproject.toml").write_text(DECLARED)
    (tmp_path / "home").mkdir()
    for name in ("SHOP_API_URL", "SHOP_API_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    return Settings.load({"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home")})


def gone(port: int) -> bool:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) != 0:
                return True
        time.sleep(0.05)
    return False


def test_a_service_answers_while_it_is_needed(settings: Settings) -> None:
    with local_services(settings) as variables:
        address = variables["SHOP_API_URL"]
        assert (os.environ["SHOP_API_URL"], os.environ["SHOP_API_TOKEN"]) == (address, "demo")
        assert urllib.request.urlopen(address, timeout=60).status == 200
        beside: dict[str, str] = {}
        assert use_running_services(settings, beside) == beside == variables, "a command beside it finds it"
        assert LocalStack(settings).processes(), "it carries the mark of the stack"
    assert "SHOP_API_URL" not in os.environ and "SHOP_API_TOKEN" not in os.environ
    assert gone(int(address.rpartition(":")[2]))
    assert use_running_services(settings, {}) == {}
    with local_services(settings) as again:
        assert again["SHOP_API_URL"] == address, "the port is remembered"


def test_a_port_that_is_taken_is_left_alone(settings: Settings) -> None:
    with local_services(settings) as first:
        port = int(first["SHOP_API_URL"].rpartition(":")[2])
    with socket.socket() as other:
        other.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        other.bind(("127.0.0.1", port))
        other.listen()
        with local_services(settings) as second:
            assert second["SHOP_API_URL"] != first["SHOP_API_URL"]


def test_where_the_address_is_given_nothing_is_started(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SHOP_API_URL", "https://api.example.com")
    with local_services(settings) as variables:
        assert variables == {}
        assert "SHOP_API_TOKEN" not in os.environ, "the stand-in's token has no business with the real API"
        assert LocalStack(settings).processes() == []


def _hold(settings: Settings) -> None:
    with local_services(settings):
        time.sleep(600)


def test_a_killed_command_leaves_nothing_running(settings: Settings) -> None:
    process = multiprocessing.get_context("fork").Process(target=_hold, args=(settings,))
    process.start()
    deadline = time.monotonic() + 60
    while not use_running_services(settings, {}) and time.monotonic() < deadline:
        time.sleep(0.05)
    address = use_running_services(settings, {})["SHOP_API_URL"]
    assert process.pid
    os.kill(process.pid, signal.SIGKILL)
    process.join(60)
    assert gone(int(address.rpartition(":")[2]))
    psutil.wait_procs(LocalStack(settings).processes(), timeout=60)
    assert LocalStack(settings).processes() == []


def test_a_service_that_does_not_start_says_why(settings: Settings) -> None:
    file = settings.repo / "domains" / "sales" / "pyproject.toml"
    file.write_text(DECLARED.replace("http.server", "no_such_module"))
    with pytest.raises(LocalServiceError, match=r"sales/api ended(.|\n)*No module named no_such_module"), local_services(settings):
        pass


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('name = "api"\n', "", "lacks name"),
        ("name =", "title = 'x'\nname =", "unknown keys title"),
        ("{port}", "8080", r"a command without \{port\}"),
        ("SHOP_API_URL", "shop-url", "names the variables"),
        ('["python", "-m", "http.server", "--bind", "127.0.0.1", "{port}"]', '"run {port}"', "has the command 'run"),
        (DECLARED, DECLARED + DECLARED.replace('"api"', '"other"'), "both set SHOP_API_URL"),
    ],
)
def test_a_wrong_declaration_is_said(settings: Settings, old: str, new: str, message: str) -> None:
    file = settings.repo / "domains" / "sales" / "pyproject.toml"
    file.write_text(DECLARED.replace(old, new))
    with pytest.raises(LocalServiceError, match=message):
        declared_services(settings.repo)
