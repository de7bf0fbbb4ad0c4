"""Records of one stream into CSV lines of Postgres' COPY, a batch at a time, with nothing done for the single value in Python.

A JSON array without its brackets is a CSV line once backslash is COPY's escape and ``null`` its NULL: quotes and backslashes
are escaped alike in both. So orjson writes the lines. Rows that hold what CSV would read otherwise (control characters), what does
not fit its column, or what orjson cannot read without loss go the careful way of ``rows``, one by one; the two give the same table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, field
from itertools import chain
from operator import itemgetter
from typing import Any

import orjson

from platform_core.ingestion.block import PLAIN_RECORD, Records
from platform_core.ingestion.fitting import fit, fit_json
from platform_core.ingestion.protocol import Json
from platform_core.ingestion.rows import RowEncoder, instant
from platform_core.ingestion.typed import LAST_INSTANT, Rows
from platform_core.ingestion.types import META_COLUMNS, Kind

CSV_META = META_COLUMNS[:2]
"""Columns after those of the stream; the other two are the same in every row that nothing happened to."""
CSV_OPTIONS = r"""(FORMAT csv, NULL 'null', ESCAPE '\')"""
_CHECKED = (Kind.DATE, Kind.TIMESTAMPTZ)  # kinds that a JSON type does not settle
_TEXTS = (Kind.NUMERIC, Kind.JSONB)  # kinds that typed records hold as JSON text


@dataclass(frozen=True, slots=True)
class Encoded:
    """Rows that arrived together.

    Attributes:
        last: Sequence number of the last of them.
        csv: Lines of CSV, each with its end; columns are the stream's, then `CSV_META`.
        lines: Lines of the text format of the other rows, see `RowEncoder`.
        size: Bytes in memory, about.
    """

    last: int
    csv: bytes
    lines: list[str] = field(repr=False)
    size: int


class BatchEncoder:
    """Encodes the records of one stream.

    Attributes:
        rows: The careful way.
        sequence: Records so far.
        undeclared: Fields that records had and the schema has not; they are in the raw copy only.
    """

    def __init__(self, rows: RowEncoder) -> None:
        """Prepares the encoder.

        Args:
            rows: Takes the rows that do not fit; knows the columns.
        """
        self.rows = rows
        self.sequence = 0
        self.undeclared: set[str] = set()
        self._kinds = tuple(column.kind for column in rows.columns)
        fields = tuple(column.field for column in rows.columns)
        self._fields, self._known = fields, frozenset(fields)
        self._get_all = itemgetter(*fields) if len(fields) > 1 else None

    def encode_part(self, part: Records | Rows) -> Encoded:
        """Encodes records of a block in order of arrival."""
        return self._encode_typed(part) if isinstance(part, Rows) else self.encode(part.records, exact=part.exact, escaped=part.escaped)

    def encode(self, records: Sequence[Json], *, exact: Collection[int] = (), escaped: bool = True) -> Encoded:
        """Encodes records in order of arrival.

        Args:
            records: The ``record`` of each message; ``data`` is an object.
            exact: Indexes of records that came from the exact parser.
            escaped: Whether texts may hold quotes, backslashes or control characters.
        """
        first = self.sequence + 1
        self.sequence += len(records)
        places: Sequence[int] = range(len(records))
        careful: list[int] = []
        if exact or set(map(len, records)) != {PLAIN_RECORD}:
            careful = [place for place in places if place in exact or changes_of(records[place])]
            left = set(careful)
            places = [place for place in places if place not in left]
        fitting, misfits = self._fitting([records[place] for place in places] if careful else records, places, first)
        csv, odd = _csv_lines(fitting, escaped)
        if odd:
            written = [place for index, place in enumerate(places) if index not in misfits]
            careful += (written[index] for index in odd)
        careful += (places[index] for index in misfits)
        return self._encoded(csv, [self._careful(records[place], first + place) for place in sorted(careful)])

    def _encode_typed(self, part: Rows) -> Encoded:
        columns = list(part.columns)
        count, first = len(part.records), self.sequence + 1
        self.sequence += count
        misfits = set[int]()
        for index, kind in enumerate(self._kinds):
            if kind in _TEXTS:
                columns[index], wrong = fit_json(kind, columns[index])
            elif kind in _CHECKED:
                columns[index], wrong = fit(kind, columns[index])
            else:
                continue
            misfits.update(wrong)
        rows: Iterable[tuple[Any, ...]] = zip(*columns, self.rows.raw_ids(first, count), _written(part.emitted_at()), strict=True)
        if misfits:
            rows = [row for index, row in enumerate(rows) if index not in misfits]
        csv, odd = _csv_lines(rows, part.escaped)
        if odd:
            written = [index for index in range(count) if index not in misfits]
            misfits.update([written[index] for index in odd])
        return self._encoded(csv, [self._careful(part.record(place), first + place) for place in sorted(misfits)])

    def _encoded(self, csv: list[bytes], lines: list[str]) -> Encoded:
        body = b"\n".join((*csv, b""))
        return Encoded(self.sequence, body, lines, len(body) + sum(map(len, lines)))

    def _fitting(self, records: Sequence[Json], places: Sequence[int], first: int) -> tuple[Iterable[tuple[Any, ...]], set[int]]:
        """The rows to write, and the indexes of those that are left out of them."""
        columns, misfits = self._columns([record["data"] for record in records]), set[int]()
        for index, kind in enumerate(self._kinds if columns else ()):
            columns[index], wrong = fit(kind, columns[index])
            misfits.update(wrong)
        instants, wrong = _instants([record.get("emitted_at") for record in records])
        misfits.update(wrong)
        ids = self.rows.raw_ids(first, len(places)) if isinstance(places, range) else [self.rows.raw_id(first + place) for place in places]
        rows = zip(*columns, ids, instants, strict=True)
        return (row for index, row in enumerate(rows) if index not in misfits) if misfits else rows, misfits

    def _columns(self, datas: list[Json]) -> list[Sequence[Any]]:
        if self.rows.whole:
            return [datas]
        complete = set(map(len, datas)) == {len(self._fields)}
        rows: list[tuple[Any, ...]] | None = None
        if complete and self._get_all is not None:
            try:
                rows = list(map(self._get_all, datas))
            except KeyError:
                complete = False
        if rows is None:
            fields = self._fields
            rows = [tuple(map(data.get, fields)) for data in datas]
            self.undeclared.update(set(chain.from_iterable(datas)) - self._known)
        return list(zip(*rows, strict=True))

    def _careful(self, record: Json, sequence: int) -> str:
        return self.rows.encode(record["data"], record.get("emitted_at"), sequence=sequence, changes=changes_of(record))


def _csv_lines(rows: Iterable[tuple[Any, ...]], escaped: bool) -> tuple[list[bytes], list[int]]:
    """Rows as CSV without their ends, and the indexes of those that CSV would read otherwise; they are left out."""
    dumps = orjson.dumps
    if not escaped:
        return [dumps(row)[1:-1] for row in rows], []
    lines: list[bytes] = []
    odd: list[int] = []
    for index, row in enumerate(rows):
        line = dumps(row)[1:-1]
        if b"\\" in line and b"\\" in line.replace(b"\\\\", b"").replace(b'\\"', b""):
            odd.append(index)
        else:
            lines.append(line)
    return lines, odd


def changes_of(record: Json) -> Sequence[Json]:
    """What the source itself changed in a record (``meta.changes``)."""
    meta = record.get("meta")
    return meta.get("changes") or () if type(meta) is dict else ()


def _instants(emitted: list[Any]) -> tuple[Iterable[str], Iterable[int]]:
    """``emitted_at`` as Postgres reads it, and the indexes of those that are no such number."""
    distinct = set(emitted) if set(map(type, emitted)) == {int} else set[Any]()
    if not distinct or min(distinct) < 0 or max(distinct) >= LAST_INSTANT:
        wrong = [index for index, value in enumerate(emitted) if type(value) is not int or not 0 <= value < LAST_INSTANT]
        left = set(wrong)
        fixed = [0 if index in left else value for index, value in enumerate(emitted)]
        return ([instant(value) for value in fixed], wrong)
    return _written(emitted), ()


def _written(emitted: list[int]) -> Iterable[str]:
    texts = {value: instant(value) for value in set(emitted)}
    return map(texts.__getitem__, emitted)
