"""Raw tables rebuilt from the raw copies in the lake: the same rows, the same ids, the same state, and no source."""

from __future__ import annotations

import json
import multiprocessing
import os
from collections.abc import Collection
from functools import partial
from pathlib import Path

import pytest
from psycopg import sql
from scripted_source import Source, complete, record, state, stream
from test_killed import MOMENTS, killed, run

from platform_core.ingestion import ConnectorError, LoadError, ReplayError, loader, replay, replayable_syncs, run_replay
from platform_core.lake import RawCopyError
from platform_core.settings import Settings

AT = {"id": {"type": "integer"}, "at": {"type": "integer"}, "v": {"type": "string"}}
MODES = {
    "appended": "incremental_append",
    "deduped": "incremental_deduped",
    "copied": "full_refresh_append",
    "replaced": "full_refresh_overwrite",
}


def catalog() -> list[dict]:
    return [stream(name, AT, default_cursor_field=["at"]) for name in MODES]


def send(*triples: tuple, ends: bool = True, names: Collection[str] = tuple(MODES)) -> list[dict]:
    """Rows of every stream, a state of each, the end."""
    steps = []
    for name in names:
        steps += [record(name, dict(zip(("id", "at", "v"), triple, strict=True))) for triple in triples]
        steps += [state(name, {"at": triples[-1][1] if triples else 0}, len(triples))] if "incr" in MODES[name] else []
        steps += complete(name) if ends else []
    return steps


def contents(source: Source) -> dict:
    tables = [row[0] for row in source.query("SELECT tablename FROM pg_tables WHERE schemaname = 'sales_raw' ORDER BY 1")]
    rows = {table: source.query(f'SELECT t::text FROM sales_raw."{table}" t ORDER BY _airbyte_raw_id') for table in tables}
    types = source.query(
        "SELECT table_name, column_name, data_type FROM information_schema.columns WHERE table_schema = 'sales_raw' ORDER BY 1, 2"
    )
    return {
        "rows": rows,
        "types": types,
        "states": sorted(source.query("SELECT namespace, stream, kind, state::text FROM mesh.sync_state")),
        "generations": sorted(source.query("SELECT stream, generation_id FROM mesh.raw_streams")),
    }


def lose_everything(source: Source) -> None:
    for (table,) in source.query("SELECT tablename FROM pg_tables WHERE schemaname = 'sales_raw'"):
        with source.warehouse.connect_domain("sales", autocommit=True) as connection:
            connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier("sales_raw", table)))
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("DELETE FROM mesh.sync_state")
        connection.execute("DELETE FROM mesh.raw_streams")


def again(source: Source, which: str, **options):
    return run_replay(source.connection, which, warehouse=source.warehouse, settings=source.settings, **options)


def several_syncs(source: Source, monkeypatch: pytest.MonkeyPatch) -> None:
    """Two good ones, one that failed after a commit, one that widened and added columns, and one more."""
    monkeypatch.setattr(loader, "COMMIT_SECONDS", 0.0)
    source.script = send((1, 1, "a"), (2, 2, "b"), (1, 3, "c"))
    source.sync()
    source.script = send((2, 4, "d"), (3, 5, "e\t\\"))
    source.sync()
    source.script = [*send((4, 6, "f"), ends=False), {"exit": 1}]
    with pytest.raises(ConnectorError):
        source.sync()
    wider = {**AT, "id": {"type": "number"}, "more": {"type": "string", "format": "date-time"}}
    source.catalog = [stream(name, wider, default_cursor_field=["at"]) for name in MODES]
    source.script = [
        record("appended", {"id": 5.5, "at": 7, "v": 9, "more": "2024-06-01T12:00:00+02:00"}),
        record("deduped", {"id": 1, "at": 2**70, "v": "g"}),
        record("replaced", {"id": 0.5, "at": "no number"}),
        state("appended", {"at": 7}, 1),
        *complete(*MODES),
    ]
    source.sync()
    source.script = complete(*MODES)
    source.sync()


def test_tables_that_were_lost_come_back_with_their_ids_and_their_state(make_source, monkeypatch):
    source = make_source(MODES, catalog())
    several_syncs(source, monkeypatch)
    before, calls = contents(source), len(source.calls())
    assert [len(before["rows"][name]) for name in MODES] == [7, 4, 5, 0]
    lose_everything(source)
    result = again(source, "all")
    assert contents(source) == before
    assert len(result.syncs) == 5 and result.rows["appended"] == 7 and result.tables["deduped"] == "sales_raw.deduped"
    assert len(source.calls()) == calls  # the connector was not even started
    again(source, "all")  # over tables that are there
    assert contents(source) == before
    source.script = [record("appended", {"id": 9, "at": 9}), *complete(*MODES)]
    source.sync()  # goes on from the state
    assert source.calls()[-1].startswith('read [{"type": "STREAM"')


