"""One Python environment per connector and version, made once from a hash-locked list and shared by all connections.

Connectors pin their dependencies against each other and against the platform, so none may live in the platform's environment.
A lock is committed beside the connection files, ``airbyte/locks/<package>-<version>.txt``; without one it is resolved on
first use and kept in the home.
"""

from __future__ import annotations

import configparser
import hashlib
import os
import platform
import shutil
import subprocess
import sys
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

from platform_core.file_lock import held_alone
from platform_core.ingestion.connection import Connection, ConnectorReference
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.environment_use import COMPLETE
from platform_core.ingestion.errors import ConnectorEnvironmentError

LOCKS = Path("airbyte", "locks")


def connector_environment(reference: ConnectorReference, *, repo: Path, home: Path) -> ConnectorCommand:
    """The connector, ready to start. Makes its environment when it is not there yet.

    Args:
        reference: Package and exact version.
        repo: Root of the monorepo, for the committed locks.
        home: Local state.

    Raises:
        ConnectorEnvironmentError: uv is missing, or the package cannot be installed.
    """
    label = reference.label
    with exclusive(home, label):
        lock = lock_file(reference, repo, home)
        if not lock.is_file():
            _resolve(reference, lock)
        environment = environment_folder(reference, repo, home)
        if not (environment / COMPLETE).is_file():
            _install(environment, lock, label)
    return ConnectorCommand((str(_program(environment, reference)),), reference.package, reference.version, environment=environment)


def lock_file(reference: ConnectorReference, repo: Path, home: Path) -> Path:
    """The list of everything the connector needs: the committed one where there is one, otherwise that of the home."""
    committed = repo / LOCKS / f"{reference.label}.txt"
    return committed if committed.is_file() else connectors_folder(home) / "locks" / f"{reference.label}.txt"


def environment_folder(reference: ConnectorReference, repo: Path, home: Path) -> Path:
    """Where the connector's environment is, or would be; another one for another lock, Python or machine."""
    machine = f"{sys.version_info[:2]} {platform.system()} {platform.machine()}"
    digest = hashlib.sha256(lock_file(reference, repo, home).read_bytes() + machine.encode()).hexdigest()[:12]
    return connectors_folder(home) / f"{reference.label}-{digest}"


def connectors_folder(home: Path) -> Path:
    """The part of the home that holds environments (``<package>-<version>-<digest>``), ``cache`` and ``locks``."""
    return (home / "connectors").resolve()  # scripts carry the path of their interpreter: one through a link may be gone tomorrow


def connection_command(connection: Connection, *, repo: Path, home: Path) -> ConnectorCommand:
    """The connector of a connection, ready to start; a low-code manifest goes along as it was read. Raises as ``connector_environment``."""
    command = connector_environment(connection.connector, repo=repo, home=home)
    if connection.manifest is None:
        return command
    return replace(command, label=connection.connector_label, documents=(("manifest-path", connection.manifest.content),))


def uv_program() -> str:
    """Path of uv.

    Raises:
        ConnectorEnvironmentError: It is not installed.
    """
    found = os.environ.get("MESH_UV") or shutil.which("uv")
    if not found:
        raise ConnectorEnvironmentError(
            "uv is not installed, connectors cannot be", remedy="run ./mesh up, or put uv on PATH, or set MESH_UV"
        )
    return found


def exclusive(home: Path, label: str) -> AbstractContextManager[None]:
    """Lets one process at a time make or remove the environments of a connector."""
    return held_alone(connectors_folder(home) / f".{label}.lock")


def _resolve(reference: ConnectorReference, target: Path) -> None:
    """Writes what a connector needs, with hashes, for every platform. Source: ``uv pip compile``."""
    target.parent.mkdir(parents=True, exist_ok=True)
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    requirement = f"{reference.package}=={reference.version}"
    try:
        _uv(
            ["pip", "compile", "--quiet", "--generate-hashes", "--universal", "--no-annotate", "--no-header",
             "--python-version", f"{sys.version_info[0]}.{sys.version_info[1]}", "--output-file", str(partial), "-"],
            f"{requirement} cannot be resolved",
            given=requirement.encode(),
        )  # fmt: skip
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)


def _install(environment: Path, lock: Path, label: str) -> None:
    # Built in place, since scripts carry their interpreter's path; the marker comes last, so a killed build is seen and redone.
    shutil.rmtree(environment, ignore_errors=True)
    failed = f"the environment of {label} cannot be made"
    _uv(["venv", "--quiet", "--no-project", "--python", sys.executable, str(environment)], failed)
    _uv(
        ["pip", "sync", "--quiet", "--require-hashes", "--python", str(environment / "bin" / "python"), str(lock)],
        failed,
    )
    (environment / COMPLETE).touch()


def _uv(arguments: list[str], failed: str, *, given: bytes | None = None) -> None:
    environment = {name: value for name, value in os.environ.items() if name not in ("VIRTUAL_ENV", "UV_PROJECT_ENVIRONMENT")}
    result = subprocess.run([uv_program(), *arguments], input=given, capture_output=True, env=environment, check=False)
    if result.returncode:
        raise ConnectorEnvironmentError(
            f"{failed}: {result.stderr.decode(errors='replace').strip()[-2000:]}",
            remedy="check package and version on the index, and that the index can be reached",
        )


def _program(environment: Path, reference: ConnectorReference) -> Path:
    """The connector's console script, as its own distribution declares it."""
    wanted = reference.package.lower().replace("-", "_").replace(".", "_")
    for entry in environment.glob("lib/python*/site-packages/*.dist-info/entry_points.txt"):
        if entry.parent.name.lower().split("-")[0].replace(".", "_") != wanted:
            continue
        parser = configparser.ConfigParser(delimiters=("=",))
        parser.optionxform = str  # type: ignore[assignment,method-assign]
        parser.read_string(entry.read_text())
        scripts = list(parser["console_scripts"]) if parser.has_section("console_scripts") else []
        likely = reference.package.removeprefix("airbyte-")
        for script in sorted(scripts, key=lambda name: (name != likely, not name.startswith("source-"), name)):
            return environment / "bin" / script
    raise ConnectorEnvironmentError(
        f"{reference.package} {reference.version} brings no program",
        remedy="name the package of an Airbyte source (airbyte-source-...)",
    )


def packaged_spec(command: ConnectorCommand) -> Path | None:
    """The spec file inside the connector's package, which answers ``spec`` without starting it (about 3 CPU-seconds)."""
    program = Path(command.argv[0])
    module = command.name.lower().removeprefix("airbyte-").replace("-", "_")
    for ending in ("json", "yaml", "yml"):
        for found in program.parent.parent.glob(f"lib/python*/site-packages/{module}/spec.{ending}"):
            return found
    return None
