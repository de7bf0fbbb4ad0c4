"""A block of a connector's output, decoded in one call by what its streams declare: the fast way, for blocks that hold to it.

msgspec reads each record straight into the values of its columns, without dictionaries and without a look at the single line. Noise,
a field that is not declared, a value of another type, a number beyond 64 bits: any of them refuses the whole block, and
`block.Block` reads it. What is taken here, `Block` and the careful way would store alike.
"""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from operator import attrgetter
from typing import Annotated, Any, Literal

import msgspec

from platform_core.ingestion.block import Other
from platform_core.ingestion.protocol import Json, StreamKey, decode, decode_json
from platform_core.ingestion.types import Column, Kind
from platform_core.ingestion.values import BIGINT_MAX, BIGINT_MIN

LAST_INSTANT = 253_402_300_800_000
"""The year 10000, in milliseconds: ``emitted_at`` stays below."""
_OTHERS = ("STATE", "TRACE", "LOG", "CONTROL", "SPEC", "CATALOG", "CONNECTION_STATUS")
_NULL = msgspec.Raw(b"null")
_BIGINT: Any = Annotated[int, msgspec.Meta(ge=BIGINT_MIN, le=BIGINT_MAX)]
_VALUES: dict[Kind, Any] = {
    Kind.TEXT: str | None,
    Kind.BIGINT: _BIGINT | None,
    Kind.BOOLEAN: bool | None,
    Kind.DATE: str | None,
    Kind.TIMESTAMPTZ: str | None,
    # As they are written: a parser would lose digits.
    Kind.NUMERIC: msgspec.Raw,
    Kind.JSONB: msgspec.Raw,
}

_record, _data, _emitted_at = attrgetter("record"), attrgetter("data"), attrgetter("emitted_at")


@dataclass(frozen=True)
class Rows:
    """Records of one stream, in order; no message that is not a record came between them.

    Attributes:
        key: The stream.
        records: Their structures: ``data``, with a value for each column, and ``emitted_at`` in milliseconds.
        fields: Fields of the columns, in their order.
        lines: Where they came from: indexes of the block's lines.
        block: The block.
    """

    key: StreamKey
    records: Sequence[Any]
    fields: Sequence[str]
    lines: Sequence[int]
    block: TypedBlock

    @property
    def escaped(self) -> bool:
        """Whether texts may hold quotes, backslashes or control characters: JSON writes them with a backslash."""
        return self.block.escaped

    @functools.cached_property
    def columns(self) -> tuple[Sequence[Any], ...]:
        """The values of each column: None where there is none; of ``numeric`` and ``jsonb`` the JSON text (``msgspec.Raw``)."""
        return tuple(zip(*map(msgspec.structs.astuple, map(_data, self.records)), strict=True))

    def values(self, field: str) -> Sequence[Any]:
        """The values of a field, None where a record has none."""
        if field not in self.fields:
            return ()
        values = self.columns[self.fields.index(field)]
        return [decode_json(bytes(value).decode(errors="replace")) for value in values] if isinstance(values[0], msgspec.Raw) else values

    def emitted_at(self) -> list[int]:
        """Milliseconds since 1970, below `LAST_INSTANT`."""
        return list(map(_emitted_at, self.records))

    def record(self, place: int) -> Json:
        """One ``record``, parsed the careful way."""
        message, _ = decode(self.block.lines[self.lines[place]])
        if message is None:
            raise RuntimeError("a line that was decoded cannot be decoded again")
        return message["record"]


@dataclass(frozen=True, slots=True)
class _Stream:
    key: StreamKey
    fields: Sequence[str]


class TypedReader:
    """Reads the blocks of one sync."""

    def __init__(self, streams: Mapping[StreamKey, Sequence[Column]]) -> None:
        """Prepares the decoder.

        Args:
            streams: Columns of each stream; those that keep their records whole, or whose fields have names that msgspec
                cannot take, are left to `Block`.
        """
        self._streams: dict[type, _Stream] = {}
        named = Counter(name for _, name in streams)
        for key, columns in streams.items():
            record = _record_type(key, columns) if named[key[1]] == 1 else None
            if record is not None:
                self._streams[record] = _Stream(key, [column.field for column in columns])
        self._decoder: msgspec.json.Decoder[Any] | None = None
        if self._streams:
            record_union: Any = None
            for record in self._streams:
                record_union = record if record_union is None else record_union | record
            self._message = msgspec.defstruct("Message", [("record", record_union)], tag_field="type", tag="RECORD", gc=False)
            union: Any = self._message
            for name in _OTHERS:
                union = union | msgspec.defstruct(name.title(), [], tag_field="type", tag=name, gc=False)
            self._decoder = msgspec.json.Decoder(union)

    def read(self, block: bytes) -> TypedBlock | None:
        """The messages of whole lines that are separated by newlines; None when they are not all as declared."""
        if self._decoder is None:
            return None
        try:
            messages = self._decoder.decode_lines(block)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return None
        if not messages or _ends(block) != len(messages) - 1:
            return None
        return TypedBlock(block, messages, self._message, self._streams)


