"""An existing dbt project as it lies in a folder: its own files, its installed packages, and what is left behind."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.adoption.project_edits import PACKAGES
from platform_core.transformation.project import TransformationError

_LEFT_OUT = {"__pycache__", "node_modules", "venv", ".venv", "env", ".git", ".dbt", "logs", ".pytest_cache", ".mypy_cache", ".ruff_cache"}
_KEPT_HIDDEN = {
    ".gitignore",
    ".gitattributes",
    ".sqlfluff",
    ".sqlfluffignore",
    ".pre-commit-config.yaml",
    ".editorconfig",
    ".yamllint",
    ".gitkeep",
}
_DEBRIS = {".DS_Store", "Thumbs.db", "desktop.ini"}
_MOST_BYTES = 200_000_000


@dataclass
class DbtFolder:
    """What was read.

    Attributes:
        name: The project's name.
        folder: Where it lies.
        files: Its own files by path, installed packages below ``PACKAGES``.
        catalog: ``target/catalog.json``, when dbt has written one.
        adapter: Kind of database that it was built for, None when nothing says so.
        decisions: What was left behind.
    """

    name: str
    folder: Path
    files: dict[str, bytes] = field(default_factory=dict[str, bytes])
    catalog: Mapping[str, Any] = field(default_factory=dict[str, Any])
    adapter: str | None = None
    decisions: list[Decision] = field(default_factory=list[Decision])


def read_project(folder: Path) -> DbtFolder:
    """Reads a dbt project; nothing in its folder is touched.

    Raises:
        TransformationError: There is none, it is too large, or its packages are not installed.
    """
    path = folder / "dbt_project.yml"
    if not path.is_file():
        below = sorted(str(found.parent) for found in folder.glob("*/dbt_project.yml")) if folder.is_dir() else []
        remedy = f"name the folder of the project: {', '.join(below)}" if below else "name the folder with dbt_project.yml"
        raise TransformationError("is no dbt project", where=str(folder), remedy=remedy)
    try:
        project: Any = yaml.safe_load(path.read_bytes())
    except yaml.YAMLError as error:
        raise TransformationError("is no YAML", where=str(path), remedy="correct it: dbt parse says where") from error
    if not isinstance(project, dict) or not isinstance(project.get("name"), str):
        raise TransformationError("names no project", where=str(path), remedy="add name: my_project")
    read = DbtFolder(project["name"], folder)
    target = folder / str(project.get("target-path") or "target")
    installed = folder / str(project.get("packages-install-path") or "dbt_packages")
    _own_files(read, {target.resolve(), installed.resolve(), (folder / "dbt_packages").resolve()})
    _packages(read, installed)
    catalog = _json(target / "catalog.json")
    read.catalog = catalog.get("nodes", {})
    read.adapter = (_json(target / "manifest.json").get("metadata") or {}).get("adapter_type") or _adapter(read, project)
    return read


def _own_files(read: DbtFolder, left_out: set[Path]) -> None:
    total = 0
    behind: list[str] = []
    for path in _walk(read.folder, left_out, behind):
        name = path.relative_to(read.folder).as_posix()
        if path.is_symlink() and not path.resolve().is_relative_to(read.folder.resolve()):
            behind.append(f"{name} (a link to {path.readlink()})")
            continue
        if path.name in _DEBRIS:
            continue
        if path.name.startswith(".") and path.name not in _KEPT_HIDDEN:
            behind.append(name)
            continue
        total += path.stat().st_size
        if total > _MOST_BYTES:
            remedy = "move data out of the folder: seeds are for small lists"
            raise TransformationError(f"the project has more than {_MOST_BYTES // 1_000_000} MB of files", where=str(path), remedy=remedy)
        read.files[name] = path.read_bytes()
    if "profiles.yml" in read.files:
        message = "was written anew: the domain's own role, libpq's variables, no secret"
        read.decisions.append(Decision("not-carried", "profiles.yml", message, "nothing"))
    for name in behind:
        message = "is local state, a secret or a setting of a tool, or lies elsewhere"
        read.decisions.append(Decision("not-carried", name, message, "copy it by hand, if the domain needs it"))


def _walk(folder: Path, left_out: set[Path], behind: list[str], root: Path | None = None) -> Iterator[Path]:
    root = root or folder
    for path in sorted(folder.iterdir()):
        if path.is_dir():
            if path.name in _LEFT_OUT or path.resolve() in left_out:
                continue
            if path.name.startswith(".") or path.is_symlink():
                behind.append(f"{path.relative_to(root).as_posix()}/")
                continue
            yield from _walk(path, left_out, behind, root)
        elif path.is_file():
            yield path


def _packages(read: DbtFolder, installed: Path) -> None:
    """Installed packages become files of the domain: it is built in places that reach no index."""
    wanted = [entry for name in ("packages.yml", "dependencies.yml") for entry in (_yaml(read, name).get("packages") or ())]
    if not wanted:
        return
    folders = {path for path in (installed.iterdir() if installed.is_dir() else ()) if (path / "dbt_project.yml").is_file()}
    names = {path.name for path in folders}
    for entry in wanted:
        local = entry.get("local") if isinstance(entry, dict) else None
        if local is None:
            continue
        source = (read.folder / str(local)).resolve()
        if not (source / "dbt_project.yml").is_file():
            raise TransformationError(
                f"the local package {local} is not there",
                where=str(read.folder / "packages.yml"),
                remedy=f"put it at {source}, or name the package of the hub that it is a copy of and run dbt deps",
            )
        if _name(source) not in names:
            folders.add(source)
            names.add(_name(source))
    missing = [_described(entry) for entry in wanted if not _installed(entry, names)]
    if missing or len(folders) < len(wanted):
        named = missing or [_described(entry) for entry in wanted if not (isinstance(entry, dict) and entry.get("local"))]
        raise TransformationError(
            f"packages of the project are not installed: {', '.join(named)}",
            where=str(read.folder / "packages.yml"),
            remedy=f"where the dbt hub can be reached: ./mesh exec dbt deps --project-dir {read.folder}; then adopt again",
        )
    for source in sorted(folders):
        name = _name(source)
        for path in _walk(source.resolve(), {(source / "target").resolve(), (source / "dbt_packages").resolve()}, []):
            read.files[f"{PACKAGES}/{name}/{path.relative_to(source.resolve()).as_posix()}"] = path.read_bytes()
        message = f"is part of the domain now, in {PACKAGES}/{name}: the platform starts dbt without asking an index"
        read.decisions.append(Decision("package", name, message, "to update it: dbt deps in the domain's project, and commit"))


def _installed(entry: Any, names: set[str]) -> bool:
    """Whether a package of the hub lies in its folder; others may have a name of their own, and are counted."""
    hub = entry.get("package") if isinstance(entry, dict) else None
    return hub is None or str(hub).rpartition("/")[2] in names


def _described(entry: Any) -> str:
    return str(next(iter(entry.values()))) if isinstance(entry, dict) and entry else str(entry)


def _name(folder: Path) -> str:
    document: Any = yaml.safe_load((folder / "dbt_project.yml").read_bytes())
    return str(document.get("name") or folder.name) if isinstance(document, dict) else folder.name


def _yaml(read: DbtFolder, name: str) -> dict[str, Any]:
    try:
        document = yaml.safe_load(read.files.get(name, b""))
    except yaml.YAMLError as error:
        raise TransformationError("is no YAML", where=str(read.folder / name), remedy="correct it") from error
    return document if isinstance(document, dict) else {}


def _json(path: Path) -> dict[str, Any]:
    import orjson

    if not path.is_file():
        return {}
    try:
        document = orjson.loads(path.read_bytes())
    except orjson.JSONDecodeError as error:
        raise TransformationError("is no JSON", where=str(path), remedy="remove it, or have dbt write it again") from error
    return document if isinstance(document, dict) else {}


def _adapter(read: DbtFolder, project: Mapping[str, Any]) -> str | None:
    """Kind of database by the project's own profile, when it lies in the folder."""
    try:
        profiles = yaml.safe_load(read.files.get("profiles.yml", b"")) or {}
    except yaml.YAMLError:
        return None  # it is written anew
    profile = profiles.get(project.get("profile")) if isinstance(profiles, dict) else None
    outputs = profile.get("outputs") if isinstance(profile, dict) else None
    kinds = {str(output.get("type")) for output in (outputs or {}).values() if isinstance(output, dict)}
    return kinds.pop() if len(kinds) == 1 else None
