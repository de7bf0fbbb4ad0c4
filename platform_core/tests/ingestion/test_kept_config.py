"""A connector that changes its own configuration (rotated tokens): the change is kept at once, used again, and seen by nobody else."""

from __future__ import annotations

import logging

import psycopg
import pytest
from scripted_source import complete, record, stream

from platform_core.ingestion import ConnectorError

OLD, NEW = "refresh-old-1111", "refresh-new-2222"


def control(config):
    body = {"type": "CONNECTOR_CONFIG", "emitted_at": 1, "connectorConfig": {"config": config}}
    return {"send": {"type": "CONTROL", "control": body}}


@pytest.fixture
def source(make_source, monkeypatch):
    """A source whose token is good for one use: it refuses any other configuration than ``more['expect']``."""
    monkeypatch.setenv("SHOP_TOKEN", OLD)
    keys = {"config": {"token": "${SHOP_TOKEN}", "count": 5}}
    return make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], keys=keys, more={"expect": {"token": OLD, "count": 5}})


def rotated(*more):
    return [control({"token": NEW, "count": 5, "__injected_declarative_manifest": {"big": 1}}), record("orders", {"id": 1}), *more]


def test_a_rotated_token_is_used_by_the_next_start_and_read_by_its_own_domain_only(source, caplog):
    caplog.set_level(logging.DEBUG)
    source.script = rotated({"text": f"{NEW} in a log line\n"}, *complete("orders"))
    result = source.sync()
    source.script, source.more = [*complete("orders")], {"expect": {"token": NEW, "count": 5}}
    source.sync()  # discover and read refuse any other token
    assert source.query("SELECT config::text FROM mesh.connector_config") == [(f'{{"token":"{NEW}","count":5}}',)]
    for other in ("marketing", "customer"):
        with source.warehouse.connect_domain(other, autocommit=True) as session:
            assert session.execute("SELECT count(*) FROM mesh.connector_config").fetchone() == (0,)
            assert session.execute("SELECT count(*) FROM mesh.syncs").fetchone() == (2,), "what holds no secret is read by all"
            assert session.execute("UPDATE mesh.connector_config SET config = '{}'").rowcount == 0
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                session.execute("INSERT INTO mesh.connector_config VALUES ('sales', 'other', '', '', '{}')")
    with source.warehouse.connect_platform(autocommit=True) as platform:
        dump = platform.execute("SELECT string_agg(s::text, '') FROM mesh.syncs AS s").fetchone()
    assert NEW not in f"{caplog.text}{result}{dump}"


def test_a_new_secret_in_the_environment_wins_over_what_was_kept(source, monkeypatch):
    source.script = rotated(*complete("orders"))
    source.sync()
    monkeypatch.setenv("SHOP_TOKEN", "by-hand-3333")
    source.script, source.more = [*complete("orders")], {"expect": {"token": "by-hand-3333", "count": 5}}
    source.sync()
    monkeypatch.setenv("SHOP_TOKEN", OLD)  # a slip that was corrected: what was kept is still there
    source.more = {"expect": {"token": NEW, "count": 5}}
    source.sync()


@pytest.mark.parametrize("end", [{"die": 1}, {"exit": 1}])
def test_it_is_kept_although_the_sync_fails(source, end):
    source.script = rotated({"text": '{"type":"LOG","log":{"level":"ERROR","message":"' + NEW + ' is bad"}}\n'}, end)
    with pytest.raises(ConnectorError) as caught:
        source.sync()
    assert NEW not in str(caught.value) and "*** is bad" in str(caught.value)
    source.script, source.more = [*complete("orders")], {"expect": {"token": NEW, "count": 5}}
    source.sync()


def test_it_is_committed_while_the_sync_still_runs(source):
    """So a runner that is killed right after has lost nothing."""
    seen = []

    def look(_progress):
        seen.append(source.query("SELECT count(*) FROM mesh.connector_config"))

    source.script = rotated({"wait": 0.6}, record("orders", {"id": 2}), {"wait": 0.6}, *complete("orders"))
    source.sync(on_progress=look)
    assert len(seen) >= 2 and seen[0] == [(1,)]


def test_a_token_that_rotates_at_discovery_is_kept_too(source):
    source.more = {**source.more, "on_discover": [control({"token": NEW, "count": 5})["send"]], "expect_read": {"token": NEW, "count": 5}}
    source.script = [*complete("orders")]
    source.sync()
    assert source.query("SELECT config->>'token' FROM mesh.connector_config") == [(NEW,)]
