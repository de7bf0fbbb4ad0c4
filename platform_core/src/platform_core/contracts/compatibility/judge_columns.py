"""Judges of tables and columns: names, types, keys, values (ODCS ``schema[]`` and ``schema[].properties[]``)."""

from __future__ import annotations

import re
from typing import Any

from platform_core.contracts.compatibility.acceptance import Acceptance
from platform_core.contracts.compatibility.difference import Difference, referred, same
from platform_core.contracts.compatibility.equal_promise import promises
from platform_core.contracts.compatibility.judgement import Clause, Judge, by_action, column_order, once, words

_TYPE_NAMES = {
    "int8": "bigint",
    "int": "integer",
    "int4": "integer",
    "int2": "smallint",
    "bool": "boolean",
    "decimal": "numeric",
    "float8": "double precision",
    "float4": "real",
    "timestamp with time zone": "timestamptz",
    "timestamp without time zone": "timestamp",
    "character varying": "varchar",
    "character": "char",
}
_BOUNDS = {"minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"}
_SIZES = {"minLength": "maxLength", "minItems": "maxItems", "minProperties": "maxProperties"}


def _item(thing: str) -> Judge:
    names = {"added": f"{thing}-added", "removed": f"{thing}-removed", "renamed": f"{thing}-renamed", "reordered": "order"}
    return lambda difference: names.get(difference.action, "unknown")


def _physical_name(difference: Difference) -> str:
    before, after = (str(side.get("physicalName") or side.get("name")) for side in difference.inner)
    return "same-meaning" if before == after else "physical-name"


def _physical_type(difference: Difference) -> str:
    before, after = (_type(value) for value in (difference.before, difference.after))
    return "same-meaning" if before == after else "physical-type"


def _type(value: Any) -> str:
    name, bracket, rest = re.sub(r"\s+", " ", str(value or "")).strip().lower().partition("(")
    return f"{_TYPE_NAMES.get(name.strip(), name.strip())}{bracket}{rest.replace(' ', '')}"


def _flag(set_: str, dropped: str) -> Judge:
    def judge(difference: Difference) -> str:
        before, after = bool(difference.before), bool(difference.after)
        kept = all((difference.path.rpartition(".")[2], True) in promises(side) for side in difference.inner)  # by a rule, then or now
        return "same-meaning" if before == after or kept else set_ if after else dropped

    return judge


def _primary_key_position(difference: Difference) -> str:
    before, after = difference.inner
    if not (before.get("primaryKey") or after.get("primaryKey")):
        return "documentation"
    tables = difference.holder("properties")
    return "same-meaning" if _key(tables[0]) == _key(tables[1]) else "primary-key"


def _key(table: Any) -> list[str]:
    columns = [column for column in table.get("properties") or [] if isinstance(column, dict) and column.get("primaryKey")]
    return [str(column.get("name")) for column in sorted(columns, key=column_order(table))]


def _enum(difference: Difference) -> str:
    before, after = difference.inner
    if difference.action == "reordered":
        return "order"
    told = [{values for clause, values in promises(side) if clause == "enum"} for side in (before, after)]
    if told[0] and told[0] == told[1]:
        return "same-meaning"
    if not before.get("enum"):
        return "values-narrowed"
    if not after.get("enum"):
        return "values-unlimited"
    return by_action(difference, added="value-admitted", removed="values-narrowed", changed="value-admitted")


def _range(difference: Difference) -> str:
    return Acceptance.of_options(difference.inner[0], _BOUNDS).ruling(
        Acceptance.of_options(difference.inner[1], _BOUNDS), wider="range-widened", narrower="range-narrowed"
    )


def _size(difference: Difference) -> str:
    low, high = next(pair for pair in _SIZES.items() if difference.path.rpartition(".")[2] in pair)
    sides = [Acceptance.of_options({"minimum": side.get(low), "maximum": side.get(high)}, _BOUNDS) for side in difference.inner]
    return sides[0].ruling(sides[1], wider="range-widened", narrower="range-narrowed")


def _pattern(difference: Difference) -> str:
    columns = difference.holder("logicalType", "name")
    if all(("pattern", str(difference.before or difference.after)) in promises(side) for side in columns):
        return "same-meaning"
    return by_action(difference, added="option-added", removed="pattern", changed="pattern")


def _option(difference: Difference) -> str:
    if difference.action == "changed" and _number(difference.before) is not None and difference.before == difference.after:
        return "same-meaning"
    return by_action(difference, added="option-added", removed="option", changed="option", reordered="order")


def _timezone(difference: Difference) -> str:
    before, after = difference.inner
    told = [(bool(side.get("timezone")), side.get("defaultTimezone") or "Etc/UTC") for side in (before, after)]
    return "same-meaning" if told[0] == told[1] else "option"


def _number(value: Any) -> float | None:
    return value if isinstance(value, int | float) and not isinstance(value, bool) else None


