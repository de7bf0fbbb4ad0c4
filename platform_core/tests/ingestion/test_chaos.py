"""Syncs whose runner is killed and whose Postgres goes down, at random moments, over and over: nothing lost, nothing doubled.

Three connections take turns: streams of every sync mode, interleaved, with STREAM, GLOBAL and LEGACY states, some of which cover
fewer rows than were sent before them. The source grows after every success. After every disturbance the tables are looked at; at
the end everything must be there once, and again after it was dropped and replayed from the raw copies.

The short form runs in the suite; the long one: ``MESH_CHAOS_KILLS=100 pytest platform_core/tests/ingestion/test_chaos.py``
(``MESH_CHAOS_SEED`` repeats the choices of a run, the moments are the machine's).
"""

from __future__ import annotations

import json
import multiprocessing
import os
import random
import signal
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil
import pytest
from psycopg import sql
from scripted_source import Source, stream

from platform_core.contracts import Mesh
from platform_core.ingestion import connector, loader, replayable_syncs, run_replay
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, prepare_databases

KILLS = int(os.environ.get("MESH_CHAOS_KILLS", "8"))
SEED = int(os.environ.get("MESH_CHAOS_SEED") or time.time_ns() % 10**9)
RESTART_EVERY = 5  # this many disturbances, one hits Postgres instead of the runner
TURN = 7

# Stream: sync mode, rows between two states, rows that a state lags behind, more of the connection file.
CONNECTIONS: dict[str, tuple[Any, dict[str, tuple[str, int, int, dict[str, str]]]]] = {
    "streams": (
        None,
        {
            "s_append": ("incremental_append", 15, 0, {}),
            "s_append_lagging": ("incremental_append", 10, 4, {}),
            "s_append_whole": ("incremental_append", 10, 6, {"checkpoint": "complete"}),
            "s_deduped": ("incremental_deduped", 12, 5, {}),
            "s_overwrite": ("full_refresh_overwrite", 10**6, 0, {}),
            "s_copies": ("full_refresh_append", 10**6, 0, {}),
        },
    ),
    "global": (True, {"g_append": ("incremental_append", 20, 0, {}), "g_deduped": ("incremental_deduped", 15, 9, {})}),
    "legacy": ("LEGACY", {"l_append": ("incremental_append", 11, 0, {}), "l_deduped": ("incremental_deduped", 25, 3, {})}),
}


@dataclass
class Tried:
    """One connection on its way through the chaos."""

    name: str
    source: Source
    rows: dict[str, int] = field(default_factory=dict)
    copies: Counter[int] = field(default_factory=Counter)
    succeeded: int = 0

    def grow(self, chance: random.Random) -> None:
        shared, streams = CONNECTIONS[self.name]
        for stream_name in streams:
            self.rows[stream_name] = self.rows.get(stream_name, 0) + chance.randint(0, 90)
        counts = {name: {"rows": self.rows[name], "every": every, "lag": lag} for name, (_, every, lag, _) in streams.items()}
        self.source.rows = {"streams": counts, "turn": TURN, "pace": 0.001, **({"shared": shared} if shared else {})}

    def look(self) -> None:
        """What must hold at any time: every append a gapless prefix, its state at its end, no key twice, no generation mixed."""
        tables = {row[0] for row in self.source.query("SELECT tablename FROM pg_tables WHERE schemaname = 'sales_raw'")}
        states = self.states()
        for name, (mode, _, lag, _) in CONNECTIONS[self.name][1].items():
            if name not in tables:
                continue
            ids = [row[0] for row in self.source.query(f"SELECT id FROM sales_raw.{name} ORDER BY id")]
            if mode != "full_refresh_append":
                assert ids == list(range(1, len(ids) + 1)), (name, "rows lost or doubled")
            if mode == "incremental_append":
                assert states.get(name, 0) == len(ids), (name, "the state is not that of the rows", states)
            elif mode == "incremental_deduped":
                assert len(ids) - lag - TURN <= states.get(name, 0) <= len(ids), (name, states, len(ids))
            elif mode == "full_refresh_append":
                assert Counter(ids) == self.copies, (name, "a copy is not whole")
        ((running,),) = self.source.query("SELECT count(*) FROM mesh.syncs WHERE connection = %s AND status = 'running'", self.name)
        assert running <= 1

    def states(self) -> dict[str, int]:
        rows = self.source.query("SELECT stream, kind, state FROM mesh.sync_state WHERE connection = %s", self.name)
        found: dict[str, int] = {}
        for stream_name, kind, state in rows:
            if kind == "STREAM":
                found[stream_name] = state["stream"]["stream_state"]["id"]
            elif kind == "GLOBAL":
                found |= {each["stream_descriptor"]["name"]: each["stream_state"]["id"] for each in state["global"]["stream_states"]}
            else:
                found |= state["data"]
        return found

    def count_success(self) -> bool:
        """Notes whether the last sync committed as a whole; a runner may be killed just after that."""
        ((now,),) = self.source.query("SELECT count(*) FROM mesh.syncs WHERE connection = %s AND status = 'succeeded'", self.name)
        success, self.succeeded = now > self.succeeded, now
        if success and "s_copies" in self.rows:
            self.copies.update(range(1, self.rows["s_copies"] + 1))
        return success


