"""Parquet tables in the lake that are replaced whole: readers always find one complete generation."""

# pyarrow ships no type stubs: its types are unknown to pyright.
# pyright: reportUnknownParameterType=false, reportUnknownLambdaType=false

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeVar

from platform_core.lake.files import LakeError, LakeFiles
from platform_core.lake.generations import (
    POINTER,
    Generation,
    age_seconds,
    encode_schema,
    new_generation,
    partition_folder,
    partition_of,
    table_path,
)

if TYPE_CHECKING:
    import pyarrow as pa
    import pyarrow.dataset

_log = logging.getLogger(__name__)
# Long enough for the slowest reader of a superseded generation, and for the slowest writer of one not yet current.
KEEP_SECONDS = 24 * 3600.0
_ATTEMPTS = 5
_T = TypeVar("_T")


@dataclass(frozen=True)
class LakeTables:
    """The tables of the lake at ``url`` (a folder, ``s3://``, ``gs://``, ``abfs://``, ``memory://``, ...)."""

    url: str

    def write(
        self,
        key: Sequence[str],
        data: pa.Table | pa.RecordBatchReader,
        *,
        partition: str | None = None,
        keep_seconds: float = KEEP_SECONDS,
    ) -> Generation:
        """Replaces a table or one partition of it.

        The files of a new generation are written first; then one object, the pointer, switches to it. A writer that dies
        leaves the former state, and files that a later write removes. Of two writers at once the later switch wins.

        Args:
            key: Parts of the table's name.
            data: The rows; a reader is written without being held.
            partition: Partition key; None for a table without partitions.
            keep_seconds: Age from which generations that are neither current nor the one before are removed.

        Raises:
            LakeError: The store refuses, Parquet cannot hold a type, or the table has partitions and none is given (or the
                other way round).
        """
        files = LakeFiles.at(self.url)
        folder = self._folder(files, key, partition)
        self._refuse_mixture(files, key, partition)
        before = _current(files, folder)
        name = new_generation()
        written, rows = _write_files(files, f"{folder}/{name}", data)
        generation = Generation(
            name=name,
            previous=before.name if before else None,
            files=tuple(sorted(path.rpartition("/")[2] for path, _ in written)),
            rows=rows,
            bytes=sum(size for _, size in written),
            arrow_schema=encode_schema(data.schema.serialize().to_pybytes()),
        )
        files.put(f"{folder}/{POINTER}", generation.dump())
        _clean(files, folder, keep_seconds)
        return generation

    def read(
        self,
        key: Sequence[str],
        *,
        columns: Sequence[str] | None = None,
        partitions: Sequence[str] | None = None,
        where: pyarrow.dataset.Expression | None = None,
    ) -> pa.Table:
        """Reads a table.

        Args:
            key: Parts of its name.
            columns: Which columns, in this order; all by default. Only these are fetched.
            partitions: Which partitions; all by default. Only their files are opened.
            where: Filter; row groups that cannot hold a match are not fetched.

        Raises:
            LakeError: There is no such table, partition or column, or partitions have columns that do not go together.
        """

        def load() -> pa.Table:
            dataset = self._dataset(key, partitions)
            missing = [name for name in columns or () if name not in dataset.schema.names]
            if missing:
                raise LakeError(
                    f"has no column {', '.join(missing)}", where=_shown(key), remedy=f"choose from: {', '.join(dataset.schema.names)}"
                )
            with LakeFiles.at(self.url).failing(_shown(key)):
                return dataset.to_table(columns=None if columns is None else list(columns), filter=where)

        return _again_when_replaced(load, key)

    def dataset(self, key: Sequence[str], *, partitions: Sequence[str] | None = None) -> pyarrow.dataset.Dataset:
        """The table as a pyarrow dataset, for lazy readers; its files stay for `KEEP_SECONDS` after they are superseded.

        Raises:
            LakeError: As `read`.
        """
        return _again_when_replaced(lambda: self._dataset(key, partitions), key)

    def _dataset(self, key: Sequence[str], partitions: Sequence[str] | None) -> pyarrow.dataset.Dataset:
        import pyarrow as pa
        import pyarrow.dataset as ds

        files = LakeFiles.at(self.url)
        found = self._generations(files, key, partitions)
        paths = [f"{folder}/{generation.name}/{name}" for folder, generation in found for name in generation.files]
        try:
            schemas = [pa.ipc.read_schema(pa.py_buffer(generation.schema_bytes())).remove_metadata() for _, generation in found]
            schema = _unified(schemas)
        except pa.ArrowException as error:
            raise LakeError(
                f"partitions have columns of types that do not go together: {error}",
                where=_shown(key),
                remedy="materialize the older partitions again",
            ) from error
        with files.failing(_shown(key)):
            return (
                ds.dataset(paths, schema=schema, format="parquet", filesystem=files.arrow()) if paths else ds.dataset(schema.empty_table())
            )

    def partitions(self, key: Sequence[str]) -> list[str]:
        """Partition keys of a table that have been written, sorted."""
        files = LakeFiles.at(self.url)
        folder = files.path(*table_path(key))
        found = (partition_of(name) for name in files.names(folder))
        return sorted(key for key in found if key is not None and _current(files, f"{folder}/{partition_folder(key)}"))

    def current(self, key: Sequence[str], partition: str | None = None) -> Generation | None:
        """The generation that readers see now, None when nothing was written."""
        files = LakeFiles.at(self.url)
        return _current(files, self._folder(files, key, partition))

    def drop(self, key: Sequence[str], partition: str | None = None) -> None:
        """Removes a table, or one partition of it: the pointer first."""
        files = LakeFiles.at(self.url)
        folder = self._folder(files, key, partition)
        files.remove(f"{folder}/{POINTER}")
        for name in files.names(folder):
            if age_seconds(name, 0) is not None or (partition is None and partition_of(name) is not None):
                files.remove(f"{folder}/{name}")

    def _folder(self, files: LakeFiles, key: Sequence[str], partition: str | None) -> str:
        return files.path(*table_path(key), *([] if partition is None else [partition_folder(partition)]))

    def _generations(self, files: LakeFiles, key: Sequence[str], partitions: Sequence[str] | None) -> list[tuple[str, Generation]]:
        folder = self._folder(files, key, None)
        whole = _current(files, folder)
        if whole is not None and partitions is None:
            return [(folder, whole)]
        wanted = self.partitions(key) if partitions is None else list(partitions)
        folders = [f"{folder}/{partition_folder(partition)}" for partition in wanted]
        found = [(each, _current(files, each)) for each in folders]
        missing = [partition for partition, (_, generation) in zip(wanted, found, strict=True) if generation is None]
        if missing or not found:
            what = f"has no partition {', '.join(missing)}" if missing else "does not exist in the lake"
            raise LakeError(what, where=_shown(key), remedy="materialize the asset (these partitions of it) first")
        return [(each, generation) for each, generation in found if generation is not None]

    def _refuse_mixture(self, files: LakeFiles, key: Sequence[str], partition: str | None) -> None:
        mixed = self.current(key) is not None if partition is not None else bool(self.partitions(key))
        if mixed:
            raise LakeError(
                "was written without partitions before" if partition is not None else "was written in partitions before",
                where=_shown(key),
                remedy="LakeTables.drop(key) removes the former table",
            )