_UNITS = {
    **dict.fromkeys(("usd", "dollar", "dollars"), "usd"),
    **dict.fromkeys(("eur", "euro", "euros"), "eur"),
    **dict.fromkeys(("gbp", "pound", "pounds"), "gbp"),
    **{unit: unit for unit in ("chf", "jpy", "cny", "sek", "nok", "dkk", "cents", "celsius", "fahrenheit", "utc", "percent")},
    **dict.fromkeys(("ms", "milliseconds"), "ms"),
    **{unit: unit for unit in ("seconds", "minutes", "hours", "days", "weeks", "months", "years", "bytes", "rows")},
    **dict.fromkeys(("kg", "kilograms"), "kg"),
    **dict.fromkeys(("grams", "miles", "metres", "meters", "km", "kilometres", "inches", "litres", "gallons"), None),
}


def _described(difference: Difference) -> str:
    """The standards have no clause for a column's unit, so it stands in the description: another one there is another unit."""
    before, after = (_units(value) for value in (difference.before, difference.after))
    return "unit" if before and after and before != after else "documentation"


def _units(value: Any) -> set[str]:
    return {_UNITS[word] or word for word in words(value) if word in _UNITS}


def _semantic_type(difference: Difference) -> str:
    return by_action(difference, added="option-added", removed="semantic-type", changed="semantic-type")


def _granularity(difference: Difference) -> str:
    if words(difference.before) == words(difference.after):
        return "same-meaning"
    return by_action(difference, added="option-added", removed="granularity", changed="granularity")


def _deprecated(difference: Difference) -> str:
    before, after = bool(difference.before), bool(difference.after)
    return "same-meaning" if before == after else "deprecated" if after else "status-forward"


def _relationship(difference: Difference) -> str:
    return by_action(difference, added="relationship-added", removed="relationship-removed", reordered="order", changed="rule-changed")


def _target(difference: Difference) -> str:
    return "same-meaning" if same(referred(difference.before), referred(difference.after)) else "rule-changed"


_COLUMN = r"schema\[\]\.properties\[\]"
_ANY = rf"(?:schema\[\]|{_COLUMN})"
CLAUSES: tuple[Clause, ...] = (
    Clause(r"schema(?:\[\])?", _item("table")),
    Clause(r"schema\[\]\.properties(?:\[\])?(?:\.properties)?", _item("column")),
    Clause(rf"{_COLUMN}", lambda difference: "logical-type"),
    Clause(rf"{_ANY}\.name", once("physical-name")),
    Clause(rf"{_ANY}\.physicalName", _physical_name),
    Clause(rf"{_COLUMN}\.logicalType", once("logical-type")),
    Clause(rf"{_COLUMN}\.physicalType", _physical_type),
    Clause(r"schema\[\]\.(?:physicalType|logicalType)", once("storage")),
    Clause(rf"{_COLUMN}\.required", _flag("column-required", "column-optional")),
    Clause(rf"{_COLUMN}\.unique", _flag("column-unique", "column-not-unique")),
    Clause(rf"{_COLUMN}\.primaryKey", _flag("primary-key", "primary-key")),
    Clause(rf"{_COLUMN}\.primaryKeyPosition", _primary_key_position),
    Clause(rf"{_COLUMN}\.enum(?:\[\])?(?:\.value)?", _enum),
    Clause(rf"{_COLUMN}\.enum\[\]\..*", once("documentation")),
    Clause(rf"{_COLUMN}\.logicalTypeOptions\.(?:minimum|maximum|exclusiveMinimum|exclusiveMaximum)", _range),
    Clause(rf"{_COLUMN}\.logicalTypeOptions\.(?:min|max)(?:Length|Items|Properties)", _size),
    Clause(rf"{_COLUMN}\.logicalTypeOptions\.pattern", _pattern),
    Clause(rf"{_COLUMN}\.logicalTypeOptions\.(?:timezone|defaultTimezone)", _timezone),
    Clause(rf"{_COLUMN}\.logicalTypeOptions(?:\..*)?", _option),
    Clause(rf"{_COLUMN}\.semanticType", _semantic_type),
    Clause(r"schema\[\]\.dataGranularityDescription", _granularity),
    Clause(rf"{_COLUMN}\.(?:description|businessName)", _described),
    Clause(rf"{_ANY}\.deprecated", _deprecated),
    Clause(rf"{_ANY}\.relationships(?:\[\])?", _relationship),
    Clause(rf"{_ANY}\.relationships\[\]\.(?:from|to)", _target),
    Clause(rf"{_ANY}\.relationships\[\]\.type", once("rule-changed")),
    Clause(rf"{_ANY}\.relationships\[\]\.id", once("documentation")),
    Clause(rf"{_COLUMN}\.(?:partitioned|partitionKeyPosition)", once("storage")),
    Clause(
        rf"{_COLUMN}\.encryptedName",
        lambda difference: by_action(difference, added="option-added", removed="protection", changed="protection"),
    ),
    Clause(
        rf"{_ANY}\.(?:id|description|businessName|synonyms|authoritativeDefinitions|examples|criticalDataElement|transform\w+|context)"
        r"(?:[.\[].*)?",
        once("documentation"),
    ),
)
