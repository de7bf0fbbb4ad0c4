"""Companion processes of a domain on a laptop: a stand-in for somebody else's API, for example, while ``mesh up`` runs.

Declared in the domain's ``pyproject.toml``::

    [[tool.mesh.local_services]]
    name = "ad_platforms"
    command = ["python", "-m", "marketing.ad_platforms", "--port", "{port}"]
    address_variable = "AD_PLATFORMS_URL"            # gets http://127.0.0.1:<port>
    environment = { SEARCHLIGHT_TOKEN = "demo" }     # set with the address; what the stand-in takes, so no secret

Where the address variable is set already (a server, or the real API), nothing is started and nothing else is set. Everything that
is started ends with the command that started it, also when that is killed.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
import tomllib
from collections.abc import Generator, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_core.errors import MeshError
from platform_core.ingestion import guard
from platform_core.loopback import HOST, answers, free_port
from platform_core.orchestration.local_stack import MARK
from platform_core.settings import Settings

_START_SECONDS = 20.0
_STOP_SECONDS = 10.0
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]*")
_KEYS = {"name", "command", "address_variable", "environment"}


class LocalServiceError(MeshError):
    """A local service is declared wrongly, or does not start."""


@dataclass(frozen=True)
class LocalService:
    """A declared service.

    Attributes:
        domain: Whose it is.
        name: Of the service, unique in the domain.
        command: Program and arguments; ``{port}`` stands for the port, ``python`` as the program for this environment's.
        address_variable: Environment variable that gets ``http://127.0.0.1:<port>``.
        environment: What is set together with it, for the service and for who calls it.
    """

    domain: str
    name: str
    command: tuple[str, ...]
    address_variable: str
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def id(self) -> str:
        """``<domain>/<service>``."""
        return f"{self.domain}/{self.name}"


def declared_services(repo: Path) -> tuple[LocalService, ...]:
    """The services of all domains.

    Raises:
        LocalServiceError: A declaration is incomplete or names something unknown.
    """
    found: list[LocalService] = []
    for file in sorted((repo / "domains").glob("*/pyproject.toml")):
        declared = tomllib.loads(file.read_text()).get("tool", {}).get("mesh", {}).get("local_services", [])
        found += [_service(file, entry) for entry in declared]
    variables: dict[str, str] = {}
    for service in found:
        other = variables.setdefault(service.address_variable, service.id)
        if other != service.id:
            raise LocalServiceError(
                f"the services {other} and {service.id} both set {service.address_variable}", remedy="give each a variable of its own"
            )
    return tuple(found)


@contextlib.contextmanager
def local_services(settings: Settings) -> Generator[dict[str, str]]:
    """Runs the services that the environment does not replace, and sets what their callers need in this process' environment.

    Yields:
        The variables that were set.

    Raises:
        LocalServiceError: A service is declared wrongly, or does not answer.
    """
    with contextlib.ExitStack() as running:
        before = dict(os.environ)
        variables: dict[str, str] = {}
        record: dict[str, Any] = {}
        for service in declared_services(settings.repo):
            if os.environ.get(service.address_variable):
                continue
            known = _remembered(settings).get(service.id)
            port = free_port([int(known["port"])] if known else ())
            process = running.enter_context(_running(settings, service, port))
            _wait(service, process, port, _log(settings, service))
            set_by_us = {name: value for name, value in service.environment.items() if not os.environ.get(name)}
            variables |= {service.address_variable: f"http://{HOST}:{port}", **set_by_us}
            record[service.id] = {"port": port, "variables": {service.address_variable: f"http://{HOST}:{port}", **set_by_us}}
        if record:
            _record(settings).write_text(json.dumps(record))
        os.environ.update(variables)
        try:
            yield variables
        finally:
            for name in variables:
                os.environ.pop(name, None)
            os.environ.update({name: value for name, value in before.items() if name in variables})


def use_running_services(settings: Settings, environ: MutableMapping[str, str]) -> dict[str, str]:
    """Sets the variables of services that a running ``mesh up`` of this home has started, for a command beside it.

    Returns:
        The variables that were set.
    """
    variables: dict[str, str] = {}
    for service in declared_services(settings.repo):
        known = _remembered(settings).get(service.id)
        if known and not environ.get(service.address_variable) and answers(int(known["port"])):
            variables |= {name: value for name, value in known["variables"].items() if not environ.get(name)}
    environ.update(variables)
    return variables


def _service(file: Path, entry: Any) -> LocalService:
    def wrong(what: str, remedy: str) -> LocalServiceError:
        return LocalServiceError(f"[[tool.mesh.local_services]] {what}", where=str(file), remedy=remedy)

    if not isinstance(entry, dict):
        raise wrong(f"is {entry!r}", f"write a table with {', '.join(sorted(_KEYS))}")
    unknown = sorted(set(entry) - _KEYS)
    if unknown:
        raise wrong(f"has the unknown keys {', '.join(unknown)}", f"use {', '.join(sorted(_KEYS))}")
    missing = _KEYS - {"environment"} - set(entry)
    if missing:
        raise wrong(f"lacks {', '.join(sorted(missing))}", f"write {', '.join(sorted(missing))}")
    command, environment = entry["command"], entry.get("environment", {})
    if not isinstance(command, list) or not command or not all(isinstance(word, str) for word in command):
        raise wrong(f"has the command {command!r}", 'write a list of words: ["python", "-m", "..."]')
    if not any("{port}" in word for word in command):
        raise wrong("has a command without {port}", "let the service listen on the port that it is given: add {port} to its arguments")
    names = [entry["address_variable"], *environment]
    if not all(isinstance(name, str) and _VARIABLE.fullmatch(name) for name in names):
        raise wrong(f"names the variables {names!r}", "write capital letters, digits and underscores")
    return LocalService(file.parent.name, str(entry["name"]), tuple(command), entry["address_variable"], dict(environment))


@contextlib.contextmanager
def _running(settings: Settings, service: LocalService, port: int) -> Generator[subprocess.Popen[bytes]]:
    words = [word.replace("{port}", str(port)) for word in service.command]
    command = [sys.executable if words[0] == "python" else words[0], *words[1:]]
    log = _log(settings, service)
    log.parent.mkdir(parents=True, exist_ok=True)
    # The guard ends the service when the other end of this pipe closes: at the end of the context, or of this process in any way.
    lifeline, held = os.pipe()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PG")}
    environment |= {
        **service.environment,
        MARK: str(settings.home),
        "MESH_HOME": str(settings.home),
        "MESH_REPO": str(settings.repo),
        "MESH_DEMO_USERS": str(settings.demo_users),
    }
    try:
        with log.open("ab") as output:
            process = subprocess.Popen(
                [sys.executable, "-I", "-S", guard.__file__, str(lifeline), "0", *command],
                cwd=settings.repo,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                pass_fds=(lifeline,),
                start_new_session=True,
            )
    except BaseException:
        os.close(held)
        raise
    finally:
        os.close(lifeline)
    try:
        yield process
    finally:
        os.close(held)
        try:
            process.wait(_STOP_SECONDS)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _wait(service: LocalService, process: subprocess.Popen[bytes], port: int, log: Path) -> None:
    deadline = time.monotonic() + _START_SECONDS
    while not answers(port):
        ended = process.poll() is not None
        if ended or time.monotonic() > deadline:
            said = f"ended ({process.returncode})" if ended else f"does not answer on port {port}"
            tail = "\n".join(log.read_text(errors="replace").splitlines()[-5:])
            raise LocalServiceError(f"the local service {service.id} {said}", where=str(log), remedy=tail or "look into its command")
        time.sleep(0.02)


def _remembered(settings: Settings) -> dict[str, Any]:
    try:
        return json.loads(_record(settings).read_text())
    except (FileNotFoundError, ValueError):
        return {}


def _record(settings: Settings) -> Path:
    return settings.home / "local-services.json"


def _log(settings: Settings, service: LocalService) -> Path:
    return settings.home / "logs" / f"{service.domain}-{service.name}.log"
