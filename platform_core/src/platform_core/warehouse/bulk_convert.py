"""Brings an Arrow column to the one Arrow type that the encoder of its Postgres column expects: exactly, or not at all.

Every conversion here either keeps each value or raises. Whoever wants a rounding or a truncation does it in the asset.
"""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import numpy as np
import orjson
import pyarrow as pa
import pyarrow.compute as pc

from platform_core.warehouse.bulk_errors import BulkError
from platform_core.warehouse.bulk_types import WireType

_is = pa.types
_INTEGERS = {"int2": pa.int16(), "int4": pa.int32(), "int8": pa.int64()}
# Days and microseconds between 1970-01-01 (Arrow) and 2000-01-01 (Postgres); Postgres keeps the extremes for infinity.
EPOCH_DAYS = 10_957
EPOCH_MICROSECONDS = EPOCH_DAYS * 86_400_000_000


def fit(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    """The column as its Postgres type needs it.

    Args:
        array: Any Arrow array.
        wire: Type of the Postgres column.
        column: Name for messages.

    Returns:
        An array of: bool, int16/32/64, float32/64, decimal128/256 (scale not negative), string (text, json), binary, date32,
        time64[us], timestamp[us], month_day_nano_interval, fixed_size_binary(16) for uuid, list of these for arrays.

    Raises:
        BulkError: A value would change.
    """
    try:
        plain = _plain(array)
        if wire.kind not in _FIT:
            raise _RefusedError
        if _is.is_null(plain.type) and wire.element is None:
            return pa.nulls(len(plain), _canonical(wire))
        if wire.kind not in {"json", "jsonb"} and _is.is_nested(plain.type) and wire.element is None:
            raise _RefusedError
        return _FIT[wire.kind](plain, wire, column)
    except pa.ArrowInvalid as error:
        raise BulkError(
            f"a value of Arrow type {array.type} does not fit {wire.name}: {error}",
            where=f"column {column!r}",
            remedy="convert the column before it is written, or give it another type with column_types",
        ) from error
    except (pa.ArrowNotImplementedError, _RefusedError) as error:
        raise BulkError(
            f"Arrow type {array.type} cannot be written to a column of type {wire.name}{_detail(error)}",
            where=f"column {column!r}",
            remedy="convert the column before it is written, or give it another type with column_types",
        ) from error


class _RefusedError(Exception):
    """Internal: no exact conversion between two types; `fit` turns it into a BulkError that names the column."""


def _detail(error: Exception) -> str:
    return f": {error}" if isinstance(error, _RefusedError) and error.args else ""


def _plain(array: pa.Array) -> pa.Array:
    """Without dictionary, run-end, view and large encodings; extension types other than uuid and json as their storage."""
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name not in {"arrow.uuid", "arrow.json"}:
        array = array.cast(pa.bool_()) if kind.extension_name == "arrow.bool8" else array.storage
        return _plain(array)
    if _is.is_dictionary(kind):
        return _plain(array.dictionary_decode())
    if _is.is_run_end_encoded(kind):
        return _plain(pc.run_end_decode(array))
    if _is.is_string_view(kind) or _is.is_large_string(kind):
        return array.cast(pa.string())
    if _is.is_binary_view(kind) or _is.is_large_binary(kind):
        return array.cast(pa.binary())
    return array


def _canonical(wire: WireType) -> pa.DataType:
    return (
        _INTEGERS.get(wire.kind)
        or {
            "bool": pa.bool_(),
            "float4": pa.float32(),
            "float8": pa.float64(),
            "numeric": pa.decimal128(38, 0),
            "text": pa.string(),
            "json": pa.string(),
            "jsonb": pa.string(),
            "bytea": pa.binary(),
            "date": pa.date32(),
            "time": pa.time64("us"),
            "timestamp": pa.timestamp("us"),
            "timestamptz": pa.timestamp("us", "UTC"),
            "interval": pa.month_day_nano_interval(),
            "uuid": pa.binary(16),
        }[wire.kind]
    )


def _boolean(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    if not _is.is_boolean(array.type):
        raise _RefusedError
    return array


def _integer(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    if not (_is.is_integer(array.type) or _is.is_floating(array.type) or _is.is_decimal(array.type)):
        raise _RefusedError
    return array.cast(_INTEGERS[wire.kind])  # safe: refuses overflow and a fraction


def _float(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    target = _canonical(wire)
    if not (_is.is_integer(array.type) or _is.is_floating(array.type)):
        raise _RefusedError
    out = array.cast(target)
    if _is.is_float64(array.type) and _is.is_float32(target):
        back, given = out.cast(pa.float64()), array
        same = pc.or_(pc.equal(back, given), pc.and_(pc.is_nan(back), pc.is_nan(given)))
        if pc.any(pc.invert(same)).as_py():
            raise pa.ArrowInvalid("a value loses precision in 32 bits")
    return out


def _numeric(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if _is.is_decimal(kind):
        if kind.scale < 0:
            wide = pa.decimal128 if kind.precision - kind.scale <= 38 else pa.decimal256
            return array.cast(wide(kind.precision - kind.scale, 0))
        return array if kind.bit_width >= 128 else array.cast(pa.decimal128(kind.precision, kind.scale))
    if _is.is_integer(kind):
        return array.cast(pa.int64() if not _is.is_uint64(kind) else kind).cast(pa.decimal128(20, 0))
    if _is.is_floating(kind):
        if pc.any(pc.invert(pc.is_finite(array))).as_py():
            raise pa.ArrowInvalid("NaN or infinity in a numeric column")
        # the shortest text that names the float, as Postgres and Python print it
        return _smallest_scale(array.cast(pa.string()).cast(pa.decimal256(76, 38)))
    raise _RefusedError


def _smallest_scale(array: pa.Array) -> pa.Array:
    low, high, best = 0, array.type.scale, array
    while low < high:
        middle = (low + high) // 2
        try:
            best, high = array.cast(pa.decimal256(76, middle)), middle
        except pa.ArrowInvalid:
            low = middle + 1
    return best


def _text(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if _is.is_string(kind):
        return array
    if isinstance(kind, pa.BaseExtensionType):
        return array.storage.cast(pa.string()) if kind.extension_name == "arrow.json" else uuid_text(array.storage)
    if _is.is_integer(kind) or _is.is_boolean(kind) or _is.is_date(kind) or _is.is_decimal(kind):
        return array.cast(pa.string())
    raise _RefusedError


def _bytes(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    if _is.is_binary(array.type):
        return array
    if _is.is_fixed_size_binary(array.type):
        return array.cast(pa.binary())
    raise _RefusedError


def _date(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    if _is.is_timestamp(array.type) and array.type.tz is None:
        days = array.cast(pa.date32(), safe=False)
        if pc.any(pc.not_equal(days.cast(array.type), array)).as_py():
            raise pa.ArrowInvalid("a timestamp with a time of day in a date column")
        array = days
    if not _is.is_date(array.type):
        raise _RefusedError
    days = array.cast(pa.date32())
    _within(days.cast(pa.int32()), -(2**31) + EPOCH_DAYS + 1, 2**31 - 2)
    return days


def _time(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    if not _is.is_time(array.type):
        raise _RefusedError
    return array.cast(pa.time64("us"))  # safe: refuses nanoseconds that would be cut


def _timestamp(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind, zoned = array.type, wire.kind == "timestamptz"
    if _is.is_date(kind) and not zoned:
        return array.cast(pa.timestamp("us"))
    if not _is.is_timestamp(kind):
        raise _RefusedError
    if zoned != (kind.tz is not None):
        why = "give the timestamps a zone first" if zoned else "convert to UTC and drop the zone first, if that is meant"
        raise _RefusedError(why)
    out = array.cast(pa.timestamp("us", kind.tz))
    _within(out.cast(pa.int64()), -(2**63) + EPOCH_MICROSECONDS + 1, 2**63 - 1)
    return out


def _interval(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if _is.is_interval(kind):
        parts = np.frombuffer(array.buffers()[1], dtype="<i8")[1::2][array.offset : array.offset + len(array)]
        if array.null_count:
            parts = parts[array.is_valid().to_numpy(zero_copy_only=False)]
        if (parts % 1000).any():
            raise pa.ArrowInvalid("nanoseconds would be cut to microseconds")
        return array
    if not _is.is_duration(kind):
        raise _RefusedError
    nanoseconds = array.cast(pa.duration("us")).cast(pa.duration("ns")).cast(pa.int64())
    out = np.zeros((len(array), 2), dtype="<i8")
    out[:, 1] = nanoseconds.fill_null(0).to_numpy(zero_copy_only=False)
    return pa.Array.from_buffers(pa.month_day_nano_interval(), len(array), [validity(array), pa.py_buffer(out)])


def _uuid(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType):
        array = array.storage
    elif _is.is_string(kind):
        text = pc.replace_substring(array, "-", "")
        if pc.any(pc.not_equal(pc.binary_length(text), 32)).as_py():
            raise pa.ArrowInvalid("not a uuid of 32 hexadecimal digits")
        joined = "".join(text.fill_null("0" * 32).to_pylist())
        try:
            data = bytes.fromhex(joined)
        except ValueError as error:
            raise pa.ArrowInvalid(f"not a uuid: {error}") from error
        if len(data) != 16 * len(array):  # fromhex skips spaces
            raise pa.ArrowInvalid("not a uuid of 32 hexadecimal digits")
        return pa.Array.from_buffers(pa.binary(16), len(array), [validity(array), pa.py_buffer(data)])
    elif _is.is_binary(kind):
        array = array.cast(pa.binary(16))
    if array.type != pa.binary(16):
        raise _RefusedError
    return array


def _json(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.json":
        return array.storage.cast(pa.string())
    if _is.is_string(kind):  # a JSON document; the server checks it
        return array
    _refuse_not_finite(array)
    try:
        documents = [None if value is None else orjson.dumps(value, default=_jsonable).decode() for value in _python(array)]
    except (TypeError, orjson.JSONEncodeError) as error:
        raise pa.ArrowInvalid(f"not JSON: {error}") from error
    return pa.array(documents, pa.string())


def _python(array: pa.Array) -> list[object]:
    return array.to_pylist(maps_as_pydicts="strict") if _has_map(array.type) else array.to_pylist()


def _has_map(kind: pa.DataType) -> bool:
    return _is.is_map(kind) or any(_has_map(kind.field(index).type) for index in range(kind.num_fields))


def _jsonable(value: object) -> object:
    from decimal import Decimal

    if isinstance(value, Decimal) and value.is_finite():
        return orjson.Fragment(format(value, "f").encode())  # jsonb keeps a number's every digit
    raise TypeError(f"{type(value).__name__} {value!r}")


def _refuse_not_finite(array: pa.Array) -> None:
    """JSON has no NaN, and orjson would write null in its place."""
    if _is.is_floating(array.type):
        if pc.any(pc.invert(pc.is_finite(array))).as_py():
            raise pa.ArrowInvalid("NaN or infinity in JSON")
    elif _is.is_struct(array.type):
        for child in array.flatten():
            _refuse_not_finite(child)
    elif _is.is_map(array.type):
        _refuse_not_finite(array.items)
    elif _is.is_nested(array.type):
        _refuse_not_finite(array.flatten())


def _array(array: pa.Array, wire: WireType, column: str) -> pa.Array:
    kind = array.type
    if wire.element is None:
        raise _RefusedError
    if _is.is_null(kind):
        return pa.nulls(len(array), pa.list_(_canonical(wire.element)))
    if not _is.is_nested(kind) or _is.is_struct(kind) or _is.is_map(kind) or _is.is_union(kind):
        raise _RefusedError
    elements = fit(array.flatten(), wire.element, column)  # without what lies under NULL lists
    lengths = pc.list_value_length(array).cast(pa.int32()).fill_null(0).to_numpy(zero_copy_only=False)
    offsets = np.zeros(len(array) + 1, dtype=np.int32)
    np.cumsum(lengths, out=offsets[1:])
    return pa.Array.from_buffers(pa.list_(elements.type), len(array), [validity(array), pa.py_buffer(offsets)], children=[elements])


def validity(array: pa.Array) -> pa.Buffer | None:
    """The validity bitmap of an array at offset 0, or None without NULLs."""
    if not array.null_count:
        return None
    return pa.py_buffer(np.packbits(array.is_valid().to_numpy(zero_copy_only=False), bitorder="little"))


def uuid_text(storage: pa.Array) -> pa.Array:
    """UUIDs of 16 bytes in their usual text form."""
    size = len(storage)
    raw = np.frombuffer(storage.buffers()[1], dtype=np.uint8)[storage.offset * 16 : (storage.offset + size) * 16]
    digits = np.frombuffer(raw.tobytes().hex().encode(), dtype=np.uint8).reshape(size, 32)
    out = np.full((size, 36), ord("-"), dtype=np.uint8)
    for start, end, at in ((0, 8, 0), (8, 12, 9), (12, 16, 14), (16, 20, 19), (20, 32, 24)):
        out[:, at : at + end - start] = digits[:, start:end]
    offsets = pa.py_buffer(np.arange(0, 36 * (size + 1), 36, dtype=np.int32))
    return pa.Array.from_buffers(pa.string(), size, [validity(storage), offsets, pa.py_buffer(out)])


def _within(array: pa.Array, low: int, high: int) -> None:
    bounds = pc.min_max(array)
    if bounds["min"].is_valid and (bounds["min"].as_py() < low or bounds["max"].as_py() > high):
        raise pa.ArrowInvalid("beyond the range of Postgres")


_FIT = {
    "bool": _boolean,
    "int2": _integer,
    "int4": _integer,
    "int8": _integer,
    "float4": _float,
    "float8": _float,
    "numeric": _numeric,
    "text": _text,
    "bytea": _bytes,
    "date": _date,
    "time": _time,
    "timestamp": _timestamp,
    "timestamptz": _timestamp,
    "interval": _interval,
    "uuid": _uuid,
    "json": _json,
    "jsonb": _json,
    "array": _array,
}
