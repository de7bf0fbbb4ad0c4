"""Judges of service levels, retention and price (ODCS ``slaProperties[]`` and ``price``)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from platform_core.contracts.compatibility.difference import Difference
from platform_core.contracts.compatibility.judgement import Clause, by_action, once
from platform_core.contracts.service_level_clauses import OBJECTIVES

_SECONDS = {
    **dict.fromkeys(("s", "sec", "second", "seconds"), 1.0),
    **dict.fromkeys(("m", "min", "minute", "minutes"), 60.0),
    **dict.fromkeys(("h", "hour", "hours"), 3600.0),
    **dict.fromkeys(("d", "day", "days"), 86400.0),
    **dict.fromkeys(("w", "week", "weeks"), 604800.0),
    **dict.fromkeys(("mo", "month", "months"), 2629746.0),  # a twelfth of a Gregorian year
    **dict.fromkeys(("y", "yr", "year", "years"), 31556952.0),
}
_SHARE = {**dict.fromkeys(("percent", "%", "percentage"), 0.01), **dict.fromkeys(("ratio", "share"), 1.0)}
# The standard's list of properties with their short codes, by what is better for consumers.
_LESS = {
    "freshness",
    "latency",
    "ly",
    "frequency",
    "fy",
    "timetodetect",
    "td",
    "timetonotify",
    "tn",
    "timetorepair",
    "tr",
    "errorrate",
    "er",
}
_MORE = {"availability", "av", "throughput", "th", "endofsupport", "es", "endoflife", "el"}
_LESS_DATES = {"generalavailability", "ga"}
_RETENTION = {"retention", "re"}


def _level(difference: Difference) -> str:
    item = difference.before or difference.after or {}
    if _name(item) in _RETENTION:
        return by_action(difference, added="retention-shortened", removed="retention-shortened", changed="level-changed")
    return by_action(difference, added="level-added", removed="level-removed", changed="level-changed")


def _name(item: Mapping[str, Any]) -> str:
    return str(item.get("property", "")).replace("_", "").lower()


def _value(difference: Difference) -> str:
    """Value and unit are one promise: 24 hours and 1 day are the same."""
    before, after = difference.inner
    old, new = _measure(before), _measure(after)
    name = _name(after)
    if old is None or new is None or old[1] != new[1]:
        return "retention-shortened" if name in _RETENTION else "level-changed"
    if math.isclose(old[0], new[0], rel_tol=1e-9) or (old[1] == "time" and _of_a_calendar(before, after)):
        return "same-meaning"
    more = new[0] > old[0]
    if name in _RETENTION:
        return "retention-extended" if more else "retention-shortened"
    if name in _MORE:
        return "level-tightened" if more else "level-loosened"
    if name in _LESS | _LESS_DATES:
        return "level-loosened" if more else "level-tightened"
    return "level-changed"


def _of_a_calendar(before: Mapping[str, Any], after: Mapping[str, Any]) -> bool:
    """Whether days and months or years may be the same span: a year has 365 or 366 days, a month 28 to 31."""
    (low, high), (other_low, other_high) = (_span(item) for item in (before, after))
    exact = (low == high, other_low == other_high)
    return exact[0] != exact[1] and low <= other_high and other_low <= high


def _span(item: Mapping[str, Any]) -> tuple[float, float]:
    """The shortest and the longest time that a level may mean, in seconds."""
    known, unit = _measure(item), str(item.get("unit") or "").lower()
    seconds = _SECONDS.get(unit, 1.0)
    number = known[0] / seconds if known else math.nan
    days = {_SECONDS["month"]: (28, 31), _SECONDS["year"]: (365, 366)}.get(seconds)
    if days is None or math.isnan(number):
        return number * seconds, number * seconds
    if seconds == _SECONDS["month"] and number >= 12:  # whole years among the months are years
        days = (365 / 12, 366 / 12)
    return number * days[0] * 86400, number * days[1] * 86400


def _measure(item: Mapping[str, Any]) -> tuple[float, str] | None:
    """A number on an axis, and the axis; None for what has no order."""
    value, unit = item.get("value"), str(item.get("unit") or "").lower()
    if isinstance(value, str):
        try:
            return float(value.strip().rstrip("%")) * _factor(unit), _axis(unit)
        except ValueError:
            pass
        try:
            return datetime.fromisoformat(value.strip()).replace(tzinfo=None).toordinal(), "date"
        except ValueError:
            return None
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    try:
        number = float(value)
    except OverflowError:
        return None
    return (number * _factor(unit), _axis(unit)) if math.isfinite(number) else None


def _factor(unit: str) -> float:
    return _SECONDS.get(unit) or _SHARE.get(unit) or 1.0


def _axis(unit: str) -> str:
    return "time" if unit in _SECONDS else "share" if unit in _SHARE else unit


def _objective(difference: Difference) -> str:
    """The indicator ``{ratio, window}``: a higher ratio over the same window is the better promise. It may also stand in the contract's."""
    item = difference.after or difference.before if difference.shape.endswith("[]") else difference.holder("property")[1]
    if not isinstance(item, dict) or item.get("property") != "objective":
        return "order" if difference.action == "reordered" else "unknown"
    old, new = (_met(root, level) for root, level in zip(difference.around[0], difference.around[1], strict=True))
    return _step(old, new)


