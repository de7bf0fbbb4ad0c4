"""Parquet, a batch of rows at a time; types are those of the file's own schema."""

# pyarrow ships no type stubs: its types are unknown to pyright.
# pyright: reportUnknownParameterType=false, reportMissingTypeStubs=false

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platform_core.ingestion.drops.content import FileContent, FileRow, check_header
from platform_core.ingestion.drops.errors import UnreadableFileError
from platform_core.ingestion.types import Kind

_BATCH_ROWS = 4096


def open_parquet(path: Path) -> FileContent:
    """Opens a Parquet file.

    Raises:
        UnreadableFileError: It is damaged, or no Parquet file.
    """
    import pyarrow as pa
    from pyarrow import parquet

    try:
        schema = parquet.read_schema(path)
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(error) from error
    names = check_header([field.name for field in schema], "The schema")
    kinds = {name: _kind(field.type) for name, field in zip(names, schema, strict=True) if name}
    return FileContent(lambda: _rows(path, names), tuple(name for name in names if name), kinds)


def _rows(path: Path, names: tuple[str, ...]) -> Iterator[FileRow]:
    import pyarrow as pa
    from pyarrow import parquet

    number = 0
    try:
        with parquet.ParquetFile(path, memory_map=True) as file:
            for batch in file.iter_batches(_BATCH_ROWS, use_threads=False):
                columns = [_values(column) for column in batch.columns]
                for values in zip(*columns, strict=True):
                    number += 1
                    yield FileRow(number, {name: value for name, value in zip(names, values, strict=True) if name})
    except (pa.ArrowInvalid, OSError) as error:
        raise _damaged(error) from error


def _values(column: Any) -> list[Any]:
    import pyarrow as pa

    # Postgres keeps microseconds; Python has no nanoseconds.
    if pa.types.is_timestamp(column.type) and column.type.unit == "ns":
        column = column.cast(pa.timestamp("us", column.type.tz), safe=False)
    elif pa.types.is_duration(column.type) and column.type.unit == "ns":
        column = column.cast(pa.duration("us"), safe=False)
    try:
        return column.to_pylist()
    except (OverflowError, ValueError):
        if not pa.types.is_temporal(column.type):
            raise
        return column.cast(pa.string()).to_pylist()  # before the year 1 or after 9999: no date of Python's, and none that the table takes


def _kind(of: Any) -> Kind:
    import pyarrow as pa

    is_ = pa.types
    if is_.is_dictionary(of):
        return _kind(of.value_type)
    for test, kind in (
        (is_.is_boolean, Kind.BOOLEAN),
        (is_.is_integer, Kind.NUMERIC if str(of) == "uint64" else Kind.BIGINT),
        (is_.is_floating, Kind.NUMERIC),
        (is_.is_decimal, Kind.NUMERIC),
        (is_.is_date, Kind.DATE),
        (is_.is_timestamp, Kind.TIMESTAMPTZ),
        (is_.is_nested, Kind.JSONB),
    ):
        if test(of):
            return kind
    return Kind.TEXT


def _damaged(error: Exception) -> UnreadableFileError:
    return UnreadableFileError(
        "The file is not a whole Parquet file: it may have been cut off.",
        found=str(error).splitlines()[0][:120],
        remedy="Write it again with the program that made it, and drop it again.",
    )
