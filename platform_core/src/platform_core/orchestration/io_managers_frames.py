"""Frames of pandas, Polars and Arrow to Arrow data and back. Which library is meant is read off the type's module name, so that
none is imported before an asset uses it.

| Arrow column | pandas | Polars |
|---|---|---|
| any | the `pd.ArrowDtype` of the same type: 64-bit integers with NULL stay integers, NULL stays apart from NaN and "" | the same type |
| uuid, json | string | String |
| decimal beyond 38 digits | decimal256 | refused when the values need it, else Decimal(38, s) |
| interval without months and days | interval | Duration |

Written from pandas: NaN in a column of a classic numpy dtype is NULL (pandas has no other word for it there), in a nullable or
Arrow dtype it is NaN where the dtype can tell. A named index becomes columns, an unnamed one is left out.
"""

# pyarrow ships no type stubs: its types are unknown to pyright.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence, Set
from typing import TYPE_CHECKING, Any, Literal

from platform_core.errors import MeshError

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa
    import pyarrow.dataset

Frame = Literal["pandas", "polars", "polars_lazy", "arrow", "arrow_reader"]
_FRAMES: dict[tuple[str, str], Frame] = {
    ("pandas", "DataFrame"): "pandas",
    ("polars", "DataFrame"): "polars",
    ("polars", "LazyFrame"): "polars_lazy",
    ("pyarrow", "Table"): "arrow",
    ("pyarrow", "RecordBatchReader"): "arrow_reader",
}


class FrameError(MeshError):
    """A frame cannot be handed to or from an IO manager without loss."""


def frame_of(annotation: Any, default: Frame, where: str) -> Frame:
    """Which frame a type annotation asks for.

    Args:
        annotation: The type; ``Any`` (no annotation) takes the default.
        default: What to load without an annotation.
        where: The input, for messages.

    Raises:
        FrameError: It is no type of a frame.
    """
    if annotation is Any:
        return default
    for kind in getattr(annotation, "__mro__", ()):
        found = _FRAMES.get((kind.__module__.partition(".")[0], kind.__name__))
        if found:
            return found
    raise FrameError(
        f"cannot load {annotation!r}",
        where=where,
        remedy="annotate it with pd.DataFrame, pl.DataFrame, pl.LazyFrame, pa.Table or pa.RecordBatchReader",
    )


def to_arrow(frame: object, where: str, json_columns: Set[str] = frozenset()) -> pa.Table | pa.RecordBatchReader:
    """A frame as Arrow data; a LazyFrame and a reader as a stream.

    Args:
        frame: What the asset returned.
        where: The output, for messages.
        json_columns: pandas object columns whose values are written as JSON documents.

    Raises:
        FrameError: It is no frame, or a column has no Arrow type.
    """
    import pyarrow as pa

    for kind in type(frame).__mro__:
        convert = _TO_ARROW.get((kind.__module__.partition(".")[0], kind.__name__))
        if convert is None:
            continue
        try:
            return convert(frame, json_columns)
        except (pa.ArrowException, OverflowError, TypeError) as error:
            raise FrameError(
                f"a column has no Arrow type: {error}",
                where=where,
                remedy="convert it in the asset; values of mixed types go to jsonb: metadata column_types={'column': 'jsonb'}",
            ) from error
    raise FrameError(
        f"cannot write {type(frame).__name__}",
        where=where,
        remedy="return a pandas or Polars DataFrame, a LazyFrame, or a pyarrow Table; or annotate the asset with -> None",
    )


def from_arrow(table: pa.Table, frame: Frame) -> Any:
    """An Arrow table as the frame that was asked for.

    Raises:
        FrameError: The frame has no such type.
    """
    if frame == "arrow":
        return table
    if frame == "arrow_reader":
        return table.to_reader()
    if frame == "pandas":
        import pandas as pd

        return _plain(table, polars=False).to_pandas(types_mapper=pd.ArrowDtype)
    import polars as pl

    loaded = pl.DataFrame(pl.from_arrow(_plain(table, polars=True)))
    return loaded if frame == "polars" else loaded.lazy()


def lazy_scan(dataset: pyarrow.dataset.Dataset, columns: Sequence[str] | None) -> pl.LazyFrame | None:
    """A LazyFrame that reads from a dataset what its query needs; None when a column first has to be converted, or is not there."""
    import polars as pl

    schema = dataset.schema
    if any(name not in schema.names for name in columns or ()):
        return None
    empty = schema.empty_table()
    if _plain(empty, polars=True).schema != schema:
        return None
    lazy = pl.scan_pyarrow_dataset(dataset)
    return lazy if columns is None else lazy.select(columns)


def _from_pandas(frame: pd.DataFrame, json_columns: Set[str]) -> pa.Table:
    import orjson
    import pandas as pd
    import pyarrow as pa

    if any(name is not None for name in frame.index.names):
        frame = frame.reset_index()
    names = [name for name in frame.columns if not isinstance(name, str)]
    if names:
        raise TypeError(f"the column name {names[0]!r} is not a string")

    def document(value: Any) -> str | None:
        if isinstance(value, str):  # a document already
            return value
        missing = value is None or value is pd.NA or (isinstance(value, float) and math.isnan(value))
        return None if missing else orjson.dumps(value, option=orjson.OPT_SERIALIZE_NUMPY).decode()

    objects = [name for name in frame.columns if name in json_columns and frame[name].dtype == object]
    if objects:
        frame = frame.assign(**{name: pd.array([document(value) for value in frame[name]], pd.ArrowDtype(pa.string())) for name in objects})
    return pa.Table.from_pandas(frame, preserve_index=False).replace_schema_metadata(None)


