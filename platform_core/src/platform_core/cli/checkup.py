"""What ``mesh doctor`` looks at."""

from __future__ import annotations

import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import version
from typing import Literal

import psutil
from rich.console import Console

from platform_core.contracts import load_mesh
from platform_core.errors import MeshError
from platform_core.orchestration.local_stack import LocalStack
from platform_core.settings import WORKSPACE_FILE, Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse, plan

_GIB = 1 << 30


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    state: Literal["ok", "warning", "error"]
    found: str
    remedy: str | None = None


def examine(settings: Settings, progress: Console | None = None) -> list[Finding]:
    """Looks at everything; each finding that is not ok carries a remedy."""
    findings = [_python(), _versions(), _disk(settings), _memory(), _files(settings)]
    findings += _database(settings)
    findings.append(_interface(settings))
    if progress is None:
        return [*findings, _locations(settings)]
    with progress.status("loading the code locations"):
        return [*findings, _locations(settings)]


def _python() -> Finding:
    return Finding("python", "ok", f"{sys.version.split()[0]} in {sys.prefix}")


def _versions() -> Finding:
    names = ("dagster", "dagster-dbt", "dbt-core", "great-expectations", "acryl-datahub")
    return Finding("versions", "ok", ", ".join(f"{name} {version(name)}" for name in names))


def _disk(settings: Settings) -> Finding:
    settings.home.mkdir(parents=True, exist_ok=True)
    free = shutil.disk_usage(settings.home).free / _GIB
    if free < 2:
        return Finding("disk", "error", f"{free:.1f} GB free at {settings.home}", "free some space, or set MESH_HOME to another disk")
    return Finding("disk", "ok", f"{free:.0f} GB free at {settings.home}")


def _memory() -> Finding:
    free = psutil.virtual_memory().available / _GIB
    if free < 2.5:
        return Finding("memory", "warning", f"{free:.1f} GB available", "close other programs: the demonstration takes about 2.5 GB")
    return Finding("memory", "ok", f"{free:.1f} GB available")


def _files(settings: Settings) -> Finding:
    mesh = load_mesh(settings.repo)
    errors = [problem for problem in mesh.problems if problem.severity == "error"]
    if errors:
        return Finding(
            "product files", "error", f"{len(errors)} errors, the first at {errors[0].location}: {errors[0].message}", "run ./mesh lint"
        )
    return Finding("product files", "ok", f"{len(mesh.products)} products in {len(mesh.domains)} domains")


def _database(settings: Settings) -> Iterator[Finding]:
    server = EmbeddedPostgres(settings.home / "postgres")
    if settings.warehouse_dsn is None and not server.running():
        known = (server.folder / "port").is_file()
        if known and LocalStack(settings).processes():
            remedy = "./mesh up serves and starts it again within seconds: look again; if it stays down, ./mesh down, then ./mesh up"
            yield Finding("database", "error", "the embedded Postgres is down while Dagster runs", remedy)
            return
        yield Finding("database", "warning", "the embedded Postgres is down" if known else "no database yet", "run ./mesh up")
        return
    try:
        with Warehouse.from_settings(settings).connect_platform() as connection:
            row = connection.execute("SELECT current_setting('server_version'), current_setting('port')").fetchone()
            steps = plan(connection, load_mesh(settings.repo))
            connection.rollback()
    except MeshError as error:
        yield Finding("database", "error", error.what, error.remedy)
        return
    yield Finding("database", "ok", f"PostgreSQL {row[0]} on port {row[1]}" if row else "answers")
    if steps:
        yield Finding(
            "schemas and roles", "warning", f"{len(steps)} changes pending, the first: {steps[0]}", "run ./mesh plan, then ./mesh apply"
        )
    else:
        yield Finding("schemas and roles", "ok", "as the files say")


def _interface(settings: Settings) -> Finding:
    stack = LocalStack(settings)
    address = stack.address()
    if address:
        return Finding("dagster", "ok", f"serves {address}")
    if stack.processes():
        return Finding("dagster", "ok", "the daemon runs, without the UI")
    return Finding("dagster", "warning", "does not run", "run ./mesh up")


def _locations(settings: Settings) -> Finding:
    command = [sys.executable, "-m", "dagster", "definitions", "validate", "-w", str(settings.repo / WORKSPACE_FILE)]
    result = subprocess.run(command, capture_output=True, text=True, cwd=settings.repo, check=False)
    if result.returncode:
        lines = [line for line in (result.stdout + result.stderr).splitlines() if "Error" in line or "remedy" in line]
        return Finding(
            "code locations", "error", " | ".join(lines[-3:]) or "do not load", f"run: dagster definitions validate -w {WORKSPACE_FILE}"
        )
    return Finding("code locations", "ok", "all load")