def objectives(difference: Difference) -> str:
    """The custom property ``objectives`` of a contract, which has the indicator of each service level: the worst of their verdicts."""
    sides = [{_level_key(level): level for level in _levels(root)} for root in difference.around[0]]
    steps = {
        _step(*(_met(root, side[key]) for root, side in zip(difference.around[0], sides, strict=True)))
        for key in sides[0].keys() & sides[1].keys()
        if any(_met(root, side[key]) for root, side in zip(difference.around[0], sides, strict=True))
    }
    return next((verdict for verdict in _WORST_FIRST if verdict in steps), "same-meaning")


def _levels(root: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    levels: Any = root.get("slaProperties")
    return [level for level in levels if isinstance(level, dict)] if isinstance(levels, list) else []


def _level_key(level: Mapping[str, Any]) -> str:
    return f"{level.get('property')} {level.get('element')}"


def _met(root: Mapping[str, Any], level: Mapping[str, Any]) -> tuple[float, Any] | None:
    """How far a service level must be met: by its own ``objective``, else by the contract's ``objectives``, as the platform reads them."""
    own = next((entry for entry in _entries(level) if entry.get("property") == "objective"), None)
    if own is not None:
        return _objective_of(own)
    told = next((entry.get("value") for entry in _entries(root) if entry.get("property") == OBJECTIVES), None)
    known: Mapping[str, Any] = told if isinstance(told, dict) else {}
    return _objective_of({"value": known.get(str(level.get("id"))) or known.get(str(level.get("property")))})


def _entries(holder: Mapping[str, Any]) -> list[Mapping[str, Any]]:
    entries: Any = holder.get("customProperties")
    return [entry for entry in entries if isinstance(entry, dict)] if isinstance(entries, list) else []


_WORST_FIRST = ("level-removed", "level-loosened", "level-changed", "level-added", "level-tightened")


def _step(before: tuple[float, Any] | None, after: tuple[float, Any] | None) -> str:
    if before is None or after is None:
        return "level-changed" if before is after else "level-removed" if after is None else "level-added"
    if before[1] != after[1]:
        return "level-changed"
    return "same-meaning" if before[0] == after[0] else "level-tightened" if after[0] > before[0] else "level-loosened"


def _objective_of(side: Mapping[str, Any]) -> tuple[float, Any] | None:
    value = side.get("value")
    ratio = value.get("ratio") if isinstance(value, dict) else None
    known = isinstance(ratio, int | float) and not isinstance(ratio, bool)
    return (float(ratio), value.get("window")) if known and ratio is not None and isinstance(value, dict) else None


def _price(difference: Difference) -> str:
    before, after = (side.get("priceAmount") for side in difference.inner)
    if not all(isinstance(amount, int | float) and not isinstance(amount, bool) for amount in (before, after)):
        return "price-raised"
    return "same-meaning" if before == after else "price-raised" if after > before else "price-lowered"  # pyright: ignore[reportOptionalOperand]


_LEVEL = r"slaProperties\[\]"
CLAUSES: tuple[Clause, ...] = (
    Clause(r"slaProperties", once("level-changed")),
    Clause(_LEVEL, _level),
    Clause(rf"{_LEVEL}\.(?:value|unit)", _value),
    Clause(rf"{_LEVEL}\.customProperties(?:\[\](?:\.(?:property|value)(?:\..*)?)?)?", _objective),
    Clause(rf"{_LEVEL}\.(?:valueExt|element|property)|slaDefaultElement", once("level-changed")),
    Clause(
        rf"{_LEVEL}\.(?:id|description|driver|schedule|scheduler|authoritativeDefinitions|customProperties)(?:[.\[].*)?",
        once("documentation"),
    ),
    Clause(r"price\.priceAmount", _price),
    Clause(r"price\.id", once("documentation")),
    Clause(r"price(?:\..*)?", once("price-raised")),
)