def _from_polars(frame: pl.DataFrame, json_columns: Set[str]) -> pa.Table:
    _refuse_objects(frame.schema)
    return frame.to_arrow()


def _from_lazy(frame: pl.LazyFrame, json_columns: Set[str]) -> pa.RecordBatchReader:
    import polars as pl
    import pyarrow as pa

    polars_schema = frame.collect_schema()
    _refuse_objects(polars_schema)
    fields = pl.DataFrame(schema=polars_schema).to_arrow().schema
    # Categories differ from batch to batch, their values do not.
    schema = pa.schema([pa.field(f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in fields])

    def batches() -> Iterator[pa.RecordBatch]:
        for part in frame.collect_batches(maintain_order=True):
            yield from part.to_arrow().cast(schema).to_batches()

    return pa.RecordBatchReader.from_batches(schema, batches())


def _refuse_objects(schema: pl.Schema) -> None:
    for name, kind in schema.items():
        if "Object" in str(kind):  # Polars hands Arrow the addresses of the objects
            raise TypeError(f"column {name!r} is of Polars type {kind}")


_TO_ARROW: dict[tuple[str, str], Callable[[Any, Set[str]], Any]] = {
    ("pandas", "DataFrame"): _from_pandas,
    ("polars", "DataFrame"): _from_polars,
    ("polars", "LazyFrame"): _from_lazy,
    ("pyarrow", "Table"): lambda table, json_columns: table,
    ("pyarrow", "RecordBatch"): lambda batch, json_columns: _table_of(batch),
    ("pyarrow", "RecordBatchReader"): lambda reader, json_columns: reader,
}


def _table_of(batch: pa.RecordBatch) -> pa.Table:
    import pyarrow as pa

    return pa.Table.from_batches([batch])


def _plain(table: pa.Table, *, polars: bool) -> pa.Table:
    """With the types that only Arrow knows replaced, as the table above says."""
    for index, field in enumerate(table.schema):
        column = _plain_column(table.column(index), field.name, polars=polars)
        if column is not None:
            table = table.set_column(index, field.name, column)
    return table


def _plain_column(column: pa.ChunkedArray, name: str, *, polars: bool) -> pa.ChunkedArray | None:
    import pyarrow as pa

    kind = column.type
    if pa.types.is_list(kind):
        chunks = [_plain_list(chunk, name, polars=polars) for chunk in column.chunks or [pa.array([], kind)]]
        return None if chunks[0].type == kind else pa.chunked_array(chunks)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.json":
        return pa.chunked_array([chunk.storage for chunk in column.chunks], kind.storage_type)
    if isinstance(kind, pa.BaseExtensionType) and kind.extension_name == "arrow.uuid":
        from platform_core.warehouse.bulk_convert import uuid_text

        return pa.chunked_array([uuid_text(chunk.storage) for chunk in column.chunks], pa.string())
    if polars and pa.types.is_decimal256(kind):
        try:
            return column.cast(pa.decimal128(38, kind.scale))
        except pa.ArrowInvalid as error:
            raise FrameError(
                "holds decimals of more than 38 digits, which Polars does not have",
                where=f"column {name!r}",
                remedy="load it as pa.Table or pd.DataFrame, or leave it out with the input's metadata columns",
            ) from error
    if polars and pa.types.is_interval(kind):
        return _durations(column, name)
    return None


def _plain_list(array: pa.ListArray, name: str, *, polars: bool) -> pa.ListArray:
    import pyarrow as pa

    values = _plain_column(pa.chunked_array([array.values]), name, polars=polars)
    if values is None:
        return array
    offsets, whole = array.offsets, values.combine_chunks()
    mask = array.is_null() if array.null_count else None
    return pa.ListArray.from_arrays(offsets, whole, mask=mask)


def _durations(column: pa.ChunkedArray, name: str) -> pa.ChunkedArray:
    import numpy as np
    import pyarrow as pa

    array = column.combine_chunks()
    parts = np.dtype([("months", "<i4"), ("days", "<i4"), ("nanoseconds", "<i8")])
    given = np.frombuffer(array.buffers()[1], dtype=parts)[array.offset : array.offset + len(array)]
    valid = np.asarray(array.is_valid().to_numpy(zero_copy_only=False))
    if (given["months"][valid] != 0).any() or (given["days"][valid] != 0).any():
        raise FrameError(
            "holds intervals of days or months, which Polars does not have",
            where=f"column {name!r}",
            remedy="load it as pa.Table, or leave it out with the input's metadata columns",
        )
    microseconds = pa.array(given["nanoseconds"] // 1000, mask=~valid)
    return pa.chunked_array([microseconds.cast(pa.duration("us"))])
