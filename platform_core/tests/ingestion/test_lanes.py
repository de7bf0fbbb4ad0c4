"""The fast ways and the careful way give the same table, whatever a source sends."""

from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from psycopg import sql

from platform_core.ingestion.batch import BatchEncoder, changes_of
from platform_core.ingestion.block import Block, Other
from platform_core.ingestion.copying import RowCopy
from platform_core.ingestion.protocol import decode
from platform_core.ingestion.rows import RowEncoder
from platform_core.ingestion.tables import create_staging
from platform_core.ingestion.typed import TypedReader
from platform_core.ingestion.types import WHOLE_RECORD, Column, Kind

COLUMNS = tuple(Column(kind.name.lower(), f"{kind.name} column", kind) for kind in Kind)
FIELDS = [column.field for column in COLUMNS]
IDENTITY = {"sync_id": "s", "generation": 7, "id_prefix": "01234567-0123-8123-8001-"}
HEAD = "_airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta, _airbyte_generation_id"

# Values as a source writes them, JSON text and no parsed values: what a parser loses is what is looked for.
AWKWARD = [
    *("null", "true", "false", "0", "-0", "-0.0", "5.0", "5.5", "1e2", "1E400", "-1e-7", "1e200000", "NaN", "-Infinity", "[]", "{}", '""'),
    *("9007199254740993", "9223372036854775807", "9223372036854775808", "-9223372036854775808", "-9223372036854775809"),
    *("18446744073709551615", "18446744073709551616", "123456789012345678901234567890", "0.1234567890123456789012345", "10.5000"),
    *("1.00000000000000000001", "0.30000000000000004", "52.520008123456789", "1" * 400, "1." + "3" * 200),
    *(r'"\u0000"', r'"a\u0000b"', r'"\\u0000"', r'"\ud83d"', r'"\ud83d\ude00"', r'"\u00e9\/"', r'"\"" ', r'"\\"', r'"\\\""', r'"a\\\nb"'),
    *(r'"\n"', r'"a\tb\r\n"', r'"\\N"', r'"\\."', r'"\b\f\u001b"', '"null"', '"NULL"', '"a,b"', '"],["', '"\u2028\x7f"', '"😀 \u0301"'),
    *('"00123"', '"12"', '"1e5"', '"NaN"', '"true"', '"t"', '"{}"', r'"{\"a\":1}"', '"120208934857110345"', '"now"', '"epoch"'),
    *('"2024-02-29"', '"2023-02-29"', '"0000-00-00"', '"2024-W01-1"', '"20240229"', '"2024-060"', '"10000-01-01"', '"0001-01-01"'),
    *('"2024-02-29T10:00:00Z"', '"2024-02-29 10:00:00+02"', '"2024-02-29T10:00"', '"2024-02-29T10"', '"20240229T100000"'),
    *('"2024-02-29T24:00:00"', '"2024-02-29T23:59:60Z"', '"2024-02-29T10:00:00,5Z"', '"2024-02-29T10:00:00.1234567Z"', '"infinity"'),
    *('"2024-02-29T10:00:00+23:00"', '"2024-02-29T10:00:00+00:00:30"', '"2024-02-29T10:00:00+000030"', '"2024-02-29T10:00:00.5+000030"', '"2024-02-29T10:00:00.5+00:00:30"'),
    *('"2024-02-29T10:00:00+0100"', '"2024-02-29T10:00:00.123-01"', '"2024-02-29T10:00:00.12+0130"', '"2024-02-29T10:00:00+01"', '"2024-02-29T10:00:00.5"'),
    *('"2024-W01-1T10:00:00"', '"2024-02-29x10:00:00Z"', '"2024-02-29T10:00:00z"'),
    *('"0000-00-00 00:00:00"', '"1999-12-31T23:59:59.999999-08:00"', '"٢٠٢٤-٠١-٠١"', '"2024-01-01T10:00:00 Z"', '" 2024-01-01"'),
    *('[1,"x",null,{"y":[2.50]}]', r'{"k\u0000":"a\u0000"}', r'{"a":"\\u0000","b":"\n\"\\"}', '{"n":0.12345678901234567890123}'),
    *('{"n":12345678901234567890}', '{"a":1,"a":2}', '{"é":"😀"}', "[" * 300 + "]" * 300, '{"e":1e400}', '{"f":1e16,"g":1.5e-9}'),
]  # fmt: skip
PLAIN = {
    "text": st.text(st.characters(codec="utf-8", exclude_categories=["Cc", "Cs"]), max_size=12).map(
        lambda text: json.dumps(text, ensure_ascii=False)
    ),
    "bigint": st.integers(-(2**63), 2**63 - 1).map(str),
    "numeric": st.floats(allow_nan=False, allow_infinity=False).map(repr) | st.decimals(-1000, 1000, places=2).map(str),
    "boolean": st.sampled_from(["true", "false"]),
    "date": st.dates().map(lambda day: f'"{day}"'),
    "timestamptz": st.datetimes(timezones=st.none() | st.timezones()).map(lambda moment: f'"{moment.isoformat()}"'),
    "jsonb": st.dictionaries(st.text(max_size=3), st.floats(allow_nan=False, allow_infinity=False) | st.text(max_size=5), max_size=2).map(
        json.dumps
    ),
}


