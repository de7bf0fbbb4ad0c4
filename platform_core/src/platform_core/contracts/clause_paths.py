"""The clauses of the standards: every property path of their official JSON Schemas, read from the schemas themselves."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from platform_core.contracts import official
from platform_core.contracts.official import Standard

# The columns inside of an object, an array or a map.
_NESTED = re.compile(r"properties\[\](?:\.(?:properties\[\]|items(?!\w)|map\.(?:key|value)(?!\w)))+")
_BRANCHES = ("allOf", "anyOf", "oneOf")


def folded(path: str) -> str:
    """A path with nested columns folded into one level, as the schemas nest them without end."""
    return _NESTED.sub("properties[]", path)


@functools.cache
def clauses_of(standard: Standard) -> Mapping[str, str]:
    """Every property path of the standard's known releases, with the first of them that has it; sorted by path.

    A path names keys by dots and the items of a list by ``[]``: ``schema[].properties[].logicalTypeOptions.pattern``.
    """
    since: dict[str, str] = {}
    for release in reversed(official.releases(standard)):
        for path in _release_paths(standard, release):
            since.setdefault(path, release)
    return dict(sorted(since.items()))


@functools.cache
def _release_paths(standard: Standard, release: str) -> frozenset[str]:
    schema = official.schema_of(standard, release)
    found: set[str] = set()
    parts: list[tuple[Any, str]] = [(schema, "")]
    seen: set[tuple[int, str]] = set()
    while parts:
        part, path = parts.pop()
        if isinstance(part, dict) and (id(part), path) not in seen:
            seen.add((id(part), path))
            found.add(path)
            parts += _below(part, schema, path)
    return frozenset(found - {""})


def _below(part: Mapping[str, Any], schema: Mapping[str, Any], path: str) -> Iterator[tuple[Any, str]]:
    """The parts of a schema that a part of it leads to, with their paths."""
    if "$ref" in part:
        yield _resolved(schema, part["$ref"]), path
    for key, inner in part.get("properties", {}).items():
        yield inner, folded(f"{path}.{key}" if path else key)
    if "items" in part:
        yield part["items"], folded(f"{path}[]")
    for branch in (branch for key in _BRANCHES for branch in part.get(key, [])):
        yield branch, path
    for key in ("then", "else"):  # an `if` only asks: what it names stands beside it too
        yield part.get(key), path


def _resolved(schema: Mapping[str, Any], reference: str) -> Any:
    found: Any = schema
    for step in reference.removeprefix("#/").split("/"):
        found = found[step]
    return found
