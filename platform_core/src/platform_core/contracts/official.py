"""Validation against the official JSON Schemas, with messages for people.

The newest release of each standard is the schema that its package ships. Former releases of the contract standard lie in
``schemas/``: a file written by others is judged by the release that it names, and v3.2 refuses what v3.0 allowed.
"""

from __future__ import annotations

import functools
import importlib.util
import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platform_core.contracts.fast_validation import accepts
from platform_core.contracts.problem import ContractError, Problem, did_you_mean
from platform_core.contracts.source import Document

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError
    from jsonschema_rs import Validator

Standard = Literal["odps", "odcs"]
_HERE = "platform_core.contracts"
_FILES: Mapping[Standard, Mapping[str, tuple[str, str]]] = {
    "odps": {
        "v1.1.0": ("dataproduct", "schemas/odps-1.1.0.schema.json"),
        "v1.0.0": ("dataproduct", "schemas/odps-1.0.0.schema.json"),
    },
    "odcs": {
        "v3.2.0": ("open_data_contract_standard", "schema.json"),
        "v3.1.0": (_HERE, "schemas/odcs-v3.1.0.schema.json"),
        "v3.0.2": (_HERE, "schemas/odcs-v3.0.2.schema.json"),
    },
}
_NAMES = {"odps": "Open Data Product Standard", "odcs": "Open Data Contract Standard"}
_NO_MORE_KEYS = {"additionalProperties", "unevaluatedProperties"}
_BRANCHES = ("allOf", "anyOf", "oneOf")


def releases(standard: Standard) -> tuple[str, ...]:
    """The releases of a standard whose schema is known, the newest first."""
    return tuple(_FILES[standard])


def release_of(document: Document, standard: Standard) -> str | None:
    """The release whose schema decides about a document: that of its ``apiVersion``, or the last fix of it (v3.0.1 is read as v3.0.2)."""
    given = document.data.get("apiVersion") if isinstance(document.data, dict) else None
    if not isinstance(given, str):
        return None
    line = given.rpartition(".")[0]
    return next((release for release in releases(standard) if release == given or release.rpartition(".")[0] == line), None)


def check(document: Document, standard: Standard) -> list[Problem]:
    """The breaches of the schema of the release that the document names; of the newest, when it names none that is known.

    A document that only a later release accepts breaks its own all the same, and every other tool refuses it: its findings have
    the rule ``<standard>-release`` and say what to write. What it means is known, so that it can be read nevertheless.
    """
    newest = releases(standard)[0]
    own = release_of(document, standard) or newest
    problems = list(check_release(document, standard, own))
    if problems and own != newest and _validator(standard, newest).is_valid(document.data):
        return [_of_later_release(problem, standard, own, newest) for problem in problems]
    return problems


def only_later(problems: Sequence[Problem]) -> bool:
    """Whether findings of ``check`` are only about the release that is named, not about what the file says."""
    return all(problem.rule.endswith("-release") for problem in problems)


def _of_later_release(problem: Problem, standard: Standard, own: str, newest: str) -> Problem:
    name = standard.upper()
    message = f"{problem.message}: {name} {newest} allows it, {own}, which apiVersion names, does not"
    return replace(problem, rule=f"{standard}-release", message=message, remedy=f"write apiVersion: {newest}, or say it as {own} does")


def check_release(document: Document, standard: Standard, release: str) -> Iterator[Problem]:
    """Yields one problem per breach of the schema of one release, the innermost cause of each.

    A failing branch of a schema marks the keys of the whole object as unknown: those echoes of another error are left out.
    """
    if _accepted(document, standard, release):
        return
    schema = schema_of(standard, release)
    errors = sorted(_validator(standard, release).iter_errors(document.data), key=lambda found: [str(step) for step in found.absolute_path])
    told: set[tuple[int, str]] = set()
    echoes: list[ValidationError] = []
    for error in map(_innermost, errors):
        if error.validator == "unevaluatedProperties" and _unknown_key(error, schema) is None:
            echoes.append(error)
            continue
        problem = _problem(document, error, standard, schema)
        if (problem.location.line, problem.message) not in told:
            told.add((problem.location.line, problem.message))
            yield problem
    if echoes and not told:
        yield _problem(document, echoes[0], standard, schema)


@functools.cache
def schema_of(standard: Standard, release: str) -> Mapping[str, Any]:
    """The JSON Schema of a release."""
    return json.loads(schema_path(standard, release).read_text())


