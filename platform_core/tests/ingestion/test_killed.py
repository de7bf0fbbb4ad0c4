"""The runner killed with SIGKILL at every kind of moment, then run again: nothing lost, nothing doubled."""

from __future__ import annotations

import dataclasses
import multiprocessing
import os
import random
import signal
import tempfile
from functools import partial
from pathlib import Path

import pytest
from scripted_source import gone, record, state, status, stream

from platform_core.ingestion import connector, loader, run_replay, scratch
from platform_core.ingestion.copying import RowCopy
from platform_core.ingestion.writer import StreamWriter
from platform_core.lake import raw_copy
from platform_core.lake.raw_copy import RawCopy
from platform_core.settings import Settings

ROWS = {"a": {"rows": 400, "every": 20}, "b": {"rows": 130, "every": 7}, "c": {"rows": 90, "every": 1000}}
# Where the runner dies: (owner, function, before or after it, at which call).
MOMENTS = {
    "while reading": (loader.Loader, "feed", "after", 12),
    "inside a transaction, rows written": (StreamWriter, "publish", "after", 5),
    "inside a transaction, state written": (loader, "write_state", "after", 6),
    "just before a commit": (loader, "note_progress", "after", 4),
    "just after a commit": (loader.Loader, "commit", "after", 3),
    "while spilling": (RowCopy, "copy", "after", 2),
    "before the last commit": (RawCopy, "finish", "after", 1),
    "after the last commit": (loader.Loader, "finish", "after", 1),
}
MODES = {
    "every mode": {"a": "incremental_append", "b": "incremental_deduped", "c": "full_refresh_overwrite"},
    "append": {"a": "incremental_append", "b": "incremental_append", "c": "full_refresh_append"},
    "append from memory": {"a": "incremental_append", "b": "incremental_append"},
}
# Bytes that memory holds before rows go to staging tables: next to nothing, or all, so that both ways are taken.
BUFFER = {"every mode": 1500, "append": 1500, "append from memory": 10**6}


def die_in(owner, name, number):
    original, calls = getattr(owner, name), []

    def wrapped(*args, **options):
        result = original(*args, **options)
        calls.append(1)
        if len(calls) == number:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    setattr(owner, name, wrapped)


def run(source, moment, buffer, block=2000, commit=0):
    # Every state is worth a commit, or so many bytes are; lines come in small blocks that end anywhere between two states.
    loader.COMMIT_SECONDS, loader.COMMIT_BYTES = (3600.0, commit) if commit else (0.0, loader.COMMIT_BYTES)
    loader.BUFFER_BYTES, connector._READ_BYTES = buffer, block
    if moment is not None:
        owner, name, _, number = moment
        die_in(owner, name, number)
    source.sync()


def killed(source, moment, buffer=1500, block=2000, commit=0) -> bool:
    process = multiprocessing.get_context("fork").Process(target=partial(run, source, moment, buffer, block, commit))
    process.start()
    process.join(60)
    assert process.exitcode is not None
    return process.exitcode == -signal.SIGKILL


@pytest.mark.parametrize(
    ("moment", "modes"),
    [(moment, modes) for moment in MOMENTS for modes in MODES if (moment, modes) != ("while spilling", "append from memory")],
)
def test_killed_twice_and_run_again(make_source, moment, modes):
    source = make_source(MODES[modes], [stream(name) for name in ROWS], rows={"streams": ROWS})
    first = killed(source, MOMENTS[moment], BUFFER[modes])
    assert first, "the moment never came"
    killed(source, MOMENTS[moment], BUFFER[modes])  # less is left to do, so the moment may not come again; then the run has ended
    source.sync()
    for name, mode in MODES[modes].items():
        numbers = [row[0] for row in source.query(f"SELECT id FROM sales_raw.{name} ORDER BY id")]
        # A full-refresh append adds a whole copy with each sync that succeeded, and nothing with one that did not.
        ((succeeded,),) = source.query("SELECT count(*) FROM mesh.syncs WHERE status = 'succeeded'")
        copies = succeeded if mode == "full_refresh_append" else 1
        assert numbers == sorted(list(range(1, ROWS[name]["rows"] + 1)) * copies)
    assert source.query("SELECT count(*) FROM mesh.syncs WHERE status = 'running'") == [(0,)]
    states = {name: state["stream"]["stream_state"]["id"] for name, state in source.query("SELECT stream, state FROM mesh.sync_state")}
    assert states == {name: ROWS[name]["rows"] for name, mode in MODES[modes].items() if mode.startswith("incremental")}


EARLY = {
    "while rows are copied early": ((RowCopy, "copy", "after", 3), False),
    "just before the first commit": ((loader, "note_progress", "after", 1), True),
    "while rows are copied early once more": ((RowCopy, "copy", "after", 16), True),
}


@pytest.mark.parametrize("moment", EARLY)
def test_killed_between_rows_that_are_copied_early_and_their_commit(make_source, moment):
    modes = {"a": "incremental_append", "b": "incremental_deduped"}
    when, shared = EARLY[moment]
    source = make_source(modes, [stream(name) for name in modes], rows={"streams": ROWS, "shared": shared})
    assert killed(source, when, 2500, 1000, 10_000), "the moment never came"
    killed(source, when, 2500, 1000, 10_000)
    source.sync()
    for name in modes:
        assert [row[0] for row in source.query(f"SELECT id FROM sales_raw.{name} ORDER BY id")] == list(range(1, ROWS[name]["rows"] + 1))