@st.composite
def record_lines(draw) -> bytes:
    """A RECORD message, mostly of a form that many records have, now and then of none."""
    fields = draw(
        st.sampled_from([FIELDS, FIELDS, FIELDS, FIELDS[:4], FIELDS[::-1]]) | st.lists(st.sampled_from([*FIELDS, "unknown"]), max_size=8)
    )
    values = [
        f'"{name}":' + draw(PLAIN[name] if name in PLAIN and draw(st.integers(0, 3)) else st.sampled_from(AWKWARD)) for name in fields
    ]
    space = draw(st.sampled_from(["", "", "", " "]))
    emitted = draw(st.sampled_from(["1700000000000"] * 9 + ["0", "1700000000000.5", "253402300799999", "1700000000123"]))
    more = draw(
        st.sampled_from(
            [""] * 5
            + [
                ',"namespace":null',
                ',"meta":{"changes":[]}',
                ',"meta":null',
                ',"meta":{"changes":[{"field":"x","change":"NULLED","reason":"S"}]}',
            ]
        )
    )
    data = f",{space}".join(values)
    return f'{{"type":"RECORD",{space}"record":{{"stream":"t","data":{{{data}}},"emitted_at":{emitted}{more}}}}}'.encode(
        errors="surrogatepass"
    )


@pytest.fixture
def tables(database):
    """Two empty tables of one shape in a session, for the fast and the careful way."""
    with database.connect_platform(autocommit=True) as session:
        session.execute("SET TimeZone = 'UTC'")
        names = [sql.Identifier("pg_temp", name) for name in ("fast", "careful")]
        for name in names:
            create_staging(session, name, COLUMNS, meta='{"sync_id":"s","changes":[]}', generation=7)
            for column in COLUMNS:
                if column.kind is Kind.BIGINT:  # as after an overflow
                    session.execute(sql.SQL("ALTER TABLE {} ALTER {} TYPE numeric").format(name, sql.Identifier(column.name)))
        yield session, *names


def fast(lines: list[bytes], columns=COLUMNS, *, typed: bool = False, size: int = 1000, **options):
    """As the loader does: a block at a time; ``typed`` where the block holds to what the stream declares."""
    encoder = BatchEncoder(RowEncoder(columns, **IDENTITY, **options))
    reader = TypedReader({(None, "t"): columns} if typed else {})
    blocks = [b"\n".join(lines[start : start + size]) for start in range(0, len(lines), size)]
    parts = [part for block in blocks for part in (reader.read(block) or Block(block)).parts()]
    return encoder, [encoder.encode_part(part) for part in parts if not isinstance(part, Other)]


def careful(lines: list[bytes], columns=COLUMNS) -> list[str]:
    """One by one, value by value."""
    rows = RowEncoder(columns, **IDENTITY)
    read = [message for message, _ in map(decode, lines) if message is not None]
    return [
        rows.encode(message["record"]["data"], message["record"]["emitted_at"], sequence=number, changes=changes_of(message["record"]))
        for number, message in enumerate(read, 1)
    ]


