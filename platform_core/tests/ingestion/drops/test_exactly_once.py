"""Each content is in the table once: files that come again, change, are renamed, copied, swapped, deleted; runners that race or die."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from datetime import date
from decimal import Decimal
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from dropped_inbox import Inbox

from platform_core.ingestion import ConcurrentSyncError, LoadError, loader, session
from platform_core.ingestion.drops import DropFileError, DropLocationError, ledger, list_files, load_file, new_files, quarantine, run
from platform_core.ingestion.drops.location import DropPlace
from platform_core.ingestion.writer import StreamWriter
from platform_core.lake import RawCopy

A, B, C = "id,n\n1,a\n2,b\n", "id,n\n3,c\n", "id,n\n4,d\n5,e\n6,f\n"


def test_a_file_that_did_not_change_is_not_loaded_again(inbox: Inbox) -> None:
    path = inbox.put("a.csv", A)
    assert inbox.look().rows == 2
    result = inbox.look()
    assert (result.loaded, result.known, result.changed) == ([], {}, False)
    os.utime(path, (1, 1))  # touched: the same content under another time
    assert inbox.look().loaded == []
    assert new_files(inbox.drop, list_files(inbox.drop, inbox.settings, {}), inbox.warehouse) == [], "and then it is known by its new time"


def test_a_changed_file_takes_the_place_of_its_former_version(inbox: Inbox) -> None:
    inbox.put("a.csv", A)
    inbox.put("b.csv", B)
    inbox.look()
    inbox.put("a.csv", C)
    (loaded,) = inbox.look().loaded
    assert (loaded.rows, loaded.replaced) == (3, 2)
    assert inbox.rows("_file, id") == [("a.csv", 4), ("a.csv", 5), ("a.csv", 6), ("b.csv", 3)]
    inbox.put("a.csv", A)
    inbox.look()
    assert inbox.rows("id", "ORDER BY id") == [(1,), (2,), (3,)], "what was there before is loaded again when it comes back"
    inbox.put("a.csv", "id,n\n")
    inbox.look()
    assert inbox.rows("id") == [(3,)], "a file without rows is a content too"


def test_append_keeps_both_versions(inbox: Inbox) -> None:
    inbox.declaration = {"changed_file": "append"}
    for content in (A, C, A):
        inbox.put("a.csv", content)
        inbox.look()
    assert inbox.rows("id", "ORDER BY id") == [(number,) for number in (1, 2, 4, 5, 6)], "the first one comes again and is known"


def test_with_a_key_the_newest_file_wins(inbox: Inbox) -> None:
    inbox.declaration = {"primary_key": ["id"]}
    os.utime(inbox.put("z_first.csv", "id,n\n1,old\n2,old\n2,newer\n"), (100, 100))
    os.utime(inbox.put("a_second.csv", "id,n\n1,new\n3,new\n"), (200, 200))
    inbox.look()
    assert inbox.rows("id, n", "ORDER BY id") == [(1, "new"), (2, "newer"), (3, "new")]
    inbox.put("a_second.csv", "id,n\n3,newest\n")
    inbox.look()
    assert inbox.rows("id, n", "ORDER BY id") == [(2, "newer"), (3, "newest")]


def test_a_renamed_file_is_not_loaded_again_and_changes_under_its_new_name(inbox: Inbox) -> None:
    inbox.put("a.csv", A)
    inbox.look()
    (inbox.folder / "a.csv").rename(inbox.folder / "b.csv")
    result = inbox.look()
    assert (result.loaded, result.known) == ([], {"b.csv": "a.csv"})
    inbox.put("a.csv", B)  # a new file under the old name is another file
    assert inbox.look().loaded[0].replaced == 0
    assert inbox.rows("id", "ORDER BY id") == [(1,), (2,), (3,)]
    inbox.put("b.csv", C)
    assert inbox.look().loaded[0].replaced == 2
    assert inbox.rows("id", "ORDER BY id") == [(3,), (4,), (5,), (6,)]


def test_a_copy_is_not_loaded_and_keeps_the_content_when_the_original_moves_on(inbox: Inbox) -> None:
    inbox.put("a.csv", A)
    inbox.put("b.csv", A)
    result = inbox.look()
    assert (result.rows, list(result.known)) == (2, ["b.csv"])
    inbox.put("a.csv", B)
    assert inbox.look().loaded[0].replaced == 0
    assert inbox.rows("id", "ORDER BY id") == [(1,), (2,), (3,)]
    inbox.put("b.csv", C)
    assert inbox.look().loaded[0].replaced == 2
    assert inbox.rows("id", "ORDER BY id") == [(3,), (4,), (5,), (6,)]


def test_two_files_that_change_places(inbox: Inbox) -> None:
    inbox.put("a.csv", A)
    inbox.put("b.csv", C)
    inbox.look()
    inbox.put("a.csv", C)
    inbox.put("b.csv", A)
    inbox.look()
    assert inbox.rows("id", "ORDER BY id") == [(number,) for number in (1, 2, 4, 5, 6)]


def test_a_deleted_file_leaves_its_rows(inbox: Inbox) -> None:
    inbox.put("a.csv", A).unlink()
    inbox.put("a.csv", A)
    inbox.look()
    (inbox.folder / "a.csv").unlink()
    inbox.look()
    assert inbox.rows("id") == [(1,), (2,)]


def test_full_refresh_reads_everything_again(inbox: Inbox) -> None:
    for name, content in {"a.csv": A, "b.csv": B, "copy.csv": A}.items():
        inbox.put(name, content)
    inbox.look()
    result = inbox.look(full_refresh=True)
    assert (result.rows, sum(file.replaced for file in result.loaded)) == (3, 3)
    assert inbox.rows("id", "ORDER BY id") == [(1,), (2,), (3,)]


def test_a_table_that_was_dropped_is_filled_again(inbox: Inbox) -> None:
    inbox.put("a.csv", A)
    inbox.look()
    with inbox.warehouse.connect_domain("sales") as connection:
        connection.execute("DROP TABLE sales_raw.by_hand")
    assert [file.path for file in new_files(inbox.drop, list_files(inbox.drop, inbox.settings, {}), inbox.warehouse)] == ["a.csv"]
    inbox.look()
    assert inbox.rows("id") == [(1,), (2,)]


def test_types_are_kept(inbox: Inbox) -> None:
    inbox.put("a.csv", "n,day,code\n1,2026-01-01,x\n")
    inbox.look()
    inbox.put("b.csv", "n,day,code,extra\n2.5,2026-01-02 10:00:00,7,1\nn/a,2026-01-03,8,2\n")
    (loaded,) = inbox.look().loaded
    assert loaded.unfit == {"n": 1}
    assert inbox.types() == {
        "_file": "text", "_file_row": "bigint", "n": "numeric", "day": "timestamp with time zone", "code": "text", "extra": "bigint",
    }  # fmt: skip
    changes = [{"field": "n", "change": "NULLED", "reason": "DESTINATION_TYPECAST_ERROR"}]
    assert inbox.rows("n, code, extra, _airbyte_meta -> 'changes'", "WHERE _file = 'b.csv' ORDER BY _file_row") == [
        (Decimal("2.5"), "7", 1, []),
        (None, "8", 2, changes),
    ]
    assert any("new column extra" in note for note in loaded.schema_changes)


def test_the_first_values_of_an_empty_column_decide_its_type(inbox: Inbox) -> None:
    """A header alone, or a column that nobody filled, would otherwise be text for ever."""
    inbox.put("a.csv", "id,day,code,note\n")
    inbox.look()
    inbox.declaration = {"options": {"types": {"code": "text"}}}
    inbox.put("b.csv", "id,day,code,note\n1,2026-01-01,7,\n")
    (loaded,) = inbox.look().loaded
    assert inbox.types() == {"_file": "text", "_file_row": "bigint", "id": "bigint", "day": "date", "code": "text", "note": "text"}
    assert inbox.rows("id, day, code, note") == [(1, date(2026, 1, 1), "7", None)]
    assert loaded.schema_changes == (
        "column id text became bigint: it had no value yet", "column day text became date: it had no value yet",
    )  # fmt: skip
    inbox.put("c.csv", "id,day,code,note\nx,2026-01-02,8,5\n")
    assert inbox.look().loaded[0].unfit == {"id": 1}, "a column with values keeps its type"
    assert inbox.types()["note"] == "bigint"


def test_an_integer_column_grows_to_numbers(inbox: Inbox) -> None:
    inbox.put("a.csv", "n\n1\n")
    inbox.put("b.csv", "n\n2.5\n")
    inbox.look()
    assert inbox.types()["n"] == "numeric"
    assert inbox.rows("n") == [(Decimal(1),), (Decimal("2.5"),)]


def test_a_file_that_still_grows_waits(inbox: Inbox) -> None:
    path = inbox.put("a.csv", A)
    result = inbox.look(sleep=lambda _seconds: inbox.put("a.csv", A + "7,z\n") and None)
    assert (result.loaded, result.resting) == ([], ["a.csv"])
    assert inbox.look().rows == 3
    assert path.exists()


def test_a_file_that_changes_while_it_is_copied_waits(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    inbox.put("a.csv", A)
    fetch = DropPlace.fetch

    def grows(self: DropPlace, path: str, target: Path) -> str:
        found = fetch(self, path, target)
        inbox.put(path, C)
        return found

    monkeypatch.setattr(DropPlace, "fetch", grows)
    assert inbox.look().resting == ["a.csv"]
    monkeypatch.undo()
    assert inbox.look().rows == 3


def test_only_the_files_of_the_pattern(inbox: Inbox) -> None:
    inbox.declaration = {"pattern": "2026/**/sales_*.{csv,json}"}
    for name in (
        "2026/sales_1.csv",
        "2026/03/SALES_2.CSV",
        "2026/03/other.csv",
        "2025/sales_3.csv",
        "2026/.sales_4.csv",
        "2026/~$sales_5.csv",
    ):
        inbox.put(name, f"id\n{len(name)}\n")
    inbox.look()
    assert [row[0] for row in inbox.rows("_file")] == ["2026/03/SALES_2.CSV", "2026/sales_1.csv"]


def test_what_programs_leave_beside_files_is_no_file(inbox: Inbox) -> None:
    for name in (".DS_Store", "Thumbs.db", "desktop.ini", "~$budget.xlsx", "a.csv.part", "b.csv.crdownload"):
        inbox.put(name, "id\n1\n")
    result = inbox.look()
    assert (result.loaded, result.quarantined) == ([], [])


def test_the_history_and_the_raw_copy_are_those_of_every_sync(inbox: Inbox) -> None:
    from platform_core.lake import RawObject

    inbox.put("a.csv", A)
    (loaded,) = inbox.look().loaded
    assert inbox.query("SELECT connection, connector, status, raw_object, streams -> 'by_hand' -> 'rows' FROM mesh.syncs") == [
        ("by_hand", "dropped file a.csv", "succeeded", loaded.raw_object, 2)
    ]
    raw = RawObject(inbox.settings.lake_url, "sales", "by_hand", loaded.sync_id)
    lines = [line for block in raw.blocks() for line in block]
    assert len(lines) == 2 and b'"data":{"_file":"a.csv","_file_row":2,"id":1,"n":"a"}' in lines[0]


def test_a_missing_folder_and_a_missing_variable_are_errors(inbox: Inbox) -> None:
    inbox.declaration = {"location": "nowhere"}
    with pytest.raises(DropLocationError, match="the folder does not exist"):
        inbox.look()
    inbox.declaration = {"location": "${NO_SUCH_PLACE}/x"}
    with pytest.raises(DropFileError, match="NO_SUCH_PLACE"):
        inbox.look(environ={})
    inbox.declaration = {"location": "${PLACE}"}
    inbox.put("a.csv", A)
    assert inbox.look(environ={"PLACE": str(inbox.folder)}).rows == 2


def test_a_table_of_somebody_else_is_not_touched(inbox: Inbox) -> None:
    with inbox.warehouse.connect_domain("sales") as connection:
        connection.execute("CREATE TABLE sales_raw.by_hand (id bigint)")
    inbox.put("a.csv", A)
    with pytest.raises(LoadError, match="ingestion did not make it"):
        inbox.look()


def test_rows_on_their_way_arrive_before_the_transaction_begins(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The loader copies into its staging table beside the reading, over the one session that then begins the transaction."""
    made: list[Any] = []
    busy: list[Any] = []
    begin, retire = loader.Loader.__init__, ledger.retire_former

    def remember(self: Any, *arguments: Any, **options: Any) -> None:
        made.append(self)
        begin(self, *arguments, **options)

    def look(*arguments: Any, **options: Any) -> int:
        busy.append(made[-1]._background._thread)
        return retire(*arguments, **options)

    monkeypatch.setattr(loader, "BUFFER_BYTES", 50_000)
    monkeypatch.setattr(loader.Loader, "__init__", remember)
    monkeypatch.setattr(ledger, "retire_former", look)
    inbox.put("a.csv", "id\n" + "".join(f"{number}\n" for number in range(20_000)))
    inbox.put("b.csv", "id\n" + "".join(f"{number}\n" for number in range(20_000, 40_000)))
    assert inbox.look().rows == 40_000
    assert busy == [None, None]
    assert inbox.rows("count(*), count(DISTINCT id)", "") == [(40_000, 40_000)]


