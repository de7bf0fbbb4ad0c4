"""The source's schema changes: what each policy does to the table, what it says, and that it happens with the rows or not at all."""

from __future__ import annotations

import dataclasses

import pytest
from scripted_source import complete, record, state, stream

from platform_core.ingestion import LoadError, SchemaChangeError, run_replay
from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.connection import StreamSelection
from platform_core.ingestion.evolution import Shape, compare, settle
from platform_core.ingestion.types import columns_of

BEFORE = {"id": {"type": "integer"}, "a": {"type": "integer"}, "gone": {"type": "string"}}
AFTER = {"id": {"type": "integer"}, "a": {"type": "number"}, "new": {"type": "boolean"}}
DIFF = ("~ a bigint -> numeric", "+ new boolean", "- gone text")


def task(properties, key=("id",), mode="incremental_deduped") -> StreamTask:
    return StreamTask(
        key=(None, "orders"), selection=StreamSelection(name="orders", sync_mode=mode), offered={}, table="orders",
        columns=columns_of({"properties": properties}), cursor_field=("id",), primary_key=key, replace=False,
        deduplicate=mode == "incremental_deduped", checkpointed=True,
    )  # fmt: skip


def test_what_counts_as_a_change():
    known = Shape({"id": "bigint", "a": "numeric", "t": "text"}, ("id",))
    number, text = {"type": "number"}, {"type": "string"}
    same = {"id": {"type": "integer"}, "a": {"type": "integer"}, "t": {"type": "string", "format": "date"}}
    assert compare(known, task(same)) == (), "narrower types fit into what is there"
    found = compare(known, task({"id": {"type": "integer"}, "a": number, "t": {"type": "object"}, "x y": text}, key=("id", "a")))
    assert tuple(map(str, found)) == ("~ t text -> jsonb", "+ x y text", "~ primary key id -> id, a")
    assert compare(known, task({"id": number, "a": number, "t": text}, key=("a",), mode="incremental_append"))[0].field == "id"
    assert settle(task(same), None, "pause").changes == (), "a first sync has nothing to compare with"


def test_ignore_cannot_keep_a_key_that_is_no_longer_sent():
    known = Shape({"id": "bigint", "region": "text"}, ("id", "region"))
    with pytest.raises(LoadError, match="no longer sends region, by which 'orders' is deduplicated"):
        settle(task({"id": {"type": "integer"}}), known, "ignore")


@pytest.fixture
def changed(make_source):
    """A source that was synced once, and now declares and sends other fields."""

    def make(policy, mode="incremental_append"):
        source = make_source({"orders": mode}, [stream("orders", BEFORE)], keys={"schema_changes": policy})
        source.script = [record("orders", {"id": 1, "a": 5, "gone": "x"}), state("orders", {"id": 1}), *complete("orders")]
        source.sync()
        source.catalog = [stream("orders", AFTER)]
        source.script = [record("orders", {"id": 2, "a": 5.25, "new": True}), state("orders", {"id": 2}), *complete("orders")]
        return source

    return make


COLUMNS = (
    "SELECT column_name::text, data_type::text FROM information_schema.columns WHERE table_name = 'orders' AND column_name !~ '^_airbyte'"
)
OLD = {"id": "bigint", "a": "bigint", "gone": "text"}


def test_propagate_follows_and_keeps_the_history_of_what_is_gone(changed):
    source = changed("propagate")
    result = source.sync().streams["orders"]
    assert result.schema_changes == (
        "column a bigint became numeric",
        "new column new boolean",
        "column gone is no longer in the source, new rows have NULL",
    )
    assert result.removed == ("gone",) and result.ignored_changes == ()
    assert dict(source.query(COLUMNS)) == {"id": "bigint", "a": "numeric", "gone": "text", "new": "boolean"}
    assert source.query("SELECT gone, new FROM sales_raw.orders ORDER BY id") == [("x", None), (None, True)]
    again = source.sync().streams["orders"]
    assert again.schema_changes == () and again.removed == ("gone",), "said once, and the column is still named"


def test_pause_stops_before_any_row_with_the_difference_and_the_line(changed):
    source = changed("pause")
    source.calls()
    with pytest.raises(SchemaChangeError) as caught:
        source.sync()
    said = str(caught.value)
    assert said.startswith(str(source.connection.path) + ":") and "mesh ingest sales/shop --accept-changes" in said
    assert "\n    ".join(["  orders", *DIFF]) in said and caught.value.changes == {"orders": DIFF}
    assert [call.split()[0] for call in source.calls()][-2:] == ["read", "discover"], "the source was asked for its schema only"
    assert dict(source.query(COLUMNS)) == OLD and source.query("SELECT id FROM sales_raw.orders") == [(1,)]
    assert source.query("SELECT status FROM mesh.syncs ORDER BY started_at") == [("succeeded",), ("failed",)]

    source.sync(accept_changes=True)
    assert dict(source.query(COLUMNS))["new"] == "boolean"
    assert source.sync().streams["orders"].schema_changes == (), "what was accepted once is no news"