APPENDS = {name: mode for name, mode in MODES.items() if name != "replaced"}


@pytest.mark.parametrize("which", ["latest", 0, 1, 2])
def test_one_sync_again_doubles_nothing(make_source, which):
    source = make_source(APPENDS, catalog())
    for rows in ([(1, 1, "a"), (2, 2, "b"), (1, 3, "c")], [(2, 4, "d"), (3, 5, "e")], [(3, 5, "f")]):
        source.script = send(*rows, names=APPENDS)
        source.sync()
    before = contents(source)
    ids = [manifest.sync_id for manifest in replayable_syncs(source.connection, source.settings)]
    again(source, which if which == "latest" else ids[which])
    assert contents(source) == before


def test_rows_that_were_deleted_by_hand_come_back_from_their_sync(make_source):
    source = make_source(APPENDS, catalog())
    ids = []
    for number in (1, 2):
        source.script = send((number, number, "x"), (7, number, "y"), names=APPENDS)
        ids.append(source.sync().sync_id)
    before = contents(source)
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("DELETE FROM sales_raw.appended WHERE id = 1")
        connection.execute("DELETE FROM sales_raw.deduped WHERE id = 1")
    again(source, ids[0])
    assert contents(source) == before


def test_an_earlier_generation_replaces_the_present_one_and_the_next_sync_replaces_that(make_source):
    source = make_source({"replaced": "full_refresh_overwrite"}, catalog())
    results = []
    for number in (1, 2, 3):
        source.script = [record("replaced", {"id": number, "at": 1, "v": "x"}), *complete("replaced")]
        results.append(source.sync())
    again(source, results[0].sync_id)
    assert source.query("SELECT id, _airbyte_generation_id, _airbyte_meta->>'sync_id' FROM sales_raw.replaced") == [
        (1, 1, results[0].sync_id)
    ]
    again(source, "latest")
    again(source, "latest")
    assert source.query("SELECT id, _airbyte_generation_id FROM sales_raw.replaced") == [(3, 3)]
    again(source, results[1].sync_id)
    source.script = [record("replaced", {"id": 9, "at": 1, "v": "x"}), *complete("replaced")]
    source.sync()
    assert source.query("SELECT id FROM sales_raw.replaced") == [(9,)]


def test_an_append_from_before_a_full_refresh_is_refused(make_source):
    source = make_source({"appended": "incremental_append"}, catalog())
    source.script = [record("appended", {"id": 1, "at": 1}), *complete("appended")]
    old = source.sync()
    source.sync(full_refresh=True)
    with pytest.raises(ReplayError, match=r"was replaced since that sync \(generation 1, its rows are of 0\)"):
        again(source, old.sync_id)
    before = contents(source)
    again(source, "all")
    assert contents(source) == before and len(before["rows"]["appended"]) == 1


@pytest.mark.parametrize("kind", ["GLOBAL", "LEGACY"])
def test_a_shared_state_comes_back_verbatim(make_source, kind):
    body = {"type": "LEGACY", "data": {"n": 0.12345678901234567890123}}
    if kind == "GLOBAL":
        streams = [{"stream_descriptor": {"name": "appended"}, "stream_state": {"at": 1}}]
        body = {"type": "GLOBAL", "global": {"shared_state": {"lsn": 12345678901234567890123}, "stream_states": streams}}
    text = json.dumps({"type": "STATE", "state": body}).replace("0.12345678901234568", "0.12345678901234567890123")
    source = make_source({"appended": "incremental_append"}, catalog())
    source.script = [record("appended", {"id": 1, "at": 1}), {"text": text + "\n"}, *complete("appended")]
    source.sync()
    before = contents(source)
    assert "12345678901234567890123" in before["states"][0][3]
    lose_everything(source)
    again(source, "latest")
    assert contents(source) == before


def test_one_stream_only(make_source, monkeypatch):
    source = make_source(MODES, catalog())
    several_syncs(source, monkeypatch)
    before = contents(source)
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("DROP TABLE sales_raw.appended")
        connection.execute("DELETE FROM mesh.sync_state WHERE stream = 'appended'")
    assert set(again(source, "all", streams=["appended"]).rows) == {"appended"}
    assert contents(source) == before
    with pytest.raises(ReplayError, match="no raw copy has a stream 'apended', did you mean 'appended'"):
        again(source, "all", streams=["apended"])


def test_the_list_says_what_can_be_replayed(make_source, monkeypatch):
    source = make_source(MODES, catalog())
    assert replayable_syncs(source.connection, source.settings) == []
    several_syncs(source, monkeypatch)
    found = replayable_syncs(source.connection, source.settings)
    assert [(sync.status, sync.rows) for sync in found] == [
        ("succeeded", 12), ("succeeded", 8), ("failed", 2), ("succeeded", 3), ("succeeded", 0),
    ]  # fmt: skip
    assert all(sync.compressed_bytes > 0 for sync in found)


