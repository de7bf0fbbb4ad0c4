"""The connectors of a home: which environments and answers are kept, who needs them, and the removal of what nobody needs."""

from __future__ import annotations

import shutil
import time
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from platform_core.ingestion.connection import Connection, ConnectorReference
from platform_core.ingestion.environment import connectors_folder, environment_folder, exclusive, lock_file
from platform_core.ingestion.environment_use import COMPLETE, environment_to_remove


@dataclass(frozen=True)
class StoredConnector:
    """Something that is kept for a connector.

    Attributes:
        kind: ``environment``, ``cache`` (answers to spec and discover), ``old answer`` (one too old to be used again) or ``lock``.
        label: ``<package>-<version>``.
        path: Where.
        bytes: Its size.
        used_by: The connections that need it, ``<domain>/<connection>``.
        running: A connector runs in it now.
    """

    kind: str
    label: str
    path: Path
    bytes: int
    used_by: tuple[str, ...]
    running: bool


def stored_connectors(repo: Path, home: Path, connections: Collection[Connection]) -> list[StoredConnector]:
    """All that is kept, by label and kind; an environment made from a former lock is needed by nobody."""
    folder, users = connectors_folder(home), _users(connections)
    needed = {
        environment_folder(reference, repo, home): ids for reference, ids in users.items() if lock_file(reference, repo, home).is_file()
    }
    labels = {reference.label: ids for reference, ids in users.items()}
    found = [
        StoredConnector("environment", path.name.rpartition("-")[0], path, _size(path), needed.get(path, ()), _running(path))
        for path in _folders(folder)
        if (path / "pyvenv.cfg").is_file() or (path / COMPLETE).is_file()
    ]
    for kind, path in [("cache", path) for path in _folders(folder / "cache")] + [
        ("lock", path) for path in (folder / "locks").glob("*.txt")
    ]:
        label = path.name.removesuffix(".txt")
        found.append(StoredConnector(kind, label, path, _size(path), labels.get(label, ()), running=False))
    found += _old_answers(folder / "cache", connections)
    return sorted(found, key=lambda one: (one.label, one.kind, one.path))


def remove_stored(home: Path, stored: StoredConnector) -> bool:
    """Removes what nobody needs; killed in between, what is left is no environment any more.

    Returns:
        Whether it is gone: one in which a connector runs stays.
    """
    if stored.kind in {"lock", "old answer"}:
        stored.path.unlink(missing_ok=True)
        return True
    with exclusive(home, stored.label), environment_to_remove(stored.path) as free:
        if free:
            (stored.path / COMPLETE).unlink(missing_ok=True)
            shutil.rmtree(stored.path)
        return free


def _old_answers(cache: Path, connections: Iterable[Connection]) -> Iterator[StoredConnector]:
    """Catalogs that every connection of their connector would ask for again."""
    longest: dict[str, float] = {}
    for connection in connections:
        label = connection.connector.label
        longest[label] = max(longest.get(label, 0), connection.timeouts.discover_cache)
    for label, seconds in longest.items():
        for path in (cache / label).glob("catalog-*.json"):
            if time.time() - path.stat().st_mtime > seconds:
                yield StoredConnector("old answer", label, path, _size(path), (), running=False)


def _users(connections: Iterable[Connection]) -> dict[ConnectorReference, tuple[str, ...]]:
    users: dict[ConnectorReference, tuple[str, ...]] = {}
    for connection in connections:
        users[connection.connector] = (*users.get(connection.connector, ()), connection.id)
    return users


def _folders(folder: Path) -> Iterator[Path]:
    if folder.is_dir():
        yield from (path for path in sorted(folder.iterdir()) if path.is_dir())


def _running(environment: Path) -> bool:
    with environment_to_remove(environment) as free:
        return not free


def _size(path: Path) -> int:
    files = [path] if path.is_file() else path.rglob("*")
    return sum(file.lstat().st_size for file in files if file.is_file() and not file.is_symlink())
