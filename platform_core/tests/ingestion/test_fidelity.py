"""Value sent, value read back: what a source says is what Postgres holds, or the row says what happened to it."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal

import pytest
from scripted_source import complete, record, stream

UTC = dt.UTC
NULLED = "NULLED"
CLEANED = "TRUNCATED"
TEXT, INTEGER, NUMBER, BOOLEAN = {"type": "string"}, {"type": ["null", "integer"]}, {"type": "number"}, {"type": "boolean"}
DATE, INSTANT = {"type": "string", "format": "date"}, {"type": ["null", "string"], "format": "date-time"}
OBJECT, UNION = {"type": "object"}, {"type": ["string", "integer"]}

# (what, schema, JSON text on the wire, value in Python, change noted in _airbyte_meta)
CASES = [
    ("leading zeros", TEXT, '"00123"', "00123", None),
    ("empty text", TEXT, '""', "", None),
    ("null", TEXT, "null", None, None),
    ("the text of COPY's null", TEXT, r'"\\N"', r"\N", None),
    ("end of COPY data", TEXT, r'"\\."', r"\.", None),
    ("tab, newline, return, backslash", TEXT, r'"a\tb\nc\rd\\e"', "a\tb\nc\rd\\e", None),
    ("percent signs", TEXT, '"100 %s %d %%"', "100 %s %d %%", None),
    ("NUL", TEXT, r'"a\u0000b"', "ab", CLEANED),
    ("the six characters of an escaped NUL", TEXT, r'"a\\u0000b"', r"a\u0000b", None),
    ("emoji as an escape", TEXT, r'"\ud83d\ude00"', "😀", None),
    ("emoji and combining marks", TEXT, '"👩‍👩‍👧 é"', "👩‍👩‍👧 é", None),
    ("half a surrogate pair", TEXT, r'"a\ud83d"', "a\ufffd", CLEANED),
    ("number as text", TEXT, "12.25", "12.25", None),
    ("object as text", TEXT, '{"a":[1,"x"]}', '{"a":[1,"x"]}', None),
    ("true as text", TEXT, "true", "true", None),
    ("unicode line separators", TEXT, '"a\u2028b\u0085c"', "a\u2028b\u0085c", None),
    ("vertical tab and escape", TEXT, r'"a\u000b\u001bb"', "a\x0b\x1bb", None),
    ("more leading zeros than digits", TEXT, '"0000000000000000000000007"', "0000000000000000000000007", None),
    ("null in an integer", INTEGER, "null", None, None),
    ("beyond doubles", INTEGER, "9007199254740993", 9007199254740993, None),
    ("largest bigint", INTEGER, "9223372036854775807", 2**63 - 1, None),
    ("smallest bigint", INTEGER, "-9223372036854775808", -(2**63), None),
    ("a whole float", INTEGER, "5.0", 5, None),
    ("a fraction in an integer", INTEGER, "5.5", None, NULLED),
    ("text in an integer", INTEGER, '"twelve"', None, NULLED),
    ("a canonical text in an integer", INTEGER, '"12"', 12, None),
    ("leading zeros in an integer", INTEGER, '"0012"', None, NULLED),
    ("true in an integer", INTEGER, "true", None, NULLED),
    ("many decimals", NUMBER, "0.123456789012345678901234567890", Decimal("0.123456789012345678901234567890"), None),
    ("a large decimal", NUMBER, "12345678901234567890.12345678901234567890", Decimal("12345678901234567890.12345678901234567890"), None),
    ("a hundred decimals", NUMBER, "0." + "123456789" * 12, Decimal("0." + "123456789" * 12), None),
    ("negative, trailing zeros", NUMBER, "-10.5000", Decimal("-10.5000"), None),
    ("cents", NUMBER, "19.99", Decimal("19.99"), None),
    ("exponent", NUMBER, "1.5e-7", Decimal("0.00000015"), None),
    ("beyond doubles as an exponent", NUMBER, "1e400", Decimal(10) ** 400, None),
    ("beyond numeric", NUMBER, "1e200000", None, NULLED),
    ("not a number", NUMBER, "NaN", Decimal("NaN"), None),
    ("decimal text in a number", NUMBER, '"10.10"', Decimal("10.10"), None),
    ("a word in a number", NUMBER, '"ten"', None, NULLED),
    ("forty digits, declared big", {"type": "string", "airbyte_type": "big_integer"}, f'"{"9" * 40}"', Decimal("9" * 40), None),
    ("false", BOOLEAN, "false", False, None),
    ("true as a text", BOOLEAN, '"true"', True, None),
    ("one as a boolean", BOOLEAN, "1", None, NULLED),
    ("date", DATE, '"2024-02-29"', dt.date(2024, 2, 29), None),
    ("no such date", DATE, '"2023-02-29"', None, NULLED),
    ("a week date", DATE, '"2024-W01-1"', None, NULLED),
    ("a time in a date", DATE, '"2024-02-29T10:00:00"', None, NULLED),
    ("zone", INSTANT, '"2024-06-01T12:00:00+02:00"', dt.datetime(2024, 6, 1, 10, tzinfo=UTC), None),
    ("Z and microseconds", INSTANT, '"2024-06-01T12:00:00.123456Z"', dt.datetime(2024, 6, 1, 12, 0, 0, 123456, tzinfo=UTC), None),
    ("a zone of half an hour", INSTANT, '"2024-06-01T12:00:00-03:30"', dt.datetime(2024, 6, 1, 15, 30, tzinfo=UTC), None),
    ("no zone is UTC", INSTANT, '"2024-06-01T12:00:00"', dt.datetime(2024, 6, 1, 12, tzinfo=UTC), None),
    ("a space for the T", INSTANT, '"2024-06-01 12:00:00+00"', dt.datetime(2024, 6, 1, 12, tzinfo=UTC), None),
    ("a date alone", INSTANT, '"2024-06-01"', dt.datetime(2024, 6, 1, tzinfo=UTC), None),
    ("no such time", INSTANT, '"2024-06-01T25:00:00Z"', None, NULLED),
    ("a zone that only Postgres refuses", INSTANT, '"2024-06-01T12:00:00+23:00"', None, NULLED),
    ("a week in an instant", INSTANT, '"2024-W01-1T10:00:00"', None, NULLED),
    ("seconds since 1970", INSTANT, "1700000000", None, NULLED),
    ("empty instant", INSTANT, '""', None, NULLED),
    ("nested", OBJECT, '{"b":[1,{"c":null}],"a":"x"}', {"b": [1, {"c": None}], "a": "x"}, None),
    ("nested NUL", OBJECT, r'{"k\u0000":"a\u0000"}', {"k": "a"}, CLEANED),
    ("nested integer beyond 64 bits", OBJECT, '{"n":[12345678901234567890123]}', {"n": [12345678901234567890123]}, None),
    ("nested empty and null", OBJECT, '{"a":"","b":null,"c":{},"😀":"\\u0007"}', {"a": "", "b": None, "c": {}, "😀": "\x07"}, None),
    ("array", {"type": "array"}, "[]", [], None),
    ("a union's text", UNION, '"007"', "007", None),
    ("a union's number", UNION, "7", 7, None),
    ("nested precision", OBJECT, '{"n":0.12345678901234567890123}', "0.12345678901234567890123", None),
    ("no declared type", {}, '{"a":1}', {"a": 1}, None),
]


def test_every_value_survives_or_the_row_says_what_happened(make_source):
    properties = {f"c{index}": schema for index, (_, schema, _, _, _) in enumerate(CASES)}
    data = ",".join(f'"c{index}":{wire}' for index, (_, _, wire, _, _) in enumerate(CASES))
    line = '{"type":"RECORD","record":{"stream":"t","data":{' + data + '},"emitted_at":1700000000000}}\n'
    alone = "".join(  # each value once more by itself: the fast way must agree with the careful one
        '{"type":"RECORD","record":{"stream":"t","data":{"c' + f'{index}":{wire}' + '},"emitted_at":1700000000000}}\n'
        for index, (_, _, wire, _, _) in enumerate(CASES)
    )
    source = make_source({"t": "full_refresh_append"}, [stream("t", properties)])
    source.script = [{"text": line}, {"text": alone}, *complete("t")]
    assert source.sync().streams["t"].rows == len(CASES) + 1

    columns = ", ".join(f'"c{index}"' for index in range(len(CASES)))
    read = source.query(f"SELECT _airbyte_meta->'changes', {columns} FROM sales_raw.t ORDER BY _airbyte_raw_id")
    wrong = []
    for row_number, (changes, *values) in enumerate(read):
        noted = {change["field"]: change["change"] for change in changes}
        for index, (what, _, _, expected, change) in enumerate(CASES):
            if row_number not in (0, index + 1):
                continue
            value = values[index]
            if what == "nested precision":
                value = source.query(f"SELECT c{index}->>'n' FROM sales_raw.t WHERE c{index} IS NOT NULL LIMIT 1")[0][0]
            same = (value.is_nan() and expected.is_nan()) if isinstance(expected, Decimal) and expected.is_nan() else value == expected
            same = same and (type(value) is type(expected) or isinstance(value, Decimal))
            if not same or noted.get(f"c{index}") != change:
                wrong.append((what, row_number, value, expected, noted.get(f"c{index}"), change))
    assert not wrong


def test_an_integer_beyond_64_bits_widens_its_column(make_source):
    source = make_source({"t": "incremental_append"}, [stream("t")], script=[record("t", {"id": 1}), *complete("t")])
    source.sync()
    source.script = [record("t", {"id": 2}), record("t", {"id": 2**63}), record("t", {"id": -(2**100)}), *complete("t")]
    result = source.sync().streams["t"]
    assert [int(row[0]) for row in source.query("SELECT id FROM sales_raw.t ORDER BY id")] == [-(2**100), 1, 2, 2**63]
    assert result.columns["id"] == "numeric" and result.schema_changes == ("column id bigint became numeric",)
    assert source.query("SELECT count(*) FROM sales_raw.t WHERE _airbyte_meta->'changes' <> '[]'") == [(0,)]


NAMES = [
    "camelcase",
    "CamelCase",
    "select",
    "with space",
    'quo"te',
    "per%cent",
    "ctid",
    "_airbyte_raw_id",
    "ünïcode 😀",
    "x" * 80,
    "x" * 79 + "y",
    "",
    "tab\there",
    "{brace}",
    "nul\u0000",
    "👩‍👩‍👧" * 4,
]


def test_names_that_postgres_finds_hard(make_source):
    stream_name = 'Order "Table" ' + "long" * 20
    properties = dict.fromkeys(NAMES, TEXT)
    source = make_source(
        {stream_name: "incremental_deduped"},
        [stream(stream_name, properties, source_defined_primary_key=[["select"]], default_cursor_field=["CamelCase"])],
    )
    source.script = [record(stream_name, {name: f"value of {name}" for name in NAMES}), *complete(stream_name)] * 2
    result = source.sync().streams[stream_name]
    names = list(result.columns)
    assert len(set(names)) == len(NAMES) and all(len(name.encode()) <= 63 for name in names)
    assert names[:6] == NAMES[:6]
    table = result.table.removeprefix("sales_raw.").replace('"', '""')
    columns = ", ".join('"' + name.replace('"', '""').replace("%", "%%") + '"' for name in names)
    assert source.query(f'SELECT {columns} FROM sales_raw."{table}" WHERE %s = 1', 1) == [
        tuple(f"value of {name}".replace("\x00", "") for name in NAMES)
    ]
    changes = source.query(f"SELECT _airbyte_meta->'changes' FROM sales_raw.\"{table}\" WHERE %s = 1", 1)
    assert changes == [([{"field": "nul", "change": CLEANED, "reason": "DESTINATION_SERIALIZATION_ERROR"}],)]


def test_a_stream_without_declared_fields_keeps_its_records_whole(make_source):
    source = make_source({"t": "full_refresh_append"}, [{**stream("t"), "json_schema": {"type": "object"}}])
    source.script = [record("t", {"a": 1, "b": {"c": "\t"}}), record("t", {}), *complete("t")]
    source.sync()
    assert source.query("SELECT data FROM sales_raw.t ORDER BY _airbyte_raw_id") == [({"a": 1, "b": {"c": "\t"}},), ({},)]


def test_changes_that_the_source_made_are_kept(make_source):
    change = {"field": "text", "change": "TRUNCATED", "reason": "SOURCE_FIELD_SIZE_LIMITATION"}
    source = make_source({"t": "full_refresh_append"}, [stream("t")])
    source.script = [record("t", {"id": "x", "text": "cut"}, meta={"changes": [change]}), *complete("t")]
    source.sync()
    ours = {"field": "id", "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"}
    assert source.query("SELECT _airbyte_meta->'changes' FROM sales_raw.t") == [([change, ours],)]


@pytest.mark.parametrize("mode", ["incremental_deduped", "full_refresh_overwrite"])
def test_one_value_that_only_postgres_refuses_costs_nothing_else(make_source, mode):
    source = make_source({"t": mode}, [stream("t", {"id": {"type": "integer"}, "at": INSTANT})])
    source.script = [record("t", {"id": n, "at": "2024-06-01T12:00:00" + ("+23:00" if n == 77 else "Z")}) for n in range(100)] + complete(
        "t"
    )
    source.sync()
    assert source.query("SELECT id FROM sales_raw.t WHERE at IS NULL") == [(77,)]
    assert source.query("SELECT count(*) FROM sales_raw.t") == [(100,)]
