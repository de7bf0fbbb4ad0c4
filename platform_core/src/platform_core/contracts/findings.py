"""What reading the clauses of one table gives: rules before their names are unique, and problems."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import Location


@dataclass(frozen=True)
class Draft:
    """A rule before its name is made unique."""

    name: str
    kind: str
    column: str | None
    arguments: Mapping[str, Any]
    location: Location
    severity: Literal["error", "warning"] = "error"
    dimension: str | None = None
    description: str | None = None


@dataclass
class Findings:
    """What the clauses of one table give."""

    drafts: list[Draft] = field(default_factory=list[Draft])
    problems: list[Problem] = field(default_factory=list[Problem])

    def wrong(self, rule: str, message: str, at: Location, remedy: str) -> None:
        """Records an error."""
        self.problems.append(Problem(rule, message, at, remedy))

    def columns(self, rule: str, names: Iterable[Any], known: Mapping[str, str], at: Location) -> list[str] | None:
        """Physical names of columns; None, with an error recorded, when one does not exist.

        Args:
            rule: Rule of the error.
            names: As the clause writes them: ``column`` or ``table.column``.
            known: Logical and physical names to physical names.
            at: The clause.
        """
        found: list[str] = []
        for name in names:
            last = str(name).rpartition(".")[2]
            if last not in known:
                hint = did_you_mean(last, known)
                self.wrong(rule, f"the column {last!r} does not exist in this table{hint}", at, "name a column of this table")
                return None
            found.append(known[last])
        return found


def check_name(text: str) -> str:
    """A valid Dagster check name for any text."""
    return re.sub(r"[^A-Za-z0-9_]+", "_", text).strip("_").lower() or "rule"
