"""What cannot be read goes into quarantine whole, with a letter that somebody who never saw a program can act upon."""

from __future__ import annotations

import gzip
import io
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from dropped_inbox import Inbox
from test_formats import workbook

from platform_core.ingestion.drops import csv_content, xlsx_content


def damaged() -> bytes:
    """A workbook with a cell whose place is none."""
    target = io.BytesIO()
    with zipfile.ZipFile(io.BytesIO(workbook(["id"], [1]))) as source, zipfile.ZipFile(target, "w") as copy:
        for name in source.namelist():
            copy.writestr(name, source.read(name).replace(b'r="A2" t="n"', b'r="?" t="n"'))
    return target.getvalue()


def archive(name: str, content: str) -> bytes:
    target = io.BytesIO()
    with zipfile.ZipFile(target, "w") as packed:
        packed.writestr(name, content)
    return target.getvalue()


Refused = Callable[[str, "str | bytes"], str]

# (what, name, content, words of the letter)
WRONG: list[tuple[str, str, str | bytes, list[str]]] = [
    ("nothing", "a.csv", "", ["The file is empty", "Drop it again"]),
    ("no known ending", "a.docx", "x", ["does not say what kind of file it is", ".xlsx"]),
    ("a value too many", "a.csv", "id,price\n1,5\n2,1,50\n", ["Line 3 has 3 values, but line 1 names 2 columns", "2,1,50", "quotation marks", "Correct line 3"]),
    ("a value too few", "a.csv", "id;price;day\n1;5\n", ["Line 2 has 2 values, but line 1 names 3 columns", "semicolon is missing"]),
    ("a quote never closed", "a.csv", 'id,name\n1,"Ann\n2,Bob\n', ["opens a value on line 2 is never closed"]),
    ("text after a quote", "a.csv", 'id,name\n1,"Ann" B\n', ["Line 2: after a closing quotation mark", "twice"]),
    ("a column twice", "a.csv", "id,price,id\n1,2,3\n", ["Columns 1 and 3 are both called 'id'", "another name"]),
    ("a value without a column name", "a.csv", "id,,price\n1,2,3\n", ["Line 2: there is a value in column 2, but that column has no name"]),
    ("a reserved name", "a.csv", "id,_file\n1,2\n", ["called '_file', a name that the platform uses"]),
    ("separators only", "a.csv", ",,,\n", ["no line 1"]),
    ("bytes that are no text", "a.csv", b"id,name\n1,\x81\x8d\n", ["holds bytes that are no letters", "CSV UTF-8"]),
    ("a workbook named as CSV", "a.csv", workbook(["id"], [1]), ["read as CSV", "Excel workbook", ".xlsx"]),
    ("a packed file", "a.csv", gzip.compress(b"id,name\n1,Ann\n"), ["read as CSV", "a packed file (gzip)", "Unpack it"]),
    ("a packed file by its name", "a.csv.gz", gzip.compress(b"id,name\n1,Ann\n"), ["The file is a packed file (gzip).", "Unpack it"]),
    ("an archive", "a.zip", archive("a.csv", "id\n1\n"), ["The file is an archive (zip).", "drop the files that are in it"]),
    ("an archive named as a workbook", "a.xlsx", archive("a.csv", "id\n1\n"), ["it is an archive (zip)", "Unpack it"]),
    ("a login page", "a.csv", "\ufeff\n<!DOCTYPE html><html><body>Sign in</body></html>", ["it is a web page", "log in, and download it again"]),
    ("a title above the header", "a.csv", "Sales 2026\n\nid,name\n1,Ann\n", ["Line 3 has 2 values, but line 1 names 1 column.", "If line 1 is a title, remove it"]),
    ("a title above semicolons", "a.csv", "Sales 2026\nid;name\n1;Ann\n", ["Line 2 has 2 values, but line 1 names 1 column.", "If line 1 is a title, remove it"]),
    ("a space before a quote", "a.csv", 'id, name\n1, "Doe, Ann"\n', ["Line 2 has 3 values", "Remove the space before the quotation mark in line 2"]),
    ("a row too wide", "a.csv", f"{','.join(f'c{number}' for number in range(1400))}\n{','.join('7' * 1400)}\n", ["too many of the file's 1,400 columns", "Turn the table round"]),
    ("an empty first sheet", "a.xlsx", workbook([], more={"Data": [["id"]]}), ["Row 1 of the sheet 'Sheet' should hold the names"]),
    ("an old workbook", "a.xlsx", b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + b"x" * 100, ["old Excel workbook", "protected by a password"]),
    ("a broken workbook", "a.xlsx", workbook(["id"], [1])[:300], ["not a whole Excel workbook"]),
    ("a formula never calculated", "a.xlsx", workbook(["id", "n"], [1, "=A2*2"]), ["Cell B2 holds a formula whose result is not in the file", "=A2*2", "let it calculate"]),
    ("a cell without a column name", "a.xlsx", workbook(["id"], [1, "note"]), ["Row 2: there is a value in column 2"]),
    ("too many columns", "a.csv", ",".join(f"c{number}" for number in range(1501)), ["1,501 columns; a table can have 1,500"]),
    ("a workbook with a cell nowhere", "a.xlsx", damaged(), ["not a whole Excel workbook"]),
    ("half a JSON document", "a.json", '[{"id": 1},\n {"id": 2', ["Line 2 is not JSON"]),
    ("a number for JSON", "a.json", "5", ["holds a number, not a list of rows"]),
    ("no list in the object", "a.json", '{"id": 1}', ["one object with no list"]),
    ("two lists in the object", "a.json", '{"a": [], "b": []}', ["the lists 'a', 'b'"]),
    ("a row that is no object", "a.json", '[{"id": 1}, 2]', ["Item 2 of the list is a number, not an object"]),
    ("not a number", "a.json", '[{"id": NaN}]', ["holds NaN, which is no JSON"]),
    ("JSON that is no UTF-8", "a.json", b'[{"id":\n "\xff"}]', ["Line 2 is not UTF-8"]),
    ("a broken line", "a.jsonl", '{"id": 1}\n{"id": }\n', ["Line 2 is not JSON", '{"id": }', "Correct line 2"]),
    ("a line that is a list", "a.jsonl", '{"id": 1}\n[1]\n', ["Line 2 is a list, not an object", "[1]", "the ending .json."]),
    ("lines named as a document", "a.json", '{"id": 1}\n{"id": 2}\n', ["Line 2 is not JSON: Extra data", "the ending .jsonl"]),
    ("half a Parquet file", "a.parquet", b"PAR1" + b"x" * 50, ["not a whole Parquet file"]),
]  # fmt: skip


