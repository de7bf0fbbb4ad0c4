"""How a difference finds its ruling: the first clause whose pattern fits the shape decides."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from platform_core.contracts.compatibility.difference import Difference

Judge = Callable[[Difference], str]


@dataclass(frozen=True)
class Clause:
    """One row of the judges: shapes, and the judge that names the ruling of a difference there."""

    pattern: str
    judge: Judge

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern)

    def fits(self, shape: str) -> bool:
        """Whether the clause decides about a shape."""
        return self._compiled.fullmatch(shape) is not None


def once(ruling: str) -> Judge:
    """A judge with one answer; a mere change of order is one everywhere."""
    return lambda difference: "order" if difference.action == "reordered" else ruling


def by_action(difference: Difference, *, added: str, removed: str, changed: str, reordered: str = "order") -> str:
    """The ruling by what happened; a renamed item is nothing but renamed."""
    known = {"added": added, "removed": removed, "changed": changed, "reordered": reordered, "renamed": "documentation"}
    return known[difference.action]


def column_order(table: Mapping[str, Any]) -> Callable[[Mapping[str, Any]], tuple[float, int]]:
    """Sorts key columns as the platform does: by position, by place in the file where none is given."""
    columns = [id(column) for column in table.get("properties") or []]

    def place(column: Mapping[str, Any]) -> tuple[float, int]:
        position, index = column.get("primaryKeyPosition"), columns.index(id(column))
        known = isinstance(position, int | float) and not isinstance(position, bool)
        return (float(position) if known and position is not None else index + 1, index)

    return place


def words(value: Any) -> list[str]:
    """The words of a text in lower case, for texts whose punctuation means nothing."""
    return re.findall(r"[\w%]+", str(value or "").lower())
