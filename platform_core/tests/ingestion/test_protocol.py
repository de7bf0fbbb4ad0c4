"""Messages as they come: exact numbers, noise, unknown things. Values, names and states, tested without a database."""

# ruff: noqa: E501 - one case a line
from __future__ import annotations

import json
from decimal import Decimal

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_core.ingestion.protocol import Log, State, StreamStatus, TraceError, Unknown, decode, dump_json, interpret
from platform_core.ingestion.rows import NULL, RowEncoder, unescape
from platform_core.ingestion.state import cursor_of, lags
from platform_core.ingestion.tables import StoredColumn, plan_table
from platform_core.ingestion.types import META_COLUMNS, Column, Kind, columns_of, identifier, kind_of, wider

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_no_line_breaks_the_parser(line):
    message, _ = decode(line)
    if message is not None and message["type"] not in ("RECORD", "STATE"):
        interpret(message)


@settings(max_examples=200, deadline=None)
@given(JSON)
def test_every_number_of_a_state_survives_the_round_trip(value):
    text = json.dumps({"type": "X", "v": value})
    message, _ = decode(text.encode())
    assert message is not None
    assert json.loads(dump_json(message), parse_float=Decimal) == json.loads(text, parse_float=Decimal)


@settings(max_examples=200, deadline=None)
@given(st.lists(JSON, min_size=7, max_size=7))
def test_a_line_has_one_cell_a_column_and_text_comes_back_whole(values):
    columns = [Column(f"c{index}", f"c{index}", kind) for index, kind in enumerate(Kind)]
    encoder = RowEncoder(columns, sync_id="s", generation=1, id_prefix="0" * 24)
    message, _ = decode(json.dumps({"type": "RECORD", "data": dict(zip((c.field for c in columns), values, strict=True))}).encode())
    assert message is not None
    line = encoder.encode(message["data"], 1, sequence=1)
    cells = line.split("\t")
    assert len(cells) == len(META_COLUMNS) + len(columns) and not {"\n", "\r", "\x00"} & set(line)
    text = values[0]
    if isinstance(text, str) and "\x00" not in text:
        assert unescape(cells[4]) == text and cells[4] != NULL
    json.loads(unescape(cells[2]))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ('{"type":"LOG","log":{"level":"WARN","message":"m"}}', Log("WARN", "m")),
        ('{"type":"LOG","log":null}', Unknown("LOG")),
        ('{"type":"TRACE","trace":{"type":"ERROR","error":{"message":"m","failure_type":"config_error"}}}', TraceError("m", None, "config_error", None)),
        ('{"type":"TRACE","trace":{"type":"STREAM_STATUS","stream_status":{"stream_descriptor":{"name":"a","namespace":"n"},"status":"COMPLETE"}}}', StreamStatus(("n", "a"), "COMPLETE")),
        ('{"type":"STATE","state":{"data":{"x":1}}}', State("LEGACY", None, {"data": {"x": 1}}, None)),
        ('{"type":"FUTURE","future":{}}', Unknown("FUTURE")),
    ],
)  # fmt: skip
def test_messages(text, expected):
    assert interpret(decode(text.encode())[0]) == expected


@pytest.mark.parametrize(
    ("schema", "kind"),
    [
        ({"type": "integer"}, Kind.BIGINT),
        ({"type": ["null", "integer"]}, Kind.BIGINT),
        ({"type": ["integer", "number"]}, Kind.NUMERIC),
        ({"type": "number"}, Kind.NUMERIC),
        ({"type": "number", "airbyte_type": "integer"}, Kind.BIGINT),
        ({"type": "string", "airbyte_type": "big_integer"}, Kind.NUMERIC),
        ({"type": "string", "format": "date-time", "airbyte_type": "timestamp_without_timezone"}, Kind.TIMESTAMPTZ),
        ({"type": "string", "format": "date"}, Kind.DATE),
        ({"type": "string", "format": "email"}, Kind.TEXT),
        ({"type": ["string", "integer"]}, Kind.JSONB),
        ({"oneOf": [{"type": "null"}, {"type": "string"}]}, Kind.TEXT),
        ({"anyOf": [{"type": "integer"}, {"type": "string"}]}, Kind.JSONB),
        ({"type": "object", "properties": {}}, Kind.JSONB),
        ({"$ref": "#/x"}, Kind.JSONB),
        (True, Kind.JSONB),
    ],
)
def test_types(schema, kind):
    assert kind_of(schema) is kind


