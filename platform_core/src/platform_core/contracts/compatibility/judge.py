"""The judge of a document's changes: every difference gets a ruling, also the one that no clause knows."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from platform_core.contracts.compatibility import judge_access, judge_columns, judge_levels, judge_product, judge_quality
from platform_core.contracts.compatibility.difference import Difference, differences
from platform_core.contracts.compatibility.judgement import Clause
from platform_core.contracts.compatibility.ruling import RULINGS, Ruling

_CLAUSES: tuple[Clause, ...] = (
    *judge_quality.CLAUSES,
    *judge_levels.CLAUSES,
    *judge_access.CLAUSES,
    *judge_columns.CLAUSES,
    *judge_product.CLAUSES,
)


@dataclass(frozen=True)
class Judged:
    """A difference with its ruling."""

    difference: Difference
    ruling: Ruling


def judged(before: Any, after: Any) -> Iterator[Judged]:
    """Judges every difference between two contracts, or two products, given as plain data."""
    for difference in differences(before, after):
        clause = clause_of(difference.shape)
        yield Judged(difference, RULINGS[clause.judge(difference) if clause else "unknown"])


@functools.cache
def clause_of(shape: str) -> Clause | None:
    """The clause that decides about a shape, None for a shape that no standard has."""
    return next((clause for clause in _CLAUSES if clause.fits(shape)), None)
