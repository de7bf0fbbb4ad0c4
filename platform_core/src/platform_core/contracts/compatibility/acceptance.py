"""Which numbers a promise admits, and whether another promise admits more: bounds of rules and of values."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

_RULE = ("mustBe", "mustNotBe", "mustBeGreaterThan", "mustBeGreaterOrEqualTo", "mustBeLessThan", "mustBeLessOrEqualTo")
_RANGES = ("mustBeBetween", "mustNotBeBetween")
OPERATORS = (*_RULE, *_RANGES)
"""The keys of a quality rule that say what its result is compared with."""

_TESTS: Mapping[str, Callable[[float, float], bool]] = {
    "mustBe": lambda value, bound: value == bound,
    "mustNotBe": lambda value, bound: value != bound,
    "mustBeGreaterThan": lambda value, bound: value > bound,
    "mustBeGreaterOrEqualTo": lambda value, bound: value >= bound,
    "mustBeLessThan": lambda value, bound: value < bound,
    "mustBeLessOrEqualTo": lambda value, bound: value <= bound,
    "minimum": lambda value, bound: value >= bound,
    "maximum": lambda value, bound: value <= bound,
    "exclusiveMinimum": lambda value, bound: value > bound,
    "exclusiveMaximum": lambda value, bound: value < bound,
}


@dataclass(frozen=True)
class Acceptance:
    """The numbers that pass a set of comparisons; None when a bound is none that can be ordered."""

    tests: tuple[Callable[[float], bool], ...] | None
    bounds: tuple[float, ...] = ()

    @classmethod
    def of_rule(cls, rule: Mapping[str, Any]) -> Acceptance:
        """What the operators of a quality rule admit."""
        return cls._of({key: rule[key] for key in OPERATORS if key in rule})

    @classmethod
    def of_options(cls, options: Mapping[str, Any], keys: Collection[str]) -> Acceptance:
        """What ``logicalTypeOptions`` admit; dates and times are put on one axis."""
        return cls._of({key: options[key] for key in keys if options.get(key) is not None})

    @classmethod
    def _of(cls, comparisons: Mapping[str, Any]) -> Acceptance:
        tests: list[Callable[[float], bool]] = []
        bounds: list[float] = []
        for key, value in comparisons.items():
            numbers = [_axis(item) for item in (value if isinstance(value, list) else [value])]
            if len(numbers) != (2 if key in _RANGES else 1) or any(number is None for number in numbers):
                return cls(None)
            known = [number for number in numbers if number is not None]
            bounds += known
            tests.append(_between(known, key == "mustBeBetween") if key in _RANGES else _against(_TESTS[key], known[0]))
        return cls(tuple(tests), tuple(bounds))

    def admits(self, value: float) -> bool:
        """Whether a number passes."""
        return all(test(value) for test in self.tests or ())

    def ruling(self, after: Acceptance, *, wider: str, narrower: str, counted: bool = False) -> str:
        """Names the ruling for a change from this to another acceptance; what cannot be compared counts as wider.

        Args:
            after: The other one.
            wider: Ruling when it admits more.
            narrower: Ruling when it admits less.
            counted: Whether what is compared is a number of rows: whole, and never below 0.
        """
        if self.tests is None or after.tests is None:
            return wider
        # Both are unions of intervals that end at the bounds: the bounds and one point in every gap decide exactly.
        ends = sorted({*self.bounds, *after.bounds})
        gaps = [(low + high) / 2 for low, high in itertools.pairwise(ends)]
        points = [*ends, *gaps, -math.inf, math.inf]
        if counted:
            finite = [end for end in ends if math.isfinite(end)]
            points = [0.0, math.inf, *(max(0.0, math.floor(end) + step) for end in finite for step in (-1.0, 0.0, 1.0, 2.0))]
        if any(after.admits(point) and not self.admits(point) for point in points):
            return wider
        return narrower if any(self.admits(point) and not after.admits(point) for point in points) else "same-meaning"


def _against(test: Callable[[float, float], bool], bound: float) -> Callable[[float], bool]:
    return lambda value: test(value, bound)


def _between(bounds: list[float], inside: bool) -> Callable[[float], bool]:
    return lambda value: (bounds[0] <= value <= bounds[1]) is inside


def _axis(value: Any) -> float | None:
    if isinstance(value, bool):
        return None
    if isinstance(value, int | float):
        try:
            number = float(value)
        except OverflowError:  # an integer beyond every float
            return math.inf if value > 0 else -math.inf
        return None if math.isnan(number) else number
    try:
        moment = datetime.fromisoformat(str(value))
        known = moment if moment.tzinfo else moment.replace(tzinfo=UTC)  # as the platform reads a time without a zone
        return (known - datetime(1, 1, 1, tzinfo=UTC)).total_seconds()
    except ValueError:
        return None
