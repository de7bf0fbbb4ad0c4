"""Contract rules as DataHub assertions, and audit results as their run events.

Rules become dataset assertions with a standard operator where DataHub has one (what its Great Expectations integration writes),
otherwise the native operator with the clause's own arguments. Results carry counts, never rows.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from platform_core.catalog import urns
from platform_core.catalog.graph import PublishedTable, RuleResult
from platform_core.catalog.proposal import Proposal
from platform_core.contracts import Contract, Rule, Table, naming

_BOUNDS = {
    "must_be": "EQUAL_TO",
    "must_not_be": "NOT_EQUAL_TO",
    "greater_than": "GREATER_THAN",
    "greater_or_equal": "GREATER_THAN_OR_EQUAL_TO",
    "less_than": "LESS_THAN",
    "less_or_equal": "LESS_THAN_OR_EQUAL_TO",
}
_COUNTED = {"row_count": "ROW_COUNT", "null_count": "NULL_COUNT"}
_TABLE_WIDE = frozenset({"row_count", "sql"})
_NATIVE = "_NATIVE_"


def assertion_proposals(published: PublishedTable) -> Iterator[Proposal]:
    """The assertions of a port's table."""
    for rule in published.table.rules:
        urn = urns.assertion(published.contract.id, rule.name)
        yield Proposal("assertion", urn, "assertionInfo", _info(published, rule))
        yield Proposal("assertion", urn, "dataPlatformInstance", {"platform": urns.ASSERTION_PLATFORM})
        yield Proposal("assertion", urn, "status", {"removed": False})


def result_proposals(contract: Contract, publication: str, results: tuple[RuleResult, ...]) -> Iterator[Proposal]:
    """The results of an audit of one contract, also of a failed one; results of other contracts' tables are passed over."""
    tables = {table.physical_name: table for table in contract.tables}
    for result in results:
        table = tables.get(result.rule.table)
        if table is None or result.rule.name not in {rule.name for rule in table.rules}:
            continue
        urn = urns.assertion(contract.id, result.rule.name)
        event = _event(contract, table, publication, result)
        yield Proposal("assertion", urn, "assertionRunEvent", event, f"{event['timestampMillis']:015d}")


def _info(published: PublishedTable, rule: Rule) -> dict[str, Any]:
    dataset = naming.dataset_urn(*published.relation)
    operator, parameters = _operator(rule)
    assertion: dict[str, Any] = {
        "dataset": dataset,
        "scope": "DATASET_ROWS" if rule.kind in _TABLE_WIDE else "DATASET_COLUMN",
        "fields": [urns.field(dataset, column) for column in _columns(rule)],
        "aggregation": _aggregation(rule, operator),
        "operator": operator,
        "nativeType": rule.kind,
        "nativeParameters": {name: _text(value) for name, value in rule.arguments.items() if name != "query"},
    }
    if parameters:
        assertion["parameters"] = parameters
    if rule.kind == "sql":
        assertion["logic"] = str(rule.arguments["query"])
    facts = {"contract": published.contract.id, "rule": rule.name, "severity": rule.severity, "dimension": rule.dimension}
    return {
        "customProperties": {name: value for name, value in facts.items() if value is not None},
        "type": "DATASET",
        "datasetAssertion": assertion,
        "source": {"type": "EXTERNAL"},
        "description": rule.description or f"{rule.kind.replace('_', ' ')}{f' of {rule.column}' if rule.column else ''}",
    }