class TypedBlock:
    """Whole lines of a connector, decoded.

    Attributes:
        escaped: Whether there is a backslash in them.
    """

    def __init__(self, block: bytes, messages: Sequence[Any], message: type, streams: Mapping[type, _Stream]) -> None:
        """Takes what `TypedReader.read` decoded."""
        self.escaped = b"\\" in block
        self._block, self._messages, self._message, self._streams = block, messages, message, streams
        self._lines: list[bytes] | None = None

    @property
    def lines(self) -> list[bytes]:
        """The lines, without their ends."""
        if self._lines is None:
            self._lines = self._block.split(b"\n")
        return self._lines

    def parts(self) -> Iterator[Rows | Other]:
        """What the lines are, in order; between two others, the records are grouped by stream."""
        start = 0
        if set(map(type, self._messages)) != {self._message}:
            for index, message in enumerate(self._messages):
                if type(message) is not self._message:
                    yield from self._records(start, index)
                    yield Other(decode(self.lines[index])[0], index)
                    start = index + 1
        yield from self._records(start, len(self._messages))

    def _records(self, start: int, end: int) -> Iterator[Rows]:
        if start == end:
            return
        records = list(map(_record, self._messages[start:end]))
        if len(set(map(type, records))) == 1:
            yield self._rows(type(records[0]), records, range(start, end))
            return
        for kind in dict.fromkeys(map(type, records)):
            places = [place for place, each in enumerate(records) if type(each) is kind]
            yield self._rows(kind, [records[place] for place in places], [start + place for place in places])

    def _rows(self, kind: type, records: Sequence[Any], lines: Sequence[int]) -> Rows:
        stream = self._streams[kind]
        return Rows(stream.key, records, stream.fields, lines, self)

    def size_of(self, lines: Sequence[int]) -> int:
        """Bytes of some of the lines, without their ends."""
        if len(lines) == len(self._messages):
            return len(self._block) - len(lines) + 1
        return sum(map(len, map(self.lines.__getitem__, lines)))

    def without(self, lines: Collection[int]) -> bytes:
        """The block without some of its lines."""
        return b"\n".join([line for index, line in enumerate(self.lines) if index not in lines]) if lines else self._block


def _ends(block: bytes) -> int:
    """How many lines end before the last one; -1 where an end does not lie between two objects.

    msgspec would also take two messages on a line, empty lines, and a message over two lines.
    """
    find, count = block.find, 0
    end = find(b"\n")
    while end >= 0:
        if block[end - 1 : end + 2] != b"}\n{":
            return -1
        count += 1
        end = find(b"\n", end + 1)
    return count


def _record_type(key: StreamKey, columns: Sequence[Column]) -> type | None:
    """The structure of a stream's records, None where there can be none."""
    namespace, stream = key
    fields = [
        (f"c{index}", _VALUES[column.kind], _NULL if _VALUES[column.kind] is msgspec.Raw else None) for index, column in enumerate(columns)
    ]
    names = {f"c{index}": column.field for index, column in enumerate(columns)}
    where: Any = ("namespace", Literal[""] | None, None) if namespace is None else ("namespace", Literal[namespace])
    emitted = Annotated[int, msgspec.Meta(ge=0, lt=LAST_INSTANT)]
    try:
        data = msgspec.defstruct("Data", fields, rename=names, forbid_unknown_fields=True, gc=False)
        return msgspec.defstruct(
            "Record",
            [("data", data), ("emitted_at", emitted), where],
            tag_field="stream",
            tag=stream,
            forbid_unknown_fields=True,
            gc=False,
            kw_only=True,
        )
    except ValueError:  # a quote, a backslash or a control character in a name
        return None
