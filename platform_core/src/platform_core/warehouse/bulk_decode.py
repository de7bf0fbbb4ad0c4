"""The rows of binary COPY to Arrow columns, whole columns at a time.

All rows of a batch are walked together: one vector holds where each row's next field begins. No Python object is made per
cell.
"""

# pyarrow ships no type stubs: its types are unknown to pyright, and the functions it generates at import are invisible to it.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false, reportAttributeAccessIssue=false

from __future__ import annotations

import struct
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from platform_core.warehouse.bulk_convert import EPOCH_DAYS, EPOCH_MICROSECONDS
from platform_core.warehouse.bulk_errors import BulkError
from platform_core.warehouse.bulk_numeric import decode_numeric
from platform_core.warehouse.bulk_types import TEXT, WireType, arrow_type

# Behind the rows, so that fixed-width loads at the last bytes (and at the arbitrary place of a NULL) stay inside.
_PADDING = bytes(64)
# Below so many arrays that still have elements, walking them one by one beats walking them together.
_FEW = 16


@dataclass(frozen=True)
class Field:
    """A column of the result.

    Attributes:
        name: Its name.
        wire: Its Postgres type.
        modifier: Its type modifier, -1 for none.
    """

    name: str
    wire: WireType
    modifier: int


@dataclass(frozen=True)
class _Cells:
    """Where the values of one column lie in the buffer."""

    start: np.ndarray
    length: np.ndarray

    @property
    def valid(self) -> np.ndarray:
        return self.length >= 0


def skip_header(message: bytes | memoryview) -> int:
    """Length of the COPY header at the start of the first message.

    Raises:
        BulkError: It is not binary COPY.
    """
    if bytes(message[:11]) != b"PGCOPY\n\xff\r\n\0":
        raise BulkError("the server did not answer with binary COPY")
    return 19 + struct.unpack("!i", message[15:19])[0]


def decode_rows(rows: bytes | bytearray, lengths: Sequence[int], fields: Sequence[Field]) -> list[pa.Array]:
    """The columns of a batch.

    Args:
        rows: The rows, without header and trailer.
        lengths: Bytes of each row.
        fields: The columns.

    Raises:
        BulkError: A value has no Arrow equal (infinite date, 24:00, array of more than one dimension, ...).
    """
    buffer = np.frombuffer(rows + _PADDING, dtype=np.uint8)
    ends = np.cumsum(np.asarray(lengths, dtype=np.int64))
    position = ends - lengths + 2 if len(ends) else ends
    columns: list[pa.Array] = []
    for field in fields:
        length = _load(buffer, position, ">i4").astype(np.int64)
        cells = _Cells(position + 4, length)
        columns.append(_decode(buffer, cells, field))
        position = cells.start + np.maximum(length, 0)
    if not np.array_equal(position, ends):
        raise BulkError("the rows of the COPY do not have the expected columns")
    return columns


def _load(buffer: np.ndarray, at: np.ndarray, dtype: str) -> np.ndarray:
    """Numbers at any byte positions."""
    item = np.dtype(dtype).itemsize
    return np.ndarray((len(buffer) - item + 1,), dtype, buffer=buffer, strides=(1,))[at]


def _decode(buffer: np.ndarray, cells: _Cells, field: Field) -> pa.Array:
    kind = field.wire.kind
    if kind == "array":
        return _arrays(buffer, cells, field)
    if kind == "numeric":
        return decode_numeric(buffer, cells.start, cells.valid, arrow_type(field.wire, field.modifier), field.name)
    if kind in {"text", "bytea", "json"}:
        values = _slices(buffer, cells.start, cells.length)
        if kind == "bytea":
            return values
        text = _typed(values, pa.string())
        return text if kind == "text" else pa.ExtensionArray.from_storage(pa.json_(pa.string()), text)
    if kind == "jsonb":  # a version byte, then the text
        values = _slices(buffer, cells.start + 1, np.where(cells.valid, cells.length - 1, -1))
        return pa.ExtensionArray.from_storage(pa.json_(pa.string()), _typed(values, pa.string()))
    return _fixed(buffer, cells, field)


def _typed(values: pa.Array, target: pa.DataType) -> pa.Array:
    """Same bytes, other type; the server has checked that text is UTF-8."""
    return pa.Array.from_buffers(target, len(values), values.buffers(), values.null_count, values.offset)


def _slices(buffer: np.ndarray, start: np.ndarray, length: np.ndarray) -> pa.Array:
    """Binary values cut out of the buffer: an array of gaps and values in turn over the same bytes, of which Arrow takes the values."""
    rows = len(start)
    valid = length >= 0
    offsets = np.zeros(2 * rows + 2, dtype=np.int32)
    offsets[1:-1:2] = start
    offsets[2::2] = start + np.maximum(length, 0)
    offsets[-1] = offsets[-2] if rows else 0
    bitmap = np.ones(2 * rows + 1, dtype=bool)
    bitmap[1::2] = valid
    buffers = [pa.py_buffer(np.packbits(bitmap, bitorder="little")), pa.py_buffer(offsets), pa.py_buffer(buffer)]
    return pa.Array.from_buffers(pa.binary(), 2 * rows + 1, buffers).take(pa.array(np.arange(1, 2 * rows, 2)))