def test_a_killed_replay_leaves_the_tables_as_they_were(make_source, monkeypatch):
    source = make_source(MODES, catalog())
    several_syncs(source, monkeypatch)
    before = contents(source)

    def die(self, *_arguments, **_options):
        os.kill(os.getpid(), 9)

    monkeypatch.setattr(replay, "restore_states", die)  # everything is loaded by then
    process = multiprocessing.get_context("fork").Process(target=partial(again, source, "all"))
    process.start()
    process.join(60)
    assert process.exitcode == -9
    monkeypatch.undo()
    assert contents(source) == before


def test_what_a_killed_sync_had_committed_is_in_its_raw_copy(make_source):
    rows = {"a": {"rows": 400, "every": 20}, "b": {"rows": 130, "every": 7}, "c": {"rows": 90, "every": 1000}}
    modes = {"a": "incremental_append", "b": "incremental_deduped", "c": "full_refresh_overwrite"}
    source = make_source(modes, [stream(name) for name in rows], rows={"streams": rows})
    for moment in ("just after a commit", "while reading", "before the last commit"):
        assert killed(source, MOMENTS[moment])
    run(source, None, 1500)
    before = contents(source)
    found = replayable_syncs(source.connection, source.settings)
    assert [sync.status for sync in found] == ["killed", "killed", "killed", "succeeded"]
    lose_everything(source)
    again(source, "all")
    assert contents(source) == before
    assert [row[0] for row in source.query("SELECT id FROM sales_raw.a ORDER BY id")] == list(range(1, 401))
    lake = source.folder / "home" / "lake"
    assert {path.name for path in lake.rglob("*") if path.is_file()} == {"manifest.json", "messages.jsonl.zst"}
    statuses = [row[0] for row in source.query("SELECT status FROM mesh.syncs WHERE raw_object IS NOT NULL ORDER BY started_at")]
    assert statuses == ["killed", "killed", "killed", "succeeded"]


@pytest.mark.parametrize("damage", ["bytes", "gone", "foreign", "manifest", "format"])
def test_a_damaged_raw_copy_changes_nothing(make_source, damage):
    source = make_source({"appended": "incremental_append"}, catalog())
    source.script = [record("appended", {"id": 1, "at": 1}), *complete("appended")]
    raw = Path(source.sync().raw_object)
    manifest = raw.with_name("manifest.json")
    before = contents(source)
    if damage == "bytes":
        content = bytearray(raw.read_bytes())
        content[len(content) // 2] ^= 1
        raw.write_bytes(content)
    elif damage == "gone":
        raw.unlink()
    elif damage == "foreign":
        manifest.write_text(manifest.read_text().replace('"connection": "shop"', '"connection": "other"'))
    elif damage == "manifest":
        manifest.write_text(manifest.read_text()[:200])
    else:
        manifest.write_text(manifest.read_text().replace("zstd/2", "zstd/1"))
    expected = {
        "bytes": (RawCopyError, "is damaged: its SHA-256 is"),
        "gone": (RawCopyError, "the raw copy is missing"),
        "foreign": (ReplayError, "belongs to another sync: sales/other"),
        "manifest": (ReplayError, "its manifest cannot be read"),
        "format": (ReplayError, "was written by an earlier version"),
    }
    kind, words = expected[damage]
    with pytest.raises(kind, match=words) as caught:
        again(source, "all")
    assert caught.value.remedy and raw.parent.name in caught.value.where
    assert contents(source) == before


def test_names_that_do_not_exist_and_tables_of_others_are_refused(make_source):
    source = make_source({"appended": "incremental_append"}, catalog())
    with pytest.raises(ReplayError, match="has no raw copy"):
        again(source, "all")
    source.script = [record("appended", {"id": 1, "at": 1}), *complete("appended")]
    source.sync()
    with pytest.raises(ReplayError, match="no raw copy of a sync '20200101'"):
        again(source, "20200101")
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("UPDATE mesh.raw_streams SET connection = 'legacy'")
    with pytest.raises(LoadError, match="loaded by the connection 'legacy'"):
        again(source, "all")


def test_on_s3_too(make_source, monkeypatch, bucket):
    import s3fs

    source = make_source(MODES, catalog())
    environment = {"MESH_REPO": str(source.folder), "MESH_HOME": str(source.folder / "home"), "MESH_LAKE_URL": f"{bucket}/whole"}
    monkeypatch.setattr(Source, "settings", property(lambda _self: Settings.load(environment)))
    several_syncs(source, monkeypatch)
    before = contents(source)
    lose_everything(source)
    again(source, "all")
    assert contents(source) == before
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    names = [path.rpartition("/")[2] for path in store.find(f"{bucket}/whole")]
    assert sorted(set(names)) == ["manifest.json", "messages.jsonl.zst"] and len(names) == 10
    assert not store.call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://")).get("Uploads")
