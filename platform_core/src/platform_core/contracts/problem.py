"""What is wrong with a file, said once: the rule, the place, the remedy."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar

from platform_core.contracts.source import Location, SourceError
from platform_core.errors import MeshError

_Error = TypeVar("_Error", bound=MeshError)
Severity = Literal["error", "warning"]


class ContractError(MeshError):
    """A product or contract file does not hold what it must."""


@dataclass(frozen=True)
class Problem:
    """One finding of the linter.

    Attributes:
        rule: Stable identifier of the rule, for example ``product-id``.
        message: What is wrong, with the observed value.
        location: Where.
        remedy: What to do, as an imperative.
        severity: Errors make a product unusable, but for those of ``<standard>-release``; warnings do not.
    """

    rule: str
    message: str
    location: Location
    remedy: str
    severity: Severity = "error"

    def error(self) -> ContractError:
        """The same as an exception."""
        return ContractError(f"{self.message} [{self.rule}]", where=str(self.location), remedy=self.remedy)


def source_problem(error: SourceError, path: Path, rule: str = "yaml") -> Problem:
    """A file that is no YAML, as a problem of the file at ``path``."""
    line = re.search(r":(\d+)$", error.where or "")
    return Problem(rule, error.what, Location(path, int(line[1]) if line else 1), error.remedy or "correct the file")


def joined_error(problems: Sequence[Problem], kind: type[_Error]) -> _Error:
    """One error of all problems of a file: the first where an error says what and where, the others below its remedy."""
    first, *others = problems
    more = "".join(f"\n{other.location}: {other.message}\n  remedy: {other.remedy}" for other in others)
    return kind(first.message, where=str(first.location), remedy=first.remedy + more)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``, did you mean 'x'?`` for the nearest known word, else nothing."""
    near = difflib.get_close_matches(word, list(known), n=1, cutoff=0.6)
    return f", did you mean {near[0]!r}?" if near else ""