def test_the_letter_says_where_and_what_to_do(inbox: Inbox) -> None:
    names = {what: f"{what.replace(' ', '_')}{Path(name).suffix}" for what, name, _, _ in WRONG}
    for what, _, content, _ in WRONG:
        inbox.put(names[what], content)
    result = inbox.look()
    assert {file.path for file in result.quarantined} == set(names.values())
    assert inbox.query("SELECT to_regclass('sales_raw.by_hand')") == [(None,)], "nothing of them was loaded"
    assert [path.name for path in inbox.folder.iterdir()] == ["quarantine"]
    for what, _, content, words in WRONG:
        letter = inbox.letter(names[what])
        assert letter.startswith(f"The file {names[what]} could not be loaded.")
        assert [word for word in words if word not in letter] == [], letter
        assert "Nothing of this file was loaded" in letter and "where you dropped it (inbox)" in letter
        assert not {"Traceback", "Error(", "psycopg", "openpyxl", "pyarrow"} & set(letter.split())
        kept = (inbox.folder / "quarantine" / names[what]).read_bytes()
        assert kept == (content.encode() if isinstance(content, str) else content)


def test_what_breaks_a_reader_unforeseen_is_unreadable_too(inbox: Inbox, refused: Refused, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(xlsx_content, "_value", lambda *_arguments: None.style)
    letter = refused("a.xlsx", workbook(["id"], [1]))
    assert "The file is damaged, or uses something that cannot be read here." in letter
    assert "AttributeError" in letter


def test_a_full_disk_is_not_the_files_fault(inbox: Inbox, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_arguments: object) -> None:
        raise OSError(28, "No space left on device")

    path = inbox.put("a.csv", "id\n1\n")
    monkeypatch.setattr(csv_content, "_encoding", full)
    with pytest.raises(OSError, match="No space left"):
        inbox.look()
    assert path.exists()
    monkeypatch.undo()
    assert inbox.look().rows == 1


def test_a_missing_key_column_is_named(inbox: Inbox, refused: Refused) -> None:
    inbox.declaration = {"primary_key": "order_id"}
    assert "The file has no column 'order_id', did you mean 'orderid'?" in refused("a.csv", "orderid,n\n1,2\n")


def test_a_wrong_sheet_is_named(inbox: Inbox, refused: Refused) -> None:
    inbox.declaration = {"options": {"sheet": "Budget"}}
    assert "no sheet called 'Budget', did you mean 'Budgets'?" in refused("a.xlsx", workbook(["id"], title="Budgets"))


def test_a_broken_file_stops_no_other_and_takes_nothing_away(inbox: Inbox) -> None:
    inbox.put("good.csv", "id\n1\n")
    inbox.put("later_broken.csv", "id\n2\n")
    inbox.look()
    inbox.put("bad.csv", "id\n3,4\n")
    inbox.put("later_broken.csv", "id\n5,6\n")
    inbox.put("new.csv", "id\n7\n")
    result = inbox.look()
    assert sorted(file.path for file in result.quarantined) == ["bad.csv", "later_broken.csv"]
    assert inbox.rows("id") == [(1,), (2,), (7,)]
    inbox.put("later_broken.csv", "id\n8\n")
    assert inbox.look().loaded[0].replaced == 1, "the repaired file takes the place of its last good version"
    assert inbox.rows("id") == [(1,), (8,), (7,)]


def test_another_bad_file_of_the_same_name_is_kept_beside_the_first(inbox: Inbox) -> None:
    for content in ("id\n1,2\n", "id\n3,4\n", "id\n1,2\n"):
        inbox.put("a.csv", content)
        inbox.look()
    kept = sorted(path.name for path in (inbox.folder / "quarantine").iterdir())
    assert len(kept) == 4 and kept[0].startswith("a-"), kept
    assert {path.read_text() for path in (inbox.folder / "quarantine").glob("*.csv")} == {"id\n1,2\n", "id\n3,4\n"}


def test_where_nothing_may_be_moved_the_original_stays_and_is_not_read_twice(inbox: Inbox) -> None:
    inbox.declaration = {"quarantine": {"location": "aside", "original": "copy"}}
    path = inbox.put("a.csv", "id\n1,2\n")
    assert len(inbox.look().quarantined) == 1
    assert path.exists() and (inbox.repo / "aside" / "a.csv.error.txt").is_file()
    assert inbox.look().quarantined == []
    inbox.declaration["options"] = {"delimiter": ";", "types": {"id": "text"}}
    assert inbox.look().rows == 1, "another declaration may be able to read it"
    assert inbox.rows("id") == [("1,2",)]


def test_a_readable_file_between_two_broken_ones_is_replaced_where_originals_stay(inbox: Inbox) -> None:
    inbox.declaration = {"quarantine": {"original": "copy"}}
    for content in ("id\n1\n", "id\n1,2\n", "id\n3\n"):
        inbox.put("a.csv", content)
        inbox.look()
    assert inbox.rows("id") == [(3,)]
