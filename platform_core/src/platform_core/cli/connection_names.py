"""Connections by name on a command line: looking them up, completing them, and errors with paths as people type them."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from pathlib import Path
from typing import TYPE_CHECKING

import typer
import yaml

from platform_core.cli.ingest_drop import drop_names
from platform_core.contracts import did_you_mean, naming
from platform_core.errors import MeshError
from platform_core.settings import Settings, SettingsError

if TYPE_CHECKING:
    from platform_core.ingestion import Connection


def connection_names(repo: Path) -> list[str]:
    """``<domain>/<connection>`` of every connection file."""
    found = (repo / "airbyte").glob("*/*.yaml")
    return sorted(f"{path.parent.name}/{path.stem}" for path in found if path.parent.name not in naming.AIRBYTE_SHARED)


def find_connection(repo: Path, name: str) -> Connection:
    """The connection of that name; the domain may be left out where one connection only has the name.

    Raises:
        ConnectionFileError: There is none, or its file is wrong.
    """
    from platform_core.ingestion import ConnectionFileError, load_connection

    names = connection_names(repo)
    fitting = [known for known in names if name in (known, known.partition("/")[2])]
    if len(fitting) == 1:
        domain, _, stem = fitting[0].partition("/")
        return load_connection(repo / "airbyte" / domain / f"{stem}.yaml")
    if fitting:
        raise ConnectionFileError(f"{name!r} names several connections", remedy=f"name one of: {', '.join(fitting)}")
    names += drop_names(repo)
    guess = did_you_mean(name, names) or did_you_mean(name, [known.partition("/")[2] for known in names])
    known = f"name one of: {', '.join(names)}" if names else "there is none yet; write one with ./mesh new source"
    raise ConnectionFileError(f"there is no connection {name!r}{guess}", remedy=known)


def complete_connection(incomplete: str) -> list[str]:
    """For the shell; says nothing where there is nothing to say."""
    with contextlib.suppress(SettingsError):
        repo = Settings.load().repo
        return [name for name in [*connection_names(repo), *drop_names(repo)] if name.startswith(incomplete)]
    return []


def complete_stream(context: typer.Context, incomplete: str) -> list[str]:
    """Streams of the connection that stands before, for the shell."""
    with contextlib.suppress(MeshError, KeyError, TypeError, OSError, yaml.YAMLError):
        connection = find_connection(Settings.load().repo, context.params["connection"])
        return [stream.name for stream in connection.streams if stream.name.startswith(incomplete)]
    return []


@contextlib.contextmanager
def paths_from(repo: Path) -> Generator[None]:
    """Errors inside name files from the repository's root, as people type them."""
    root = f"{repo}/"
    try:
        yield
    except MeshError as error:
        error.what = error.what.replace(root, "")
        error.where = error.where.replace(root, "") if error.where else None
        error.remedy = error.remedy.replace(root, "") if error.remedy else None
        raise