def _again_when_replaced(action: Callable[[], _T], key: Sequence[str]) -> _T:
    """Starts again when the generation was replaced, and removed, since the pointer was read."""
    for _ in range(_ATTEMPTS - 1):
        try:
            return action()
        except FileNotFoundError:
            continue
    try:
        return action()
    except FileNotFoundError as error:
        raise LakeError(f"files are missing: {error}", where=_shown(key), remedy="materialize the asset again") from error


def _current(files: LakeFiles, folder: str) -> Generation | None:
    content = files.get(f"{folder}/{POINTER}")
    if content is None:
        return None
    try:
        return Generation.parse(content)
    except ValueError as error:
        raise LakeError(
            f"the pointer cannot be read: {error}", where=f"{folder}/{POINTER}", remedy="materialize the asset again"
        ) from error


def _unified(schemas: Sequence[pa.Schema]) -> pa.Schema:
    """The columns of all partitions, each of a type that holds every partition's values.

    Raises:
        pyarrow.ArrowException: There is none.
    """
    import pyarrow as pa

    schema = pa.unify_schemas(list(schemas), promote_options="permissive")
    for field in schema:
        if pa.types.is_floating(field.type) and any(
            each.field(field.name).type != field.type and not pa.types.is_floating(each.field(field.name).type)
            for each in schemas
            if field.name in each.names and not pa.types.is_null(each.field(field.name).type)
        ):
            raise pa.ArrowTypeError(f"{field.name} is an integer in one and a float in another")  # large integers would change
    return schema


def _write_files(files: LakeFiles, folder: str, data: Any) -> tuple[list[tuple[str, int]], int]:
    import pyarrow as pa
    import pyarrow.dataset as ds

    written: list[tuple[str, int]] = []
    rows = 0

    def visit(file: Any) -> None:
        nonlocal rows
        written.append((file.path, file.size))
        rows += file.metadata.num_rows

    source_errors: list[Exception] = []

    def batches(reader: pa.RecordBatchReader) -> Iterator[pa.RecordBatch]:
        try:
            yield from reader
        except Exception as error:
            source_errors.append(error)
            raise

    if isinstance(data, pa.RecordBatchReader):
        data = pa.RecordBatchReader.from_batches(data.schema, batches(data))
    files.make_folder(folder)
    form = ds.ParquetFileFormat()
    try:
        with files.failing(folder):
            ds.write_dataset(
                data,
                folder,
                format=form,
                file_options=form.make_write_options(compression="zstd", compression_level=1),
                basename_template="part-{i}.parquet",
                filesystem=files.arrow(),
                preserve_order=True,
                min_rows_per_group=1 << 16,
                max_rows_per_group=1 << 19,
                max_rows_per_file=1 << 24,
                file_visitor=visit,
                existing_data_behavior="overwrite_or_ignore",
                create_dir=files.local,
            )
    except LakeError as error:
        if source_errors:  # the asset's own error, not the lake's
            raise source_errors[0] from None
        if isinstance(error.__cause__, pa.ArrowNotImplementedError):
            raise LakeError(f"Parquet cannot hold a column: {error.__cause__}", where=folder, remedy="convert it in the asset") from error
        raise
    return written, rows


def _clean(files: LakeFiles, folder: str, keep_seconds: float) -> None:
    """Removes what no reader needs; a failure is for the next writer, not for this one, whose data is in place."""
    try:
        now = _current(files, folder)
        kept = {now.name, now.previous} if now else set()
        for name in files.names(folder):
            age = age_seconds(name, time.time_ns())
            if name not in kept and age is not None and age >= keep_seconds:
                files.remove(f"{folder}/{name}")
    except LakeError as error:
        _log.warning("old generations stay in the lake: %s", error)


def _shown(key: Iterable[str]) -> str:
    return "lake table " + "/".join(key)
