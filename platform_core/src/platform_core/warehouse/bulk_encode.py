"""Arrow columns to the rows of binary COPY, whole columns at a time.

Each column becomes Arrow binary arrays (length prefix, value); Arrow's own `binary_join_element_wise` then interleaves them
into rows in C++. No Python object is made per cell. Format: https://www.postgresql.org/docs/current/sql-copy.html, "Binary Format".
"""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from platform_core.warehouse.bulk_convert import EPOCH_DAYS, EPOCH_MICROSECONDS, validity
from platform_core.warehouse.bulk_numeric import encode_numeric
from platform_core.warehouse.bulk_types import WireType

HEADER = b"PGCOPY\n\xff\r\n\0" + struct.pack("!ii", 0, 0)
TRAILER = struct.pack("!h", -1)


def encode_rows(columns: Sequence[pa.Array], wires: Sequence[WireType], rows: int) -> memoryview:
    """The COPY rows of one batch.

    Args:
        columns: The batch, each column as `bulk_convert.fit` returns it.
        wires: Types of the Postgres columns.
        rows: Number of rows (columns may be none).
    """
    count = struct.pack("!h", len(columns))
    if not columns:
        return memoryview(count * rows)
    parts: list[pa.Array | pa.Scalar] = [pa.scalar(count, pa.binary())]
    for column, wire in zip(columns, wires, strict=True):
        parts += _field(column, wire)
    return _bytes(_join(parts))


def _field(array: pa.Array, wire: WireType) -> list[pa.Array]:
    """Length prefix and value of each cell; to be joined."""
    if wire.element is not None:
        return _variable(_array_values(array, wire.element))
    if wire.kind in {"text", "json", "bytea"}:
        return _variable(array if pa.types.is_binary(array.type) else array.cast(pa.binary()))
    if wire.kind == "jsonb":
        return _variable(array.cast(pa.binary()), version=b"\x01")
    return _fixed(_FIXED[wire.kind](array), _mask(array))


def _mask(array: pa.Array) -> np.ndarray | None:
    return np.asarray(array.is_valid().to_numpy(zero_copy_only=False)) if array.null_count else None


def _fixed(values: np.ndarray, valid: np.ndarray | None) -> list[pa.Array]:
    width, rows = values.dtype.itemsize, len(values)
    if valid is None:
        cells = np.empty(rows, dtype=[("length", ">i4"), ("value", values.dtype)])
        cells["length"], cells["value"] = width, values
        return [_binary(np.arange(rows + 1, dtype=np.int32) * (4 + width), cells)]
    offsets = np.zeros(rows + 1, dtype=np.int32)
    np.cumsum(valid, out=offsets[1:])
    return [_prefix(np.where(valid, width, -1)), _binary(offsets * np.int32(width), values[valid])]


def _variable(array: pa.Array, version: bytes = b"") -> list[pa.Array]:
    """Of a binary array; ``version`` is a byte that the type puts before each value."""
    lengths = pc.binary_length(array).fill_null(-1 - len(version)).to_numpy(zero_copy_only=False) + len(version)
    parts = [_prefix(lengths)]
    if version:
        parts.append(pc.if_else(array.is_valid(), pa.scalar(version, pa.binary()), pa.scalar(b"", pa.binary())))
    return [*parts, array.fill_null(b"")]


def _prefix(lengths: np.ndarray) -> pa.Array:
    return _binary(np.arange(len(lengths) + 1, dtype=np.int32) * 4, lengths.astype(">i4"))


def _binary(offsets: np.ndarray, data: np.ndarray) -> pa.Array:
    buffers = [None, pa.py_buffer(offsets.astype(np.int32, copy=False)), pa.py_buffer(np.ascontiguousarray(data))]
    return pa.Array.from_buffers(pa.binary(), len(offsets) - 1, buffers)


def _join(parts: Sequence[pa.Array | pa.Scalar]) -> pa.Array:
    return pc.binary_join_element_wise(*parts, pa.scalar(b"", pa.binary()))


