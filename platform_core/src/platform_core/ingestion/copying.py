"""Encoded rows into a table by COPY, where a value that only Postgres knows to be invalid costs neither the sync nor its row."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Any

import orjson
import psycopg
from psycopg import sql

from platform_core.ingestion.batch import CSV_META, CSV_OPTIONS, Encoded
from platform_core.ingestion.errors import LoadError
from platform_core.ingestion.rows import NULL, RowEncoder, unescape
from platform_core.ingestion.tables import column_list
from platform_core.ingestion.types import META_COLUMNS, Kind
from platform_core.ingestion.values import NULLED, clean_text

_COPY_LINES = 2048


class RowCopy:
    """Copies the rows of one stream."""

    def __init__(self, session: psycopg.Connection[Any], rows: RowEncoder, *, stream: str, table: str) -> None:
        """Prepares the statements.

        Args:
            session: A session as the domain's owner.
            rows: The encoder of the stream.
            stream: For errors.
            table: For errors, ``<schema>.<table>``.
        """
        self._session, self._rows, self._stream, self._table = session, rows, stream, table
        names = [column.name for column in rows.columns] + [name for name, _ in META_COLUMNS]
        self._text_columns = column_list(rows.columns)
        self._csv_columns = sql.SQL(", ").join(map(sql.Identifier, names))
        self._csv_short = sql.SQL(", ").join(map(sql.Identifier, names[: len(rows.columns) + len(CSV_META)]))
        self._csv_end = b",%b,%d\n" % (orjson.dumps(rows.clean_meta), rows.generation)

    def copy(self, target: sql.Composable, encoded: Sequence[Encoded], *, widened: Collection[int], defaults: bool = False) -> None:
        """Brings rows into a table.

        Args:
            target: The table.
            encoded: The rows.
            widened: Indexes of bigint columns that are numeric in the table.
            defaults: The table knows the columns that are the same in every row that nothing happened to.

        Raises:
            LoadError: A row cannot be stored.
        """
        csv = [each.csv for each in encoded if each.csv]
        if csv:
            try:
                self._send_csv(target, csv, defaults)
            except psycopg.DataError:
                self._copy_lines(target, [line for block in csv for line in self._text_lines(block)], widened)
        self._copy_lines(target, [line for each in encoded for line in each.lines], widened)

    def _send_csv(self, target: sql.Composable, blocks: Sequence[bytes], defaults: bool) -> None:
        if defaults:
            self._send(target, self._csv_short, CSV_OPTIONS, blocks)
        else:
            self._send(target, self._csv_columns, CSV_OPTIONS, (block.replace(b"\n", self._csv_end) for block in blocks))

    def _send(self, target: sql.Composable, columns: sql.Composable, options: str, blocks: Iterable[bytes]) -> None:
        statement = sql.SQL("COPY {} ({}) FROM STDIN {}").format(target, columns, sql.SQL(options))  # type: ignore[arg-type]
        # Inside a transaction this is a savepoint, so that one bad value costs neither the sync nor the transaction.
        with self._session.transaction(), self._session.cursor() as cursor, cursor.copy(statement) as copy:
            for block in blocks:
                copy.write(block)

    def _text_lines(self, block: bytes) -> Iterator[str]:
        """Rows of CSV as lines of the text format."""
        for line in block.split(b"\n")[:-1]:
            *values, raw_id, extracted_at = orjson.loads(b"[%b]" % line)
            cells = [value if value is None or isinstance(value, str) else orjson.dumps(value).decode() for value in values]
            yield self._rows.line(raw_id, extracted_at, self._rows.clean_meta, cells)

    def _copy_lines(self, target: sql.Composable, lines: list[str], widened: Collection[int]) -> None:
        if not lines:
            return
        blocks = ("\n".join((*lines[start : start + _COPY_LINES], "")).encode() for start in range(0, len(lines), _COPY_LINES))
        try:
            self._send(target, self._text_columns, "", blocks)
        except psycopg.DataError as error:
            if len(lines) == 1:
                self._copy_lines(target, [self._repaired(lines[0], error, widened)], widened)
                return
            middle = len(lines) // 2
            self._copy_lines(target, lines[:middle], widened)
            self._copy_lines(target, lines[middle:], widened)

    def _repaired(self, line: str, error: psycopg.DataError, widened: Collection[int]) -> str:
        """The line with NULL for each value that only Postgres knows to be invalid (a zone of +23:00, a jsonb too large)."""
        cells = line.split("\t")
        head, body = cells[: len(META_COLUMNS)], cells[len(META_COLUMNS) :]
        changes = []
        for index, (column, cell) in enumerate(zip(self._rows.columns, body, strict=True)):
            kind = Kind.NUMERIC if index in widened else column.kind
            if cell == NULL:
                continue
            row = self._session.execute("SELECT pg_input_is_valid(%s, %s)", (unescape(cell), kind.value)).fetchone()
            if row and not row[0]:
                body[index] = NULL
                changes.append({"field": clean_text(column.field), "change": NULLED[0], "reason": NULLED[1]})
        if not changes:
            raise LoadError(
                f"a row of {self._stream} cannot be stored: {str(error).splitlines()[0]}",
                where=self._table,
                remedy="report this with the row of the raw copy",
            ) from error
        meta = orjson.loads(unescape(head[2]))
        meta["changes"] += changes
        head[2] = orjson.dumps(meta).decode().replace("\\", "\\\\")
        return "\t".join((*head, *body))
