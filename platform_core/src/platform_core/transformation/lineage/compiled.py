"""The compiled SQL of every dbt model, without a database: made by dbt when a project's files changed, and kept under their hash."""

from __future__ import annotations

import hashlib
import os
import re
import subprocess
import sys
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.file_lock import held_alone
from platform_core.settings import Settings
from platform_core.transformation.project import DbtProject

Ports = Mapping[str, Mapping[str, list[str]]]
"""Schema and table of every port to its columns."""

_KEPT = 20
_ENVIRONMENT = re.compile(rb"env_var\s*\(\s*['\"]([^'\"]+)['\"]")
_SECRET = re.compile(r"PASS|SECRET|TOKEN|KEY", re.IGNORECASE)


@dataclass(frozen=True)
class Compiled:
    """What dbt made of a project.

    Attributes:
        domain: The domain.
        folder: The project, from the root of the repository.
        error: What dbt says when it cannot read the project at all.
        models: Models, seeds and snapshots, as ``compile_projects`` describes them.
        sources: The sources that the project names.
    """

    domain: str
    folder: str
    error: str | None
    models: tuple[Mapping[str, Any], ...]
    sources: tuple[Mapping[str, Any], ...]


def kept(domains: Iterable[str], settings: Settings, ports: Ports) -> tuple[Compiled, ...] | None:
    """What ``compiled`` would answer, where it would start no dbt; None where it would."""
    found: list[Compiled] = []
    for project in _projects(domains, settings):
        answer = _kept(project, _key(project), settings, ports)
        if answer is None:
            return None
        found.append(_described(project, answer))
    return tuple(found)


def compiled(domains: Iterable[str], settings: Settings, ports: Ports) -> tuple[Compiled, ...]:
    """The compiled projects of the domains that have one; dbt is started only for those whose files changed.

    Args:
        domains: The domains of the mesh.
        settings: Says where the projects lie, and where what was compiled is kept.
        ports: What dbt is told when a macro asks for the columns of another product's port.
    """
    projects = _projects(domains, settings)
    keys = {project: _key(project) for project in projects}
    answers = {project: _kept(project, keys[project], settings, ports) for project in projects}
    stale = [project for project, answer in answers.items() if answer is None]
    if stale:
        folder = settings.home / "lineage"
        with held_alone(folder / "lock"):
            answers |= {
                project: _kept(project, keys[project], settings, ports) for project in stale
            }  # another process may have been faster
            stale = [project for project in stale if answers[project] is None]
            for project, answer in zip(stale, _ask(stale, settings, ports), strict=True) if stale else ():
                answers[project] = answer
                _keep(project, keys[project], settings, answer)
    return tuple(_described(project, answer) for project, answer in answers.items() if answer is not None)


def _described(project: DbtProject, answer: Mapping[str, Any]) -> Compiled:
    folder = f"dbt_projects/{project.folder.name}"
    return Compiled(project.domain, folder, answer["error"], tuple(answer["models"]), tuple(answer["sources"]))


def _projects(domains: Iterable[str], settings: Settings) -> list[DbtProject]:
    folder = settings.repo / "dbt_projects"
    return [DbtProject.of(domain, settings) for domain in domains if (folder / f"{domain}_dbt" / "dbt_project.yml").is_file()]


def _ask(projects: list[DbtProject], settings: Settings, ports: Ports) -> list[Mapping[str, Any]]:
    import orjson

    requests = [
        {"folder": str(project.folder), "target": str(settings.home / "lineage" / project.folder.name / "target")} for project in projects
    ]
    environment = {**os.environ, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1", "PGHOST": "127.0.0.1", "PGPORT": "1"}
    result = subprocess.run(
        [sys.executable, "-m", "platform_core.transformation.lineage.compile_projects"],
        input=orjson.dumps({"ports": ports, "projects": requests}),
        env=environment,
        capture_output=True,
        check=False,
    )
    answers: list[Mapping[str, Any]] = [orjson.loads(line) for line in result.stdout.splitlines() if line.startswith(b"{")]
    if len(answers) != len(projects):
        said = " ".join((result.stderr or result.stdout).decode(errors="replace").split())[-400:]
        answers = [{"error": f"dbt ended with {result.returncode}: {said}", "models": [], "sources": [], "asked": {}} for _ in projects]
    return answers


def _key(project: DbtProject) -> str:
    """Hash of the project's files, of the environment that they read, and of the program that reads them."""
    digest = hashlib.sha256(project.content_hash().encode())
    for path in sorted(project.folder.glob("dbt_packages/*/dbt_project.yml")):
        digest.update(path.read_bytes())
    names: set[str] = set()
    for pattern in ("*.sql", "*.yml", "*.yaml"):
        for path in project.folder.rglob(pattern):
            names |= {name.decode(errors="replace") for name in _ENVIRONMENT.findall(path.read_bytes())}
    for name in sorted(names):
        if not name.startswith("PG") and not _SECRET.search(name):
            digest.update(f"{name}={os.environ.get(name)}\0".encode())
    digest.update((Path(__file__).parent / "compile_projects.py").read_bytes())
    return digest.hexdigest()[:24]


def _file(project: DbtProject, key: str, settings: Settings) -> Path:
    return settings.home / "lineage" / project.folder.name / f"compiled-{key}.json"


def _kept(project: DbtProject, key: str, settings: Settings, ports: Ports) -> Mapping[str, Any] | None:
    """What was compiled from the very same files; None when there is nothing, or when a port that it asked for has other columns now."""
    import orjson

    path = _file(project, key, settings)
    try:
        answer = orjson.loads(path.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None
    for relation, columns in answer["asked"].items():
        schema, _, table = relation.partition(".")
        if ports.get(schema, {}).get(table) != columns:
            return None
    return answer


def _keep(project: DbtProject, key: str, settings: Settings, answer: Mapping[str, Any]) -> None:
    import orjson

    if answer["error"]:
        return  # it is asked again: what was in the way may lie outside of the files
    path = _file(project, key, settings)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = path.with_suffix(f".{os.getpid()}.new")
    written.write_bytes(orjson.dumps(answer))
    written.replace(path)
    old = sorted(path.parent.glob("compiled-*.json"), key=lambda item: item.stat().st_mtime, reverse=True)[_KEPT:]
    for item in old:
        item.unlink(missing_ok=True)
