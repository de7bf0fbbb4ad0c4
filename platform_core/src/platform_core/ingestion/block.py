"""A block of a connector's output into runs of records and single messages, mostly without a look at the single line.

Fast where every line is a message that orjson reads without loss; otherwise the lines concerned go through `protocol.decode`.
"""

from __future__ import annotations

import gc
from collections.abc import Collection, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from operator import itemgetter
from typing import Any

import orjson

from platform_core.ingestion.errors import ProtocolError
from platform_core.ingestion.protocol import LONG_NUMBER, Json, StreamKey, decode, digits_of
from platform_core.ingestion.values import BIGINT_MAX, BIGINT_MIN

_LOSSLESS = frozenset((str, int, bool, type(None)))
PLAIN_RECORD = 3
"""Members of a record that says nothing else: stream, data, emitted_at."""

_type, _record, _stream, _data = itemgetter("type"), itemgetter("record"), itemgetter("stream"), itemgetter("data")


@dataclass(frozen=True, slots=True)
class Records:
    """Records of one stream, in order; no message that is not a record came between them.

    Attributes:
        key: The stream.
        records: The ``record`` of each message; its ``data`` is an object.
        exact: Indexes of those that came from the exact parser (see `protocol.decode`).
        escaped: Whether texts may hold quotes, backslashes or control characters: JSON writes them with a backslash.
        lines: Where they came from: indexes of the block's lines.
    """

    key: StreamKey
    records: Sequence[Json]
    exact: Collection[int]
    escaped: bool
    lines: Sequence[int]

    def values(self, field: str) -> list[Any]:
        """The values of a field, None where a record has none."""
        return [record["data"].get(field) for record in self.records]

    def first(self, count: int) -> Records:
        """The first records of these."""
        exact = [index for index in self.exact if index < count]
        return Records(self.key, self.records[:count], exact, self.escaped, self.lines[:count])


@dataclass(frozen=True, slots=True)
class Other:
    """A message that is no record, or noise (None), and the index of its line."""

    message: Json | None
    line: int


class Block:
    """Whole lines of a connector, parsed.

    Attributes:
        lines: The lines, without their ends.
    """

    def __init__(self, block: bytes) -> None:
        """Parses lines that are separated by newlines."""
        self._block = block
        self.lines = block.split(b"\n")
        self._escaped = b"\\" in block
        self._exact: set[int] = set()
        try:
            self._messages: list[Any] = list(map(orjson.loads, self.lines))
            self._kinds: list[Any] = list(map(_type, self._messages))
        except (orjson.JSONDecodeError, TypeError, KeyError):  # noise, an empty line, or what only the exact parser takes
            self._read_single()
        else:
            if LONG_NUMBER in digits_of(block):
                self._read_long()

    def _read_single(self) -> None:
        read = list(map(decode, self.lines))
        self._messages = [message for message, _ in read]
        self._kinds = [None if message is None else message["type"] for message in self._messages]
        self._exact = {index for index, (_, exact) in enumerate(read) if exact}

    def _read_long(self) -> None:
        for index, line in enumerate(self.lines):
            if LONG_NUMBER in digits_of(line) and not _lossless(self._messages[index]):
                self._messages[index], _ = decode(line)
                self._exact.add(index)

    def parts(self) -> Iterator[Records | Other]:
        """What the lines are, in order; between two others, the records are grouped by stream.

        Raises:
            ProtocolError: A RECORD has no stream, or no object as its data.
        """
        start = 0
        if self._kinds.count("RECORD") < len(self._kinds):
            for index, kind in enumerate(self._kinds):
                if kind != "RECORD":
                    yield from self._records(start, index)
                    yield Other(self._messages[index], index)
                    start = index + 1
        yield from self._records(start, len(self._kinds))

    def _records(self, start: int, end: int) -> Iterator[Records]:
        if start == end:
            return
        try:
            records: list[Json] = list(map(_record, self._messages[start:end]))
            plain = set(map(len, records)) == {PLAIN_RECORD} and len(set(map(_stream, records))) == 1
            datas = set(map(type, map(_data, records)))
            keys = [] if plain else [(record.get("namespace") or None, record["stream"]) for record in records]
        except (TypeError, KeyError) as error:
            raise ProtocolError("the connector sent a RECORD without stream or data", remedy="report it to its maintainers") from error
        if datas != {dict}:
            raise ProtocolError("the data of a RECORD is no object", remedy="report it to the connector's maintainers")
        if plain:
            record = records[0]
            yield self._group((record.get("namespace") or None, record["stream"]), records, range(start, end))
            return
        places: dict[StreamKey, list[int]] = {}
        for place, key in enumerate(keys):
            places.setdefault(key, []).append(place)
        for key, group in places.items():
            yield self._group(key, [records[place] for place in group], [start + place for place in group])

    def _group(self, key: StreamKey, records: Sequence[Json], lines: Sequence[int]) -> Records:
        exact = [index for index, line in enumerate(lines) if line in self._exact] if self._exact else ()
        return Records(key, records, exact, self._escaped, lines)

    def size_of(self, lines: Sequence[int]) -> int:
        """Bytes of some of the lines, without their ends."""
        return sum([len(self.lines[line]) for line in lines])

    def without(self, lines: Collection[int]) -> bytes:
        """The block without some of its lines."""
        return b"\n".join([line for index, line in enumerate(self.lines) if index not in lines]) if lines else self._block


def _lossless(message: Any) -> bool:
    """Whether orjson kept every digit: its texts are whole, its integers exact within 64 bits; beyond them they are floats."""
    record = message.get("record")
    data = record.get("data") if type(record) is dict else None
    if type(data) is not dict:
        return False
    values = data.values()
    return _LOSSLESS.issuperset(map(type, values)) and all(BIGINT_MIN <= value <= BIGINT_MAX for value in values if type(value) is int)


@contextmanager
def collector_paused() -> Generator[None]:
    """Keeps Python's cyclic garbage collector from walking, again and again, through records that have no cycles.

    Halves the time that parsing takes. The records must be gone when it ends, or they are walked through then.
    """
    enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if enabled:
            gc.enable()