def stored(session, table):
    names = sql.SQL(", ").join(sql.SQL("{}::text").format(sql.Identifier(column.name)) for column in COLUMNS)
    query = sql.SQL("SELECT {}, {} FROM {} ORDER BY _airbyte_raw_id").format(sql.SQL(HEAD), names, table)
    return [(*row[:4], *map(exact_value, COLUMNS, row[4:])) for row in session.execute(query)]


def exact_value(column, text):
    """Every digit counts, but not how many zeros follow the last of a fraction: 2.50 is 2.5."""
    numbers = column.kind in (Kind.NUMERIC, Kind.BIGINT, Kind.JSONB) and text not in (None, "NaN", "Infinity", "-Infinity")
    return json.loads(text, parse_float=Decimal, parse_int=Decimal) if numbers else text


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(record_lines(), min_size=1, max_size=12), st.booleans(), st.booleans(), st.sampled_from([1, 1, 2, 1000]))
@example(
    [
        f'{{"type":"RECORD","record":{{"stream":"t","data":{{"{name}":{text}}},"emitted_at":1}}}}'.encode()
        for name in FIELDS
        for text in AWKWARD
    ],
    True,
    True,
    1,
)
@example(
    [
        f'{{"type":"RECORD","record":{{"stream":"t","data":{{"{name}":{text}}},"emitted_at":1}}}}'.encode()
        for name in FIELDS
        for text in AWKWARD
    ],
    False,
    False,
    1000,
)
def test_all_ways_store_the_same(tables, lines, defaults, typed, size):
    session, quick, slow = tables
    session.execute(sql.SQL("TRUNCATE {}, {}").format(quick, slow))
    encoder, encoded = fast(lines, typed=typed, size=size)
    copying = RowCopy(session, encoder.rows, stream="t", table="t")
    widened = {index for index, column in enumerate(COLUMNS) if column.kind is Kind.BIGINT}
    copying.copy(quick, encoded, widened=widened, defaults=defaults)
    copying._copy_lines(slow, careful(lines), widened)
    found, expected = stored(session, quick), stored(session, slow)
    assert len(found) == len(expected)
    assert [(one, other) for one, other in zip(found, expected, strict=True) if one != other] == []


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(st.sampled_from([text for text in AWKWARD if text[0] in "-0123456789"]) | PLAIN["numeric"], min_size=1, max_size=6),
    st.booleans(),
)
def test_no_digit_of_a_number_is_lost(tables, texts, typed):
    session, quick, _ = tables
    session.execute(sql.SQL("TRUNCATE {}").format(quick))
    lines = [
        f'{{"type":"RECORD","record":{{"stream":"t","data":{{"numeric":{text},"jsonb":{{"n":{text}}}}},"emitted_at":1}}}}'.encode()
        for text in texts
    ]
    encoder, encoded = fast(lines, typed=typed)
    RowCopy(session, encoder.rows, stream="t", table="t").copy(quick, encoded, widened=())
    found = session.execute(
        sql.SQL("""SELECT "NUMERIC column", ("JSONB column"->>'n')::numeric FROM {} ORDER BY _airbyte_raw_id""").format(quick)
    ).fetchall()
    for text, (number, nested) in zip(texts, found, strict=True):
        if text != "1e200000":  # beyond numeric
            assert number == nested == Decimal(text)


def test_rows_that_fit_take_the_fast_way_and_only_those_that_do_not_the_other():
    """A guard of the speed: one odd record must not slow down the others of its batch."""
    plain = (
        b'{"type":"RECORD","record":{"stream":"t","data":{"text":"a \\"b\\" \\\\","bigint":120208934857110345,"numeric":1.5,"boolean":true,'
        b'"date":"2024-02-29","timestamptz":"2024-02-29T10:00:00Z","jsonb":{"a":[1]}},"emitted_at":1}}'
    )
    odd = b'{"type":"RECORD","record":{"stream":"t","data":{"bigint":"x"},"emitted_at":1}}'
    missing = b'{"type":"RECORD","record":{"stream":"t","data":{"bigint":1,"more":2},"emitted_at":1}}'
    encoder, (encoded,) = fast(
        [
            plain.replace(b'"jsonb":{"a":[1]}', b'"jsonb":null').replace(b"1.5", b"15"),
            missing,
            odd,
            plain.replace(b"120208934857110345", b"7"),
        ]
    )
    assert encoded.csv.count(b"\n") == 3 and len(encoded.lines) == 1 and encoder.undeclared == {"more"}


