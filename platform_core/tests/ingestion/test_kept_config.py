"""A connector that changes its own configuration (rotated tokens): the change is kept at once, used again, and seen by nobody else."""

from __future__ import annotations

import logging
import multiprocessing
import os
import signal

import psycopg
import pytest
from scripted_source import complete, record, stream

from platform_core.ingestion import ConnectorError, LoadError, kept_config
from platform_core.ingestion.config import ResolvedConfig
from platform_core.ingestion.kept_config import KeptConfig
from platform_core.warehouse import WarehouseError

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


def test_it_is_kept_although_the_session_broke(source):
    """The warehouse was restarted: the sync is lost with its session, the token is not."""
    broken = []

    def restart(_progress):
        if not broken:
            with source.warehouse.connect_platform(autocommit=True) as platform:
                ended = platform.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND state IS NOT NULL"
                ).fetchall()
            broken.append(ended)

    script = rotated(*complete("orders"))
    source.script = [record("orders", {"id": 5}), {"wait": 0.5}, *script]
    with pytest.raises(psycopg.OperationalError):
        source.sync(on_progress=restart)
    assert broken and broken[0]
    assert source.query("SELECT config->>'token' FROM mesh.connector_config") == [(NEW,)]


def test_it_waits_for_a_warehouse_that_starts_and_gives_up_on_one_that_does_not(source, monkeypatch):
    monkeypatch.setattr(kept_config, "_RETRY_SECONDS", 0.01)
    attempts = []

    def connect():
        attempts.append(1)
        if len(attempts) < 4:
            raise WarehouseError("cannot connect")
        return source.warehouse.connect_domain("sales", autocommit=True)

    declared = ResolvedConfig({"token": OLD}, {}, (OLD,))
    with source.warehouse.connect_domain("sales", autocommit=True) as session:
        kept = KeptConfig(session, source.connection, declared, connect=connect)
        kept.keep({"token": NEW})
        kept.keep({"token": "refresh-newer-3333"})
        assert len(attempts) == 5 and kept.redact(f"{OLD} {NEW} refresh-newer-3333") == "*** *** ***"
        assert KeptConfig(session, source.connection, declared, connect=connect).config.data == {"token": "refresh-newer-3333"}
        monkeypatch.setattr(kept_config, "_PATIENCE_SECONDS", 0.05)
        stubborn = KeptConfig(
            session, source.connection, declared, connect=lambda: source.warehouse.database("nothing").connect_domain("sales")
        )
        with pytest.raises(LoadError, match=r"sales/shop: .*could not keep it") as caught:
            stubborn.keep({"token": "x" * 9})
        assert "x" * 9 not in str(caught.value)


def test_a_runner_killed_right_after_the_message_has_lost_nothing(source):
    """The old token is void by then: a connector that starts with it is refused."""

    def run():
        original = KeptConfig.keep

        def keep_and_die(self, reported):
            original(self, reported)
            os.kill(os.getpid(), signal.SIGKILL)

        KeptConfig.keep = keep_and_die
        source.sync()

    source.script = [*rotated(), {"wait": 600}]
    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    source.script, source.more = [record("orders", {"id": 2}), *complete("orders")], {"expect": {"token": NEW, "count": 5}}
    source.sync()  # discover and read refuse any other token
    assert source.query("SELECT id FROM sales_raw.orders") == [(2,)]
    assert source.query("SELECT status FROM mesh.syncs ORDER BY started_at") == [("killed",), ("succeeded",)]
