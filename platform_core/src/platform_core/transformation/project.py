"""A domain's dbt project: where it lies, and its manifest, made when the files changed and not otherwise."""

from __future__ import annotations

import contextlib
import hashlib
import os
import subprocess
import sys
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from platform_core.errors import MeshError
from platform_core.file_lock import held_alone
from platform_core.settings import Settings

_LEFT_OUT = {"target", "logs", "dbt_packages", "__pycache__"}


class TransformationError(MeshError):
    """A dbt project cannot be found, parsed or run."""


@dataclass(frozen=True)
class DbtProject:
    """The dbt project of a domain.

    Attributes:
        domain: The domain.
        folder: The project (``dbt_projects/<domain>_dbt``).
        target: Where dbt writes; local state, never inside the project.
    """

    domain: str
    folder: Path
    target: Path

    @classmethod
    def of(cls, domain: str, settings: Settings) -> DbtProject:
        """The domain's project.

        Raises:
            TransformationError: It has no ``dbt_project.yml``.
        """
        name = f"{domain}_dbt"
        folder = settings.repo / "dbt_projects" / name
        if not (folder / "dbt_project.yml").is_file():
            raise TransformationError(
                f"the domain {domain!r} has no dbt project",
                where=str(folder),
                remedy="create dbt_project.yml there, or remove the component",
            )
        return cls(domain, folder, settings.home / "dbt" / name)

    @property
    def manifest(self) -> Path:
        """The manifest of the last parse."""
        return self.target / "manifest.json"

    def content_hash(self) -> str:
        """Hash of every file of the project, and of the dbt version that reads them."""
        from importlib.metadata import version

        digest = hashlib.sha256(version("dbt-core").encode())
        for path in _files(self.folder):
            digest.update(str(path.relative_to(self.folder)).encode() + b"\0" + path.read_bytes() + b"\0")
        return digest.hexdigest()[:16]

    def environment(self, target: Path) -> dict[str, str]:
        """Environment of a dbt process of this project, on top of the caller's own."""
        return {
            "DBT_PROJECT_DIR": str(self.folder),
            "DBT_PROFILES_DIR": str(self.folder),
            "DBT_TARGET_PATH": str(target),
            "DBT_LOG_PATH": str(target),
            "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
            "DO_NOT_TRACK": "1",
        }


def ensure_manifest(project: DbtProject) -> Path:
    """The project's manifest, made by ``dbt parse`` when its files changed since the last time.

    Raises:
        TransformationError: dbt rejects the project; the message carries what dbt says.
    """
    parse_all([project])
    return project.manifest


def parse_all(projects: Iterable[DbtProject], environment: Mapping[str, str] | None = None) -> list[DbtProject]:
    """Parses the projects whose files changed, all in one dbt process: most of a parse is the start of dbt.

    Another process that needs one of the manifests meanwhile waits for it.

    Args:
        projects: Those that are needed.
        environment: Added to the caller's own for dbt, which parses again at a build when what a profile reads of it has changed.

    Returns:
        The projects that were parsed.

    Raises:
        TransformationError: dbt rejects one.
    """
    stale = [project for project in projects if not _current(project)]
    if not stale:
        return []
    with contextlib.ExitStack() as stack:
        for project in sorted(stale, key=lambda item: item.domain):
            stack.enter_context(held_alone(project.target / "lock"))
        stale = [project for project in stale if not _current(project)]  # another process may have been faster
        if stale:
            _parse(stale, environment or {})
    return stale


def _parse(projects: list[DbtProject], added: Mapping[str, str]) -> None:
    arguments = [part for project in projects for part in (str(project.folder), str(project.target))]
    command = [sys.executable, "-m", "platform_core.transformation.parse", *arguments]
    environment = {**os.environ, **added, "DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DO_NOT_TRACK": "1"}
    hashes = {project: project.content_hash() for project in projects}  # before: a file saved meanwhile is parsed again
    result = subprocess.run(command, env=environment, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if result.returncode:
        said = "\n".join((result.stdout + result.stderr).strip().splitlines()[-12:])
        where = ", ".join(str(project.folder) for project in projects)
        raise TransformationError(f"dbt cannot parse the project:\n{said}", where=where, remedy="correct the file that dbt names")
    for project in projects:
        (project.target / "content-hash").write_text(hashes[project])


def _current(project: DbtProject) -> bool:
    stamp = project.target / "content-hash"
    return project.manifest.is_file() and stamp.is_file() and stamp.read_text() == project.content_hash()


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name not in _LEFT_OUT and not path.name.startswith("."):
                yield from _files(path)
        elif not path.name.startswith("."):
            yield path
