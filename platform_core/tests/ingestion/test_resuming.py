"""Where the next sync goes on when one state covers several streams: verbatim, and never past what a stream has not read yet."""

from __future__ import annotations

import json

import pytest
from scripted_source import complete, record, stream

from platform_core.ingestion import SharedStateError

ORDERS = [stream("orders")]


def rows(*numbers):
    return [record("orders", {"id": number, "text": f"row {number}"}) for number in numbers]


def ids(source):
    return [row[0] for row in source.query("SELECT id FROM sales_raw.orders ORDER BY id")]


def test_legacy_and_global_states_go_back_in_their_form(make_source):
    source = make_source({"orders": "incremental_deduped"}, ORDERS)
    source.script = [*rows(1), {"send": {"type": "STATE", "state": {"data": {"orders": {"id": 1}}}}}, *complete("orders")]
    source.sync()
    source.sync()
    assert source.calls()[-1] == 'read {"orders": {"id": 1}}'
    entry = {"stream_descriptor": {"name": "orders"}, "stream_state": {"id": 2}}
    shared = {"type": "GLOBAL", "global": {"shared_state": {"lsn": 7}, "stream_states": [entry]}}
    source.script = [*rows(2), {"send": {"type": "STATE", "state": shared}}, *complete("orders")]
    source.sync()
    source.sync()
    assert json.loads(source.calls()[-1].removeprefix("read ")) == [shared]


def test_some_streams_of_a_database_log_are_refused_since_the_others_would_lose_what_they_have_not_read(make_source):
    source = make_source(
        {"orders": "incremental_append", "other": "incremental_append", "small": "full_refresh_overwrite"},
        [stream("orders"), stream("other"), stream("small")],
    )
    entries = [{"stream_descriptor": {"name": name}, "stream_state": {"id": 1}} for name in ("orders", "other")]
    shared = {"type": "GLOBAL", "global": {"shared_state": {"lsn": 7}, "stream_states": entries}}
    source.script = [*rows(1), {"send": {"type": "STATE", "state": shared}}, *complete("orders", "other", "small")]
    source.sync()
    for options in ({}, {"full_refresh": True}):
        with pytest.raises(SharedStateError, match="a sync without other would move it past"):
            source.sync(streams=["orders"], **options)
    source.script = complete("small")
    source.sync(streams=["small"])
    source.script = complete("orders", "other", "small")
    source.sync()
    assert json.loads(source.calls()[-1].removeprefix("read ")) == [shared]
    assert ids(source) == [1]


def test_a_legacy_state_keeps_the_streams_that_do_not_begin_anew(make_source):
    source = make_source({"orders": "incremental_append", "other": "incremental_append"}, [stream("orders"), stream("other")])
    blob = {"orders": {"id": 1}, "other": {"id": 5}}
    source.script = [*rows(1), {"send": {"type": "STATE", "state": {"data": blob}}}, *complete("orders", "other")]
    source.sync()
    source.sync(streams=["orders"])
    assert source.calls()[-1] == f"read {json.dumps(blob)}"
    source.sync(streams=["orders"], full_refresh=True)
    assert source.calls()[-1] == 'read {"other": {"id": 5}}'
    source.script = [*rows(1), {"send": {"type": "STATE", "state": {"data": {"position": 9}}}}, *complete("orders")]
    source.sync(streams=["orders"])
    with pytest.raises(SharedStateError, match="without other"):
        source.sync(streams=["orders"], full_refresh=True)
