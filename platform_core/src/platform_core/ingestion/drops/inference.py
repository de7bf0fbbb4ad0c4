"""Types of a file's columns: found in its content when the table is new, and kept from then on."""

from __future__ import annotations

import base64
import functools
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

import orjson

from platform_core.ingestion.drops.content import FileContent
from platform_core.ingestion.drops.drop import KINDS, ReadOptions
from platform_core.ingestion.protocol import dump_json
from platform_core.ingestion.types import Kind, identifier, wider
from platform_core.ingestion.values import BIGINT_MAX, BIGINT_MIN, is_instant

# Leading zeros, a plus sign and exponents are no numbers here: 00123, +49 and 12E4 are codes far more often.
_INTEGER = re.compile(r"-?[1-9]\d{0,130}|0", re.ASCII)
_DECIMAL = re.compile(r"-?(0|[1-9]\d{0,130})\.\d{1,100}", re.ASCII)
_DECIMAL_COMMA = re.compile(r"-?(0|[1-9]\d{0,2}(\.\d{3})+|[1-9]\d{0,130}),\d{1,100}|-?[1-9]\d{0,2}(\.\d{3})+", re.ASCII)
_DATE = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_TRUTH = {"true": True, "false": False, "True": True, "False": False, "TRUE": True, "FALSE": False}
_GROWS = {Kind.BIGINT: Kind.NUMERIC, Kind.DATE: Kind.TIMESTAMPTZ}
_MOMENT_LENGTH = 16  # of "2026-01-31T08:00", the shortest point in time

_SCHEMAS: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": "string"},
    Kind.BIGINT: {"type": "integer"},
    Kind.NUMERIC: {"type": "number"},
    Kind.BOOLEAN: {"type": "boolean"},
    Kind.DATE: {"type": "string", "format": "date"},
    Kind.TIMESTAMPTZ: {"type": "string", "format": "date-time"},
    Kind.JSONB: {},
}


@dataclass(frozen=True)
class Profile:
    """What reading a file once has shown.

    Attributes:
        kinds: Field to the narrowest type that holds all its values; None when it has none. In the order of the file.
        seen: Field to the types that single values have. Once text was seen the rest is looked at only where the table has another type.
        rows: Number of rows.
    """

    kinds: dict[str, Kind | None]
    seen: dict[str, set[Kind]]
    rows: int


@dataclass(frozen=True)
class TextReading:
    """What the texts of a CSV file mean."""

    decimal: str
    date_format: str | None

    @classmethod
    def of(cls, options: ReadOptions) -> TextReading:
        """As the declaration says."""
        return cls(options.decimal, options.date_format)

    def kind(self, text: str) -> Kind:
        """The narrowest type of a text that is not empty."""
        first = text[0]
        if first in "-0123456789":
            if _INTEGER.fullmatch(text):
                return Kind.BIGINT
            if (_DECIMAL if self.decimal == "." else _DECIMAL_COMMA).fullmatch(text):
                return Kind.NUMERIC
            return _date_kind(text) if self.date_format is None else Kind.TEXT if self._date(text) is None else Kind.DATE
        if first in "tTfF" and text in _TRUTH:
            return Kind.BOOLEAN
        return Kind.TEXT if self.date_format is None or self._date(text) is None else Kind.DATE

    def value(self, text: str, kind: Kind) -> Any:
        """The text as orjson shall write it for a column: a number, a date or a truth value where it is one, else itself."""
        if kind is Kind.TEXT:
            return text
        clean = text.strip()
        if kind in (Kind.BIGINT, Kind.NUMERIC):
            if _INTEGER.fullmatch(clean):
                return orjson.Fragment(clean.encode())
            if self.decimal == "," and _DECIMAL_COMMA.fullmatch(clean):
                return orjson.Fragment(clean.replace(".", "").replace(",", ".").encode())
            return orjson.Fragment(clean.encode()) if self.decimal == "." and _DECIMAL.fullmatch(clean) else text
        if kind is Kind.BOOLEAN:
            return _TRUTH.get(clean, text)
        if kind is Kind.JSONB:
            return text
        if self.date_format is not None and (day := self._date(clean)) is not None:
            return day.isoformat()
        return clean

    def _date(self, text: str) -> date | None:
        try:
            return datetime.strptime(text, self.date_format or "").date()
        except ValueError:
            return None