def schema_path(standard: Standard, release: str | None = None) -> Path:
    """File of the schema of a release, the newest by default."""
    package, name = _FILES[standard][release or releases(standard)[0]]
    spec = importlib.util.find_spec(package)  # located, not imported: the packages pull in a command line
    if spec is None or spec.origin is None:
        raise ContractError(f"the package {package}, which carries the official schema, is not installed", remedy="run ./mesh doctor")
    return Path(spec.origin).parent / name


def _accepted(document: Document, standard: Standard, release: str) -> bool:
    return accepts(lambda: _fast_validator(standard, release), document.data)


@functools.cache
def _fast_validator(standard: Standard, release: str) -> Validator:
    """The compiled schema. Formats are hints in it, as they are in ``jsonschema``."""
    import jsonschema_rs

    return jsonschema_rs.validator_for(schema_path(standard, release).read_text(), validate_formats=False, offline=True)


@functools.cache
def _validator(standard: Standard, release: str) -> Any:
    from jsonschema import validators

    schema = schema_of(standard, release)
    return validators.validator_for(schema)(schema)


def _innermost(error: ValidationError) -> ValidationError:
    from jsonschema.exceptions import best_match

    if error.validator == "oneOf" and _keys_to_choose(error):
        # Of the branches that each demand one key, the one whose key is there is meant.
        meant = [cause for cause in error.context or [] if cause.validator != "required"]
        return meant[0] if len(meant) == 1 else error
    return best_match([error])


def _problem(document: Document, error: ValidationError, standard: Standard, schema: Mapping[str, Any]) -> Problem:
    path = tuple(error.absolute_path)
    shown = ".".join(str(step) for step in path) or "the document"
    location = document.at(*path)
    rule, instance = f"{standard}-schema", error.instance
    if error.validator in _NO_MORE_KEYS and (unknown := _unknown_key(error, schema)) is not None:
        remedy = "remove it; platform fields go to customProperties as {property, value}"
        hint = did_you_mean(unknown, _known_keys(error.schema, schema))
        return Problem(rule, f"{shown} has the unknown key {unknown!r}{hint}", document.at(*path, unknown), remedy)
    if error.validator == "required" and isinstance(instance, dict):
        wanted: list[str] = error.validator_value if isinstance(error.validator_value, list) else []
        missing = ", ".join(key for key in wanted if key not in instance)
        return Problem(rule, f"{shown} lacks {missing}", location, f"add {missing}")
    choice = _keys_to_choose(error)
    if choice and isinstance(instance, dict):
        given = [key for key in choice if key in instance]
        message = f"{shown} has {' and '.join(given)}" if given else f"{shown} has none of {', '.join(choice)}"
        return Problem(rule, message, location, "keep one of them" if given else f"add one of them, for example {choice[0]}")
    message = error.message if len(error.message) < 240 else error.message[:240] + "..."
    return Problem(rule, f"{shown}: {message}", location, f"see the {_NAMES[standard]} for this key")


def _keys_to_choose(error: ValidationError) -> list[str]:
    """The keys of a ``oneOf`` each branch of which demands one key."""
    if error.validator != "oneOf" or not isinstance(error.validator_value, list):
        return []
    demanded = [branch.get("required") for branch in error.validator_value if isinstance(branch, dict)]
    return [keys[0] for keys in demanded if keys] if all(keys and len(keys) == 1 for keys in demanded) else []


def _unknown_key(error: ValidationError, schema: Mapping[str, Any]) -> str | None:
    known = set(_known_keys(error.schema, schema))
    instance: Mapping[str, Any] = error.instance if isinstance(error.instance, dict) else {}
    return next((key for key in instance if key not in known), None)


def _known_keys(part: Any, schema: Mapping[str, Any]) -> Iterator[str]:
    """Keys that a part of a schema, and every definition that it refers to for the same object, names."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    parts, seen = [part], set[str]()
    while parts:
        part = parts.pop()
        if not isinstance(part, dict):
            continue
        yield from part.get("properties", {})
        name = str(part.get("$ref", "")).rpartition("/")[2]
        if name and name not in seen:
            seen.add(name)
            parts.append(definitions.get(name))
        parts += [branch for key in _BRANCHES for branch in part.get(key, [])]
        parts += [part.get(key) for key in ("then", "else")]
