"""What a file holds beyond what the platform acts on: clauses that are documented only, and clauses that no standard has."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES, clause_of, undelivered
from platform_core.contracts.clause_paths import clauses_of, folded
from platform_core.contracts.official import Standard
from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import Document, Location, Step

_NAMES = ("physicalName", "name", "property", "role", "username", "channel", "server", "contractId", "metric", "rule")
_OPEN = ("customProperties[]", "schema[].properties[].customProperties[]")
_INSIDE = {"properties": "columns", "items": "items", "map": "map"}


def documented_only(document: Document, standard: Standard) -> tuple[list[tuple[str, Location]], list[Problem]]:
    """Walks a document that its official schema accepts.

    Returns:
        The clauses that are documented only, as people name them (``partitioned of ordered_at``) with their lines; and an error for
        each key that the schema lets pass although neither the standard nor the platform knows it, a warning for a slip of the pen.
    """
    walk = _Walk(document, standard)
    walk.mapping(document.data, "", (), ())
    return walk.documented, walk.problems


class _Walk:
    def __init__(self, document: Document, standard: Standard) -> None:
        self.documented: list[tuple[str, Location]] = []
        self.problems: list[Problem] = []
        self._document = document
        self._standard: Standard = standard

    def mapping(self, value: Mapping[str, Any], path: str, steps: tuple[Step, ...], named: tuple[str, ...]) -> None:
        for key, inner in value.items():
            below = folded(f"{path}.{key}" if path else key)
            at, inside = (*steps, key), (*named, key)
            if path == "schema[].properties[]" and key in _INSIDE and inner:
                self._tell(f"{_INSIDE[key]} inside", named, at)  # Postgres keeps them as one value of JSON
            elif below not in _children(self._standard)[path]:
                self._unknown(path, key, at)
            else:
                self._value(inner, below, at, inside)

    def _value(self, value: Any, path: str, steps: tuple[Step, ...], named: tuple[str, ...]) -> None:
        clause = clause_of(self._standard, path)
        if clause is not None and clause.effect == "documented only":
            if value is not None and value is not False:
                self._tell(named[-1] if not named[:-1] else _tail(named), _holder(named), steps)
        elif isinstance(value, Mapping) and path in _children(self._standard):
            self.mapping(value, path, steps, named)
        elif isinstance(value, list) and f"{path}[]" in _children(self._standard):
            for index, item in enumerate(value):
                self._item(item, f"{path}[]", (*steps, index), named)

    def _item(self, item: Any, path: str, steps: tuple[Step, ...], named: tuple[str, ...]) -> None:
        if not isinstance(item, Mapping):
            return
        label = undelivered(self._standard, path, item)
        self._slip(path, item, steps)
        if label is not None:
            self._tell(label, _holder(named), steps)
            return
        name = next((str(item[key]) for key in _NAMES if isinstance(item.get(key), str)), None)
        self.mapping(item, path, steps, (*named, f"={name or f'{named[-1]}[{steps[-1]}]'}"))

    def _slip(self, path: str, item: Mapping[str, Any], steps: tuple[Step, ...]) -> None:
        """A custom property that nearly bears a name that the platform acts on; tables, roles and inputs refuse every other name."""
        known = PLATFORM_PROPERTIES[self._standard].get(path.removesuffix("[]"))
        given = item.get("property")
        if known is not None and path in _OPEN and isinstance(given, str) and given not in known and (hint := did_you_mean(given, known)):
            message = f"the custom property {given!r} does nothing here{hint}"
            remedy = "correct the name, or choose one that resembles none of the platform's"
            self.problems.append(Problem("custom-property", message, self._document.at(*steps, "property"), remedy, "warning"))

    def _tell(self, what: str, named: tuple[str, ...], steps: tuple[Step, ...]) -> None:
        item = next((part[1:] for part in reversed(named) if part.startswith("=")), None)
        self.documented.append((f"{what} of {item}" if item else what, self._document.at(*steps)))

    def _unknown(self, path: str, key: str, steps: tuple[Step, ...]) -> None:
        known = [name.rpartition(".")[2] for name in _children(self._standard)[path]]
        message = f"the standard has no clause {path}{'.' if path else ''}{key}{did_you_mean(key, known)}"
        remedy = "remove it, or write it to customProperties as {property, value}"
        self.problems.append(Problem("unknown-clause", message, self._document.at(*steps), remedy))


def _holder(named: tuple[str, ...]) -> tuple[str, ...]:
    """The names up to the nearest named item."""
    last = max((index for index, part in enumerate(named) if part.startswith("=")), default=-1)
    return named[: last + 1]


def _tail(named: tuple[str, ...]) -> str:
    """The keys below the nearest named item."""
    return ".".join(named[len(_holder(named)) :])


@functools.cache
def _children(standard: Standard) -> Mapping[str, frozenset[str]]:
    """The clauses of each mapping, by its path; ``""`` is the document."""
    found: dict[str, set[str]] = {}
    for path in clauses_of(standard):
        if not path.endswith("[]"):
            found.setdefault(path.rpartition(".")[0], set()).add(path)
    return {path: frozenset(clauses) for path, clauses in found.items()}
