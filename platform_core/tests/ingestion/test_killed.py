"""The runner killed with SIGKILL at every kind of moment, then run again: nothing lost, nothing doubled."""

from __future__ import annotations

import multiprocessing
import os
import signal
from functools import partial

import pytest
from scripted_source import stream

from platform_core.ingestion import connector, loader
from platform_core.ingestion.writer import StreamWriter
from platform_core.lake.raw_copy import RawCopy

ROWS = {"a": {"rows": 400, "every": 20}, "b": {"rows": 130, "every": 7}, "c": {"rows": 90, "every": 1000}}
# Where the runner dies: (owner, function, before or after it, at which call).
MOMENTS = {
    "while reading": (loader.Loader, "feed", "after", 12),
    "inside a transaction, rows written": (StreamWriter, "publish", "after", 5),
    "inside a transaction, state written": (loader, "write_state", "after", 6),
    "just before a commit": (loader, "note_progress", "after", 4),
    "just after a commit": (loader.Loader, "commit", "after", 3),
    "while spilling": (StreamWriter, "spill", "after", 2),
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


def run(source, moment, buffer):
    # Every state is worth a commit, and lines come in small blocks that end anywhere between two states.
    loader.COMMIT_SECONDS, loader.BUFFER_BYTES, connector._READ_BYTES = 0.0, buffer, 2000
    if moment is not None:
        owner, name, _, number = moment
        die_in(owner, name, number)
    source.sync()


def killed(source, moment, buffer=1500) -> bool:
    process = multiprocessing.get_context("fork").Process(target=partial(run, source, moment, buffer))
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
    from test_sync import gone

    source = make_source({"a": "incremental_append"}, [stream("a")])
    source.script = [{"child": str(tmp_path / "child")}, {"pid": str(tmp_path / "pid")}, {"text": '{"type":"LOG"}\n'}, {"wait": 600}]
    assert killed(source, (loader.Loader, "feed", "after", 1))
    assert gone(tmp_path / "pid") and gone(tmp_path / "child")
