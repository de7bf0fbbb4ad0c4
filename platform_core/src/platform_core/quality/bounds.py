"""Comparing one observed number with what a rule allows (the comparison operators of ODCS ``quality[]``).

``between`` includes both ends and ``not_between`` excludes them, as the standard's mathematical notation says.
Numbers are compared exactly: 0.1 of the file is one tenth, and a percentage is never rounded before it is compared.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from fractions import Fraction
from typing import Any

from platform_core.quality.errors import QualityError

_WORDS = {
    "must_be": "{}",
    "must_not_be": "not {}",
    "greater_than": "more than {}",
    "greater_or_equal": "at least {}",
    "less_than": "less than {}",
    "less_or_equal": "at most {}",
    "between": "from {} to {}",
    "not_between": "outside {} to {}",
}
_PAIRS = {"between", "not_between"}
_UNITS = {None: False, "rows": False, "percent": True, "%": True}


@dataclass(frozen=True)
class Bounds:
    """What an observed number must satisfy; every limit holds at once.

    Attributes:
        limits: Operator (a key of ``Rule.arguments``) to its value, or to a pair of values.
        percent: Whether the number is compared as a percentage of all rows of the table.
    """

    limits: Mapping[str, Any]
    percent: bool = False

    def __str__(self) -> str:
        parts = (_WORDS[name].format(*(value if name in _PAIRS else [value])) for name, value in self.limits.items())
        return " and ".join(parts) + (" percent" if self.percent else "")


NONE_ALLOWED = Bounds({"must_be": 0})
"""No row may break the rule."""


def read_bounds(arguments: Mapping[str, Any]) -> Bounds:
    """The bounds among the arguments of a counted rule.

    Raises:
        QualityError: There is none, one is no number or no pair of numbers, or the unit is unknown.
    """
    limits = {name: arguments[name] for name in _WORDS if name in arguments}
    if not limits:
        raise QualityError("the rule compares with nothing", remedy="add one of the mustBe... operators")
    for name, value in limits.items():
        if name in _PAIRS:
            pair = value if isinstance(value, list | tuple) else ()
            if len(pair) != 2 or any(exact(item) is None for item in pair):
                raise QualityError(f"{name} is {value!r}", remedy="write a pair of numbers")
        elif name not in {"must_be", "must_not_be"} and exact(value) is None:
            raise QualityError(f"{name} is {value!r}", remedy="write a number")
    unit = arguments.get("unit")
    if unit not in _UNITS:
        raise QualityError(f"the unit {unit!r} is unknown", remedy="use rows or percent")
    return Bounds(limits, _UNITS[unit])


def exact(value: Any) -> Fraction | None:
    """A number without rounding: floats count as the decimal they print as. None for what is no finite number."""
    if isinstance(value, bool):
        return Fraction(int(value))
    if isinstance(value, int | Fraction):
        return Fraction(value)
    if isinstance(value, float):
        return Fraction(repr(value)) if math.isfinite(value) else None
    if isinstance(value, Decimal):
        return Fraction(value) if value.is_finite() else None
    return None


def share(count: int, rows: int) -> Fraction:
    """``count`` as a percentage of ``rows``; 0 for an empty table."""
    return Fraction(100 * count, rows) if rows else Fraction(0)


def holds(bounds: Bounds, value: Any, rows: int = 0) -> bool:
    """Whether the observed value satisfies every limit.

    Args:
        bounds: The limits.
        value: The observed value. NULL (None) satisfies nothing, as in SQL; text can only be compared for equality.
        rows: Rows of the table, for percentages.
    """
    if value is None:
        return False
    number = exact(value)
    if bounds.percent and isinstance(value, int):
        number = share(value, rows)
    return all(_holds(name, limit, number, value) for name, limit in bounds.limits.items())


def _holds(name: str, limit: Any, number: Fraction | None, value: Any) -> bool:
    first, last = (exact(item) for item in (limit if name in _PAIRS else (limit, limit)))
    if number is None or first is None or last is None:
        same = str(value) == str(limit)
        return same if name == "must_be" else not same if name == "must_not_be" else False
    match name:
        case "must_be":
            return number == first
        case "must_not_be":
            return number != first
        case "greater_than":
            return number > first
        case "greater_or_equal":
            return number >= first
        case "less_than":
            return number < first
        case "less_or_equal":
            return number <= first
        case "between":
            return first <= number <= last
        case "not_between":
            return not first <= number <= last
        case _:
            raise QualityError(f"the operator {name!r} is unknown", remedy="use an operator of the standard")
