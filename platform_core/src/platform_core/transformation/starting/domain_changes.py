"""Everything that changes in the repository when a domain is added: its folder, and each place that names every domain."""

from __future__ import annotations

import runpy
import tempfile
from collections.abc import Mapping
from pathlib import Path

from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting import registration
from platform_core.transformation.starting.domain_files import VERSION
from platform_core.transformation.starting.files import FileChanges, new_files

_ENVIRONMENTS = Path("deploy/environments")
_GENERATED = _ENVIRONMENTS / "domains.yaml"
_GENERATOR = Path("deploy/domain_values.py")


def domain_changes(repo: Path, domain: str, files: Mapping[str, str | bytes]) -> FileChanges:
    """What adding a domain changes.

    Args:
        repo: The repository's root.
        domain: The domain; it may be there already, in part or as a whole.
        files: The files of its folders; those that are there are kept.

    Raises:
        TransformationError: A file that names the domains is written in a way that cannot be edited.
    """
    changes = new_files(repo, files, keep=True)
    edited: dict[str, tuple[bytes, bytes]] = {}
    for name, edit in (
        ("pyproject.toml", registration.in_root_project),
        ("workspace.yaml", registration.in_workspace),
        *((str(path.relative_to(repo)), registration.in_environment) for path in _environments(repo)),
    ):
        path = repo / name
        if path.is_file():
            before = path.read_bytes()
            after = edit(before.decode(), domain, name).encode()
            if after != before:
                edited[name] = (before, after)
    lock = repo / "uv.lock"
    if lock.is_file():
        before = lock.read_bytes()
        after = registration.in_lock(before.decode(), domain, _version(repo, domain, files), "uv.lock").encode()
        if after != before:
            edited["uv.lock"] = (before, after)
    generated = _chart_values(repo, domain, files)
    if generated is not None:
        edited[str(_GENERATED)] = generated
    return changes.and_(FileChanges(edited=edited))


def _environments(repo: Path) -> list[Path]:
    return [path for path in sorted((repo / _ENVIRONMENTS).glob("*.yaml")) if path.name != _GENERATED.name]


def _version(repo: Path, domain: str, files: Mapping[str, str | bytes]) -> str:
    """Version of the domain's package: that of its ``pyproject.toml`` when it is there."""
    import tomllib

    path = repo / "domains" / domain / "pyproject.toml"
    text = path.read_text() if path.is_file() else files.get(f"domains/{domain}/pyproject.toml", "")
    project = tomllib.loads(text if isinstance(text, str) else text.decode()).get("project", {})
    return str(project.get("version", VERSION))


def _chart_values(repo: Path, domain: str, files: Mapping[str, str | bytes]) -> tuple[bytes, bytes] | None:
    """The generated list of domains for the chart, made by the repository's own generator, from the projects as they will be."""
    target, generator = repo / _GENERATED, repo / _GENERATOR
    if not target.is_file() or not generator.is_file():
        return None
    made = runpy.run_path(str(generator), run_name="domain_values")
    with tempfile.TemporaryDirectory() as folder:
        for project in (repo / "domains").glob("*/pyproject.toml"):
            copy = Path(folder, "domains", project.parent.name, project.name)
            copy.parent.mkdir(parents=True)
            copy.write_bytes(project.read_bytes())
        own = Path(folder, "domains", domain, "pyproject.toml")
        if not own.is_file():
            own.parent.mkdir(parents=True, exist_ok=True)
            text = files[f"domains/{domain}/pyproject.toml"]
            own.write_bytes(text if isinstance(text, bytes) else text.encode())
        try:
            text = str(made["render"](made["find_domains"](Path(folder))))
        except (KeyError, ValueError) as error:
            message = f"{_GENERATOR} cannot list the domains: {error}"
            raise TransformationError(message, where=str(generator), remedy="correct the domain it names, or the script") from error
    before = target.read_bytes()
    return None if before == text.encode() else (before, text.encode())
