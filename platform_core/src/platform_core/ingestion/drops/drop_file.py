"""Reads ``airbyte/<domain>/drops/<name>.yaml`` and says every problem of it with file, line and remedy."""

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
    joined_error,
    load_yaml,
    naming,
    source_problem,
)
from platform_core.contracts.model_problems import model_problems
from platform_core.ingestion.drops.drop import Drop, DropModel
from platform_core.ingestion.drops.errors import DropFileError
from platform_core.ingestion.placeholders import PLACEHOLDER_REMEDY, placeholder_problem

FOLDER = ("airbyte", "drops")


def drop_folder(repo: Path, domain: str) -> Path:
    """Where the declarations of a domain are."""
    return repo / FOLDER[0] / domain / FOLDER[1]


def load_drops(repo: Path, domain: str) -> list[Drop]:
    """The drops of one domain, by name.

    Raises:
        DropFileError: A declaration is wrong; the first problem is the message.
    """
    drops, problems = _read_domain(repo, domain)
    if problems:
        raise joined_error(problems, DropFileError)
    return drops


def load_drop(path: Path) -> Drop:
    """One declaration on its own; its domain is the folder above ``drops``.

    Raises:
        DropFileError: The file is wrong.
    """
    drop, problems = _read(path, path.parent.parent.name)
    if drop is None or problems:
        raise joined_error(problems, DropFileError)
    return drop


def check_drops(repo: Path, domain: str | None = None) -> tuple[Problem, ...]:
    """All problems of the declarations of one domain, or of all domains."""
    if domain is not None:
        return tuple(_read_domain(repo, domain)[1])
    names = sorted({path.parent.parent.name for path in (repo / FOLDER[0]).glob(f"*/{FOLDER[1]}/*")})
    from platform_core.ingestion.drops.drop_schema import DROP_SCHEMA  # nothing but this check needs it

    return (*DROP_SCHEMA.problems(repo), *(problem for name in names for problem in _read_domain(repo, name)[1]))


def _read_domain(repo: Path, domain: str) -> tuple[list[Drop], list[Problem]]:
    folder = drop_folder(repo, domain)
    drops: list[Drop] = []
    problems: list[Problem] = []
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if path.name.startswith("."):
            continue
        drop, found = _read(path, domain)
        problems += found
        drops += [drop] if drop is not None else []
    if drops:
        problems += _conflicts(folder.parent, drops)
    return drops, problems


def _conflicts(connections: Path, drops: list[Drop]) -> Iterator[Problem]:
    """Names and tables that belong to somebody else: a raw table has one writer, and a name means one thing on the command line."""
    owners: dict[str, str] = {}
    for path in sorted(connections.glob("*.yaml")):
        try:
            streams = load_yaml(path).data.get("streams")
        except (SourceError, AttributeError):
            continue  # `check_connections` says what is wrong with that file
        for stream in streams if isinstance(streams, list) else ():
            if isinstance(stream, dict) and isinstance(stream.get("name"), str):
                owners[stream["name"]] = path.name
    for drop in drops:
        if (connections / f"{drop.name}.yaml").is_file():
            what = f"the name {drop.name!r} is also that of the connection {drop.name}.yaml"
            yield Problem("drop-name", what, Location(drop.path, 1), "rename one of the two files")
        other = owners.setdefault(drop.model.stream, drop.path.name)
        if other != drop.path.name:
            what = f"the stream {drop.model.stream!r} is also loaded by {other}: both would write {drop.domain}_raw.{drop.model.stream}"
            yield Problem("drop-stream-twice", what, drop.at("stream"), "choose another stream")


def _read(path: Path, domain: str) -> tuple[Drop | None, list[Problem]]:
    if path.suffix != ".yaml" or not naming.NAME.fullmatch(path.stem):
        remedy = "rename it to <drop>.yaml, in lower case letters, digits and underscores"
        return None, [Problem("drop-name", f"{path.name!r} is not the name of a drop", Location(path, 1), remedy)]
    try:
        document = load_yaml(path)
        content = path.read_bytes()
    except SourceError as error:
        return None, [source_problem(error, path, "drop-yaml")]
    if not isinstance(document.data, dict):
        return None, [Problem("drop-shape", "is not a mapping", document.at(), "begin with location:, pattern: and stream:")]
    problems = list(_problems(document))
    if problems:
        return None, problems
    model = DropModel.model_validate(document.data)
    return Drop(domain, path.stem, path, model, hashlib.sha256(content).hexdigest(), document), []


def _problems(document: Document) -> Iterator[Problem]:
    try:
        DropModel.model_validate(document.data)
    except ValidationError as error:
        yield from model_problems(document, error, DropModel, "drop")
    for steps in (("location",), ("quarantine", "location")):
        value: Any = document.data
        for step in steps:
            value = value.get(step) if isinstance(value, dict) else None
        problem = placeholder_problem(value) if isinstance(value, str) else None
        if problem:
            yield Problem("drop-placeholder", f"{'.'.join(steps)}: {problem}", document.at(*steps), PLACEHOLDER_REMEDY)
        elif isinstance(value, str) and re.search(r"://[^/${}@]+:[^/${}@]+@", value):
            what = f"{'.'.join(steps)} carries a password"
            yield Problem("drop-secret", what, document.at(*steps), "write ${NAME} and set that environment variable")
