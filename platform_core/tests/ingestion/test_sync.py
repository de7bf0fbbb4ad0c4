"""A sync against a scripted source and the real Postgres: what becomes visible, when, and what never does."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path

import orjson
import psycopg
import pytest
import zstandard
from scripted_source import complete, gone, record, state, status, stream

from platform_core.ingestion import (
    ConcurrentSyncError,
    ConfigurationError,
    ConnectionFileError,
    ConnectorError,
    LoadError,
    ProtocolError,
    loader,
)

ORDERS = [stream("orders")]


@pytest.fixture(autouse=True)
def unhurried(monkeypatch):
    """No commit because time has passed: a machine that stands still for a while must not change what a test sees."""
    monkeypatch.setattr(loader, "COMMIT_SECONDS", 3600.0)


def rows(*numbers):
    return [record("orders", {"id": number, "text": f"row {number}"}) for number in numbers]


def ids(source, table="orders"):
    return [row[0] for row in source.query(f"SELECT id FROM sales_raw.{table} ORDER BY id")]


def test_typed_rows_state_history_and_raw_copy_of_one_sync(make_source):
    source = make_source(
        {"orders": "incremental_deduped"}, ORDERS, script=[*rows(1, 2), state("orders", {"id": 2}, 2), *complete("orders")]
    )
    seen = []
    result = source.sync(on_progress=seen.append)

    orders = result.streams["orders"]
    assert (orders.rows, orders.cursor, orders.table, orders.columns) == (2, "2", "sales_raw.orders", {"id": "bigint", "text": "text"})
    assert source.query("SELECT id, text FROM sales_raw.orders ORDER BY id") == [(1, "row 1"), (2, "row 2")]
    meta = source.query("SELECT DISTINCT _airbyte_extracted_at::text, _airbyte_meta, _airbyte_generation_id FROM sales_raw.orders")
    assert meta == [("2023-11-14 22:13:20+00", {"sync_id": result.sync_id, "changes": []}, 0)]
    assert source.query("SELECT count(DISTINCT _airbyte_raw_id) FROM sales_raw.orders") == [(2,)]
    assert source.query("SELECT kind, stream, state::text FROM mesh.sync_state") == [
        ("STREAM", "orders", '{"type":"STREAM","stream":{"stream_descriptor":{"name":"orders"},"stream_state":{"id":2}}}')
    ]
    assert source.query("SELECT sync_id, status, streams, raw_object FROM mesh.syncs") == [
        (result.sync_id, "succeeded", {"orders": {"rows": 2, "bytes": orders.bytes, "cursor": "2", "committed": True}}, result.raw_object)
    ]
    assert seen[-1].rows == {"orders": 2}

    raw = Path(result.raw_object)
    lines = zstandard.ZstdDecompressor().stream_reader(io.BytesIO(raw.read_bytes())).read().splitlines()
    assert [orjson.loads(line)["type"] for line in lines] == ["RECORD", "RECORD", "STATE"]
    manifest = json.loads(raw.with_name("manifest.json").read_text())
    assert manifest["streams"]["orders"]["records"] == 2
    assert sorted(path.name for path in raw.parent.iterdir()) == ["manifest.json", "messages.jsonl.zst"]


def test_the_table_belongs_to_the_domains_owner(make_source):
    source = make_source({"orders": "full_refresh_overwrite"}, ORDERS, script=[*rows(1), *complete("orders")])
    source.sync()
    assert source.query("SELECT tableowner FROM pg_tables WHERE schemaname = 'sales_raw'") == [("sales_owner",)]


def test_dedup_keeps_the_newest_by_cursor_then_by_arrival(make_source):
    catalog = [
        stream("orders", {"id": {"type": "integer"}, "at": {"type": "integer"}, "v": {"type": "string"}}, default_cursor_field=["at"])
    ]
    source = make_source({"orders": "incremental_deduped"}, catalog)

    def send(*triples):
        source.script = [*(record("orders", dict(zip(("id", "at", "v"), triple, strict=True))) for triple in triples), *complete("orders")]
        source.sync()
        return source.query("SELECT id, at, v FROM sales_raw.orders ORDER BY id NULLS FIRST")

    assert send((1, 5, "old"), (1, 7, "new"), (1, 6, "late"), (2, 1, "first"), (2, 1, "second")) == [(1, 7, "new"), (2, 1, "second")]
    assert send((1, 6, "an older row does not replace a newer one"), (2, 1, "third"), (None, 1, "a")) == [
        (None, 1, "a"),
        (1, 7, "new"),
        (2, 1, "third"),
    ]
    assert send((None, 2, "b")) == [(None, 2, "b"), (1, 7, "new"), (2, 1, "third")]


@pytest.mark.parametrize(
    ("mode", "first", "second", "expected"),
    [
        ("full_refresh_overwrite", (1, 2, 3), (2, 4), [2, 4]),
        ("full_refresh_overwrite", (1, 2), (), []),
        ("full_refresh_append", (1, 2), (1, 2), [1, 1, 2, 2]),
        ("incremental_append", (1, 2), (2, 3), [1, 2, 2, 3]),
        ("incremental_deduped", (1, 2), (2, 3), [1, 2, 3]),
    ],
)
def test_each_sync_mode_over_two_syncs(make_source, mode, first, second, expected):
    source = make_source({"orders": mode}, ORDERS)
    for numbers in (first, second):
        source.script = [*rows(*numbers), *([state("orders", {"id": numbers[-1]})] if numbers else []), *complete("orders")]
        result = source.sync()
    assert ids(source) == expected
    generation = 2 if mode == "full_refresh_overwrite" else 0
    assert result.streams["orders"].generation == generation
    assert {row[0] for row in source.query("SELECT _airbyte_generation_id FROM sales_raw.orders")} <= {generation}


def test_a_stream_that_is_no_longer_deduplicated_takes_rows_of_a_known_key(make_source):
    source = make_source({"orders": "incremental_deduped"}, ORDERS)
    source.script = [*rows(1), state("orders", {"id": 1}), *complete("orders")]
    source.sync()
    for mode, expected in {"incremental_append": [1, 1], "full_refresh_append": [1, 1, 1], "incremental_deduped": [1]}.items():
        source.modes = {"orders": mode}
        source.sync()
        assert ids(source) == expected


def test_a_key_that_no_index_takes_is_said_with_a_remedy(make_source):
    source = make_source({"orders": "incremental_deduped"}, [stream("orders", {"id": {"type": "string"}})])
    long = random.Random(1).randbytes(9000).hex()  # nothing that Postgres could compress to a short one
    source.script = [record("orders", {"id": long}), state("orders", {"id": "x"}), *complete("orders")]
    with pytest.raises(LoadError, match="a value of a primary key is too long"):
        source.sync()
    assert source.query("SELECT status FROM mesh.syncs") == [("failed",)]


def test_an_overwrite_keeps_views_and_readers_working(make_source):
    source = make_source({"orders": "full_refresh_overwrite"}, ORDERS, script=[*rows(1), *complete("orders")])
    source.sync()
    with source.warehouse.connect_domain("sales") as reader:
        reader.execute("CREATE VIEW sales_build.v AS SELECT id FROM sales_raw.orders")
        reader.commit()
        reader.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        assert reader.execute("SELECT * FROM sales_build.v").fetchall() == [(1,)]
        source.script = [*rows(2), *complete("orders")]
        source.sync()
        assert reader.execute("SELECT * FROM sales_build.v").fetchall() == [(1,)]  # the old snapshot, whole
        reader.commit()
        assert reader.execute("SELECT * FROM sales_build.v").fetchall() == [(2,)]


def test_the_state_goes_back_verbatim_and_only_for_the_asked_streams(make_source):
    blob = {"z": 1, "a": [1.10, 12345678901234567890123, "ü"], "nested": {"x": None}}
    source = make_source({"orders": "incremental_append", "other": "incremental_append"}, [stream("orders"), stream("other")])
    source.script = [*rows(1), state("orders", blob), state("other", {"id": 9}), *complete("orders", "other")]
    source.sync()
    source.sync(streams=["orders"])
    given = source.calls()[-1].removeprefix("read ")
    assert json.loads(given)[0]["stream"]["stream_state"] == blob and len(json.loads(given)) == 1
    assert source.sync(streams=["orders"], full_refresh=True).streams["orders"].generation == 1
    assert source.calls()[-1] == "read null"
    assert ids(source) == [1]  # replaced, not appended a third time


FAILURES = {
    "a trace error": (
        [
            {
                "send": {
                    "type": "TRACE",
                    "trace": {"type": "ERROR", "emitted_at": 1, "error": {"message": "The key expired", "failure_type": "config_error"}},
                }
            }
        ],
        "The key expired",
    ),
    "an exit code": ([{"stderr": "Traceback: boom\n"}, {"exit": 3}], "exit code 3"),
    "a killed connector": ([{"die": 1}], "exit code 137"),
    "an incomplete stream": ([status("orders", "INCOMPLETE")], "COMPLETE: orders"),
    "no status at all": ([], "COMPLETE: orders"),
}


@pytest.mark.parametrize("case", FAILURES)
@pytest.mark.parametrize("mode", ["incremental_append", "incremental_deduped", "full_refresh_overwrite", "full_refresh_append"])
def test_a_failed_sync_keeps_what_its_states_cover_and_nothing_else(make_source, case, mode):
    steps, message = FAILURES[case]
    source = make_source({"orders": mode}, ORDERS, script=[*rows(1, 2), state("orders", {"id": 2}, 2), *rows(3), *steps])
    with pytest.raises(ConnectorError, match=message) as caught:
        source.sync()
    assert caught.value.remedy
    assert source.query("SELECT status, error IS NOT NULL, raw_object IS NOT NULL FROM mesh.syncs") == [("failed", True, True)]
    exists = source.query("SELECT to_regclass('sales_raw.orders') IS NOT NULL")[0][0]
    assert (ids(source) if exists else []) == ([1, 2] if mode.startswith("incremental") else [])
    source.script = [*rows(*((3,) if mode.startswith("incremental") else (1, 2, 3))), state("orders", {"id": 3}), *complete("orders")]
    source.sync()
    assert ids(source) == [1, 2, 3]


def test_a_complete_overwrite_survives_the_failure_of_another_stream(make_source):
    source = make_source({"orders": "full_refresh_overwrite", "other": "full_refresh_overwrite"}, [stream("orders"), stream("other")])
    source.script = [*rows(1), record("other", {"id": 1}), *complete("orders"), status("other", "INCOMPLETE"), {"exit": 1}]
    with pytest.raises(ConnectorError):
        source.sync()
    assert ids(source) == [1]
    assert source.query("SELECT to_regclass('sales_raw.other')") == [(None,)]


@pytest.mark.parametrize("counted", [1, 3])
def test_a_state_that_counts_other_rows_than_arrived_is_a_rollback(make_source, counted):
    script = [*rows(1), state("orders", {"id": 1}, 1), *rows(2, 3), state("orders", {"id": 3}, counted), *complete("orders")]
    source = make_source({"orders": "incremental_append"}, ORDERS, script=script)
    with pytest.raises(ProtocolError, match=f"counts {counted} records of orders before a state, 2 arrived"):
        source.sync()
    assert source.query("SELECT count(*) FROM mesh.sync_state") == [(0,)]
    assert source.query("SELECT to_regclass('sales_raw.orders')") == [(None,)]


def test_a_state_that_lags_behind_the_rows_of_an_append_commits_nothing_yet(make_source, monkeypatch):
    monkeypatch.setattr(loader, "COMMIT_SECONDS", 0.0)
    script = [*rows(1, 2, 3), state("orders", {"id": 2}, 3), {"exit": 1}]
    source = make_source({"orders": "incremental_append"}, ORDERS, script=script)
    with pytest.raises(ConnectorError):
        source.sync()
    assert source.query("SELECT to_regclass('sales_raw.orders')") == [(None,)]
    source.script = [*rows(1, 2, 3), state("orders", {"id": 2}, 3), *rows(4), state("orders", {"id": 4}, 1), {"exit": 1}]
    with pytest.raises(ConnectorError):
        source.sync()
    assert ids(source) == [1, 2, 3, 4]


def test_protocol_noise_is_no_obstacle(make_source):
    source = make_source({"orders": "incremental_append"}, ORDERS)
    source.script = [
        {"text": '\n\nSLF4J: some banner\n{not json}\n[1]\n"text"\n{}\n{"type": 7}\n'},
        {"hex": "fffe0a"},
        {"send": {"type": "NEWS", "news": {}}},
        {"send": {"type": "TRACE", "trace": {"type": "ANALYTICS", "analytics": {}}}},
        {"send": {"type": "TRACE", "trace": None}},
        {"send": {"type": "LOG", "log": {"level": "INFO", "message": "hello", "new_field": 1}, "also": 2}},
        {
            "send": {
                "type": "CONTROL",
                "control": {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": {"token": "x"}}},
            }
        },
        record("unasked", {"id": 1}),
        *rows(1),
        record("orders", {"id": 2, "text": None, "surprise": True}, namespace=None, unknown=1),
        {"long": {"stream": "orders", "bytes": 50_000_000}},
        state("orders", {"id": 2}, 3),
        *complete("orders"),
        {"text": '{"type": "LOG", "log": {"level": "INFO", "message": "without an end of line"}}'},
    ]
    result = source.sync()
    assert result.streams["orders"].rows == 3
    assert result.streams["orders"].undeclared == ("surprise",)
    assert source.query("SELECT max(length(text)) FROM sales_raw.orders") == [(50_000_000,)]
    assert "token" not in zstandard.ZstdDecompressor().stream_reader(io.BytesIO(Path(result.raw_object).read_bytes())).read().decode()


def test_a_message_may_come_in_pieces_that_end_inside_a_character(make_source):
    line = json.dumps(
        {"type": "RECORD", "record": {"stream": "orders", "data": {"id": 1, "text": "Zoë 😀"}, "emitted_at": 1}}, ensure_ascii=False
    )
    content = line.encode()
    cut = content.index("😀".encode()) + 2
    pieces = [{"hex": content[:cut].hex()}, {"wait": 0.05}, {"hex": content[cut:-5].hex()}, {"wait": 0.05}, {"hex": content[-5:].hex()}]
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*pieces, {"text": "\n"}, *complete("orders")])
    source.sync()
    assert source.query("SELECT text FROM sales_raw.orders") == [("Zoë 😀",)]


def test_the_connectors_log_keeps_its_levels_and_hides_its_secrets(make_source, monkeypatch, caplog):
    monkeypatch.setenv("SHOP_KEY", "s3cret-value")
    spec = {"type": "object", "properties": {"api_key": {"type": "string", "airbyte_secret": True}}}
    source = make_source({"orders": "incremental_append"}, ORDERS, more={"spec": spec})
    source.file = """
