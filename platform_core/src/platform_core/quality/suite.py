"""From a contract's rules to a Great Expectations suite: one expectation per rule, none dropped.

| rule | expectation |
|---|---|
| ``not_null`` | ``ExpectColumnValuesToNotBeNull`` |
| ``accepted_values`` | ``ExpectColumnValuesToBeInSet`` |
| ``pattern`` | ``ExpectColumnValuesToMatchRegex``, with the pattern in Postgres' dialect |
| ``range`` | ``ExpectColumnValuesToBeBetween`` where it is exact, else a measure: it turns bounds into floats and dates |
| ``row_count`` | ``ExpectTableRowCountToBeBetween``; a measure for ``must_not_be`` and ``not_between``, which it lacks |
| ``unique``, ``primary_key``, ``length``, ``null_count``, ``invalid_count``, ``duplicate_count`` | a measure |
| ``foreign_key``, ``sql`` | an answer: a statement of its own |

A measure (``ExpectMeasureToBeWithinBounds``) is an aggregate in the table's shared scan. The official classes for uniqueness
and lengths would each cost a scan of their own (a window over the whole table), do not know NULL in keys, and the one for
lengths fails on column names with quotes. A column whose name another one bears but for case gets measures only: the official
classes look columns up without regard to case, and would judge the other one.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from platform_core.contracts import Table
from platform_core.quality.bounds import exact
from platform_core.quality.errors import QualityError
from platform_core.quality.plan import Relation, RulePlan, plan_rule, told_apart

if TYPE_CHECKING:
    from great_expectations import ExpectationSuite
    from great_expectations.expectations.expectation import Expectation

_EXACT_INTEGER = 2**53  # above it not every integer is a float
_ROW_COUNTS = {
    "greater_than": ("min_value", "strict_min"),
    "greater_or_equal": ("min_value", None),
    "less_than": ("max_value", "strict_max"),
    "less_or_equal": ("max_value", None),
}
_RANGES = {
    "minimum": ("min_value", None),
    "exclusive_minimum": ("min_value", "strict_min"),
    "maximum": ("max_value", None),
    "exclusive_maximum": ("max_value", "strict_max"),
}


def compile_suite(table: Table, relation: Relation, candidates: Mapping[str, Relation] | None = None) -> ExpectationSuite:
    """Compiles every rule of the table.

    Args:
        table: The contract's table.
        relation: Schema and name of the relation that the suite is to judge.
        candidates: Candidate relations of the contract's tables by physical name, for foreign keys between them.

    Returns:
        A suite named after the relation. Each expectation's ``meta`` carries ``rule``, ``location`` (``file:line``),
        ``severity`` and ``dimension``.

    Raises:
        QualityError: A rule's kind is unknown or its arguments make no sense.
    """
    own = {table.physical_name: relation}
    plans = [plan_rule(rule, table, relation, candidates or own) for rule in table.rules]
    return suite_of([told_apart(plan, [column.physical_name for column in table.columns]) for plan in plans], ".".join(relation))


def suite_of(plans: Sequence[RulePlan], name: str) -> ExpectationSuite:
    """The suite of rules that are planned already."""
    from great_expectations import ExpectationSuite

    return ExpectationSuite(name=name, expectations=[_expectation(plan) for plan in plans])


def _expectation(plan: RulePlan) -> Expectation:
    import great_expectations.expectations as gxe

    from platform_core.quality.expectations import ExpectAnswerToBeWithinBounds, ExpectMeasureToBeWithinBounds

    rule = plan.rule
    common: dict[str, Any] = {
        "meta": {
            "rule": rule.name,
            "location": str(rule.location),
            "severity": rule.severity,
            "dimension": rule.dimension,
        },
        "severity": "critical" if rule.blocking else "warning",
        "description": rule.description or rule.name,
    }
    match "" if plan.twins else rule.kind:
        case "not_null":
            return gxe.ExpectColumnValuesToNotBeNull(column=plan.columns[0], **common)
        case "accepted_values":
            return gxe.ExpectColumnValuesToBeInSet(column=plan.columns[0], value_set=list(plan.values), **common)
        case "pattern":
            return gxe.ExpectColumnValuesToMatchRegex(column=plan.columns[0], regex=plan.regex or "", **common)
        case "range" if (between := range_arguments(rule.arguments)) is not None:
            return gxe.ExpectColumnValuesToBeBetween(column=plan.columns[0], **between, **common)
        case "row_count" if (between := _row_count(plan)) is not None:
            return gxe.ExpectTableRowCountToBeBetween(**between, **common)
        case _:
            pass
    limits = {"limits": dict(plan.bounds.limits), "percent": plan.bounds.percent}
    if plan.query is not None:
        return ExpectAnswerToBeWithinBounds(query=plan.query.as_string(None), **limits, **common)
    if plan.measure is not None:
        return ExpectMeasureToBeWithinBounds(expression=plan.measure.as_string(None), **limits, **common)
    raise QualityError(f"the kind {rule.kind!r} is planned, but not compiled", where=str(rule.location))


def range_arguments(arguments: Mapping[str, Any]) -> dict[str, Any] | None:
    """The range as arguments of the official expectation, None where that would change a bound or cannot say it."""
    given = {key: arguments[key] for key in _RANGES if arguments.get(key) is not None}
    if any(isinstance(value, bool) or exact(value) is None or abs(value) > _EXACT_INTEGER for value in given.values()):
        return None
    return _between(given, _RANGES)


def _row_count(plan: RulePlan) -> dict[str, Any] | None:
    given: dict[str, Any] = dict(plan.bounds.limits)
    if given.keys() == {"must_be"}:
        given = {"between": [given["must_be"]] * 2}
    if given.keys() == {"between"}:
        low, high = given["between"]
        given = {"greater_or_equal": low, "less_or_equal": high}
    whole = all(type(value) is int for value in given.values())
    return _between(given, _ROW_COUNTS) if whole and given.keys() <= _ROW_COUNTS.keys() and not plan.bounds.percent else None


def _between(given: Mapping[str, Any], ends: Mapping[str, tuple[str, str | None]]) -> dict[str, Any] | None:
    """Arguments of an official ``...ToBeBetween``; None when an end is named twice or the range is empty."""
    arguments: dict[str, Any] = {}
    for key, value in given.items():
        end, strict = ends[key]
        if end in arguments:
            return None
        arguments[end] = value
        if strict:
            arguments[strict] = True
    low, high = arguments.get("min_value"), arguments.get("max_value")
    return None if low is not None and high is not None and low > high else arguments
