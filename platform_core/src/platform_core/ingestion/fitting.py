"""Which values of a column Postgres reads just as they are written in JSON; the others go the careful way of ``values``.

Each function takes one column of a batch as parsed by orjson (None where a record has no value), and gives the column as it is
to be written and the indexes of the rows that must not be written so. It decides for whole columns, in C, and looks at single
values only where a column has some that do not fit.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import datetime
from typing import Any

import orjson

from platform_core.ingestion.protocol import LONG_NUMBER, digits_of
from platform_core.ingestion.types import Kind

Values = Sequence[Any]
Fitted = tuple[Values, Iterable[int]]

_NONE = type(None)
_read_instant = datetime.fromisoformat
_exhaust = deque[Any](maxlen=0).extend
_BETWEEN = frozenset("T ")
_ZULU, _SIGNS = frozenset("Z"), frozenset("+-")
_TO_DAYS, _TO_SECONDS = 10, 19
_ZONES = (6, 5, 3)  # lengths of +01:00, +0100, +01; with seconds Postgres reads some of them otherwise


_IN_PLAIN_NUMBERS = b"0123456789.-,nul"  # exponents may be beyond numeric


def fit(kind: Kind, values: Values) -> Fitted:
    """The column to write for a Postgres column of type ``kind``, and the rows that it is wrong for."""
    return _FITTING[kind](values)


def fit_json(kind: Kind, texts: Sequence[bytes]) -> Fitted:
    """As `fit`, for numbers and documents that are still JSON text, without newlines: ``null`` where a record has none.

    Most are written just as they came, with every digit.
    """
    mark = b"\n" if kind is Kind.JSONB else b","
    joined = mark.join(texts)
    if _plain_documents(joined) if kind is Kind.JSONB else not joined.translate(None, _IN_PLAIN_NUMBERS):
        try:
            values: Values = joined.decode().split(mark.decode())
        except UnicodeDecodeError:
            pass
        else:
            return [None if text == "null" else text for text in values] if "null" in values else values, ()
    values, wrong = _parsed(texts)
    fitted, more = fit(kind, values)
    return fitted, [*wrong, *more]


def _plain_documents(joined: bytes) -> bool:
    """Whether documents hold no characters that jsonb may refuse, or COPY reads otherwise."""
    # One byte is found at once; two are looked for only where the first one is.
    return not ((b"\\" in joined and b"\\u" in joined) or b"\t" in joined or b"\r" in joined)


def _parsed(texts: Sequence[bytes]) -> tuple[Values, list[int]]:
    """The values of JSON texts, and the indexes of those that orjson does not read without loss."""
    joined = b",".join(texts)
    wrong: list[int] = []
    try:
        values: list[Any] = orjson.loads(b"[%b]" % joined)
    except orjson.JSONDecodeError:
        values = []
        for index, text in enumerate(texts):
            try:
                values.append(orjson.loads(bytes(text)))
            except orjson.JSONDecodeError:
                values.append(None)
                wrong.append(index)
    if LONG_NUMBER in digits_of(joined):
        wrong += [index for index, text in enumerate(texts) if type(values[index]) is not int and LONG_NUMBER in digits_of(bytes(text))]
    return values, wrong


def _of_types(*allowed: type) -> Callable[[Values], Fitted]:
    good = frozenset((*allowed, _NONE))

    def check(values: Values) -> Fitted:
        if good.issuperset(map(type, values)):
            return values, ()
        return values, [index for index, value in enumerate(values) if type(value) not in good]

    return check


def _documents(values: Values) -> Fitted:
    """Nested values as JSON text. Top-level null is SQL's NULL."""
    try:
        texts = [None if value is None else orjson.dumps(value).decode() for value in values]
    except orjson.JSONEncodeError:  # nested too deeply
        texts = [_document(value) for value in values]
    # A NUL that was written as an escape is one that jsonb refuses.
    return texts, [index for index, text in enumerate(texts) if text is _UNWRITABLE or (text is not None and "\\u0000" in text)]


