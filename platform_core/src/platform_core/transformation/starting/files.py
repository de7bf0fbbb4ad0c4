"""New and edited files, decided first and then written together: all of them, or none."""

from __future__ import annotations

import os
import stat
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from platform_core.transformation.project import TransformationError


@dataclass(frozen=True)
class FileChanges:
    """What a command would do to the repository.

    Attributes:
        created: Path from the repository's root to the content of a file that is not there yet.
        edited: Path to the content before and after.
        kept: Paths that are there already and stay as they are.
    """

    created: Mapping[str, bytes] = field(default_factory=dict[str, bytes])
    edited: Mapping[str, tuple[bytes, bytes]] = field(default_factory=dict[str, tuple[bytes, bytes]])
    kept: tuple[str, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing to do."""
        return not self.created and not self.edited

    def and_(self, other: FileChanges) -> FileChanges:
        """Both; an edit of the same file is not expected twice."""
        return FileChanges({**self.created, **other.created}, {**self.edited, **other.edited}, (*self.kept, *other.kept))


def new_files(repo: Path, wanted: Mapping[str, bytes | str], *, keep: bool = False) -> FileChanges:
    """The files that are wanted and not there.

    Args:
        repo: The repository's root.
        wanted: Path to content.
        keep: What is there already is kept; otherwise it is an error, also when it is the same.

    Raises:
        TransformationError: A file is there, or lies where a folder is needed.
    """
    created: dict[str, bytes] = {}
    kept: list[str] = []
    for name, content in wanted.items():
        path = repo / name
        if path.exists() or path.is_symlink():
            if not keep:
                raise TransformationError("is there already, and nothing is overwritten", where=str(path), remedy="choose another name")
            kept.append(name)
        else:
            blocked = next((parent for parent in path.parents if parent.exists() and not parent.is_dir()), None)
            if blocked is not None:
                raise TransformationError("is a file where a folder is needed", where=str(blocked), remedy="move it away")
            created[name] = content.encode() if isinstance(content, str) else content
    return FileChanges(created=created, kept=tuple(kept))


def write(repo: Path, changes: FileChanges) -> list[str]:
    """Writes the changes; an error on the way takes back what was written, empty folders included.

    Returns:
        The paths that were written, new ones first.

    Raises:
        TransformationError: An edited file is not what it was when the change was decided, or a new one is there meanwhile.
    """
    folders: list[Path] = []
    done: list[tuple[Path, bytes | None]] = []
    for name, (before, _) in changes.edited.items():
        if (repo / name).read_bytes() != before:
            raise TransformationError("was changed meanwhile", where=str(repo / name), remedy="try again")
    try:
        for name, content in changes.created.items():
            path = repo / name
            _make_folders(path.parent, folders)
            _create(path, content)
            done.append((path, None))
        for name, (before, after) in changes.edited.items():
            _replace(repo / name, after)
            done.append((repo / name, before))
    except BaseException:
        for path, before in reversed(done):
            if before is None:
                path.unlink()
            else:
                _replace(path, before)
        for folder in reversed(folders):
            if not any(folder.iterdir()):
                folder.rmdir()
        raise
    return [*changes.created, *changes.edited]


def _make_folders(folder: Path, made: list[Path]) -> None:
    missing = [parent for parent in (folder, *folder.parents) if not parent.exists()]
    for path in reversed(missing):
        path.mkdir(exist_ok=True)
        made.append(path)


def _create(path: Path, content: bytes) -> None:
    try:
        with path.open("xb") as file:
            file.write(content)
    except FileExistsError as error:
        raise TransformationError("is there already, and nothing is overwritten", where=str(path), remedy="choose another name") from error


def _replace(path: Path, content: bytes) -> None:
    """In one step: a reader sees the old text or the new one. The file's permissions stay."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        beside.write_bytes(content)
        beside.chmod(stat.S_IMODE(path.stat().st_mode))
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)