connector: {package: source-fake, version: 1.0.0}
config: {api_key: "${SHOP_KEY}"}
streams:
  - {name: orders, sync_mode: incremental_append}
"""
    levels = ["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL", "NEW"]
    source.script = [{"send": {"type": "LOG", "log": {"level": level, "message": f"{level} of s3cret-value"}}} for level in levels]
    source.script += complete("orders")
    with caplog.at_level(1, logger="platform_core.ingestion.conversation"):
        source.sync()
    said = [(record.levelno, record.getMessage()) for record in caplog.records if " of " in record.getMessage()]
    numbers = [5, 10, 20, 30, 40, 50, 20]
    assert said == [(number, f"source-fake: {level} of ***") for number, level in zip(numbers, levels, strict=True)]


@pytest.mark.parametrize(
    "step", [{"text": '{"type":"RECORD"}\n'}, record("orders", [1]), {"text": '{"type":"STATE","state":{"type":"STREAM"}}\n'}]
)
def test_messages_that_would_lose_rows_are_errors(make_source, step):
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[step, *complete("orders")])
    with pytest.raises(ProtocolError):
        source.sync()


def test_a_silent_connector_is_ended_with_its_whole_process_group(make_source, tmp_path):
    steps = [{"child": str(tmp_path / "child")}, {"pid": str(tmp_path / "pid")}, {"stderr": "thinking\n"}, {"wait": 600}]
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(1), *steps])
    source.file = json.dumps(
        {"connector": {"package": "source-fake", "version": "1.0.0"}, "streams": [{"name": "orders", "sync_mode": "incremental_append"}],
         "timeouts": {"idle": 0.7, "discover_cache": 0}}
    )  # fmt: skip
    with pytest.raises(ConnectorError, match=r"silent for 0\.7 s"):
        source.sync()
    assert gone(tmp_path / "pid") and gone(tmp_path / "child")


def test_a_cancelled_run_ends_the_connector_and_says_so(make_source, tmp_path):
    source = make_source({"orders": "incremental_append"}, ORDERS)

    def cancel(progress):
        if (tmp_path / "pid").exists():
            raise KeyboardInterrupt

    source.script = [*rows(1), {"pid": str(tmp_path / "pid")}, *rows(2), {"wait": 1}, *rows(3), {"wait": 600}]
    with pytest.raises(KeyboardInterrupt):
        source.sync(on_progress=cancel)
    assert gone(tmp_path / "pid")
    assert source.query("SELECT status FROM mesh.syncs") == [("cancelled",)]


def test_two_syncs_of_one_connection_exclude_each_other(make_source, monkeypatch):
    monkeypatch.setattr("platform_core.ingestion.session.LOCK_SECONDS", 0.2)
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(1), *complete("orders")])
    inner = []

    def second(_progress):
        if not inner:
            inner.append(True)
            with pytest.raises(ConcurrentSyncError, match="sales/shop"):
                source.sync()

    source.sync(on_progress=second)
    assert inner and ids(source) == [1]


def test_new_wider_and_removed_columns_arrive_with_the_rows(make_source):
    source = make_source(
        {"orders": "incremental_append"},
        [stream("orders", {"id": {"type": "integer"}, "a": {"type": "integer"}, "gone": {"type": "string"}})],
    )
    source.script = [record("orders", {"id": 1, "a": 5, "gone": "x"}), state("orders", {"id": 1}), *complete("orders")]
    source.sync()
    source.catalog = [stream("orders", {"id": {"type": "integer"}, "a": {"type": "number"}, "new": {"type": "boolean"}})]
    source.script = [record("orders", {"id": 2, "a": 5.25, "new": True}), state("orders", {"id": 2}), *complete("orders")]
    result = source.sync()
    assert [(i, str(a), gone, new) for i, a, gone, new in source.query("SELECT id, a, gone, new FROM sales_raw.orders ORDER BY id")] == [
        (1, "5", "x", None),
        (2, "5.25", None, True),
    ]
    assert result.streams["orders"].schema_changes == (
        "column a bigint became numeric",
        "new column new boolean",
        "column gone is no longer in the source, new rows have NULL",
    )


def test_a_column_that_a_view_uses_keeps_its_type_and_the_rows_say_what_did_not_fit(make_source):
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(1), state("orders", {"id": 1}), *complete("orders")])
    source.sync()
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("CREATE VIEW sales_build.v AS SELECT id FROM sales_raw.orders")
    source.script = [record("orders", {"id": 2**70, "text": "too large"}), state("orders", {"id": 2}), *complete("orders")]
    source.sync()
    assert source.query("SELECT id, _airbyte_meta->'changes' FROM sales_raw.orders WHERE text = 'too large'") == [
        (None, [{"field": "id", "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"}])
    ]


def test_a_changed_primary_key_deduplicates_anew(make_source):
    catalog = [stream("orders", {"id": {"type": "integer"}, "shop": {"type": "string"}})]
    source = make_source({"orders": "incremental_deduped"}, catalog)
    both = [record("orders", {"id": 1, "shop": "a"}), record("orders", {"id": 2, "shop": "a"}), record("orders", {"id": 1, "shop": "b"})]
    source.settings_of_streams = {"orders": {"primary_key": ["id", "shop"]}}
    source.script = [*both, *complete("orders")]
    source.sync()
    assert len(ids(source)) == 3
    source.settings_of_streams = {"orders": {"primary_key": "id"}}
    source.script = complete("orders")
    source.sync()
    assert ids(source) == [1, 2]


def test_a_raw_table_belongs_to_one_connection(make_source):
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(1), *complete("orders")])
    source.sync()
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("UPDATE mesh.raw_streams SET connection = 'legacy'")
    with pytest.raises(LoadError, match="loaded by the connection 'legacy'"):
        source.sync()


def test_a_foreign_table_of_that_name_is_not_touched(make_source):
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(1), *complete("orders")])
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("CREATE TABLE sales_raw.orders (id int)")
    with pytest.raises(LoadError, match="ingestion did not make it"):
        source.sync()


def test_the_configuration_comes_typed_from_the_environment_and_its_secrets_never_show(make_source, monkeypatch, tmp_path):
    spec = {"type": "object", "required": ["count"], "properties": {"count": {"type": "integer"}, "api_key": {"type": "string"}}}
    source = make_source({"orders": "incremental_append"}, ORDERS, more={"spec": spec, "expect": {"count": 12, "api_key": "s3cret-value"}})
    source.file = """