def test_a_block_as_declared_is_decoded_by_its_types_and_one_line_that_is_not_refuses_it():
    """A guard of the speed: what most sources send must not take the slower way, odd values of single rows included."""
    reader = TypedReader({(None, "t"): COLUMNS, ("space", "other"): COLUMNS[:1]})
    values = (
        b'"text":"a \\"b\\" \\n","bigint":9223372036854775807,"numeric":0.1234567890123456789,"boolean":true,"date":"2023-02-29",'
        b'"timestamptz":"2024-02-29T10:00:00Z","jsonb":{"a":[1.50]}'
    )
    records = [
        b'{"type":"RECORD","record":{"stream":"t","data":{%b},"emitted_at":1}}' % values,
        b'{"type":"RECORD","record":{"stream":"t","namespace":null,"data":{"text":null},"emitted_at":1},"more":1}',
        b'{"record":{"emitted_at":1,"data":{"text":"x"},"namespace":"space","stream":"other"},"type":"RECORD"}',
    ]
    state = b'{"type":"STATE","state":{"type":"STREAM","stream":{"stream_descriptor":{"name":"t"}}}}'
    block = b"\n".join((records[0], records[2], records[1], state, records[0]))
    read = reader.read(block)
    assert [(part.line if isinstance(part, Other) else (part.key, list(part.lines))) for part in read.parts()] == [
        ((None, "t"), [0, 2]),
        (("space", "other"), [1]),
        3,
        ((None, "t"), [4]),
    ]
    assert read.without({3}) == b"\n".join((records[0], records[2], records[1], records[0])) and read.without(()) is block
    assert read.size_of([0, 1]) == len(records[0]) + len(records[2])
    for line in (
        *(b"", b"noise", b"{}", b"[]", records[0] + b" " + records[0], records[0] + b"\n", b'{"type":"NEW"}'),
        *(
            records[0].replace(*change)
            for change in ((b'"date"', b'"day"'), (b"true", b"1"), (b'"emitted_at":1', b'"emitted_at":1,"meta":{}'))
        ),
        *(
            records[0].replace(*change)
            for change in ((b"807,", b"808,"), (b'"emitted_at":1', b'"emitted_at":-1'), (b'"t"', b'"t","namespace":"space"'))
        ),
    ):
        assert reader.read(b"\n".join((records[0], line, records[0]))) is None, line


def test_a_record_without_declared_fields_stays_whole_either_way(tables):
    session, _, _ = tables
    columns = (Column(WHOLE_RECORD, WHOLE_RECORD, Kind.JSONB),)
    texts = ["{}", '{"a":1}', r'{"a":"\n\"\\"}', r'{"a":"\u0000"}', '{"a":0.12345678901234567890123}', '{"data":{"data":null}}']
    lines = [f'{{"type":"RECORD","record":{{"stream":"t","data":{text},"emitted_at":1}}}}'.encode() for text in texts]
    for name, rows in (("one", None), ("two", careful(lines, columns))):
        table = sql.Identifier("pg_temp", name)
        create_staging(session, table, columns, meta='{"sync_id":"s","changes":[]}', generation=7)
        encoder, encoded = fast(lines, columns)
        copying = RowCopy(session, encoder.rows, stream="t", table="t")
        if rows is None:
            copying.copy(table, encoded, widened=())
        else:
            copying._copy_lines(table, rows, ())
    both = [
        session.execute(sql.SQL("SELECT * FROM pg_temp.{} ORDER BY 1").format(sql.Identifier(name))).fetchall() for name in ("one", "two")
    ]
    assert both[0] == both[1] and len(both[0]) == len(texts)