def profile(content: FileContent, reading: TextReading, stored: Mapping[str, Kind]) -> Profile:
    """Reads a file once, from its beginning to its end.

    Args:
        content: The file.
        reading: What its texts mean.
        stored: Column to type, as the table has them.

    Raises:
        UnreadableFileError: It cannot be read to its end.
    """
    seen: dict[str, set[Kind]] = {name: set() for name in content.fields}
    seen.update((name, {kind}) for name, kind in content.kinds.items())
    settled = set(content.kinds)
    rows = 0
    for row in content.rows():
        rows += 1
        for name, value in row.values.items():
            if name in settled:
                continue
            if content.texts:
                value = value.strip()  # noqa: PLW2901
                found = reading.kind(value) if value else None
            else:
                found = _kind(value)
            kinds = seen.setdefault(name, set())
            if found is not None and found not in kinds:
                kinds.add(found)
                if found is Kind.TEXT and stored.get(identifier(name), Kind.TEXT) is Kind.TEXT:
                    settled.add(name)
    return Profile({name: functools.reduce(wider, kinds) if kinds else None for name, kinds in seen.items()}, seen, rows)


def choose_kinds(found: Profile, stored: Mapping[str, Kind], options: ReadOptions) -> tuple[dict[str, Kind], frozenset[str]]:
    """The type of each column of a load: what the declaration says, what the table has, or what the file shows.

    A kept type only grows from integer to number and from date to timestamp. Anything else keeps the column what it is, so that
    what is built on it goes on working; the values that do not fit become NULL and each row says so.

    Args:
        found: What the file shows.
        stored: Column to type, as the table has them.
        options: The declaration's.

    Returns:
        Field to type, and the fields with values that may not fit.
    """
    kinds: dict[str, Kind] = {}
    unfit: set[str] = set()
    for name, kind in found.kinds.items():
        declared, kept = options.types.get(name), stored.get(identifier(name))
        if declared is not None:
            wanted = KINDS[declared]
        elif kept is None:
            wanted = kind or Kind.TEXT
        else:
            grown = _GROWS.get(kept, kept)
            wanted = grown if grown in found.seen[name] else kept
        kinds[name] = wanted
        if kind is not None and wanted not in (Kind.TEXT, Kind.JSONB) and wider(wanted, kind) is not wanted:
            unfit.add(name)
    return kinds, frozenset(unfit)


def json_schema(kinds: Mapping[str, Kind]) -> dict[str, Any]:
    """The stream's JSON Schema, as a source would declare it."""
    return {"type": "object", "properties": {name: _SCHEMAS[kind] for name, kind in kinds.items()}}


def typed_value(value: Any, kind: Kind) -> Any:
    """A value of a workbook or a Parquet file as orjson shall write it for a column."""
    if value is None or type(value) is str or type(value) is bool:
        return value
    if isinstance(value, int):
        return value if BIGINT_MIN <= value <= BIGINT_MAX else orjson.Fragment(str(value).encode())
    if isinstance(value, float):
        return value if math.isfinite(value) else "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Decimal):
        return orjson.Fragment(format(value, "f").encode()) if value.is_finite() else str(value)
    if isinstance(value, datetime):
        midnight = kind is Kind.DATE and not (value.hour or value.minute or value.second or value.microsecond)
        return value.date().isoformat() if midnight else value.isoformat()
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, timedelta):
        return _duration(value)
    return orjson.Fragment(dump_json(_plain(value)).encode())


def _duration(value: timedelta) -> str:
    """Hours, minutes and seconds, as workbooks show them and Postgres reads them: ``30:00:00``, ``-0:00:01.500000``."""
    minutes, seconds = divmod(abs(value), timedelta(minutes=1))
    fraction = f".{seconds.microseconds:06}" if seconds.microseconds else ""
    sign = "-" if value < timedelta() else ""
    return f"{sign}{minutes // 60}:{minutes % 60:02}:{seconds.seconds:02}{fraction}"


def _plain(value: Any) -> Any:
    """A nested value of a Parquet file in JSON's own types."""
    if isinstance(value, dict):
        return {str(name): _plain(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if value is None or isinstance(value, str | bool | int | Decimal):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    return typed_value(value, Kind.TEXT)


def _kind(value: Any) -> Kind | None:
    match value:
        case None:
            return None
        case bool():
            return Kind.BOOLEAN
        case int():
            return Kind.BIGINT
        case float() | Decimal():
            return Kind.NUMERIC
        case str():
            return _date_kind(value) if value else Kind.TEXT
        case datetime():
            midnight = not (value.hour or value.minute or value.second or value.microsecond)
            return Kind.DATE if midnight else Kind.TIMESTAMPTZ
        case date():
            return Kind.DATE
        case dict() | list():
            return Kind.JSONB
        case _:
            return Kind.TEXT


def _date_kind(text: str) -> Kind:
    """DATE or TIMESTAMPTZ for ISO 8601, TEXT for everything else."""
    if len(text) == 10 and _DATE.fullmatch(text):
        try:
            date.fromisoformat(text)
        except ValueError:
            return Kind.TEXT
        return Kind.DATE
    if len(text) >= _MOMENT_LENGTH and is_instant(text):
        return Kind.TIMESTAMPTZ
    return Kind.TEXT
