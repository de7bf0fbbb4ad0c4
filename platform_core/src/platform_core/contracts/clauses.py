"""From the clauses of a contract's table to rules. What becomes no rule is told by ``undelivered``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from datetime import date, datetime
from typing import Any

from platform_core.contracts.findings import Draft, Findings
from platform_core.contracts.quality_clauses import read_quality
from platform_core.contracts.reference import read_reference
from platform_core.contracts.source import Location, Place

_RANGE = {
    "minimum": "minimum",
    "maximum": "maximum",
    "exclusiveMinimum": "exclusive_minimum",
    "exclusiveMaximum": "exclusive_maximum",
}


def read_clauses(place: Place, table: Mapping[str, Any]) -> Findings:
    """Reads every clause of the table at ``place`` that makes a promise about its data."""
    found = Findings()
    columns: list[Mapping[str, Any]] = table.get("properties") or []
    names = {str(name): physical_name(column) for column in columns for name in (column["name"], physical_name(column))}
    ids = {str(column["id"]): physical_name(column) for column in columns if "id" in column}
    _primary_key(place, columns, found)
    for index, column in enumerate(columns):
        _column(place.below("properties", index), column, names, found)
    for index, clause in enumerate(table.get("quality") or []):
        read_quality(place.below("quality", index), clause, None, names, found)
    for index, relation in enumerate(table.get("relationships") or []):
        at = place.at("relationships", index)
        sources = [read_reference(str(name), at.file).column for name in _list(relation.get("from"))]
        columns_ = found.columns("relationship", sources, names | ids, at)
        if columns_ is not None:
            _relationship(at, relation, columns_, found)
    return found


def physical_name(item: Mapping[str, Any]) -> str:
    """Name of a table or column in the warehouse."""
    return str(item.get("physicalName") or item["name"])


def _primary_key(place: Place, columns: list[Mapping[str, Any]], found: Findings) -> None:
    keys = [(column.get("primaryKeyPosition", index + 1), index) for index, column in enumerate(columns) if column.get("primaryKey")]
    if keys:
        names = [physical_name(columns[index]) for _, index in sorted(keys)]
        where = place.at("properties", keys[0][1], "primaryKey")
        found.drafts.append(Draft("primary_key", "primary_key", None, {"columns": names}, where, dimension="uniqueness"))


def _column(place: Place, column: Mapping[str, Any], names: Mapping[str, str], found: Findings) -> None:
    name = physical_name(column)
    if column.get("required"):
        found.drafts.append(Draft(f"{name}__not_null", "not_null", name, {}, place.at("required"), dimension="completeness"))
    if column.get("unique"):
        where = place.at("unique")
        found.drafts.append(Draft(f"{name}__unique", "unique", name, {"columns": [name]}, where, dimension="uniqueness"))
    if column.get("enum"):
        values = [item["value"] if isinstance(item, dict) else item for item in column["enum"]]
        where = place.at("enum")
        found.drafts.append(Draft(f"{name}__accepted_values", "accepted_values", name, {"values": values}, where, dimension="conformity"))
    _options(place.below("logicalTypeOptions"), name, column, found)
    for index, clause in enumerate(column.get("quality") or []):
        read_quality(place.below("quality", index), clause, column, names, found)
    for index, relation in enumerate(column.get("relationships") or []):
        _relationship(place.at("relationships", index), relation, [name], found)


def _options(place: Place, name: str, column: Mapping[str, Any], found: Findings) -> None:
    options: Mapping[str, Any] = column.get("logicalTypeOptions") or {}
    _range(place, name, column.get("logicalType"), options, found)
    length = {key: options[source] for key, source in (("minimum", "minLength"), ("maximum", "maxLength")) if source in options}
    if length:
        at = place.at("minLength" if "minLength" in options else "maxLength")
        if length.get("minimum", 0) > length.get("maximum", length.get("minimum", 0)):
            found.wrong("empty-range", f"{name}: minLength is above maxLength", at, "swap the two")
        found.drafts.append(Draft(f"{name}__length", "length", name, length, at, dimension="conformity"))
    if "pattern" in options:
        _pattern(place.at("pattern"), name, options["pattern"], found)


def _range(place: Place, name: str, logical: Any, options: Mapping[str, Any], found: Findings) -> None:
    bounds = {_RANGE[key]: value for key, value in options.items() if key in _RANGE}
    if not bounds:
        return
    comparable: dict[str, Any] = {}
    for key, value in options.items():
        if key in _RANGE:
            at = place.at(key)
            try:
                comparable[_RANGE[key]] = _comparable(logical, value)
            except ValueError:
                remedy = "write a finite number" if isinstance(value, int | float) else "write it as 2026-01-31 or 2026-01-31T12:00:00Z"
                found.wrong("range", f"{name}: {key} is {value!r}", at, remedy)
                return
    at = place.at(next(key for key in options if key in _RANGE))
    low = [comparable[key] for key in ("minimum", "exclusive_minimum") if key in comparable]
    high = [comparable[key] for key in ("maximum", "exclusive_maximum") if key in comparable]
    if low and high and max(low) > min(high):
        found.wrong("empty-range", f"{name}: the minimum {max(low)} is above the maximum {min(high)}", at, "swap the two")
        return
    found.drafts.append(Draft(f"{name}__range", "range", name, bounds, at, dimension="conformity"))


def _comparable(logical: Any, value: Any) -> Any:
    """The bound as a value that compares; ValueError when it is none of the column's type."""
    if isinstance(value, int | float):
        if not math.isfinite(value):
            raise ValueError(value)
        return value
    if logical == "date":
        return date.fromisoformat(value)
    if logical == "timestamp":
        return datetime.fromisoformat(value).replace(tzinfo=None)
    return value


def _pattern(at: Location, name: str, regex: str, found: Findings) -> None:
    try:
        re.compile(regex)
    except (re.error, OverflowError) as error:
        message = f"{name}: the pattern {regex!r} is not a regular expression: {error}"
        found.wrong("pattern", message, at, "correct the expression")
        return
    found.drafts.append(Draft(f"{name}__pattern", "pattern", name, {"regex": regex}, at, dimension="conformity"))


def _relationship(at: Location, relation: Mapping[str, Any], columns: list[str], found: Findings) -> None:
    target = _list(relation.get("to"))
    if not columns or len(columns) != len(target):
        message = f"the relationship joins {len(columns)} columns with {len(target)}"
        found.wrong("relationship", message, at, "name as many columns in `to` as in `from`")
        return
    arguments = {"columns": columns, "to": [str(name) for name in target]}
    single = columns[0] if len(columns) == 1 else None
    found.drafts.append(Draft(f"{'_'.join(columns)}__foreign_key", "foreign_key", single, arguments, at, dimension="consistency"))


def _list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list) else [value] if value else []
