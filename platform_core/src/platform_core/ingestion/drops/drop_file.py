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
    did_you_mean,
    joined_error,
    load_yaml,
    naming,
    source_problem,
)
from platform_core.ingestion.drops.drop import Drop, DropModel, Quarantine, ReadOptions
from platform_core.ingestion.drops.errors import DropFileError
from platform_core.ingestion.placeholders import PLACEHOLDER_REMEDY, placeholder_problem

FOLDER = ("airbyte", "drops")
_MODELS: dict[tuple[str, ...], type[DropModel | ReadOptions | Quarantine]] = {
    (): DropModel,
    ("options",): ReadOptions,
    ("quarantine",): Quarantine,
}
_WANTED = {
    "string_type": "text", "dict_type": "a mapping", "model_type": "a mapping", "tuple_type": "a list", "float_type": "a number",
    "int_type": "a whole number",
}  # fmt: skip


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
        details = error.errors(include_url=False)
        unknown = [str(detail["loc"][-1]) for detail in details if detail["type"] == "extra_forbidden"]
        for detail in details:
            if detail["type"] == "missing" and any(did_you_mean(name, [str(detail["loc"][-1])]) for name in unknown):
                continue  # said once, at the misspelt key
            yield _describe(document, detail)
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


def _describe(document: Document, detail: Any) -> Problem:
    steps: tuple[str | int, ...] = detail["loc"]
    name = "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".") or "the file"
    kind, value, location = detail["type"], detail.get("input"), document.at(*steps)
    context = detail.get("ctx") or {}
    if kind == "extra_forbidden":
        model = _MODELS.get(tuple(str(step) for step in steps[:-1]))
        known = sorted(model.model_fields) if model else []
        inside = f" in {'.'.join(map(str, steps[:-1]))}" if steps[:-1] else ""
        what = f"unknown key {steps[-1]!r}{inside}{did_you_mean(str(steps[-1]), known)}"
        return Problem("drop-key", what, location, f"use one of: {', '.join(known)}")
    if kind == "missing":
        return Problem("drop-missing", f"{name} is missing", location, f"add {steps[-1]}:")
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", ", ")
        near = did_you_mean(str(value), re.findall(r"'([^']+)'", expected))
        return Problem("drop-value", f"{name} is {value!r}{near}", location, f"use one of: {expected}")
    if kind in _WANTED:
        quotes = " (put it in quotes)" if kind == "string_type" and isinstance(value, int | float) else ""
        return Problem("drop-type", f"{name} is {value!r}, not {_WANTED[kind]}", location, f"write {_WANTED[kind]}{quotes}")
    if kind == "string_too_short":
        return Problem("drop-empty", f"{name} is empty", location, "write a value")
    what = f"{name} {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return Problem("drop-value", what, location, context.get("remedy", "correct the value"))
