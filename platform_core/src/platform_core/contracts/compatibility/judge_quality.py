"""Judges of quality rules (ODCS ``quality[]`` of tables and columns): whether the data is held to more or to less."""

from __future__ import annotations

from typing import Any

from platform_core.contracts.compatibility.acceptance import OPERATORS, Acceptance
from platform_core.contracts.compatibility.difference import Difference
from platform_core.contracts.compatibility.equal_promise import counts_rows, promise_of, promises
from platform_core.contracts.compatibility.judgement import Clause, by_action, once
from platform_core.contracts.compatibility.sql_text import without_comments

_SEVERITY = {"info": 0, "warning": 1, "error": 2}  # as the platform reads them: only an error holds data back


def _rule(difference: Difference) -> str:
    sides = difference.inner if difference.action == "removed" else difference.inner[::-1]
    rule = difference.before if difference.action == "removed" else difference.after
    if difference.action in {"added", "removed"} and isinstance(rule, dict) and promise_of(rule) in promises(sides[1]):
        return "same-meaning"  # a clause of the column promises it before or after
    return by_action(difference, added="rule-added", removed="rule-removed", changed="rule-changed")


def _bounds(difference: Difference) -> str:
    before, after = (Acceptance.of_rule(side) for side in difference.inner)
    return before.ruling(after, wider="rule-loosened", narrower="rule-tightened", counted=all(map(counts_rows, difference.inner)))


def _severity(difference: Difference) -> str:
    ranks = [_SEVERITY.get(str(side.get("severity", "error"))) for side in difference.inner]
    if ranks[0] is None or ranks[1] is None:
        return "rule-changed"
    return "same-meaning" if ranks[0] == ranks[1] else "severity-lowered" if ranks[1] < ranks[0] else "severity-raised"


def _metric(difference: Difference) -> str:
    """``rule`` is what v3.0 calls ``metric``; ``library`` is the type of a rule that says none."""
    told = [(side.get("type", "library"), side.get("metric") or side.get("rule")) for side in difference.inner]
    return "same-meaning" if told[0] == told[1] else "rule-changed"


def _query(difference: Difference) -> str:
    before, after = (" ".join(without_comments(str(value or "")).split()) for value in (difference.before, difference.after))
    return "same-meaning" if before == after else "rule-changed"


def _unit(difference: Difference) -> str:
    units = [side.get("unit") or "rows" for side in difference.inner]
    return "same-meaning" if units[0] == units[1] else "unit"


def _valid_values(difference: Difference) -> str:
    before, after = (_arguments(pair, "validValues") for pair in difference.inner)
    if difference.action == "reordered":
        return "order"
    if not before or not after:
        return "values-narrowed" if after else "values-unlimited"
    return by_action(difference, added="value-admitted", removed="values-narrowed", changed="value-admitted")


def _arguments(arguments: Any, key: str) -> Any:
    value = arguments.get(key)
    return value if isinstance(value, list) else []


def _unique_over(difference: Difference) -> str:
    """Rows that differ in few columns differ in more of them too: fewer columns are the stricter rule."""
    before, after = (_arguments(pair, "properties") for pair in difference.inner)
    if not before or not after or difference.action == "changed":
        return "rule-changed"
    if set(map(str, before)) - set(map(str, after)) and set(map(str, after)) - set(map(str, before)):
        return "rule-changed"
    return by_action(difference, added="rule-loosened", removed="rule-tightened", changed="rule-changed")


_QUALITY = r"schema\[\](?:\.properties\[\])?\.quality"
_CLAUSE = rf"{_QUALITY}\[\]"
CLAUSES: tuple[Clause, ...] = (
    Clause(rf"{_QUALITY}(?:\[\])?", _rule),
    Clause(rf"{_CLAUSE}\.(?:{'|'.join(OPERATORS)})", _bounds),
    Clause(rf"{_CLAUSE}\.severity", _severity),
    Clause(rf"{_CLAUSE}\.(?:metric|rule|type)", _metric),
    Clause(rf"{_CLAUSE}\.query", _query),
    Clause(rf"{_CLAUSE}\.unit", _unit),
    Clause(rf"{_CLAUSE}\.arguments\.validValues(?:\[\])?", _valid_values),
    Clause(rf"{_CLAUSE}\.arguments\.properties(?:\[\])?", _unique_over),
    Clause(rf"{_CLAUSE}\.(?:arguments|engine|implementation)(?:[.\[].*)?", once("rule-changed")),
    Clause(
        rf"{_CLAUSE}\.(?:id|name|description|dimension|businessImpact|method|schedule|scheduler|tags|authoritativeDefinitions|customProperties)"
        r"(?:[.\[].*)?",
        once("documentation"),
    ),
)
