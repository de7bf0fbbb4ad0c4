"""What Postgres has no room for fails with what to do about it, and costs nothing that was committed."""

from __future__ import annotations

import psycopg
import pytest
from scripted_source import complete, record, state, stream

from platform_core.ingestion import LoadError, loader, run_replay
from platform_core.ingestion.replay_plan import ALL
from platform_core.ingestion.room import beyond_its_room
from platform_core.lake import RawCopyError, raw_copy


def columns(number: int) -> dict[str, dict[str, str]]:
    return {"id": {"type": "integer"}, **{f"c{position}": {"type": "integer"} for position in range(number)}}


def test_a_row_that_fills_too_many_columns_is_said_and_the_next_sync_goes_on(make_source):
    source = make_source({"orders": "incremental_append"}, [stream("orders", columns(1300))])
    full = record("orders", {"id": 2, **dict.fromkeys(columns(1300), 7)})
    source.script = [record("orders", {"id": 1}), state("orders", {"id": 1}, 1), *complete("orders")]
    source.sync()
    source.script = [full, state("orders", {"id": 2}, 1), *complete("orders")]
    with pytest.raises(LoadError, match="a row of a stream fills too many columns at once: row is too big") as caught:
        source.sync()
    assert "1,000 numbers or 400 texts" in (caught.value.remedy or "")
    source.script = [record("orders", {"id": 3}), state("orders", {"id": 3}, 1), *complete("orders")]
    source.sync()
    assert source.query("SELECT id FROM sales_raw.orders ORDER BY id") == [(1,), (3,)]


def test_a_stream_with_more_columns_than_a_table_is_said(make_source):
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders", columns(1600))])
    source.script = [record("orders", {"id": 1}), *complete("orders")]
    with pytest.raises(LoadError, match="more columns than a table can: tables can have at most 1600 columns") as caught:
        source.sync()
    assert "shop.yaml" in str(caught.value) and "fewer fields" in (caught.value.remedy or "")
    assert source.query("SELECT status FROM mesh.syncs") == [("failed",)]


def test_a_full_disk_of_the_warehouse_is_said(make_source):
    connection = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")]).connection
    error = beyond_its_room(psycopg.errors.DiskFull('could not extend file "base/5/1": No space left on device\nHINT: x'), connection)
    assert 'the disk of the warehouse is full: could not extend file "base/5/1": No space left on device' in str(error)
    assert "goes on from there" in (error.remedy or "")


def test_what_was_committed_before_the_lake_was_full_is_replayed_too(make_source, monkeypatch):
    source = make_source({"orders": "incremental_deduped"}, [stream("orders")])
    source.script = [record("orders", {"id": 1}), state("orders", {"id": 1}, 1), *complete("orders")]

    def full(*_arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch, pytest.raises(RawCopyError, match="No space left"):
        patch.setattr(loader, "COMMIT_SECONDS", 0.0)  # the state is worth a commit
        patch.setattr(raw_copy.Sink, "close", full)
        source.sync()
    assert source.query("SELECT id FROM sales_raw.orders") == [(1,)]
    assert source.query("SELECT status, raw_object, error LIKE '%%No space left%%' FROM mesh.syncs") == [("failed", None, True)]

    source.script = [record("orders", {"id": 2}), state("orders", {"id": 2}, 1), *complete("orders")]
    source.sync()
    assert source.calls()[-1].startswith("read [") and '"id": 1' in source.calls()[-1]
    settled = "SELECT status, raw_object IS NOT NULL, error IS NOT NULL FROM mesh.syncs ORDER BY started_at"
    assert source.query(settled) == [("failed", True, True), ("succeeded", True, False)]

    with source.warehouse.connect_domain("sales", autocommit=True) as session:
        session.execute("DROP TABLE sales_raw.orders")
    run_replay(source.connection, ALL, warehouse=source.warehouse, settings=source.settings)
    assert source.query("SELECT id FROM sales_raw.orders ORDER BY id") == [(1,), (2,)]