def _bytes(array: pa.Array) -> memoryview:
    offsets = _offsets(array)
    data = array.buffers()[2]
    return memoryview(data)[offsets[0] : offsets[-1]] if data is not None else memoryview(b"")


def _offsets(array: pa.Array) -> np.ndarray:
    return np.frombuffer(array.buffers()[1], dtype=np.int32)[array.offset : array.offset + len(array) + 1]


def _array_values(array: pa.Array, element: WireType) -> pa.Array:
    """Postgres arrays of one dimension (array.c, array_send): dimensions, NULL flag, element oid, size, lower bound, cells."""
    offsets = _offsets(array)
    elements = array.values
    cells = _join(_field(elements, element)) if len(elements) else pa.array([], pa.binary())
    cell_offsets = _offsets(cells).astype(np.int64) if len(cells) else np.zeros(1, dtype=np.int64)
    sizes = np.diff(offsets)
    nulls = np.zeros(len(elements) + 1, dtype=np.int64)
    if elements.null_count:
        np.cumsum(elements.is_null().to_numpy(zero_copy_only=False), out=nulls[1:])
    head = np.zeros((len(array), 5), dtype=">i4")
    head[:, 0] = sizes > 0
    head[:, 1] = nulls[offsets[1:]] > nulls[offsets[:-1]]
    head[:, 2] = element.oid
    head[:, 3], head[:, 4] = sizes, 1
    lengths = np.where(sizes > 0, 20, 12)  # an empty array has no dimension
    head_offsets = np.zeros(len(array) + 1, dtype=np.int32)
    np.cumsum(lengths, out=head_offsets[1:])
    keep = np.arange(20) < lengths[:, None]
    heads = _binary(head_offsets, head.view(np.uint8).reshape(len(array), 20)[keep])
    bodies = _binary(cell_offsets[offsets], np.frombuffer(_bytes(cells), dtype=np.uint8) if len(cells) else np.zeros(0, np.uint8))
    joined = _join([heads, bodies])
    if array.null_count:
        buffers = joined.buffers()
        joined = pa.Array.from_buffers(pa.binary(), len(array), [validity(array), *buffers[1:]])
    return joined


def _values(array: pa.Array, dtype: str) -> np.ndarray:
    return np.frombuffer(array.buffers()[1], dtype=dtype)[array.offset : array.offset + len(array)]


def _number(dtype: str) -> Callable[[pa.Array], np.ndarray]:
    return lambda array: _values(array, "<" + dtype).astype(">" + dtype)


def _shifted(dtype: str, epoch: int) -> Callable[[pa.Array], np.ndarray]:
    def encode(array: pa.Array) -> np.ndarray:
        values = _values(array, "<" + dtype)
        valid = _mask(array)
        if valid is not None:  # what lies under NULL may be anything, also what would overflow
            values = np.where(valid, values, epoch)
        return (values - np.dtype(dtype).type(epoch)).astype(">" + dtype)

    return encode


def _interval(array: pa.Array) -> np.ndarray:
    parts = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    given = np.frombuffer(array.buffers()[1], dtype=parts)[array.offset : array.offset + len(array)]
    out = np.empty(len(array), dtype=[("microseconds", ">i8"), ("days", ">i4"), ("months", ">i4")])
    out["microseconds"], out["days"], out["months"] = given["nanoseconds"] // 1000, given["days"], given["months"]
    return out


_FIXED = {
    "bool": lambda array: _values(array.cast(pa.uint8()), "u1"),
    "int2": _number("i2"),
    "int4": _number("i4"),
    "int8": _number("i8"),
    "float4": _number("f4"),
    "float8": _number("f8"),
    "numeric": encode_numeric,
    "date": _shifted("i4", EPOCH_DAYS),
    "time": _number("i8"),
    "timestamp": _shifted("i8", EPOCH_MICROSECONDS),
    "timestamptz": _shifted("i8", EPOCH_MICROSECONDS),
    "interval": _interval,
    "uuid": lambda array: _values(array, "V16"),
}
