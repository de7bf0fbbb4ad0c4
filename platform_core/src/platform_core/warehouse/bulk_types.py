"""How Postgres types and Arrow types stand for each other in bulk IO.

| Arrow | Postgres column that is made | Arrow read back |
|---|---|---|
| bool | boolean | bool |
| int8, int16, uint8 / int32, uint16 / int64, uint32 | smallint / integer / bigint | int16 / int32 / int64 |
| uint64 | numeric(20,0) | decimal128(20, 0) |
| float16, float32 / float64 | real / double precision | float32 / float64 |
| decimal(p, s) | numeric(p,s) | decimal128 up to 38 digits, decimal256 up to 76 |
| string, null | text | string |
| binary | bytea | binary |
| date, time, timestamp (microseconds) | date, time, timestamp | date32, time64[us], timestamp[us] |
| timestamp with a zone | timestamptz | timestamp[us, UTC] |
| duration, interval | interval | month_day_nano_interval |
| uuid, json (canonical extensions) | uuid, jsonb | uuid, json |
| list of one of these | array | list |
| struct, map, any other list | jsonb | json |
| dictionary, run-end encoded | as their values | as their values |

``numeric`` without a precision (and one beyond 76 digits) takes its scale from the data: decimal128(38, s) with the largest
scale in the result, decimal256(76, s) where 38 digits do not hold it; beyond 76 digits, and for NaN or infinity, reading is
an error (never a rounding). Types that are not in the table (enum, inet, ranges, ...) are read as their text.

This module and the other codec modules (`bulk_convert`, `bulk_encode`, `bulk_decode`, `bulk_numeric`) need pyarrow and
numpy; `bulk_write` and `bulk_read` import them when they are called.
"""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from platform_core.warehouse.bulk_errors import BulkError

ARROW_DECIMAL_DIGITS = 76
_DECIMAL128_DIGITS = 38


@dataclass(frozen=True)
class WireType:
    """A Postgres type as binary COPY writes it.

    Attributes:
        name: Postgres' name of the type.
        oid: Its object id, fixed for built-in types.
        kind: Which codec; varchar, char(n) and enum travel as ``text``.
        element: Type of the elements, for an array.
    """

    name: str
    oid: int
    kind: str
    element: WireType | None = None


def _catalog() -> dict[int, WireType]:
    # (name, oid, kind, oid of the array): pg_type.dat of PostgreSQL; built-in oids never change.
    scalars = [
        ("boolean", 16, "bool", 1000),
        ("bytea", 17, "bytea", 1001),
        ("name", 19, "text", 1003),
        ("bigint", 20, "int8", 1016),
        ("smallint", 21, "int2", 1005),
        ("integer", 23, "int4", 1007),
        ("text", 25, "text", 1009),
        ("json", 114, "json", 199),
        ("real", 700, "float4", 1021),
        ("double precision", 701, "float8", 1022),
        ("character", 1042, "text", 1014),
        ("character varying", 1043, "text", 1015),
        ("date", 1082, "date", 1182),
        ("time", 1083, "time", 1183),
        ("timestamp", 1114, "timestamp", 1115),
        ("timestamptz", 1184, "timestamptz", 1185),
        ("interval", 1186, "interval", 1187),
        ("numeric", 1700, "numeric", 1231),
        ("uuid", 2950, "uuid", 2951),
        ("jsonb", 3802, "jsonb", 3807),
    ]
    types: dict[int, WireType] = {}
    for name, oid, kind, array_oid in scalars:
        types[oid] = WireType(name, oid, kind)
        types[array_oid] = WireType(f"{name}[]", array_oid, "array", types[oid])
    return types


WIRE_TYPES = _catalog()
TEXT = WIRE_TYPES[25]


def arrow_type(wire: WireType, modifier: int) -> pa.DataType | None:
    """Arrow type of a Postgres column.

    Args:
        wire: The column's type.
        modifier: Its type modifier (``atttypmod``), which carries a numeric's precision and scale; -1 for none.

    Returns:
        The type, or None where the data decides it (numeric without bounds).
    """
    if wire.element is not None:
        element = arrow_type(wire.element, modifier)
        return None if element is None else pa.list_(element)
    if wire.kind == "numeric":
        return _decimal_type(modifier)
    return {
        "bool": pa.bool_(),
        "bytea": pa.binary(),
        "int2": pa.int16(),
        "int4": pa.int32(),
        "int8": pa.int64(),
        "float4": pa.float32(),
        "float8": pa.float64(),
        "text": pa.string(),
        "date": pa.date32(),
        "time": pa.time64("us"),
        "timestamp": pa.timestamp("us"),
        "timestamptz": pa.timestamp("us", "UTC"),
        "interval": pa.month_day_nano_interval(),
        "uuid": pa.uuid(),
        "json": pa.json_(pa.string()),
        "jsonb": pa.json_(pa.string()),
    }[wire.kind]