@pytest.fixture
def server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server of its own: this one goes down."""
    postgres = EmbeddedPostgres(tmp_path / "postgres")
    postgres.start()
    yield postgres
    postgres.stop()


def sync_in_child(source: Source, chance: random.Random, log: Path) -> tuple[Any, Any]:
    """Starts a sync in a process of its own; the pipe tells when it begins to read."""
    buffer, seconds, block = chance.choice([1200, 3000, 20_000, 10**6]), chance.choice([0.0, 0.02, 3600.0]), chance.choice([700, 5000])
    hears, tells = multiprocessing.Pipe(duplex=False)

    def run() -> None:
        with log.open("ab", buffering=0) as file:
            os.dup2(file.fileno(), 1)
            os.dup2(file.fileno(), 2)
        loader.BUFFER_BYTES, loader.COMMIT_SECONDS, connector._READ_BYTES = buffer, seconds, block
        loader.COMMIT_BYTES = 8000  # then rows that were copied early are committed by their size
        original = loader.Loader.feed

        def feed(self, lines):
            tells.send_bytes(b"")
            loader.Loader.feed = original
            return original(self, lines)

        loader.Loader.feed = feed
        code = 1
        try:
            source.sync()
            code = 0
        except Exception as error:
            os.write(2, f"{type(error).__name__}: {error}\n".encode())
        os._exit(code)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    return process, hears


def pull_the_plug(server: EmbeddedPostgres) -> None:
    """Immediate shutdown: no checkpoint, every session cut; the next start recovers from the log."""
    postmaster = psutil.Process(int((server.data / "postmaster.pid").read_text().split()[0]))
    postmaster.send_signal(signal.SIGQUIT)
    postmaster.wait(60)


def disturb(process: Any, hears: Any, server: EmbeddedPostgres, chance: random.Random, where: dict[str, str], *, restart: bool) -> str:
    """Lets the sync run for a random while, then kills it, or stops Postgres as if the power had failed."""
    if chance.random() < 0.85:
        while process.is_alive() and not hears.poll(0.05):
            pass
        time.sleep(chance.uniform(0, 0.25))
    else:
        time.sleep(chance.uniform(0, 0.4))
    if restart:
        pull_the_plug(server)
        process.join(60)
        server.start()
        where["port"] = str(server.port)  # the former one may be taken
        return "restart" if process.exitcode else "too late"
    process.kill()
    process.join(60)
    return "kill" if process.exitcode == -signal.SIGKILL else "too late"


@pytest.mark.timeout(60 + 10 * KILLS)
def test_chaos_loses_nothing_and_doubles_nothing(server, tmp_path, monkeypatch):
    chance = random.Random(SEED)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    where = {**server.conninfo(), "dbname": "mesh"}
    warehouse = Warehouse(where, server=server)
    prepare_databases(warehouse)
    apply(warehouse, Mesh(("sales",), {}, {}, ()))
    tried = [Tried(name, source_of(name, tmp_path, warehouse)) for name in CONNECTIONS]
    for each in tried:
        each.grow(chance)
    done: Counter[str] = Counter()
    began = time.monotonic()
    try:
        while done["kill"] < KILLS:
            one = chance.choice(tried)
            process, hears = sync_in_child(one.source, chance, tmp_path / "syncs.log")
            if chance.random() < 0.15:
                process.join(60)
                assert process.exitcode == 0, "an undisturbed sync failed"
                done["undisturbed"] += 1
            else:
                restart = (done["kill"] + done["restart"]) % RESTART_EVERY == 2
                done[disturb(process, hears, server, chance, where, restart=restart)] += 1
            if one.count_success():
                done["succeeded"] += 1
                one.look()
                one.grow(chance)
            else:
                one.look()
        for one in tried:
            finish(one)
        rows = sum(sum(one.rows.values()) for one in tried)
        for one in tried:
            assert_replayed(one)
    except BaseException:
        sys.stderr.write(f"chaos: MESH_CHAOS_SEED={SEED} MESH_CHAOS_KILLS={KILLS}, so far {dict(done)}\n")
        sys.stderr.write((tmp_path / "syncs.log").read_text()[-3000:])
        raise
    print(f"chaos: seed {SEED}, {dict(done)}, {rows:,} rows in the sources, {time.monotonic() - began:.0f} s: 0 lost, 0 doubled")


def source_of(name: str, folder: Path, warehouse: Warehouse) -> Source:
    streams = CONNECTIONS[name][1]
    own = folder / name
    own.mkdir()
    (own / "domains").mkdir()
    source = Source(own, warehouse, {each: mode for each, (mode, *_) in streams.items()}, [stream(each) for each in streams], name=name)
    chosen = [{"name": each, "sync_mode": mode, **more} for each, (mode, _, _, more) in streams.items()]
    source.file = json.dumps({"connector": {"package": "source-fake", "version": "1.0.0"}, "streams": chosen})
    return source


def finish(one: Tried) -> None:
    """The last sync, undisturbed: everything is there, once, and the state says so."""
    one.source.sync()
    assert one.count_success()
    one.look()
    for name, (mode, *_) in CONNECTIONS[one.name][1].items():
        ((count,),) = one.source.query(f"SELECT count(*) FROM sales_raw.{name}")
        assert count == (sum(one.copies.values()) if mode == "full_refresh_append" else one.rows[name]), name
        if mode.startswith("incremental"):
            assert one.states()[name] == one.rows[name]
    assert one.source.query("SELECT count(*) FROM mesh.syncs WHERE connection = %s AND status = 'running'", one.name) == [(0,)]


def assert_replayed(one: Tried) -> None:
    """The same from the raw copies alone, those of killed syncs among them."""
    before = contents(one)
    with one.source.warehouse.connect_domain("sales", autocommit=True) as connection:
        for name in CONNECTIONS[one.name][1]:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("sales_raw", name)))
        connection.execute("DELETE FROM mesh.sync_state WHERE connection = %s", (one.name,))
    run_replay(one.source.connection, "all", warehouse=one.source.warehouse, settings=one.source.settings)
    assert contents(one) == before
    left = {path.name for path in (one.source.folder / "home" / "lake").rglob("*") if path.is_file()}
    assert left == {"manifest.json", "messages.jsonl.zst"}
    assert not [sync for sync in replayable_syncs(one.source.connection, one.source.settings) if not sync.settled]


def contents(one: Tried) -> Any:
    rows = [one.source.query(f"SELECT t::text FROM sales_raw.{name} t ORDER BY _airbyte_raw_id") for name in CONNECTIONS[one.name][1]]
    states = one.source.query("SELECT stream, kind, state::text FROM mesh.sync_state WHERE connection = %s ORDER BY 1", one.name)
    return rows, states
