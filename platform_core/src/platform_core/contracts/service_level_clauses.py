"""The service levels of a contract (ODCS ``slaProperties[]``), and how far each must be met.

That indicator is a custom property: ``objectives`` of the contract, by the ``id`` or the property of the service levels; since v3.2,
which has custom properties of a service level, also ``objective`` of the level itself.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from platform_core.contracts.findings import Findings
from platform_core.contracts.model import ServiceLevel, Table
from platform_core.contracts.problem import did_you_mean
from platform_core.contracts.source import Document, Location, Place

FRESHNESS_UNITS = {
    **dict.fromkeys(("m", "minute", "minutes"), 60),
    **dict.fromkeys(("h", "hour", "hours"), 3600),
    **dict.fromkeys(("d", "day", "days"), 86400),
    **dict.fromkeys(("y", "yr", "years"), 31_556_952),
}
"""Seconds of a freshness promise's unit, in the standard's spellings; a year is the Gregorian calendar's average."""

MEASURED = frozenset({"freshness"})
"""Service levels that the platform measures; others are documented only."""

OBJECTIVES = "objectives"
"""Custom property of a contract: the objective of each service level."""

_WINDOW = re.compile(r"[1-9][0-9]{0,3}d")
_MOMENTS = ("timestamp", "date")


def read_service_level(place: Place, item: Mapping[str, Any], tables: tuple[Table, ...], found: Findings) -> ServiceLevel:
    """Reads the service level at ``place``; what it measures must exist, and what it promises must be measurable."""
    name, value, unit = str(item["property"]), item["value"], item.get("unit")
    if name not in MEASURED:
        pass  # documented only: its value may be anything
    elif isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value) or value <= 0:
        found.wrong("service-level", f"the freshness is {value!r}", place.at("value"), "write a positive number and a unit (m, h, d, y)")
    elif unit not in FRESHNESS_UNITS:
        remedy = f"use one of {', '.join(FRESHNESS_UNITS)}"
        found.wrong("service-level", f"the unit of the freshness is {unit!r}", place.at("unit"), remedy)
    _element(place, item, tables, found)
    objective = _objective(place, item, found)
    return ServiceLevel(name, value, unit, item.get("element"), item.get("description"), objective, place.at())


def read_service_levels(document: Document, tables: tuple[Table, ...], found: Findings) -> tuple[ServiceLevel, ...]:
    """Reads every service level of a contract, each with its objective."""
    items: list[Mapping[str, Any]] = document.data.get("slaProperties") or []
    place = Place(document, ("slaProperties",))
    levels = [read_service_level(place.below(index), item, tables, found) for index, item in enumerate(items)]
    objectives = _objectives(Place(document, ("customProperties",)), document.data.get("customProperties"), items, found)
    for index, item in enumerate(items):
        objective = objectives.get(str(item.get("id"))) or objectives.get(levels[index].property)
        if objective is not None and levels[index].objective is None:
            levels[index] = replace(levels[index], objective=objective)
    return tuple(levels)


def _objectives(
    place: Place, entries: Sequence[Mapping[str, Any]] | None, items: Sequence[Mapping[str, Any]], found: Findings
) -> Mapping[str, Mapping[str, Any]]:
    known = {str(item[key]) for item in items for key in ("id", "property") if key in item}
    objectives: dict[str, Mapping[str, Any]] = {}
    for index, entry in enumerate(entries or []):
        if entry.get("property") != OBJECTIVES:
            continue
        value, at = entry.get("value"), place.at(index, "value")
        if not isinstance(value, dict):
            message = f"{OBJECTIVES} is {value!r}, not an objective for each service level"
            found.wrong("service-level", message, at, "write value: {freshness: {ratio: 0.8, window: 20d}}")
            continue
        for name, objective in value.items():
            at = place.at(index, "value", name)
            if name not in known:
                hint = did_you_mean(str(name), known)
                message = f"the objective {name!r} is for no service level of the contract{hint}"
                found.wrong("service-level", message, at, "use the id or the property of one under slaProperties")
            elif _sound(objective, at, found):
                objectives[name] = objective
    return objectives


def _element(place: Place, item: Mapping[str, Any], tables: tuple[Table, ...], found: Findings) -> None:
    at = place.at("element")
    for element in str(item.get("element") or "").split(","):
        table_name, _, column_name = element.strip().partition(".")
        if not table_name:
            continue
        table = next((table for table in tables if table_name in {table.name, table.physical_name}), None)
        if table is None:
            hint = did_you_mean(table_name, [table.name for table in tables])
            found.wrong("service-level", f"the element {table_name!r} is no table of this contract{hint}", at, "write <table>.<column>")
            continue
        if not column_name:
            continue
        column = next((column for column in table.columns if column_name in {column.name, column.physical_name}), None)
        if column is None:
            hint = did_you_mean(column_name, [column.name for column in table.columns])
            found.wrong("service-level", f"the table {table_name!r} has no column {column_name!r}{hint}", at, "write <table>.<column>")
        elif item["property"] == "freshness" and not str(column.logical_type or column.physical_type).startswith(_MOMENTS):
            message = f"freshness is measured at {element.strip()!r}, which is neither a timestamp nor a date"
            found.wrong("service-level", message, at, "name the column that says when a row last changed")


def _objective(place: Place, item: Mapping[str, Any], found: Findings) -> Mapping[str, Any] | None:
    objective: Mapping[str, Any] | None = None
    for index, entry in enumerate(item.get("customProperties") or []):
        if entry["property"] != "objective":
            at = place.at("customProperties", index, "property")
            hint = did_you_mean(str(entry["property"]), ["objective"])
            found.wrong("service-level", f"the custom property {entry['property']!r} is unknown{hint}", at, "use objective")
            continue
        if _sound(entry["value"], place.at("customProperties", index, "value"), found):
            objective = entry["value"]
    return objective


def _sound(value: Any, at: Location, found: Findings) -> bool:
    ratio = value.get("ratio") if isinstance(value, dict) else None
    window = value.get("window") if isinstance(value, dict) else None
    sound = isinstance(ratio, int | float) and not isinstance(ratio, bool) and 0 < ratio <= 1
    if sound and isinstance(window, str) and _WINDOW.fullmatch(window) and set(value) == {"ratio", "window"}:
        return True
    message = f"the objective is {value!r}, not a ratio up to 1 and a window of days"
    found.wrong("service-level", message, at, "write {ratio: 0.8, window: 20d}")
    return False