def test_two_runners_at_once_do_not_double(inbox: Inbox) -> None:
    for number in range(6):
        inbox.put(f"{number}.csv", f"id\n{number}\n")
    results: list[Any] = []
    drop = inbox.drop

    def look() -> None:
        results.append(run.run_drop(drop, warehouse=inbox.warehouse, settings=inbox.settings))

    threads = [threading.Thread(target=look) for _ in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    assert sorted(result.rows for result in results) == [0, 0, 6]
    assert inbox.rows("id", "ORDER BY id") == [(number,) for number in range(6)]


def test_a_runner_that_waits_too_long_says_so(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(session, "LOCK_SECONDS", 1)
    inbox.put("a.csv", A)
    with session.locked_session(inbox.warehouse, load_file.as_connection(inbox.drop)), pytest.raises(ConcurrentSyncError):
        inbox.look()
    assert inbox.look().rows == 2


# Where the runner dies: (owner, function, at which call, before or after it).
MOMENTS: dict[str, tuple[Any, str, int, str]] = {
    "a file is copied": (DropPlace, "fetch", 2, "after"),
    "its rows are read": (loader.Loader, "feed", 1, "after"),
    "its raw copy is whole": (RawCopy, "finish", 2, "after"),
    "its former rows are gone, the new ones not there": (ledger, "retire_former", 2, "after"),
    "its ledger is written": (ledger, "note", 2, "after"),
    "its rows are written": (StreamWriter, "publish", 2, "after"),
    "its rows are committed": (load_file._Load, "_count_unfit", 1, "before"),
    "a bad file is copied aside": (quarantine, "letter", 1, "before"),
    "its letter is written": (run, "put_aside", 1, "after"),
    "it is about to leave": (DropPlace, "remove", 1, "before"),
    "it left": (DropPlace, "remove", 1, "after"),
    "a copy is known": (ledger, "find_load", 4, "after"),
}


def _run(inbox: Inbox, moment: tuple[Any, str, int, str] | None) -> None:
    if moment is not None:
        owner, name, number, place = moment
        original, calls = getattr(owner, name), []

        def wrapped(*arguments: Any, **options: Any) -> Any:
            calls.append(1)
            if place == "before" and len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            result = original(*arguments, **options)
            if len(calls) == number:
                os.kill(os.getpid(), signal.SIGKILL)
            return result

        setattr(owner, name, wrapped)
    inbox.look()


@pytest.mark.parametrize("moment", MOMENTS)
def test_killed_and_run_again(inbox: Inbox, moment: str) -> None:
    inbox.put("1.csv", A)
    inbox.put("2.csv", B)
    inbox.look()
    for number, (name, content) in enumerate(
        {"1.csv": C, "2.csv": "id,n\n7,g\n", "bad.csv": "id\n1,2\n", "copy.csv": C, "new.csv": "id,n\n8,h\n"}.items()
    ):
        os.utime(inbox.put(name, content), (number + 1, number + 1))
    for _ in range(2):
        process = multiprocessing.get_context("fork").Process(target=partial(_run, inbox, MOMENTS[moment]))
        process.start()
        process.join(60)
        if _ == 0:
            assert process.exitcode == -signal.SIGKILL, "the moment never came"
    inbox.look()
    assert inbox.rows("id", "ORDER BY id") == [(number,) for number in (4, 5, 6, 7, 8)]
    assert sorted(path.name for path in inbox.folder.glob("*.csv")) == ["1.csv", "2.csv", "copy.csv", "new.csv"]
    assert sorted(path.name for path in (inbox.folder / "quarantine").iterdir()) == ["bad.csv", "bad.csv.error.txt"]
    assert inbox.query("SELECT count(*) FROM mesh.syncs WHERE status = 'running'") == [(0,)]
    assert list((inbox.settings.home / "drops").rglob("file")) == []
    assert inbox.look().loaded == []