def test_lagging_states_and_a_kill_double_nothing(make_source):
    rows = {"streams": {"a": {"rows": 300, "every": 10, "lag": 10}}, "turn": 7}
    source = make_source({"a": "incremental_append"}, [stream("a")], rows=rows)
    for moment in (MOMENTS["while reading"], MOMENTS["just before a commit"], (loader.Loader, "feed", "after", 30)):
        killed(source, moment)
    source.sync()
    assert [row[0] for row in source.query("SELECT id FROM sales_raw.a ORDER BY id")] == list(range(1, 301))


def test_a_global_state_covers_all_streams_at_once(make_source):
    source = make_source(
        {"a": "incremental_append", "b": "incremental_append"}, [stream("a"), stream("b")], rows={"streams": ROWS, "shared": True}
    )
    assert killed(source, MOMENTS["just after a commit"])
    assert killed(source, MOMENTS["inside a transaction, rows written"])
    source.sync()
    for name in "ab":
        assert [row[0] for row in source.query(f"SELECT id FROM sales_raw.{name} ORDER BY id")] == list(range(1, ROWS[name]["rows"] + 1))


def test_a_killed_runner_leaves_no_connector_behind(make_source, tmp_path):
    source = make_source({"a": "incremental_append"}, [stream("a")])
    source.script = [{"child": str(tmp_path / "child")}, {"pid": str(tmp_path / "pid")}, {"text": '{"type":"LOG"}\n'}, {"wait": 600}]
    assert killed(source, (loader.Loader, "feed", "after", 1))
    assert gone(tmp_path / "pid") and gone(tmp_path / "child")


def test_the_folder_of_a_killed_connector_is_removed_by_the_next_and_one_in_use_is_not(make_source, tmp_path, monkeypatch):
    monkeypatch.setattr(scratch, "_YOUNG_SECONDS", -1.0)
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    source = make_source({"a": "incremental_append"}, [stream("a")], rows={"streams": {"a": ROWS["a"]}})
    with scratch.scratch_folder() as used:
        assert killed(source, MOMENTS["while reading"])
        assert len(list(tmp_path.glob("mesh-connector-*"))) == 2
        source.sync()
        assert [str(path) for path in tmp_path.glob("mesh-connector-*")] == [used]


def test_what_a_killed_sync_left_in_s3_is_finished_by_the_next(make_source, monkeypatch, bucket):
    """Enough incompressible rows that parts of an upload are there when the runner dies."""
    import s3fs

    monkeypatch.setattr(raw_copy, "_PART_BYTES", 5 << 20)
    source = make_source({"a": "incremental_append"}, [stream("a")])
    monkeypatch.setattr(type(source), "settings", property(lambda self: dataclasses.replace(
        Settings.load({"MESH_REPO": str(self.folder), "MESH_HOME": str(self.folder / "home")}), lake_url=f"{bucket}/killed"
    )))  # fmt: skip
    texts = [random.Random(number).randbytes(700_000).hex() for number in range(12)]
    for number, text in enumerate(texts, 1):
        source.script = [*source.script, record("a", {"id": number, "text": text}), state("a", {"id": number}, 1)]
    assert killed(source, (loader, "note_progress", "after", 9), 1 << 20, 1 << 20)
    (committed,) = source.query("SELECT max(id) FROM sales_raw.a")[0]
    store = s3fs.S3FileSystem(skip_instance_cache=True)
    left = [path.rpartition("/")[2] for path in store.find(f"{bucket}/killed")]
    assert "messages.jsonl.zst" not in left and "messages.jsonl.zst.000000" in left
    assert store.call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://"))["Uploads"]

    source.script = [*source.script[2 * committed :], status("a", "COMPLETE")]
    source.sync()
    store.invalidate_cache()
    names = [path.rpartition("/")[2] for path in store.find(f"{bucket}/killed")]
    assert sorted(names) == ["manifest.json"] * 2 + ["messages.jsonl.zst"] * 2
    assert not store.call_s3("list_multipart_uploads", Bucket=bucket.removeprefix("s3://")).get("Uploads")
    everything = "SELECT id, md5(text), _airbyte_raw_id FROM sales_raw.a ORDER BY id"
    before = source.query(everything)
    assert [row[0] for row in before] == list(range(1, 13)) and 7 < committed < 12
    with source.warehouse.connect_domain("sales", autocommit=True) as connection:
        connection.execute("DROP TABLE sales_raw.a")
    run_replay(source.connection, "all", warehouse=source.warehouse, settings=source.settings)
    assert source.query(everything) == before


def test_a_kill_within_the_first_manifest_leaves_nothing_behind(make_source):
    source = make_source({"a": "incremental_append"}, [stream("a")], rows={"streams": {"a": ROWS["a"]}})

    def run_and_die():
        original = Path.replace

        def replace(self, target):
            if Path(target).name == "manifest.json":
                os.kill(os.getpid(), signal.SIGKILL)
            return original(self, target)

        Path.replace = replace
        source.sync()

    process = multiprocessing.get_context("fork").Process(target=run_and_die)
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    lake = source.folder / "home" / "lake"
    assert [path for path in lake.rglob("manifest.json.*") if path.is_file()]
    source.sync()
    assert {path.name for path in lake.rglob("*") if path.is_file()} == {"manifest.json", "messages.jsonl.zst"}
    assert source.query("SELECT status FROM mesh.syncs ORDER BY started_at") == [("killed",), ("succeeded",)]