def _event(contract: Contract, table: Table, publication: str, result: RuleResult) -> dict[str, Any]:
    outcome: dict[str, Any] = {"type": "ERROR" if result.failed_to_run else "SUCCESS" if result.passed else "FAILURE"}
    if result.rows is not None:
        outcome["rowCount"] = result.rows
    if result.unexpected is not None:
        outcome["unexpectedCount"] = result.unexpected
    if result.observed is not None and not result.failed_to_run and _speaks_freely(table, result.rule):
        outcome["nativeResults"] = {"observed": result.observed}
    if result.failed_to_run:
        outcome["error"] = {"type": "SOURCE_QUERY_FAILED"}  # the database's message may quote a value: it stays in the run's log
    return {
        "timestampMillis": int(result.checked_at.timestamp() * 1000),
        "runId": publication,
        "asserteeUrn": naming.dataset_urn(naming.port_schema(contract.product_id), table.physical_name),
        "status": "COMPLETE",
        "result": outcome,
        "assertionUrn": urns.assertion(contract.id, result.rule.name),
        "partitionSpec": {"type": "FULL_TABLE", "partition": "FULL_TABLE_SNAPSHOT"},
    }


def _speaks_freely(table: Table, rule: Rule) -> bool:
    """Whether an observation cannot hold personal data: for SQL no column of the table may be personal, else none of the rule's."""
    touched = _columns(rule)
    return not any(column.personal and (rule.kind == "sql" or column.physical_name in touched) for column in table.columns)


def _columns(rule: Rule) -> tuple[str, ...]:
    return tuple(str(column) for column in rule.arguments.get("columns") or ((rule.column,) if rule.column else ()))


def _aggregation(rule: Rule, operator: str) -> str:
    if rule.kind in {"unique", "primary_key"}:
        return "UNIQUE_PROPORTION"
    if rule.kind == "null_count" and rule.arguments.get("missing_values"):
        return _NATIVE
    if rule.kind == "null_count" and rule.arguments.get("unit") == "percent":
        return "NULL_PROPORTION"
    return _COUNTED.get(rule.kind) or (_NATIVE if operator == _NATIVE else "IDENTITY")


def _operator(rule: Rule) -> tuple[str, dict[str, Any]]:
    """DataHub's operator and its parameters."""
    arguments = rule.arguments
    match rule.kind:
        case "not_null":
            return "NOT_NULL", {}
        case "unique" | "primary_key":
            return "EQUAL_TO", {"value": _number(1.0)}
        case "accepted_values":
            return "IN", {"value": {"value": _text(list(arguments["values"])), "type": "SET"}}
        case "pattern":
            return "REGEX_MATCH", {"value": {"value": str(arguments["regex"]), "type": "STRING"}}
        case "range":
            return _range(arguments)
        case "row_count" | "null_count" if not arguments.get("missing_values"):
            return _bounds(arguments, 0.01 if arguments.get("unit") == "percent" else 1)
        case _:
            return _NATIVE, {}


def _range(arguments: Mapping[str, Any]) -> tuple[str, dict[str, Any]]:
    named = {
        "minimum": "GREATER_THAN_OR_EQUAL_TO",
        "maximum": "LESS_THAN_OR_EQUAL_TO",
        "exclusive_minimum": "GREATER_THAN",
        "exclusive_maximum": "LESS_THAN",
    }
    given = {name: arguments[name] for name in named if arguments.get(name) is not None}
    if set(given) == {"minimum", "maximum"}:
        return "BETWEEN", {"minValue": _number(given["minimum"]), "maxValue": _number(given["maximum"])}
    if len(given) == 1:
        name, value = next(iter(given.items()))
        return named[name], {"value": _number(value)}
    return _NATIVE, {}


def _bounds(arguments: Mapping[str, Any], scale: float) -> tuple[str, dict[str, Any]]:
    given = {name: arguments[name] for name in (*_BOUNDS, "between", "not_between") if arguments.get(name) is not None}
    if len(given) != 1 or "not_between" in given:
        return _NATIVE, {}
    name, value = next(iter(given.items()))
    if name == "between":
        low, high = value
        return "BETWEEN", {"minValue": _number(low * scale), "maxValue": _number(high * scale)}
    return _BOUNDS[name], {"value": _number(value * scale)}


def _number(value: Any) -> dict[str, str]:
    return {"value": _text(value), "type": "NUMBER" if isinstance(value, int | float) else "UNKNOWN"}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else orjson.dumps(value, default=str).decode()
