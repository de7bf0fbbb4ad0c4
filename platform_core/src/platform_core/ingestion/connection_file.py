"""Reads ``airbyte/<domain>/<connection>.yaml`` and says every problem of it with file, line and remedy."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from platform_core.contracts import (
    Document,
    Location,
    Problem,
    SourceError,
    did_you_mean,
    joined_error,
    load_yaml,
    naming,
    source_problem,
)
from platform_core.contracts.model_problems import dotted, model_problems
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.connection_model import ConnectionModel
from platform_core.ingestion.errors import ConnectionFileError
from platform_core.ingestion.manifest import MANIFESTS, Manifest, read_manifest, too_old
from platform_core.ingestion.placeholders import PLACEHOLDER_REMEDY, placeholder_problem

FOLDER = "airbyte"
_SECRET_KEY = re.compile(r"(password|passwd|secret|token|api_?key|private_?key|credentials?)$", re.IGNORECASE)
_TYPE_NAMES = {
    dict: "a mapping", list: "a list", str: "text", bool: "true or false", int: "a whole number", float: "a number", type(None): "nothing",
}  # fmt: skip


def load_connections(repo: Path, domain: str) -> list[Connection]:
    """The connections of one domain, by name.

    Args:
        repo: Root of the monorepo.
        domain: Name of the domain.

    Raises:
        ConnectionFileError: A file is wrong; the first problem is the message, ``check_connections`` gives all.
    """
    connections, problems = _read_domain(repo, domain)
    if problems:
        raise joined_error(problems, ConnectionFileError)
    return connections


def load_connection(path: Path) -> Connection:
    """One connection file on its own, its domain being the name of its folder.

    Raises:
        ConnectionFileError: The file is wrong.
    """
    connection, problems = _read(path, path.parent.name)
    if connection is None or problems:
        raise joined_error(problems, ConnectionFileError)
    return connection


def check_connections(repo: Path, domain: str | None = None) -> tuple[Problem, ...]:
    """All problems of the connection files of one domain, or of all domains. An empty tuple means that all can be used."""
    if domain is not None:
        return tuple(_read_domain(repo, domain)[1])
    from platform_core.ingestion.connection_schema import CONNECTION_SCHEMA  # nothing but this check needs it

    folder = repo / FOLDER
    names = sorted(entry.name for entry in folder.iterdir() if entry.is_dir()) if folder.is_dir() else []
    unused = [problem for path in sorted((folder / MANIFESTS).glob("*.yaml")) for problem in read_manifest(path)[1]]
    found = [problem for name in names if name not in naming.AIRBYTE_SHARED for problem in _read_domain(repo, name)[1]]
    return tuple(dict.fromkeys([*CONNECTION_SCHEMA.problems(repo), *unused, *found]))  # a manifest is read by each connection that names it


def _read_domain(repo: Path, domain: str) -> tuple[list[Connection], list[Problem]]:
    folder = repo / FOLDER / domain
    if not folder.is_dir():
        return [], []
    if not (repo / "domains" / domain).is_dir():
        known = [entry.name for entry in (repo / "domains").iterdir() if entry.is_dir()] if (repo / "domains").is_dir() else []
        return [], [
            Problem(
                "connection-domain",
                f"there is no domain {domain!r}{did_you_mean(domain, known)}",
                Location(folder, 1),
                f"rename the folder to a domain ({', '.join(sorted(known)) or 'none exist'}), or create it with: mesh new domain {domain}",
            )
        ]
    connections: list[Connection] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()):
        if path.is_dir() or path.name.startswith("."):
            continue
        connection, found = _read(path, domain)
        problems += found
        if connection is not None:
            connections.append(connection)
    owners: dict[str, Connection] = {}
    for connection in connections:
        for index, stream in enumerate(connection.streams):
            other = owners.setdefault(stream.name, connection)
            if other is not connection:
                problems.append(
                    Problem(
                        "connection-stream-twice",
                        f"stream {stream.name!r} is also loaded by {other.path.name}: both would write {domain}_raw.{stream.name}",
                        connection.at("streams", index, "name"),
                        "keep it in one connection, or move one of them to another domain",
                    )
                )
    return connections, problems


def _read(path: Path, domain: str) -> tuple[Connection | None, list[Problem]]:
    if path.suffix != ".yaml" or not naming.NAME.fullmatch(path.stem):
        remedy = "rename it to <connection>.yaml, in lower case letters, digits and underscores"
        return None, [Problem("connection-name", f"{path.name!r} is not the name of a connection", Location(path, 1), remedy)]
    try:
        document = load_yaml(path)
        content = path.read_bytes()
    except SourceError as error:
        return None, [source_problem(error, path, "connection-yaml")]
    if not isinstance(document.data, dict):
        remedy = "begin with connector:, config: and streams:"
        return None, [Problem("connection-shape", f"is {_type_name(document.data)}, not a mapping", document.at(), remedy)]
    problems = [*_shape_problems(document), *_value_problems(document)]
    if problems:
        return None, problems
    model = ConnectionModel.model_validate(document.data)
    manifest, problems = _manifest(document, model)
    if problems:
        return None, problems
    connection = Connection(
        domain=domain,
        name=path.stem,
        path=path,
        description=model.description,
        connector=model.connector.reference,
        manifest=manifest,
        config=model.config,
        streams=tuple(model.streams),
        schedule=model.schedule,
        schema_changes=model.schema_changes,
        timeouts=model.timeouts,
        memory_bytes=model.memory_bytes,
        content_hash=hashlib.sha256(content + (manifest.content if manifest else b"")).hexdigest(),
        document=document,
    )
    return connection, []


def _manifest(document: Document, model: ConnectionModel) -> tuple[Manifest | None, list[Problem]]:
    """The low-code connector that the file names, and what is wrong with it or with the streams that are taken from it."""
    name = model.connector.manifest
    if name is None:
        return None, []
    folder = document.path.parent.parent / MANIFESTS
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(found.stem for found in folder.glob("*.yaml"))
        message = f"there is no manifest {FOLDER}/{MANIFESTS}/{name}.yaml{did_you_mean(name, known)}"
        remedy = f"use one of: {', '.join(known) or 'none yet'}; or write that file (an Airbyte declarative manifest)"
        return None, [Problem("connection-manifest", message, document.at("connector", "manifest"), remedy)]
    manifest, problems = read_manifest(path)
    if manifest is None:
        return None, problems
    version = model.connector.reference.version
    if too_old(manifest, version):
        message = f"the manifest {name} is written for airbyte-cdk {manifest.version}, which is newer than {version}"
        remedy = f'add version: "{manifest.version}" or newer below manifest:, or lower the version in the manifest'
        return None, [Problem("connection-manifest", message, document.at("connector", "manifest"), remedy)]
    for index, stream in enumerate(model.streams):
        if manifest.streams is not None and stream.name not in manifest.streams:
            message = f"the manifest {name} defines no stream {stream.name!r}{did_you_mean(stream.name, manifest.streams)}"
            remedy = f"use one of: {', '.join(manifest.streams)}"
            problems.append(Problem("connection-manifest", message, document.at("streams", index, "name"), remedy))
    return manifest, problems


def _shape_problems(document: Document) -> Iterator[Problem]:
    try:
        ConnectionModel.model_validate(document.data)
    except ValidationError as error:
        yield from model_problems(document, error, ConnectionModel, "connection", shown=_type_name)


def _value_problems(document: Document) -> Iterator[Problem]:
    streams = document.data.get("streams")
    seen: dict[Any, int] = {}
    for index, stream in enumerate(streams if isinstance(streams, list) else []):
        name = stream.get("name") if isinstance(stream, dict) else None
        if isinstance(name, str) and seen.setdefault(name, index) != index:
            first = document.line(("streams", seen[name], "name"))
            message = f"stream {name!r} stands twice (first at line {first})"
            yield Problem("connection-stream-twice", message, document.at("streams", index, "name"), "keep one of the two")
    for steps, value in _leaves(document.data.get("config"), ("config",)):
        problem = placeholder_problem(value) if isinstance(value, str) else None
        if problem:
            yield Problem("connection-placeholder", f"{dotted(steps)}: {problem}", document.at(*steps), PLACEHOLDER_REMEDY)
        elif isinstance(value, str) and value and "${" not in value and _SECRET_KEY.search(str(steps[-1])):
            variable = re.sub(r"\W", "_", f"{document.path.stem}_{steps[-1]}").upper()
            message = f"{dotted(steps)} looks like a secret written into the file"
            yield Problem(
                "connection-secret",
                message,
                document.at(*steps),
                f"write ${{{variable}}} and set that environment variable",
            )


def _leaves(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], Any]]:
    if isinstance(value, dict):
        for key, item in value.items():
            yield from _leaves(item, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*steps, index))
    else:
        yield steps, value


def _type_name(value: Any) -> str:
    name = _TYPE_NAMES.get(type(value), type(value).__name__)
    return f"{name} {value!r}" if isinstance(value, int | float) and not isinstance(value, bool) else name