@given(st.sampled_from(Kind), st.sampled_from(Kind), st.sampled_from(Kind))
def test_widening_is_commutative_and_settles(a, b, c):
    assert wider(a, b) is wider(b, a)
    assert wider(wider(a, b), b) is wider(a, b)
    assert wider(wider(wider(a, b), c), c) is wider(wider(a, b), c)


@given(st.lists(st.text(max_size=100), unique=True, max_size=20))
def test_names_stay_apart_and_within_the_limit(names):
    columns = columns_of({"properties": {name: {} for name in names}})
    if names:
        assert len({column.name for column in columns}) == len(names)
    for name in names:
        short = identifier(name)
        assert 0 < len(short.encode()) <= 63 and "\x00" not in short and identifier(short) == short


@pytest.mark.parametrize(
    ("reached", "newest", "behind"),
    [
        (5, 6, True), (6, 6, False), (7, 6, False), ("2024-01-01T00:00:00Z", "2024-01-01T00:00:01+00:00", True),
        ("2024-01-01T00:00:00Z", "2024-01-01T01:00:00+01:00", False), ("2024-01-01", "2024-01-01T00:00:00", False),
        ("b", "a", False), ("a", "b", True), ("9", "10", False), (None, 5, False), (5, None, False), ("5", 6, False),
    ],
)  # fmt: skip
def test_a_state_lags_only_when_that_is_certain(reached, newest, behind):
    state = State("STREAM", (None, "s"), {"stream": {"stream_state": {"c": reached}}}, None)
    assert lags(state, ["c"], newest) is behind


def test_a_table_only_ever_grows():
    stored = [StoredColumn(name, kind, None) for name, kind in META_COLUMNS] + [
        StoredColumn("a", "bigint", None), StoredColumn("b", "text", None), StoredColumn("c", "bigint", "sales_build.v"),
    ]  # fmt: skip
    wanted = [Column("a", "a", Kind.NUMERIC), Column("b", "b", Kind.BIGINT), Column("c", "c", Kind.TEXT), Column("d", "d", Kind.DATE)]
    plan = plan_table(stored, wanted, "t")
    assert [column.kind for column in plan.columns] == [Kind.NUMERIC, Kind.TEXT, Kind.BIGINT, Kind.DATE]
    assert [column.name for column in plan.add] == ["d"] and [column.name for column in plan.widen] == ["a"] and plan.narrow == {2}


@pytest.mark.parametrize(
    ("blob", "expected"),
    [
        ({"updated_at": "2026-11-21"}, "2026-11-21"),
        ({"updated_at": 7}, "7"),
        ({"state": {"updated_at": "2026-11-21"}, "states": [{"partition": {"id": 1}, "cursor": {"updated_at": "x"}}]}, "2026-11-21"),
        ({"page": 3}, '{"page":3}'),
        ({"__ab_no_cursor_state_message": True}, None),
        ({"__ab_full_refresh_sync_complete": True}, None),
        ({}, None),
        ({"updated_at": "x" * 300}, "x" * 199 + "…"),
    ],
)
def test_a_cursor_is_shown_as_short_text_and_marks_of_the_cdk_are_none(blob, expected):
    state = interpret({"type": "STATE", "state": {"type": "STREAM", "stream": {"stream_descriptor": {"name": "a"}, "stream_state": blob}}})
    assert isinstance(state, State) and cursor_of(state, ["updated_at"]) == expected