_DTYPES = {
    "bool": "u1",
    "int2": ">i2",
    "int4": ">i4",
    "int8": ">i8",
    "float4": ">f4",
    "float8": ">f8",
    "date": ">i4",
    "time": ">i8",
    "timestamp": ">i8",
    "timestamptz": ">i8",
    "uuid": "V16",
    "interval": "V16",
}


def _fixed(buffer: np.ndarray, cells: _Cells, field: Field) -> pa.Array:
    kind, dtype = field.wire.kind, np.dtype(_DTYPES[field.wire.kind])
    valid = cells.valid
    every = bool(valid.all())
    if (cells.length != dtype.itemsize).any() and (cells.length[valid] != dtype.itemsize).any():
        raise BulkError(f"a {field.wire.name} of unexpected size", where=f"column {field.name!r}")
    values = _load(buffer, cells.start, _DTYPES[kind])
    if dtype.byteorder == ">":
        values = values.astype(dtype.newbyteorder("<"))
    if kind in {"date", "timestamp", "timestamptz"}:
        values = _from_2000(values, valid, field)
    if kind == "time" and (values[valid] >= 86_400_000_000).any():
        raise BulkError(
            "holds the time 24:00, which Arrow cannot carry", where=f"column {field.name!r}", remedy="cast it to text in the query"
        )
    if kind == "bool":
        values = np.packbits(values != 0, bitorder="little")
    if kind == "interval":
        values = _intervals(values, valid, field)
    target = arrow_type(field.wire, -1)
    bitmap = None if every else pa.py_buffer(np.packbits(valid, bitorder="little"))
    storage = pa.binary(16) if kind == "uuid" else target
    array = pa.Array.from_buffers(storage, len(valid), [bitmap, pa.py_buffer(np.ascontiguousarray(values))])
    return pa.ExtensionArray.from_storage(target, array) if kind == "uuid" else array


def _from_2000(values: np.ndarray, valid: np.ndarray, field: Field) -> np.ndarray:
    limits = np.iinfo(values.dtype)
    given = values[valid]
    if ((given == limits.min) | (given == limits.max)).any():
        raise BulkError(
            f"holds an infinite {field.wire.name}, which Arrow cannot carry",
            where=f"column {field.name!r}",
            remedy=f"read NULLIF({field.name}, 'infinity') (and '-infinity'), or cast the column to text in the query",
        )
    epoch = EPOCH_DAYS if field.wire.kind == "date" else EPOCH_MICROSECONDS
    if (given > limits.max - epoch).any():
        raise BulkError(f"holds a {field.wire.name} beyond Arrow's range", where=f"column {field.name!r}")
    return np.where(valid, values, 0) + values.dtype.type(epoch)


def _intervals(values: np.ndarray, valid: np.ndarray, field: Field) -> np.ndarray:
    given = values.view([("microseconds", ">i8"), ("days", ">i4"), ("months", ">i4")])
    microseconds = np.where(valid, given["microseconds"].astype("<i8"), 0)
    if (np.abs(microseconds) > (2**63 - 1) // 1000).any():
        raise BulkError("holds an interval beyond Arrow's range (292 years of hours)", where=f"column {field.name!r}")
    out = np.empty(len(values), dtype=[("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    out["months"], out["days"], out["nanoseconds"] = given["months"], given["days"], microseconds * 1000
    return out


def _arrays(buffer: np.ndarray, cells: _Cells, field: Field) -> pa.Array:
    element = field.wire.element or TEXT
    valid = cells.valid
    start = np.where(valid, cells.start, 0)
    dimensions = np.where(valid, _load(buffer, start, ">i4"), 0)
    if (dimensions > 1).any():
        raise BulkError(
            "holds an array of more than one dimension", where=f"column {field.name!r}", remedy="cast it with to_jsonb() in the query"
        )
    sizes = np.where(dimensions == 1, _load(buffer, np.where(dimensions == 1, start + 12, 0), ">i4"), 0).astype(np.int64)
    offsets = np.zeros(len(sizes) + 1, dtype=np.int64)
    np.cumsum(sizes, out=offsets[1:])
    elements = _elements(buffer, start + 20, sizes, offsets)
    values = _decode(buffer, elements, Field(field.name, element, field.modifier))
    bitmap = None if valid.all() else pa.py_buffer(np.packbits(valid, bitorder="little"))
    return pa.Array.from_buffers(pa.list_(values.type), len(sizes), [bitmap, pa.py_buffer(offsets.astype(np.int32))], children=[values])


def _elements(buffer: np.ndarray, start: np.ndarray, sizes: np.ndarray, offsets: np.ndarray) -> _Cells:
    """Where the elements of all arrays lie, array after array."""
    at, length = np.zeros(offsets[-1], dtype=np.int64), np.zeros(offsets[-1], dtype=np.int64)
    position = start.copy()
    active, index = np.flatnonzero(sizes), 0
    while len(active) > _FEW:
        here = position[active]
        size = _load(buffer, here, ">i4").astype(np.int64)
        at[offsets[active] + index], length[offsets[active] + index] = here + 4, size
        position[active] = here + 4 + np.maximum(size, 0)
        index += 1
        active = active[sizes[active] > index]
    raw = buffer.data
    for row in active:
        here = int(position[row])
        for slot in range(int(offsets[row]) + index, int(offsets[row + 1])):
            size = struct.unpack_from("!i", raw, here)[0]
            at[slot], length[slot] = here + 4, size
            here += 4 + max(size, 0)
    return _Cells(at, length)