def test_ignore_leaves_the_table_and_names_what_it_left_out(changed):
    source = changed("ignore")
    for _ in range(2):  # the change stays a change
        result = source.sync().streams["orders"]
        assert result.ignored_changes == DIFF and result.schema_changes == () and result.undeclared == ()
    assert dict(source.query(COLUMNS)) == OLD
    ((value, gone, changes),) = set(source.query("SELECT a, gone, _airbyte_meta->>'changes' FROM sales_raw.orders WHERE id = 2"))
    assert (value, gone) == (None, None) and '"field": "a"' in changes, "5.25 is no bigint, and the row says so"
    assert source.sync(accept_changes=True).streams["orders"].ignored_changes == ()
    assert dict(source.query(COLUMNS))["new"] == "boolean"


def test_ignore_does_not_widen_for_a_single_value_either(make_source):
    source = make_source({"orders": "incremental_append"}, [stream("orders", BEFORE)], keys={"schema_changes": "ignore"})
    for number in (1, 2**70):
        source.script = [record("orders", {"id": number}), state("orders", {"id": 1}), *complete("orders")]
        source.sync()
    assert dict(source.query(COLUMNS)) == OLD and source.query("SELECT id FROM sales_raw.orders ORDER BY id") == [(1,), (None,)]


def test_another_primary_key(make_source):
    fields = {"id": {"type": "integer"}, "region": {"type": "string"}}
    source = make_source({"orders": "incremental_deduped"}, [stream("orders", fields)], keys={"schema_changes": "pause"})

    def sync(*rows, **options):
        source.script = [*(record("orders", dict(zip(("id", "region"), row, strict=True))) for row in rows), *complete("orders")]
        result = source.sync(**options).streams["orders"]
        return result, source.query("SELECT id, region FROM sales_raw.orders ORDER BY 1, 2")

    assert sync((1, "north"), (1, "south"), (2, "north"))[1] == [(1, "south"), (2, "north")]
    source.catalog = [stream("orders", fields, source_defined_primary_key=[["id"], ["region"]])]
    with pytest.raises(SchemaChangeError, match=r"~ primary key id -> id, region"):
        sync((1, "north"))
    source.keys = {"schema_changes": "ignore"}
    result, rows = sync((1, "north"))
    assert rows == [(1, "north"), (2, "north")] and result.ignored_changes == ("~ primary key id -> id, region",)
    source.keys = {}
    result, rows = sync((1, "south"))
    assert rows == [(1, "north"), (1, "south"), (2, "north")] and result.schema_changes == ("primary key id became id, region",)


def test_a_key_that_the_loaded_rows_lack_does_not_make_them_one(make_source):
    fields = {"id": {"type": "integer"}}
    source = make_source({"orders": "incremental_deduped"}, [stream("orders", fields)])
    source.script = [record("orders", {"id": 1}), record("orders", {"id": 2}), *complete("orders")]
    source.sync()
    source.catalog = [stream("orders", {**fields, "uuid": {"type": "string"}}, source_defined_primary_key=[["uuid"]])]
    source.script = [record("orders", {"id": 1, "uuid": "a"}), record("orders", {"id": 2, "uuid": "b"}), *complete("orders")]
    with pytest.raises(LoadError, match=r"is now uuid, but the rows that are there have no uuid: by it they would all be one"):
        source.sync()
    assert source.query("SELECT id FROM sales_raw.orders ORDER BY id") == [(1,), (2,)]
    source.sync(full_refresh=True)
    assert source.query("SELECT id, uuid FROM sales_raw.orders ORDER BY id") == [(1, "a"), (2, "b")]


def test_a_sync_that_fails_changes_no_shape(changed):
    source = changed("propagate")
    good, source.script = source.script, [record("orders", {"id": 2, "a": 5.25, "new": True}), {"die": 9}]
    with pytest.raises(Exception, match="exit code"):
        source.sync()
    assert dict(source.query(COLUMNS)) == OLD
    source.script = good
    assert len(source.sync().streams["orders"].schema_changes) == 3


def test_settling_twice_changes_nothing():
    known = Shape({"id": "bigint", "a": "text"}, ("id",))
    once = settle(task(AFTER), known, "ignore")
    assert dataclasses.replace(settle(once, known, "ignore"), changes=once.changes) == once


def test_a_replay_leaves_out_what_its_sync_left_out(changed):
    source = changed("ignore")
    source.sync()
    rows = "SELECT id, a, gone, _airbyte_raw_id, _airbyte_meta FROM sales_raw.orders ORDER BY id"
    before = source.query(rows)
    run_replay(source.connection, "all", warehouse=source.warehouse, settings=source.settings)
    assert source.query(rows) == before and dict(source.query(COLUMNS)) == OLD
