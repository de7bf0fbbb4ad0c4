"""Sealed rows that are copied before their commit: seen by nobody, kept with their state, gone with whatever ends the sync before."""

from __future__ import annotations

from collections import Counter

import psycopg
import pytest
from scripted_source import complete, record, state, stream

from platform_core.ingestion import ConnectorError, ProtocolError, connector, loader, sync

DEDUPED, APPEND = "incremental_deduped", "incremental_append"
INTEGER, TEXT = {"type": "integer"}, {"type": "string"}
ORDERS = [stream("orders", {"id": INTEGER, "at": INTEGER, "text": TEXT}, default_cursor_field=["at"])]


@pytest.fixture
def counted(monkeypatch):
    """Memory for a few rows only, and no commit because time has passed; counts the early copies and the commits."""
    monkeypatch.setattr(loader, "BUFFER_BYTES", 1500)
    monkeypatch.setattr(loader, "COMMIT_SECONDS", 3600.0)
    monkeypatch.setattr(connector, "_READ_BYTES", 1000)
    seen = Counter()
    copy_early, note_progress = loader.StreamWriter.copy_early, loader.note_progress

    def copying(self):
        move = copy_early(self)
        seen["copies"] += move is not None
        return move

    def noting(*values):
        seen["commits"] += 1
        note_progress(*values)

    monkeypatch.setattr(loader.StreamWriter, "copy_early", copying)
    monkeypatch.setattr(loader, "note_progress", noting)
    return seen


def once(monkeypatch, counted, action):
    """Does something in the middle of a sync: when rows were copied and are not committed."""
    original = loader.Loader.relieve

    def relieve(self):
        original(self)
        if counted["copies"] >= 2 and not counted["acted"]:
            counted["acted"] += 1
            self.wait()
            action()

    monkeypatch.setattr(loader.Loader, "relieve", relieve)


def rows(numbers, every=5):
    """Rows of orders, and a state after every few of them and after the last."""
    numbers = list(numbers)
    for place, number in enumerate(numbers, 1):
        yield record("orders", {"id": number, "at": number, "text": f"row {number}"})
        if place % every == 0 or place == len(numbers):
            yield state("orders", {"at": number})


def ids(source):
    (exists,) = source.query("SELECT to_regclass('sales_raw.orders') IS NOT NULL")[0]
    return [row[0] for row in source.query("SELECT id FROM sales_raw.orders ORDER BY id")] if exists else []


@pytest.mark.parametrize("mode", [APPEND, DEDUPED])
def test_a_first_load_is_one_commit_and_its_table_like_any_other(make_source, counted, mode):
    source = make_source({"orders": mode}, ORDERS)
    sent = [(number % 40, 100 - number if number % 3 else number, f"row {number}") for number in range(120)]

    def load(some):
        source.script = list(complete("orders"))
        for place, values in reversed(list(enumerate(some, 1))):
            step = record("orders", dict(zip(("id", "at", "text"), values, strict=True)))
            source.script[:0] = [step, state("orders", {"at": 1000})] if place % 5 == 0 or place == len(some) else [step]
        source.sync()

    def expected(some):
        if mode == APPEND:
            return sorted(some)
        newest = {}
        for values in some:
            if values[0] not in newest or values[1] >= newest[values[0]][1]:
                newest[values[0]] = values
        return sorted(newest.values())

    load(sent)
    assert counted["copies"] > 2 and counted["commits"] == 1
    assert source.query("SELECT id, at, text FROM sales_raw.orders ORDER BY 1, 2, 3") == expected(sent)
    more = [(number % 50, 60 + number % 7, f"more {number}") for number in range(90)]
    load(more)
    assert source.query("SELECT id, at, text FROM sales_raw.orders ORDER BY 1, 2, 3") == expected([*sent, *more])
    defaults = "SELECT DISTINCT column_default FROM information_schema.columns WHERE table_schema = 'sales_raw' AND table_name = 'orders'"
    assert source.query(defaults) == [(None,)]
    metas = source.query("SELECT DISTINCT _airbyte_meta ->> 'sync_id' FROM sales_raw.orders")
    assert set(metas) == set(source.query("SELECT sync_id::text FROM mesh.syncs"))


@pytest.mark.parametrize("mode", [APPEND, DEDUPED])
def test_early_rows_stay_beside_those_that_cannot_be_early(make_source, counted, mode):
    names = ("gap", "big", "odd")
    catalog = [stream(name, {"id": INTEGER, "n": INTEGER, "at": {"type": "string", "format": "date-time"}}) for name in names]
    source = make_source(dict.fromkeys(names, mode), catalog)
    script = []
    for number in range(1, 151):
        for name in names:
            data = {"id": number % 100, "n": number, "at": "2024-05-01T10:00:00+02:00"}
            if name == "big" and number == 75:
                data["n"] = 2**70
            if name == "odd" and number == 75:
                data["at"] = "2024-05-01T10:00:00+23:00"  # only Postgres knows that there is no such zone
            script.append(record(name, data))
            if number % 5 == 0 and not (name == "gap" and 50 < number < 140):
                script.append(state(name, {"id": number}))
    source.script = [*script, *complete(*names)]
    source.sync()
    assert counted["copies"] > 2 and counted["commits"] == 1
    numbers = range(1, 151) if mode == APPEND else range(51, 151)
    for name in names:
        expected = [(number % 100, 2**70 if (name, number) == ("big", 75) else number) for number in numbers]
        assert source.query(f"SELECT id, n FROM sales_raw.{name} ORDER BY _airbyte_raw_id") == expected
    lost = source.query("SELECT n, _airbyte_meta #>> '{changes,0,field}' FROM sales_raw.odd WHERE at IS NULL")
    assert lost == [(75, "at")]


