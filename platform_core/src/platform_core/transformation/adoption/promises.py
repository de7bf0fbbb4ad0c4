"""dbt tests as promises of a contract. What has no exact counterpart stays a dbt test, and is said to.

Semantics of the tests: dbt's generic tests (https://docs.getdbt.com/reference/resource-properties/data-tests), the packages dbt_utils and
dbt_expectations. A promise blocks publication where the test would fail the build, and warns where it would warn.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from platform_core.transformation.starting.sql_names import quoted

_BOUND = re.compile(r"^-?\d+(\.\d+)?$")
_REF = re.compile(r"""^\s*ref\(\s*['"]([^'"]+)['"]\s*(?:,\s*['"]([^'"]+)['"]\s*)?\)\s*$""")


@dataclass
class Promises:
    """What the tests of one model come to.

    Attributes:
        required: Columns without nulls.
        unique: Columns without doubles.
        options: Column to ODCS ``logicalTypeOptions``.
        column_quality: Column to its quality clauses.
        table_quality: Quality clauses of the table.
        references: Column to ``(model, column)`` that it refers to; the model as its name.
        levels: Service levels (ODCS ``slaProperties``).
        left: Tests that stay dbt tests, with the reason.
    """

    required: set[str] = field(default_factory=set[str])
    unique: set[str] = field(default_factory=set[str])
    options: dict[str, dict[str, Any]] = field(default_factory=dict[str, dict[str, Any]])
    column_quality: dict[str, list[dict[str, Any]]] = field(default_factory=dict[str, list[dict[str, Any]]])
    table_quality: list[dict[str, Any]] = field(default_factory=list[dict[str, Any]])
    references: list[tuple[str, str, str, str]] = field(default_factory=list[tuple[str, str, str, str]])
    left: list[tuple[str, str]] = field(default_factory=list[tuple[str, str]])


@dataclass(frozen=True)
class _Test:
    name: str
    kind: str
    column: str | None
    arguments: Mapping[str, Any]
    severity: str
    where: str | None

    @property
    def plain(self) -> bool:
        """Whether it speaks of every row and fails the build."""
        return self.severity == "error" and not self.where


def read_promises(tests: list[Mapping[str, Any]]) -> Promises:
    """The promises of the tests of one model, given as nodes of a manifest."""
    found = Promises()
    for node in sorted(tests, key=lambda item: str(item["unique_id"])):
        metadata = node.get("test_metadata")
        config = node.get("config") or {}
        if not metadata:
            found.left.append((str(node["name"]), "a test in SQL of its own"))
            continue
        namespace = metadata.get("namespace")
        kind = f"{namespace}.{metadata['name']}" if namespace else str(metadata["name"])
        arguments = {key: value for key, value in (metadata.get("kwargs") or {}).items() if key not in ("model", "column_name")}
        column = node.get("column_name") or (metadata.get("kwargs") or {}).get("column_name")
        severity = "warning" if str(config.get("severity", "error")).lower() == "warn" else "error"
        test = _Test(str(node["name"]), kind, column, arguments, severity, config.get("where"))
        handler = _HANDLERS.get(kind.removeprefix("dbt."))
        reason = _refused(config, arguments) if handler else f"no promise of a contract says what {kind} tests"
        if handler is not None and reason is None:
            reason = handler(test, found)
        if reason:
            found.left.append((test.name, reason))
    return found


def referred_model(expression: str) -> str | None:
    """Name of the model of ``ref('model')``; None for anything else."""
    match = _REF.match(expression)
    return (match[2] or match[1]) if match else None


def _refused(config: Mapping[str, Any], arguments: Mapping[str, Any]) -> str | None:
    for key, usual in (("error_if", "!= 0"), ("warn_if", "!= 0"), ("fail_calc", "count(*)")):
        if str(config.get(key) or usual).strip() != usual:
            return f"its {key} is {config[key]!r}"
    if config.get("limit"):
        return "it has a limit"
    for key in ("row_condition", "group_by", "group_by_columns", "ignore_row_if", "config"):
        value = arguments.get(key)
        if value and not (key == "ignore_row_if" and value == "all_values_are_missing"):
            return f"its {key} has no counterpart"
    if any("{{" in str(value) for value in arguments.values()):
        return "its arguments are a template"
    return None


def _severity(test: _Test) -> dict[str, Any]:
    return {"severity": test.severity}


def _sql(test: _Test, found: Promises, condition: str, dimension: str) -> None:
    """A clause that counts the rows which break the test, at its column or at the table."""
    scope = f"({test.where}) and " if test.where else ""
    clause = {
        "name": test.name,
        "type": "sql",
        "query": f"select count(*) from {{object}} where {scope}{condition}",  # noqa: S608 - the text of a contract
        "mustBe": 0,
        "dimension": dimension,
        **_severity(test),
    }
    found.table_quality.append(clause)


def _column_clause(test: _Test, found: Promises, clause: Mapping[str, Any]) -> None:
    found.column_quality.setdefault(str(test.column), []).append({**clause, **_severity(test)})


def _not_null(test: _Test, found: Promises) -> str | None:
    if test.plain:
        found.required.add(str(test.column))
    elif test.where:
        _sql(test, found, f"{quoted(str(test.column))} is null", "completeness")
    else:
        _column_clause(test, found, {"metric": "nullValues", "mustBe": 0, "dimension": "completeness"})
    return None


def _unique(test: _Test, found: Promises) -> str | None:
    if test.where:
        return "it speaks of some rows only (where)"
    if test.plain:
        found.unique.add(str(test.column))
    else:
        _column_clause(test, found, {"metric": "duplicateValues", "mustBe": 0, "dimension": "uniqueness"})
    return None


def _accepted_values(test: _Test, found: Promises, key: str = "values") -> str | None:
    values = test.arguments.get(key)
    if not isinstance(values, list) or not values or not all(isinstance(value, str | int | float | bool) for value in values):
        return "its values are no list of plain values"
    if test.where:
        return "it speaks of some rows only (where)"
    if test.arguments.get("quote", True) is False or test.arguments.get("quote_values", True) is False:
        values = [_number(value) for value in values]
    elif key == "values":
        values = [value if isinstance(value, str) else str(value).lower() if isinstance(value, bool) else str(value) for value in values]
    clause = {"metric": "invalidValues", "arguments": {"validValues": list(values)}, "mustBe": 0, "dimension": "conformity"}
    _column_clause(test, found, clause)
    return None


def _relationships(test: _Test, found: Promises) -> str | None:
    model = referred_model(str(test.arguments.get("to", "")))
    column = str(test.arguments.get("field", "")).strip('"')
    if model is None or not column:
        return "it refers to a source, not to a model"
    if not test.plain:
        return "a relationship of a contract speaks of every row and blocks"
    found.references.append((str(test.column), model, column, test.name))
    return None


def _combination(test: _Test, found: Promises, key: str = "combination_of_columns") -> str | None:
    columns = [str(name).strip('"') for name in test.arguments.get(key) or ()]
    if not columns or test.where:
        return "it speaks of some rows only (where)" if columns else "it names no columns"
    clause = {"metric": "duplicateValues", "arguments": {"properties": columns}, "mustBe": 0, "dimension": "uniqueness"}
    found.table_quality.append({**clause, **_severity(test)})
    return None


def _expression(test: _Test, found: Promises) -> str | None:
    expression = str(test.arguments.get("expression", "")).strip()
    if not expression or ";" in expression:
        return "its expression is not one condition"
    whole = f"{quoted(test.column)} {expression}" if test.column else expression
    _sql(test, found, f"not ({whole})", "consistency")
    return None


def _accepted_range(test: _Test, found: Promises) -> str | None:
    inclusive = test.arguments.get("inclusive", True)
    return _range(test, found, test.arguments.get("min_value"), test.arguments.get("max_value"), strict=inclusive is False)


def _between(test: _Test, found: Promises) -> str | None:
    strict = bool(test.arguments.get("strictly"))
    return _range(test, found, test.arguments.get("min_value"), test.arguments.get("max_value"), strict=strict)


def _range(test: _Test, found: Promises, low: Any, high: Any, *, strict: bool) -> str | None:
    if any(value is not None and not _BOUND.match(str(value)) for value in (low, high)) or (low is None and high is None):
        return "its bounds are no numbers"
    if test.plain:
        options = found.options.setdefault(str(test.column), {})
        keys = ("exclusiveMinimum", "exclusiveMaximum") if strict else ("minimum", "maximum")
        options |= {key: _number(value) for key, value in zip(keys, (low, high), strict=True) if value is not None}
        return None
    column = quoted(str(test.column))
    parts = [f"{column} {'<=' if strict else '<'} {low}"] if low is not None else []
    parts += [f"{column} {'>=' if strict else '>'} {high}"] if high is not None else []
    _sql(test, found, f"({' or '.join(parts)})", "conformity")
    return None


def _not_constant(test: _Test, found: Promises) -> str | None:
    if test.where:
        return "it speaks of some rows only (where)"
    query = f"select count(distinct {quoted(str(test.column))}) from {{object}}"  # noqa: S608 - the text of a contract
    clause = {"name": test.name, "type": "sql", "query": query, "mustNotBe": 1, "dimension": "conformity", **_severity(test)}
    found.table_quality.append(clause)
    return None


def _not_empty(test: _Test, found: Promises) -> str | None:
    column = quoted(str(test.column))
    trimmed = f"trim({column})" if test.arguments.get("trim_whitespace", True) else column
    _sql(test, found, f"{trimmed} = ''", "completeness")
    return None


def _proportion(test: _Test, found: Promises) -> str | None:
    least, most = test.arguments.get("at_least"), test.arguments.get("at_most", 1)
    if test.where or not isinstance(least, int | float) or float(most) != 1:
        return "its proportion is not a least share of all rows"
    clause = {"metric": "nullValues", "unit": "percent", "mustBeLessOrEqualTo": round(100 * (1 - least), 6), "dimension": "completeness"}
    _column_clause(test, found, clause)
    return None


def _lengths(test: _Test, found: Promises) -> str | None:
    low, high = test.arguments.get("min_value"), test.arguments.get("max_value")
    if not test.plain or test.arguments.get("strictly") or not all(value is None or str(value).isdigit() for value in (low, high)):
        return "its bounds are not those of every row"
    options = found.options.setdefault(str(test.column), {})
    options |= {key: int(value) for key, value in (("minLength", low), ("maxLength", high)) if value is not None}
    return None


def _row_count(test: _Test, found: Promises) -> str | None:
    low, high = test.arguments.get("min_value"), test.arguments.get("max_value")
    if test.where or not all(value is None or str(value).isdigit() for value in (low, high)) or (low is None and high is None):
        return "its bounds are no whole numbers"
    clause: dict[str, Any] = {"metric": "rowCount", "dimension": "completeness", **_severity(test)}
    if low is not None and high is not None:
        clause["mustBeBetween"] = [int(low), int(high)]
    else:
        clause |= {"mustBeGreaterOrEqualTo": int(low)} if low is not None else {"mustBeLessOrEqualTo": int(str(high))}
    found.table_quality.append(clause)
    return None


def _exists(test: _Test, found: Promises) -> str | None:
    del test, found  # every column of a contract must be there: it says so by naming the column
    return None


def _number(value: Any) -> Any:
    if isinstance(value, bool) or not _BOUND.match(str(value)):
        return value
    return float(value) if "." in str(value) else int(value)


_HANDLERS: dict[str, Callable[[_Test, Promises], str | None]] = {
    "not_null": _not_null,
    "unique": _unique,
    "accepted_values": _accepted_values,
    "relationships": _relationships,
    "dbt_utils.unique_combination_of_columns": _combination,
    "dbt_utils.expression_is_true": _expression,
    "dbt_utils.accepted_range": _accepted_range,
    "dbt_utils.not_constant": _not_constant,
    "dbt_utils.not_empty_string": _not_empty,
    "dbt_utils.not_null_proportion": _proportion,
    "dbt_expectations.expect_column_values_to_not_be_null": _not_null,
    "dbt_expectations.expect_column_values_to_be_unique": _unique,
    "dbt_expectations.expect_column_values_to_be_in_set": lambda test, found: _accepted_values(test, found, "value_set"),
    "dbt_expectations.expect_column_values_to_be_between": _between,
    "dbt_expectations.expect_column_value_lengths_to_be_between": _lengths,
    "dbt_expectations.expect_table_row_count_to_be_between": _row_count,
    "dbt_expectations.expect_compound_columns_to_be_unique": lambda test, found: _combination(test, found, "column_list"),
    "dbt_expectations.expect_column_to_exist": _exists,
    "dbt_expectations.expression_is_true": _expression,
}
