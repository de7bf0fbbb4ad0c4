"""One JSON value into the text that Postgres reads for a column, or NULL with the reason.

This is the careful way, for the values that the fast way of ``rows`` does not take. Nothing raises: a value that does not fit
becomes NULL (or loses the characters that Postgres cannot hold) and the row says so, in the words of Airbyte's destinations:
https://docs.airbyte.com/understanding-airbyte/airbyte-metadata-fields
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import date, datetime
from decimal import Decimal, InvalidOperation
from typing import Any

from platform_core.ingestion.protocol import dump_json
from platform_core.ingestion.types import Kind

NULLED = ("NULLED", "DESTINATION_TYPECAST_ERROR")
CLEANED = ("TRUNCATED", "DESTINATION_SERIALIZATION_ERROR")
Change = tuple[str, str]
"""Change and reason, as in ``_airbyte_meta.changes``."""

BIGINT_MIN, BIGINT_MAX = -(2**63), 2**63 - 1
_INTEGER = re.compile(r"-?(0|[1-9]\d*)", re.ASCII)
_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d{1,6})?|NaN|-?Infinity", re.ASCII)
_INSTANT = re.compile(r"\d{4}-\d\d-\d\d[T ]\d\d:\d\d(:\d\d(\.\d+)?)?\s?(Z|z|[+-]\d\d(:?\d\d)?)?", re.ASCII)
_NUMERIC_DIGITS, _NUMERIC_SCALE = 131_072, 16_383  # limits of Postgres' numeric
_UNHOLDABLE = re.compile("[\x00\ud800-\udfff]")


def to_text(kind: Kind, value: Any) -> tuple[str | None, Change | None]:
    """The text of ``value`` for a column of type ``kind``.

    Returns:
        The text (None is NULL), and what was changed, if anything.
    """
    if value is None:
        return None, None
    if kind is Kind.JSONB:
        clean = clean_json(value)
        return dump_json(clean), (CLEANED if _differs(clean, value) else None)
    if isinstance(value, str):
        clean = clean_text(value)
        change = None if clean == value else CLEANED
        if kind is Kind.TEXT:
            return clean, change
        text = _FROM_TEXT[kind](clean)
        return text, (NULLED if text is None else change)
    if kind is Kind.TEXT:
        clean = clean_json(value)
        return dump_json(clean), (CLEANED if _differs(clean, value) else None)
    text = _from_scalar(kind, value)
    return text, (NULLED if text is None else None)


def clean_text(text: str) -> str:
    """``text`` without what Postgres cannot hold: NUL is dropped, half a surrogate pair becomes U+FFFD."""
    if not _UNHOLDABLE.search(text):
        return text
    return text.replace("\x00", "").encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def is_instant(text: str) -> bool:
    """Whether Postgres reads ``text`` as one point in time."""
    if not _INSTANT.fullmatch(text):
        return False
    try:
        datetime.fromisoformat(text.replace(" Z", "Z"))
    except ValueError:
        return False
    return True


def clean_json(value: Any) -> Any:
    """A parsed JSON value without what Postgres' jsonb cannot hold, in keys and values."""
    if isinstance(value, str):
        return clean_text(value)
    if isinstance(value, dict):
        return {clean_text(str(key)): clean_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [clean_json(item) for item in value]
    return value


def _differs(left: Any, right: Any) -> bool:
    try:
        return left != right
    except RecursionError:
        return False


def _integer_text(text: str) -> str | None:
    return text if _INTEGER.fullmatch(text) and len(text) < _NUMERIC_DIGITS else None


def _number_text(text: str) -> str | None:
    return text if _NUMBER.fullmatch(text) and _fits_numeric(text) else None


def _instant_text(text: str) -> str | None:
    if is_instant(text):
        return text
    return text if _is_date(text) else None


def _is_date(text: str) -> bool:
    if len(text) != 10 or text[4] != "-" or text[7] != "-":
        return False
    try:
        date.fromisoformat(text)
    except ValueError:
        return False
    return True


_FROM_TEXT: dict[Kind, Callable[[str], str | None]] = {
    Kind.BIGINT: _integer_text,
    Kind.NUMERIC: _number_text,
    Kind.BOOLEAN: lambda text: text if text in ("true", "false") else None,
    Kind.DATE: lambda text: text if _is_date(text) else None,
    Kind.TIMESTAMPTZ: _instant_text,
}


def _from_scalar(kind: Kind, value: Any) -> str | None:
    if isinstance(value, bool):
        return ("true" if value else "false") if kind is Kind.BOOLEAN else None
    if not isinstance(value, int | float | Decimal):
        return None
    if kind is Kind.NUMERIC:
        return str(value) if isinstance(value, int) or _fits_numeric(str(value)) else None
    if kind is not Kind.BIGINT:
        return None
    if isinstance(value, int):
        return str(value)
    # 5.0 is an integer by JSON Schema; 5.5 is not, and rounding it would be a silent change.
    exact = Decimal(str(value))
    if not exact.is_finite() or abs(exact.adjusted()) >= _NUMERIC_DIGITS or exact != exact.to_integral_value():
        return None
    return format(exact.to_integral_value(), "f")


def _fits_numeric(text: str) -> bool:
    try:
        number = Decimal(text)
    except InvalidOperation:
        return False
    if not number.is_finite():
        return True
    exponent = number.as_tuple().exponent
    return number.adjusted() < _NUMERIC_DIGITS and -int(exponent) <= _NUMERIC_SCALE


def is_overflow(text: str) -> bool:
    """Whether an integer's text is outside 64 bits."""
    return len(text) >= 19 and not BIGINT_MIN <= Decimal(text) <= BIGINT_MAX