_UNWRITABLE = "\\u0000"


def _document(value: Any) -> str | None:
    try:
        return None if value is None else orjson.dumps(value).decode()
    except orjson.JSONEncodeError:
        return _UNWRITABLE


def _instants(values: Values) -> Fitted:
    return _moments(values, _uniform_instants, _is_plain_instant)


def _dates(values: Values) -> Fitted:
    return _moments(values, _uniform_dates, _is_plain_date)


def _moments(values: Values, uniform: Callable[[str, int], bool], single: Callable[[str], bool]) -> Fitted:
    try:
        texts = _read(values)
    except (ValueError, TypeError):
        pass
    else:
        if all(uniform(joined, count) for joined, count in _of_one_length(texts)):
            return values, ()
    return values, [index for index, value in enumerate(values) if value is not None and not (type(value) is str and single(value))]


def _read(values: Values) -> Values:
    """The values that are not None, once Python has read them all."""
    try:
        _exhaust(map(_read_instant, values))
    except TypeError:
        present = [value for value in values if value is not None]
        _exhaust(map(_read_instant, present))
        return present
    return values


def _of_one_length(texts: Values) -> Iterator[tuple[str, int]]:
    """Texts without a bar, joined by bars, and how many they are: all of them when they are equally long."""
    if not texts:
        return
    joined, size, count = "|".join(texts), len(texts[0]), len(texts)
    if len(joined) == (size + 1) * count - 1 and joined[size :: size + 1].count("|") == count - 1:
        yield joined, count
        return
    for length in set(map(len, texts)):
        same = [text for text in texts if len(text) == length]
        yield "|".join(same), len(same)


def _uniform_instants(joined: str, count: int) -> bool:
    """Whether instants that Python reads, of one length and joined by a bar, have a form that Postgres reads alike.

    ``2024-02-29T10:00:00`` or with a space, then perhaps a fraction, then perhaps ``Z``, ``+01``, ``+0100`` or ``+01:00``.
    """
    step = (len(joined) + 1) // count
    size = step - 1
    if size < _TO_SECONDS or not (
        joined[4::step].count("-") == count
        and joined[7::step].count("-") == count
        and joined[13::step].count(":") == count
        and joined[16::step].count(":") == count
    ):
        return False
    between = joined[10::step]
    if between.count("T") != count and not _BETWEEN.issuperset(between):
        return False
    if size == _TO_SECONDS:
        return True
    following, first = joined[_TO_SECONDS::step], joined[_TO_SECONDS]
    if following.count(first) != count and not _SIGNS.issuperset(following):
        return False
    if first == "Z":
        return size == _TO_SECONDS + 1
    if first in _SIGNS:
        return size - _TO_SECONDS in _ZONES
    if first != ".":
        return False
    if _ZULU.issuperset(joined[size - 1 :: step]) or any(_SIGNS.issuperset(joined[size - zone :: step]) for zone in _ZONES):
        return True
    return "Z" not in joined and "+" not in joined and joined.count("-") == 2 * count


def _is_plain_instant(text: str) -> bool:
    try:
        _read_instant(text)
    except ValueError:
        return False
    return _uniform_instants(text, 1)


def _uniform_dates(joined: str, count: int) -> bool:
    step = _TO_DAYS + 1
    return len(joined) + 1 == step * count and joined[4::step].count("-") == count and joined[7::step].count("-") == count


def _is_plain_date(text: str) -> bool:
    try:
        _read_instant(text)
    except ValueError:
        return False
    return _uniform_dates(text, 1)


_FITTING: dict[Kind, Callable[[Values], Fitted]] = {
    Kind.TEXT: _of_types(str),
    Kind.BIGINT: _of_types(int),
    Kind.NUMERIC: _of_types(int, float),
    Kind.BOOLEAN: _of_types(bool),
    Kind.DATE: _dates,
    Kind.TIMESTAMPTZ: _instants,
    Kind.JSONB: _documents,
}
