"""From a stream's JSON Schema to the columns of its raw table.

| JSON Schema | Postgres |
|---|---|
| integer | bigint (numeric once a value does not fit 64 bits) |
| number, big_integer, big_number | numeric |
| boolean | boolean |
| string | text |
| string, format date | date |
| string, format date-time | timestamptz, in UTC; a time without a zone is taken as UTC |
| object, array, unions, no type | jsonb |
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from platform_core.contracts.naming import IDENTIFIER_BYTES


class Kind(StrEnum):
    """Postgres type of a column."""

    TEXT = "text"
    BIGINT = "bigint"
    NUMERIC = "numeric"
    BOOLEAN = "boolean"
    DATE = "date"
    TIMESTAMPTZ = "timestamp with time zone"
    JSONB = "jsonb"


@dataclass(frozen=True)
class Column:
    """A column of a raw table.

    Attributes:
        field: Key in the records.
        name: Column in Postgres; differs from ``field`` only where Postgres cannot hold it.
        kind: Type.
    """

    field: str
    name: str
    kind: Kind


WHOLE_RECORD = "data"
"""The only column of a stream whose schema names no fields: the record itself, as jsonb."""

META_COLUMNS: tuple[tuple[str, str], ...] = (
    ("_airbyte_raw_id", "uuid"),
    ("_airbyte_extracted_at", "timestamp with time zone"),
    ("_airbyte_meta", "jsonb"),
    ("_airbyte_generation_id", "bigint"),
)
# Columns that every Postgres table already has, and ours.
_RESERVED = {"ctid", "xmin", "xmax", "cmin", "cmax", "tableoid", *(name for name, _ in META_COLUMNS)}
_SCALARS = {"integer": Kind.BIGINT, "number": Kind.NUMERIC, "boolean": Kind.BOOLEAN, "string": Kind.TEXT}
_AIRBYTE_TYPES = {"big_integer": Kind.NUMERIC, "big_number": Kind.NUMERIC, "integer": Kind.BIGINT}
_FORMATS = {"date": Kind.DATE, "date-time": Kind.TIMESTAMPTZ}


def kind_of(schema: Any) -> Kind:
    """Type of a column whose values follow a JSON Schema."""
    if not isinstance(schema, Mapping):
        return Kind.JSONB
    alternatives = schema.get("oneOf") or schema.get("anyOf")
    if alternatives:
        kinds = {kind_of(option) for option in alternatives if not (isinstance(option, Mapping) and option.get("type") == "null")}
        return kinds.pop() if len(kinds) == 1 else Kind.JSONB
    declared = schema.get("type")
    types = {declared} if isinstance(declared, str) else set(declared or ())
    types.discard("null")
    if types == {"integer", "number"}:
        return Kind.NUMERIC
    if len(types) != 1:
        return Kind.JSONB
    kind = _SCALARS.get(types.pop(), Kind.JSONB)
    if schema.get("airbyte_type") in _AIRBYTE_TYPES and kind in (Kind.TEXT, Kind.NUMERIC):
        return _AIRBYTE_TYPES[schema["airbyte_type"]]
    return _FORMATS.get(str(schema.get("format")), kind) if kind is Kind.TEXT else kind


def columns_of(json_schema: Mapping[str, Any]) -> tuple[Column, ...]:
    """Columns of a stream, in the order of its schema. A stream without declared fields keeps its whole record in one column."""
    properties = json_schema.get("properties")
    if not isinstance(properties, Mapping) or not properties:
        return (Column(WHOLE_RECORD, WHOLE_RECORD, Kind.JSONB),)
    return tuple(Column(field, identifier(field), kind_of(schema)) for field, schema in properties.items())


def identifier(name: str) -> str:
    """The Postgres name of a field or stream: itself, or a shortened form that ends in a hash of it.

    Case is kept (``CamelCase`` and ``camelcase`` are two columns), so is every character that Postgres can hold.
    """
    clean = name.replace("\x00", "").encode("utf-8", errors="replace").decode()
    if clean == name and clean and len(clean.encode()) <= IDENTIFIER_BYTES and clean not in _RESERVED:
        return name
    digest = hashlib.sha256(name.encode("utf-8", errors="surrogatepass")).hexdigest()[:8]
    room = IDENTIFIER_BYTES - len(digest) - 1
    return f"{clean.encode()[:room].decode(errors='ignore')}_{digest}"


def wider(stored: Kind, declared: Kind) -> Kind:
    """The type that holds both what a column has and what the source now declares."""
    pair = {stored, declared}
    if len(pair) == 1:
        return stored
    if pair == {Kind.BIGINT, Kind.NUMERIC}:
        return Kind.NUMERIC
    if pair == {Kind.DATE, Kind.TIMESTAMPTZ}:
        return Kind.TIMESTAMPTZ
    return Kind.JSONB if Kind.JSONB in pair else Kind.TEXT