@pytest.mark.parametrize("mode", [APPEND, DEDUPED])
def test_rows_that_no_state_sealed_yet_wait_in_memory_not_in_a_staging_table(make_source, counted, monkeypatch, mode):
    spilled = []
    monkeypatch.setattr(loader.StreamWriter, "spill", lambda writer: spilled.append(writer.task.name))
    source = make_source({"early": mode, "late": mode}, [stream(name, {"id": INTEGER}) for name in ("early", "late")])
    source.script = []
    for number in range(1, 101):
        source.script += [record("early", {"id": number}), state("early", {"id": number})]
        if number > 60:  # begins while rows of the other are on their way, and is sealed later than they are
            source.script.append(record("late", {"id": number}))
            source.script += [state("late", {"id": number})] if number % 4 == 0 else []
    source.script += complete("early", "late")
    source.sync()
    assert counted["copies"] > 4 and spilled == []
    assert source.query("SELECT count(*) FROM sales_raw.early") == [(100,)] and source.query("SELECT count(*) FROM sales_raw.late") == [
        (40,)
    ]


def cut(source):
    with source.warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("SELECT pg_terminate_backend(pid, 10000) FROM pg_stat_activity WHERE usename = 'sales_job'")


def cancel(_source):
    raise KeyboardInterrupt


@pytest.mark.parametrize(
    ("mode", "end", "error", "kept"),
    [
        (DEDUPED, [{"exit": 3}], ConnectorError, 100),
        (APPEND, [state("orders", {"at": 110}, 10)], ProtocolError, 0),
        (DEDUPED, cancel, KeyboardInterrupt, 0),
        (APPEND, cut, psycopg.OperationalError, 0),
    ],
    ids=["the source fails", "rows were lost on the way", "cancelled", "the session is lost"],
)
def test_what_ends_a_sync_keeps_early_rows_with_their_state_or_not_at_all(make_source, counted, monkeypatch, mode, end, error, kept):
    source = make_source({"orders": mode}, ORDERS)
    unsealed = [record("orders", {"id": number, "at": number, "text": "x"}) for number in range(101, 104)]
    after = end if isinstance(end, list) else [{"wait": 0.1}]
    source.script = [*rows(range(1, 101)), *unsealed, *after]
    if not isinstance(end, list):
        once(monkeypatch, counted, lambda: end(source))
    with pytest.raises(error):
        source.sync()
    assert counted["copies"] > 1 and ids(source) == list(range(1, kept + 1))
    assert source.query("SELECT state::jsonb #>> '{stream,stream_state,at}' FROM mesh.sync_state") == ([(str(kept),)] if kept else [])
    source.script = [*rows(range(kept + 1, 121)), *complete("orders")]
    source.sync()
    assert ids(source) == list(range(1, 121))
    first = {KeyboardInterrupt: "cancelled", psycopg.OperationalError: "killed"}.get(error, "failed")
    assert source.query("SELECT status FROM mesh.syncs ORDER BY started_at") == [(first,), ("succeeded",)]


def test_a_known_table_stays_readable_while_rows_are_copied_into_it(make_source, counted, monkeypatch):
    source = make_source({"orders": APPEND}, ORDERS, script=[*rows(range(1, 4)), *complete("orders")])
    source.sync()
    source.catalog = [stream("orders", {"id": INTEGER, "at": INTEGER, "text": TEXT, "new": TEXT}, default_cursor_field=["at"])]
    source.script = [*rows(range(4, 200)), *complete("orders")]
    found = []

    def read():
        with source.warehouse.connect_domain("sales", autocommit=True) as session:
            session.execute("SET lock_timeout = '5s'")
            session.execute("CREATE VIEW sales_build.v AS SELECT id, new FROM sales_raw.orders")  # the new column is there
            session.execute("GRANT SELECT ON sales_raw.orders TO sales_job")
            found.extend(row[0] for row in session.execute("SELECT id FROM sales_build.v ORDER BY id"))

    once(monkeypatch, counted, read)
    source.sync()
    # The table got its shape in a first, short commit; what was copied after it is seen at the end.
    assert counted["commits"] == 3 and 3 < len(found) < 199 and found == list(range(1, len(found) + 1))
    assert ids(source) == list(range(1, 200))


def test_rows_of_a_source_that_falls_silent_are_committed(make_source, counted, monkeypatch):
    monkeypatch.setattr(sync, "_LOOK_SECONDS", 0.02)
    monkeypatch.setattr(sync, "_PROGRESS_SECONDS", 0.0)
    source = make_source({"orders": APPEND}, ORDERS, script=[*rows(range(1, 31)), {"wait": 600}])

    def look(progress):
        if progress.rows == {"orders": 30}:
            monkeypatch.setattr(loader, "COMMIT_SECONDS", 0.0)  # as if so much time had passed
            if ids(source):
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        source.sync(on_progress=look)
    assert ids(source) == list(range(1, 31)) and counted["commits"] == 1