connector: {package: source-fake, version: 1.0.0}
config:
  count: ${SHOP_COUNT:-12}
  api_key: ${SHOP_KEY}
streams:
  - {name: orders, sync_mode: incremental_append}
"""
    with pytest.raises(ConfigurationError, match="not set: SHOP_KEY") as caught:
        source.sync()
    assert caught.value.where.endswith("shop.yaml:5")
    monkeypatch.setenv("SHOP_KEY", "s3cret-value")
    source.script = [{"stderr": "cannot use s3cret-value\n"}, {"exit": 1}]
    with pytest.raises(ConnectorError, match=r"cannot use \*\*\*"):
        source.sync()
    assert "s3cret" not in str(source.query("SELECT error FROM mesh.syncs"))
    assert not [path for path in (tmp_path / "home").rglob("*") if path.is_file() and b"s3cret" in path.read_bytes()]
    monkeypatch.setenv("SHOP_COUNT", "many")
    with pytest.raises(ConfigurationError, match="SHOP_COUNT is not of type integer"):
        source.sync()


@pytest.mark.parametrize(
    ("modes", "options", "message"),
    [
        ({"order": "incremental_append"}, {}, "is not in the source, did you mean 'orders'?"),
        ({"orders": "incremental_append"}, {"streams": ["other"]}, "has no stream 'other'"),
        ({"plain": "incremental_append"}, {}, "cannot be read with incremental"),
        ({"keyless": "incremental_deduped"}, {}, "has no primary key"),
        ({"cursorless": "incremental_append"}, {}, "has no cursor"),
    ],
)
def test_streams_that_the_source_cannot_serve_are_named_with_their_line(make_source, modes, options, message):
    catalog = [
        stream("orders"),
        stream("plain", supported_sync_modes=["full_refresh"]),
        stream("keyless", source_defined_primary_key=[]),
        stream("cursorless", source_defined_cursor=False, default_cursor_field=[]),
    ]
    with pytest.raises(ConnectionFileError, match=re.escape(message)) as caught:
        make_source(modes, catalog).sync(**options)
    assert "shop.yaml" in caught.value.where and caught.value.remedy


def test_memory_stays_bounded_when_a_source_never_sends_a_state(make_source, monkeypatch):
    monkeypatch.setattr(loader, "BUFFER_BYTES", 20_000)
    source = make_source({"orders": "incremental_append"}, ORDERS, script=[*rows(*range(1, 3001)), *complete("orders")])
    spilled = []
    original = loader.StreamWriter.spill
    monkeypatch.setattr(loader.StreamWriter, "spill", lambda self: (spilled.append(self.buffered_bytes), original(self))[1])
    source.sync()
    assert ids(source) == list(range(1, 3001)) and len(spilled) >= 2


def test_a_lost_database_connection_fails_the_sync_and_the_next_one_continues(make_source):
    source = make_source({"orders": "incremental_append"}, ORDERS)
    source.script = [*rows(1), state("orders", {"id": 1}, 1), {"wait": 0.6}, *rows(2), state("orders", {"id": 2}, 1), *complete("orders")]

    def cut(_progress):
        with source.warehouse.connect_platform(autocommit=True) as admin:
            admin.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'sales_job'")

    with pytest.raises(psycopg.OperationalError):
        source.sync(on_progress=cut)
    assert source.query("SELECT to_regclass('sales_raw.orders')") == [(None,)]
    source.script = [*rows(1, 2), state("orders", {"id": 2}, 2), *complete("orders")]
    source.sync()
    assert ids(source) == [1, 2]
    assert source.query("SELECT status FROM mesh.syncs ORDER BY started_at") == [("killed",), ("succeeded",)]
