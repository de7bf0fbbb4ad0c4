"""Promises that a column can make by a clause of its own, or by a quality rule: ``required: true`` and no null values are the same."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from platform_core.contracts.compatibility.acceptance import Acceptance

_COUNTS = {"rowCount", "nullValues", "missingValues", "invalidValues", "duplicateValues"}
Promise = tuple[str, Any]


def counts_rows(rule: Mapping[str, Any]) -> bool:
    """Whether a rule compares a number of rows: a metric of the standard's library, not in percent."""
    return str(rule.get("metric") or rule.get("rule")) in _COUNTS and (rule.get("unit") or "rows") == "rows"


def promises(column: Mapping[str, Any]) -> set[Promise]:
    """What a column promises, by clauses and by rules that hold data back."""
    rules: Any = column.get("quality")
    found = [promise_of(rule) for rule in (rules if isinstance(rules, list) else []) if isinstance(rule, dict)]
    return {*_of_clauses(column), *(promise for promise in found if promise is not None)}


def promise_of(rule: Mapping[str, Any]) -> Promise | None:
    """The clause that a rule stands for; None for a rule that no clause can say, or that lets a single row through."""
    arguments: Any = rule.get("arguments") or {}
    accepted = Acceptance.of_rule(rule)
    strict = accepted.tests is not None and accepted.bounds and accepted.admits(0) and not accepted.admits(1)
    if not strict or not counts_rows(rule) or str(rule.get("severity", "error")) != "error" or not isinstance(arguments, dict):
        return None
    metric = str(rule.get("metric") or rule.get("rule"))
    if metric in {"nullValues", "duplicateValues"} and not arguments:
        return ("required", True) if metric == "nullValues" else ("unique", True)
    if metric == "invalidValues" and set(arguments) == {"validValues"} and isinstance(arguments["validValues"], list):
        return ("enum", _values(arguments["validValues"]))
    return ("pattern", arguments["pattern"]) if metric == "invalidValues" and _is_pattern(arguments) else None


def _is_pattern(arguments: Mapping[str, Any]) -> bool:
    return set(arguments) == {"pattern"} and isinstance(arguments["pattern"], str)


def _of_clauses(column: Mapping[str, Any]) -> Iterator[Promise]:
    for clause in ("required", "unique"):
        if column.get(clause) is True:
            yield clause, True
    values: Any = column.get("enum")
    if isinstance(values, list) and values:
        yield "enum", _values([value.get("value") if isinstance(value, dict) else value for value in values])
    options: Any = column.get("logicalTypeOptions")
    if isinstance(options, dict) and isinstance(options.get("pattern"), str):
        yield "pattern", options["pattern"]


def _values(values: list[Any]) -> frozenset[str]:
    return frozenset(json.dumps(value, sort_keys=True, default=str) for value in values)