def decimal_type(integer_digits: int, scale: int, *, column: str) -> pa.DataType:
    """The Arrow decimal that holds so many digits before and after the point, at its type's full precision.

    Raises:
        BulkError: No Arrow decimal holds them.
    """
    digits = integer_digits + scale
    if digits > ARROW_DECIMAL_DIGITS:
        raise BulkError(
            f"numeric values with {digits} digits, Arrow holds {ARROW_DECIMAL_DIGITS}",
            where=f"column {column!r}",
            remedy="cast the column in SQL, to numeric(76, s) or to text",
        )
    return pa.decimal128(_DECIMAL128_DIGITS, scale) if digits <= _DECIMAL128_DIGITS else pa.decimal256(ARROW_DECIMAL_DIGITS, scale)


def _decimal_type(modifier: int) -> pa.DataType | None:
    if modifier < 0:
        return None
    # numeric.c, make_numeric_typmod: precision in the upper half, scale as 11-bit two's complement in the lower
    precision, scale = (modifier - 4) >> 16 & 0xFFFF, ((modifier - 4 & 0x7FF) ^ 1024) - 1024
    if scale < 0:
        precision, scale = precision - scale, 0
    precision = max(precision, scale)
    if precision > ARROW_DECIMAL_DIGITS:
        return None
    return pa.decimal128(precision, scale) if precision <= _DECIMAL128_DIGITS else pa.decimal256(precision, scale)


def postgres_type(kind: pa.DataType) -> str:
    """The Postgres type, as SQL, of the column that is made for an Arrow column (see the table above).

    Raises:
        BulkError: There is none (unions).
    """
    if pa.types.is_dictionary(kind) or pa.types.is_run_end_encoded(kind):
        return postgres_type(kind.value_type)
    if _is_list(kind) and is_simple(kind.value_type):
        return f"{postgres_type(kind.value_type)}[]"
    if pa.types.is_nested(kind) and not pa.types.is_union(kind):
        return "jsonb"
    name = _scalar(kind)
    if name is None:
        raise BulkError(f"Arrow type {kind} has no Postgres type", remedy="convert the column before it is written")
    return name


def is_simple(kind: pa.DataType) -> bool:
    """Whether a list of this type becomes a Postgres array (otherwise jsonb)."""
    if pa.types.is_dictionary(kind):
        return is_simple(kind.value_type)
    return not pa.types.is_nested(kind) and _scalar(kind) is not None


def _is_list(kind: pa.DataType) -> bool:
    tests = (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list, pa.types.is_list_view, pa.types.is_large_list_view)
    return any(test(kind) for test in tests)


def _scalar(kind: pa.DataType) -> str | None:
    is_ = pa.types
    if isinstance(kind, pa.BaseExtensionType):
        known = {"arrow.uuid": "uuid", "arrow.json": "jsonb", "arrow.bool8": "boolean"}
        return known.get(kind.extension_name) or postgres_type(kind.storage_type)
    if is_.is_decimal(kind):
        return f"numeric({kind.precision},{kind.scale})" if kind.scale >= 0 else f"numeric({kind.precision - kind.scale},0)"
    if is_.is_timestamp(kind):
        return "timestamptz" if kind.tz else "timestamp"
    families = [
        ((is_.is_boolean,), "boolean"),
        ((is_.is_int8, is_.is_int16, is_.is_uint8), "smallint"),
        ((is_.is_int32, is_.is_uint16), "integer"),
        ((is_.is_int64, is_.is_uint32), "bigint"),
        ((is_.is_uint64,), "numeric(20,0)"),
        ((is_.is_float16, is_.is_float32), "real"),
        ((is_.is_float64,), "double precision"),
        ((is_.is_string, is_.is_large_string, is_.is_string_view, is_.is_null), "text"),
        ((is_.is_binary, is_.is_large_binary, is_.is_binary_view, is_.is_fixed_size_binary), "bytea"),
        ((is_.is_date,), "date"),
        ((is_.is_time,), "time"),
        ((is_.is_duration, is_.is_interval), "interval"),
    ]
    return next((name for tests, name in families if any(test(kind) for test in tests)), None)
