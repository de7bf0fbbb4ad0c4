"""One record into a line of Postgres' text COPY format, value by value: the careful way, for records that ``batch`` leaves.

Columns and formats: ``types``; escapes: https://www.postgresql.org/docs/current/sql-copy.html, "Text Format".
"""

from __future__ import annotations

import functools
import re
from collections.abc import Sequence
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

from platform_core.ingestion.protocol import Json, dump_json
from platform_core.ingestion.types import WHOLE_RECORD, Column, Kind
from platform_core.ingestion.values import NULLED, clean_json, is_overflow, to_text

NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_TAILS = [f"{number:03x}" for number in range(1 << 12)]
_UNESCAPES = {"t": "\t", "n": "\n", "r": "\r"}


def unescape(cell: str) -> str:
    """The value of a COPY cell that is not NULL."""
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[1]), cell, flags=re.DOTALL) if "\\" in cell else cell


class RowEncoder:
    """Encodes records of one stream.

    Attributes:
        columns: The stream's columns.
        sync_id: Kept in ``_airbyte_meta``.
        generation: ``_airbyte_generation_id``.
        clean_meta: ``_airbyte_meta`` of a row that nothing happened to.
        whole: The stream declares no fields; its one column holds the record.
        overflowed: Indexes of bigint columns that met an integer beyond 64 bits. The line holds the number; the caller makes
            the column numeric before it copies the line.
    """

    def __init__(
        self,
        columns: Sequence[Column],
        *,
        sync_id: str,
        generation: int,
        id_prefix: str,
        narrow: frozenset[int] = frozenset(),
    ) -> None:
        """Prepares the encoder.

        Args:
            columns: The stream's columns.
            sync_id: Kept in ``_airbyte_meta``.
            generation: ``_airbyte_generation_id``.
            id_prefix: First 24 characters of every ``_airbyte_raw_id``; 12 hexadecimal digits of sequence follow, so that the
                ids of a stream grow in order of arrival.
            narrow: Indexes of bigint columns that cannot become numeric (a view uses them).
        """
        self.columns = tuple(columns)
        self.sync_id = sync_id
        self.generation = generation
        self.whole = len(columns) == 1 and columns[0].field == WHOLE_RECORD and columns[0].kind is Kind.JSONB
        self.overflowed: set[int] = set()
        self.clean_meta = dump_json({"sync_id": sync_id, "changes": []})
        self._narrow = narrow
        self._id_prefix = id_prefix

    def raw_id(self, sequence: int) -> str:
        """``_airbyte_raw_id`` of a row of this sync."""
        return f"{self._id_prefix}{sequence:012x}"

    def raw_ids(self, first: int, count: int) -> list[str]:
        """The ids of consecutive rows."""
        ids: list[str] = []
        while count:
            page, start = divmod(first, len(_TAILS))
            tails = _TAILS[start : start + count]
            ids += map(f"{self._id_prefix}{page:09x}".__add__, tails)
            first, count = first + len(tails), count - len(tails)
        return ids

    def encode(self, data: Json, emitted_at: Any, *, sequence: int, changes: Sequence[Json] = ()) -> str:
        """One record as a COPY line without its end.

        Args:
            data: The record.
            emitted_at: Milliseconds since 1970; now where it is none.
            sequence: Its number in the stream, from 1.
            changes: What the source itself changed (``record.meta.changes``), kept.
        """
        values = (data,) if self.whole else [data.get(column.field) for column in self.columns]
        noted = list(changes)
        cells = [self._cell(index, value, noted) for index, value in enumerate(values)]
        meta = dump_json(clean_json({"sync_id": self.sync_id, "changes": noted}))
        return self.line(self.raw_id(sequence), _instant(emitted_at), meta, cells)

    def line(self, raw_id: str, extracted_at: str, meta: str, cells: Sequence[str | None]) -> str:
        """A COPY line of texts that Postgres reads, None for NULL."""
        head = (raw_id, extracted_at, meta.translate(_ESCAPES), str(self.generation))
        return "\t".join((*head, *(NULL if cell is None else cell.translate(_ESCAPES) for cell in cells)))

    def _cell(self, index: int, value: Any, noted: list[Json]) -> str | None:
        column = self.columns[index]
        text, change = to_text(column.kind, value)
        if text is not None and column.kind is Kind.BIGINT and is_overflow(text):
            if index in self._narrow:
                text, change = None, NULLED
            else:
                self.overflowed.add(index)
        if change:
            noted.append({"field": column.field, "change": change[0], "reason": change[1]})
        return text


def instant(milliseconds: int) -> str:
    """Milliseconds since 1970, below the year 10000, in the form that Postgres reads with the least work."""
    return f"{_second(milliseconds // 1000)}.{milliseconds % 1000:03}+00"


@functools.lru_cache(64)  # what arrives together was emitted in the same seconds
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat(" ")[:-6]


def _instant(emitted_at: Any) -> str:
    try:
        if type(emitted_at) is int:
            return instant(emitted_at)
        return datetime.fromtimestamp((float(emitted_at) if isinstance(emitted_at, Decimal) else emitted_at) / 1000, UTC).isoformat()
    except (TypeError, ValueError, OverflowError, OSError):
        return datetime.now(UTC).isoformat()
