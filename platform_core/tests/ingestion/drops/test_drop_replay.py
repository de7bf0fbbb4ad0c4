"""The raw table of a drop comes back from the raw copies, also what stood in files that nobody has any more."""

from __future__ import annotations

import shutil

import pytest
from dropped_inbox import Inbox

from platform_core.ingestion import ReplayError
from platform_core.ingestion.drops import replay_drop

EVERYTHING = '_airbyte_raw_id, _airbyte_extracted_at, _airbyte_meta, _file, _file_row, "id", n'


def replay(inbox: Inbox) -> int:
    return sum(replay_drop(inbox.drop, warehouse=inbox.warehouse, settings=inbox.settings).rows.values())


def lose_the_table(inbox: Inbox) -> None:
    with inbox.warehouse.connect_domain("sales") as connection:
        connection.execute("DROP TABLE sales_raw.by_hand")


@pytest.fixture
def dropped(inbox: Inbox) -> Inbox:
    """An empty export first, then a file that was corrected, one that was renamed, and one that is gone since."""
    for name, content in (("0.csv", "id,n\n"), ("a.csv", "id,n\n1,wrong\n"), ("b.csv", "id,n\n2,b\n"), ("c.csv", "id,n\n3,c\n4,c\n")):
        inbox.put(name, content)
        inbox.look()
    inbox.put("a.csv", "id,n\n1,a\n")
    (inbox.folder / "b.csv").rename(inbox.folder / "bb.csv")
    (inbox.folder / "c.csv").unlink()
    inbox.look()
    return inbox


def test_a_lost_table_is_what_it_was(dropped: Inbox) -> None:
    before, types = dropped.rows(EVERYTHING), dropped.types()
    assert len(before) == 4 and types["id"] == "bigint"
    lose_the_table(dropped)
    assert replay(dropped) == 4
    assert (dropped.rows(EVERYTHING), dropped.types()) == (before, types)
    assert not dropped.look().changed, "the history still knows every file"
    dropped.put("c.csv", "id,n\n5,c\n")
    dropped.look()
    assert dropped.rows("id") == [(1,), (2,), (5,)], "rows that came back leave with their file"


def test_spoiled_rows_are_replaced(dropped: Inbox) -> None:
    before = dropped.rows(EVERYTHING)
    with dropped.warehouse.connect_domain("sales") as connection:
        connection.execute("UPDATE sales_raw.by_hand SET n = 'x'")
        connection.execute("DELETE FROM sales_raw.by_hand WHERE id = 1")
    assert replay(dropped) == 4
    assert dropped.rows(EVERYTHING) == before


def test_what_a_look_could_not_bring_back_is_brought_by_a_replay(dropped: Inbox) -> None:
    lose_the_table(dropped)
    dropped.put("d.csv", "id,n\n6,d\n")
    dropped.look()
    assert dropped.rows("id", "ORDER BY id") == [(1,), (2,), (6,)]
    assert replay(dropped) == 5
    assert dropped.rows("id", "ORDER BY id") == [(1,), (2,), (3,), (4,), (6,)]
    assert replay(dropped) == 5


def test_a_missing_raw_copy_is_named_and_nothing_is_touched(dropped: Inbox) -> None:
    before = dropped.rows(EVERYTHING)
    ((sync_id,),) = dropped.query("SELECT sync_id FROM mesh.dropped_files WHERE path = 'c.csv'")
    shutil.rmtree(next((dropped.repo / "home").glob(f"**/{sync_id}")))
    with pytest.raises(ReplayError, match=r"not in the lake: c\.csv"):
        replay(dropped)
    assert dropped.rows(EVERYTHING) == before
