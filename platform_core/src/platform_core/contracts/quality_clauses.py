"""The quality clauses of a contract (ODCS ``quality[]``): library metrics and SQL, with their bounds."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator, Mapping
from typing import Any

from platform_core.contracts.findings import Draft, Findings, check_name
from platform_core.contracts.problem import did_you_mean
from platform_core.contracts.source import Place

_OPERATORS = {
    "mustBe": "must_be",
    "mustNotBe": "must_not_be",
    "mustBeGreaterThan": "greater_than",
    "mustBeGreaterOrEqualTo": "greater_or_equal",
    "mustBeLessThan": "less_than",
    "mustBeLessOrEqualTo": "less_or_equal",
    "mustBeBetween": "between",
    "mustNotBeBetween": "not_between",
}
_METRICS = {"nullValues", "missingValues", "invalidValues", "duplicateValues", "rowCount"}
_SEVERITIES = {"error": "error", "warning": "warning", "info": "warning"}
_UNITS = ("rows", "percent")


def read_quality(
    place: Place,
    clause: Mapping[str, Any],
    column: Mapping[str, Any] | None,
    names: Mapping[str, str],
    found: Findings,
) -> None:
    """Reads one clause.

    Args:
        place: Where the clause stands.
        clause: The clause.
        column: The property it stands at, None for a clause of the table.
        names: Logical and physical names of the table's columns to physical names.
        found: Takes what is found.
    """
    kind = clause.get("type", "library")
    at = place.at()
    label = str(clause.get("name") or clause.get("metric") or clause.get("rule") or kind)
    if kind in {"text", "custom"}:  # documented only
        return
    bounds = _bounds(place, clause, label, found)
    severity = str(clause.get("severity", "error"))
    if severity not in _SEVERITIES:
        known = ", ".join(_SEVERITIES)
        found.wrong("severity", f"the severity of {label!r} is {severity!r}", place.at("severity"), f"use one of {known}")
    if "unit" in clause and clause["unit"] not in _UNITS:
        where = place.at("unit")
        found.wrong("rule-unit", f"the unit of {label!r} is {clause['unit']!r}", where, f"use one of {', '.join(_UNITS)}")
    if bounds is None or severity not in _SEVERITIES:
        return
    physical = str(column.get("physicalName") or column["name"]) if column else None
    prefix = f"{physical}__" if physical else ""
    given = check_name(str(clause["name"])) if clause.get("name") else None
    compiled = _sql(place, clause, physical, found) if kind == "sql" else _library(place, clause, column, names, found)
    for rule_kind, name, arguments in compiled:
        # A query of SQL gives its value in the unit already; a metric counts rows and is turned into a share by the unit.
        extra = {"unit": clause["unit"]} if "unit" in clause and kind != "sql" else {}
        found.drafts.append(
            Draft(
                name=given or f"{prefix}{name}",
                kind=rule_kind,
                column=physical,
                arguments={**arguments, **bounds, **extra},
                location=at,
                severity="error" if _SEVERITIES[severity] == "error" else "warning",
                dimension=clause.get("dimension"),
                description=clause.get("description"),
            )
        )


def _bounds(place: Place, clause: Mapping[str, Any], label: str, found: Findings) -> dict[str, Any] | None:
    """What the result is compared with; None, with an error recorded, when that cannot be."""
    bounds: dict[str, Any] = {}
    for key, name in _OPERATORS.items():
        if key not in clause:
            continue
        value, at = clause[key], place.at(key)
        numbers = value if isinstance(value, list) else [value]
        if not all(isinstance(number, int | float) and not isinstance(number, bool) and math.isfinite(number) for number in numbers):
            found.wrong(
                "rule-bound",
                f"{key} of the rule {label!r} is {value!r}, not a number",
                at,
                "write a number; count the rows that break the rule",
            )
            return None
        if len(numbers) == 2 and numbers[0] > numbers[1]:
            found.wrong("empty-range", f"{key} of the rule {label!r}: {numbers[0]} is above {numbers[1]}", at, "swap the two")
            return None
        bounds[name] = value
    if not bounds:
        found.wrong("rule-bound", f"the rule {label!r} compares with nothing", place.at(), f"add one of {', '.join(_OPERATORS)}")
        return None
    return bounds


def _library(
    place: Place,
    clause: Mapping[str, Any],
    column: Mapping[str, Any] | None,
    names: Mapping[str, str],
    found: Findings,
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    metric, at = str(clause.get("metric") or clause.get("rule")), place.at()
    arguments: Mapping[str, Any] = clause.get("arguments") or {}
    if metric not in _METRICS:
        hint = did_you_mean(metric, _METRICS)
        remedy = f"use one of {', '.join(sorted(_METRICS))}"
        found.wrong("unknown-metric", f"the metric {metric!r} is not one of the standard{hint}", at, remedy)
    elif metric == "rowCount":
        yield "row_count", "row_count", {}
    elif metric == "duplicateValues":
        given = _listed(place, "properties", arguments, found)
        where = place.at("arguments", "properties")
        columns = None if given is None else found.columns("rule-argument", given or ([column["name"]] if column else []), names, where)
        if columns == []:
            found.wrong("rule-argument", "duplicateValues of a table names no columns", at, "add arguments: {properties: [...]}")
        elif columns:
            yield "duplicate_count", "duplicate_values", {"columns": columns}
    elif column is None:
        found.wrong("rule-argument", f"{metric} stands at a table", at, "move it to the property it is about")
    elif metric == "nullValues":
        yield "null_count", "null_values", {}
    elif metric == "missingValues":
        missing = _listed(place, "missingValues", arguments, found)
        unfit = [value for value in missing or [] if isinstance(value, bool) and column.get("logicalType") != "boolean"]
        if unfit:
            message = f"the missing value {unfit[0]!r} is none of a {column.get('logicalType')} column"
            remedy = "put it in quotes; YAML reads a bare NO or off as a truth value"
            found.wrong("rule-argument", message, place.at("arguments", "missingValues"), remedy)
        elif missing is not None:
            yield "null_count", "missing_values", {"missing_values": missing}
    else:
        yield from _invalid_values(place, clause, column, arguments, found)


def _invalid_values(
    place: Place,
    clause: Mapping[str, Any],
    column: Mapping[str, Any],
    arguments: Mapping[str, Any],
    found: Findings,
) -> Iterator[tuple[str, str, dict[str, Any]]]:
    at = place.at()
    values, regex = _listed(place, "validValues", arguments, found), arguments.get("pattern")
    if values is None:
        return
    where = place.at("arguments", "validValues")
    unfit = [value for value in values if not _fits(value, column.get("logicalType"))]
    if unfit:
        message = f"the valid value {unfit[0]!r} is none of a {column.get('logicalType')} column"
        found.wrong("rule-argument", message, where, "put it in quotes; YAML reads a bare NO, off or 1 as something else than text")
    elif not values and not regex:
        found.wrong("rule-argument", "invalidValues says neither validValues nor pattern", at, "add arguments: {validValues: [...]}")
    elif regex is None and clause.get("mustBe") == 0:
        yield "accepted_values", "accepted_values", {"values": values}
    elif regex is None or _expression(regex):
        # A valid value is one of the list and matches the pattern, where both are given.
        yield "invalid_count", "invalid_values", {**({"values": values} if values else {}), **({"regex": regex} if regex else {})}
    else:
        where = place.at("arguments", "pattern")
        found.wrong("pattern", f"the pattern {regex!r} is not a regular expression", where, "correct the expression")


def _listed(place: Place, key: str, arguments: Mapping[str, Any], found: Findings) -> list[Any] | None:
    """The list of plain values under a key, empty when it is not given; None, with an error recorded, when it is something else."""
    value = arguments.get(key)
    if value is None:
        return []
    # The standard's own example of missingValues names null, which is missing whether it is named or not.
    named = (str, int, float, type(None)) if key == "missingValues" else (str, int, float)
    if isinstance(value, list) and all(isinstance(item, named) for item in value):
        return [item for item in value if item is not None]
    found.wrong("rule-argument", f"{key} is {value!r}, not a list of values", place.at("arguments", key), f"write {key}: [...]")
    return None


def _fits(value: Any, logical: Any) -> bool:
    if logical == "boolean":
        return isinstance(value, bool)
    if logical in {"integer", "number"}:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return isinstance(value, str)


def _expression(regex: Any) -> bool:
    try:
        re.compile(regex)
    except (re.error, TypeError, OverflowError):
        return False
    return True


def _sql(place: Place, clause: Mapping[str, Any], column: str | None, found: Findings) -> Iterator[tuple[str, str, dict[str, Any]]]:
    query, at = str(clause["query"]), place.at("query")
    if not _one_select(query):
        remedy = "write one statement, without a semicolon inside"
        found.wrong("sql-rule", "an SQL rule must be one SELECT that gives one value", at, remedy)
        return
    if not re.search(r"\{(object|table)\}", query):
        remedy = "write {object} where the table stands: the candidate is checked, not the published version"
        found.wrong("sql-rule", "the SQL rule never reads {object}", at, remedy)
        return
    if column is None and re.search(r"\{(property|column)\}", query):
        found.wrong("sql-rule", "the SQL rule of a table reads {column}", at, "write the column's name, or move the rule to the property")
        return
    for written in ("${object}", "${table}", "{table}"):
        query = query.replace(written, "{object}")
    for written in ("${property}", "${column}", "{property}", "{column}"):
        query = query.replace(written, _quoted(column or ""))
    yield "sql", "sql", {"query": query}


def _one_select(query: str) -> bool:
    bare = query.strip().rstrip(";")
    return bool(re.match(r"(?is)\s*(select|with)\b", bare)) and ";" not in bare


def _quoted(column: str) -> str:
    """The column as an identifier of SQL without a brace, which would be taken for one of the places to fill in."""
    quoted = column.replace('"', '""')
    if "{" not in quoted:
        return f'"{quoted}"'
    return f'U&"{quoted.replace(chr(92), chr(92) * 2).replace("{", chr(92) + "007B")}"'
