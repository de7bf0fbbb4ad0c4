"""Records into lines of Postgres' text COPY format, fast where every value has the type its column expects.

The types of a record's values (its signature) select a prepared template; one C-level ``%`` then writes the whole line. What a
signature cannot promise (text that needs escapes, a date that is none) is seen on the finished line or by a cheap test, and
that record goes the careful way, value by value. Columns and formats: ``types``; escapes: the documentation of COPY.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import orjson

from platform_core.ingestion.protocol import Json, dump_json
from platform_core.ingestion.types import WHOLE_RECORD, Column, Kind
from platform_core.ingestion.values import NULLED, clean_json, is_overflow, to_text

NULL = "\\N"
_ESCAPES = str.maketrans({"\\": "\\\\", "\t": "\\t", "\n": "\\n", "\r": "\\r"})
_UNESCAPES = {"t": "\t", "n": "\n", "r": "\r"}
_ANY = 1 << 60
_MAX_PLANS = 4096  # sparse wide records have endless signatures; the rest goes the careful way

_read_instant = datetime.fromisoformat

# What a type may be written as, unseen.
_AS_IS: dict[Kind, tuple[type, ...]] = {
    Kind.TEXT: (str,),
    Kind.BIGINT: (int,),
    Kind.NUMERIC: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.DATE: (),
    Kind.TIMESTAMPTZ: (),
    Kind.JSONB: (),
}


def unescape(cell: str) -> str:
    """The value of a COPY cell that is not NULL."""
    return re.sub(r"\\(.)", lambda match: _UNESCAPES.get(match[1], match[1]), cell, flags=re.DOTALL) if "\\" in cell else cell


@dataclass(frozen=True, slots=True)
class _Plan:
    template: str
    present: int  # values that are not NULL; a record with more keys has explicit nulls, or fields that nobody declared
    tabs: int
    backslashes: int
    instants: tuple[int, ...]
    dates: tuple[int, ...]
    documents: tuple[int, ...]


class RowEncoder:
    """Encodes the records of one stream.

    Attributes:
        overflowed: Indexes of bigint columns that met an integer beyond 64 bits. The line holds the number; the caller makes
            the column numeric before it copies the line.
        undeclared: Fields that records had and the schema has not; they are in the raw copy only.
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
        self.overflowed: set[int] = set()
        self.undeclared: set[str] = set()
        self.sequence = 0
        self._whole = len(columns) == 1 and columns[0].field == WHOLE_RECORD and columns[0].kind is Kind.JSONB
        self._fields = tuple(column.field for column in columns)
        self._known = frozenset(self._fields)
        self._narrow = narrow
        self._id_prefix = id_prefix
        self._sync_id = sync_id
        self.generation = generation
        self._plans: dict[tuple[type, ...], _Plan | None] = {}
        self._clean_meta = orjson.dumps({"sync_id": sync_id, "changes": []}).decode()
        self._extracted = (-1, "")

    def raw_id(self, sequence: int) -> str:
        """``_airbyte_raw_id`` of a row of this sync."""
        return f"{self._id_prefix}{sequence:012x}"

    def encode(self, data: Json, emitted_at: Any, *, exact: bool = False, changes: Sequence[Json] = ()) -> str:
        """One record as a COPY line without its end.

        Args:
            data: The record.
            emitted_at: Milliseconds since 1970.
            exact: The message came from the exact parser, so plain types promise nothing.
            changes: What the source itself changed (``record.meta.changes``), kept.
        """
        values: tuple[Any, ...] = (data,) if self._whole else tuple(map(data.get, self._fields))
        self.sequence = sequence = self.sequence + 1
        signature = tuple(map(type, values))
        try:
            plan = self._plans[signature]
        except KeyError:
            plan = self._prepare(signature)
        if plan is None:
            return self._careful(values, sequence, emitted_at, changes, data)
        if exact or changes or len(data) > plan.present:
            return self._careful(values, sequence, emitted_at, changes, data)
        try:
            for index in plan.instants:
                text = values[index]
                _read_instant(text)
                # Of the forms that Python reads, the one that Postgres reads alike; any other goes the careful way.
                if text[10] != "T" or text[13] != ":" or text[5] == "W":
                    return self._careful(values, sequence, emitted_at, changes, data)
            for index in plan.dates:
                text = values[index]
                _read_instant(text)
                if len(text) != 10 or text[5] == "W":
                    return self._careful(values, sequence, emitted_at, changes, data)
            if plan.documents:
                changed = list(values)
                for index in plan.documents:
                    changed[index] = orjson.dumps(values[index]).decode()
                written = tuple(changed)
            else:
                written = values
        except (ValueError, IndexError, TypeError):  # no date, or nothing that orjson writes
            return self._careful(values, sequence, emitted_at, changes, data)
        extracted = self._extracted[1] if self._extracted[0] == emitted_at else self._instant(emitted_at)
        line = plan.template % (sequence, extracted, *written)
        if line.count("\\") != plan.backslashes or line.count("\t") != plan.tabs or "\n" in line or "\r" in line or "\x00" in line:
            return self._careful(values, sequence, emitted_at, changes, data)
        return line

    def _careful(self, values: tuple[Any, ...], sequence: int, emitted_at: Any, changes: Sequence[Json], data: Json) -> str:
        if not self._whole and len(data) > len(values) - values.count(None):
            self.undeclared.update(data.keys() - self._known)
        noted = list(changes)
        cells: list[str] = []
        for index, (column, value) in enumerate(zip(self.columns, values, strict=True)):
            text, change = to_text(column.kind, value)
            if text is not None and column.kind is Kind.BIGINT and is_overflow(text):
                if index in self._narrow:
                    text, change = None, NULLED
                else:
                    self.overflowed.add(index)
            if change:
                noted.append({"field": column.field, "change": change[0], "reason": change[1]})
            cells.append(NULL if text is None else text.translate(_ESCAPES))
        meta = dump_json(clean_json({"sync_id": self._sync_id, "changes": noted})) if noted else self._clean_meta
        head = (self.raw_id(sequence), self._instant(emitted_at), meta.translate(_ESCAPES), str(self.generation))
        return "\t".join((*head, *cells))

    def _prepare(self, signature: tuple[type, ...]) -> _Plan | None:
        if len(self._plans) >= _MAX_PLANS:
            return None
        plan = self._plans[signature] = self._plan(signature)
        return plan

    def _plan(self, signature: tuple[type, ...]) -> _Plan | None:
        cells: list[str] = []
        instants: list[int] = []
        dates: list[int] = []
        documents: list[int] = []
        for index, (column, kind) in enumerate(zip(self.columns, signature, strict=True)):
            if kind is type(None):
                cells.append("%.0s" + NULL)  # prints nothing of the value, then the mark
                continue
            if kind is str and column.kind is Kind.TIMESTAMPTZ:
                instants.append(index)
            elif kind is str and column.kind is Kind.DATE:
                dates.append(index)
            elif column.kind is Kind.JSONB:
                documents.append(index)
            elif kind not in _AS_IS[column.kind]:
                return None
            cells.append("%s")
        meta = self._clean_meta.replace("%", "%%")
        template = "\t".join((f"{self._id_prefix}%012x", "%s", meta, str(self.generation), *cells))
        nulls = signature.count(type(None))
        present = len(signature) - nulls
        return _Plan(
            template, present if not self._whole else _ANY, len(signature) + 3, nulls, tuple(instants), tuple(dates), tuple(documents)
        )

    def _instant(self, emitted_at: Any) -> str:
        if self._extracted[0] != emitted_at:  # a source sends many records a millisecond
            try:
                moment = datetime.fromtimestamp(emitted_at / 1000, UTC)
            except (TypeError, ValueError, OverflowError, OSError):
                moment = datetime.now(UTC)
            self._extracted = (emitted_at, moment.isoformat())
        return self._extracted[1]
