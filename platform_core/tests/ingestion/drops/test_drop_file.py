"""Declarations of drops: what is accepted, and one clear error for each thing that is wrong."""

from __future__ import annotations

import json
from pathlib import Path

import jsonschema
import pytest

from platform_core.ingestion.drops import DropFileError, check_drops, load_drop, load_drops
from platform_core.ingestion.drops.drop_schema import DROP_SCHEMA
from platform_core.ingestion.drops.location import glob_expression

GOOD = """\
description: Budgets by hand.
location: domains/sales/drops/budgets
pattern: "*.csv"
options:
  delimiter: ";"
stream: budgets
primary_key: id
"""

# (what, text to replace, replacement, line of the error, words of the message, words of the remedy)
WRONG = [
    ("an unknown key", "stream:", "streams:", 6, "unknown key 'streams', did you mean 'stream'?", "location"),
    ("an unknown option", "delimiter", "delimeter", 5, "unknown key 'delimeter' in options, did you mean 'delimiter'?", "encoding"),
    ("no location", "location: domains/sales/drops/budgets\n", "", 1, "location is missing", "add location:"),
    ("a long delimiter", '";"', '";;"', 5, "options.delimiter is ';;', not one character", "one character"),
    ("an unknown encoding", 'delimiter: ";"', "encoding: utf-9", 5, "options.encoding is 'utf-9', not an encoding", "cp1252"),
    ("a date format without a day", 'delimiter: ";"', 'date_format: "%Y"', 5, "which names no day and month", "%d.%m.%Y"),
    ("an unknown type", 'delimiter: ";"', "types: {id: int}", 5, "options.types.id is 'int'", "integer"),
    ("an unknown format", "stream:", "format: xls\nstream:", 6, "format is 'xls', did you mean 'xlsx'?", "parquet"),
    ("a header row of 0", 'delimiter: ";"', "header_row: 0", 5, "options.header_row", "correct the value"),
    ("a stream that is no name", "stream: budgets", "stream: My Budgets", 6, "not the name of a table", "lower-case"),
    ("a stream that is a number", "stream: budgets", "stream: 7", 6, "stream is 7, not text", "in quotes"),
    ("a pattern that leaves", '"*.csv"', '"../*.csv"', 3, "leaves the location", "*.csv"),
    ("append with a key", "primary_key: id", "primary_key: id\nchanged_file: append", 1, "although there is a primary_key", "remove"),
    ("an open placeholder", "domains/sales", "${HOME", 2, "the placeholder '${HOME", "${NAME}"),
    ("a password", "domains/sales/drops/budgets", "sftp://me:secret@host/x", 2, "carries a password", "${NAME}"),
    ("a list", GOOD, "- 1\n", 1, "is not a mapping", "location:"),
    ("an empty file", GOOD, "", 1, "is empty", "write the document"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "domains" / "sales").mkdir(parents=True)
    folder = tmp_path / "airbyte" / "sales" / "drops"
    folder.mkdir(parents=True)
    (folder / "budgets.yaml").write_text(GOOD)
    return folder


def test_a_good_file(folder: Path) -> None:
    (drop,) = load_drops(folder.parents[2], "sales")
    assert (drop.id, drop.model.stream, drop.model.primary_key, drop.model.changed_file) == ("sales/budgets", "budgets", ("id",), "replace")
    assert drop.resolved({}, Path("/repo")) == "/repo/domains/sales/drops/budgets"
    assert drop.resolved_quarantine({}, Path("/repo")) == "/repo/domains/sales/drops/budgets/quarantine"
    assert check_drops(folder.parents[2]) == ()


@pytest.mark.parametrize(("old", "new", "line", "message", "remedy"), [case[1:] for case in WRONG], ids=[case[0] for case in WRONG])
def test_each_mistake_is_said_with_line_and_remedy(folder: Path, old: str, new: str, line: int, message: str, remedy: str) -> None:
    assert old in GOOD
    (folder / "budgets.yaml").write_text(GOOD.replace(old, new))
    (problem,) = check_drops(folder.parents[2])
    assert (problem.location.file, problem.location.line) == (folder / "budgets.yaml", line)
    assert message in problem.message
    assert remedy in problem.remedy
    with pytest.raises(DropFileError) as error:
        load_drop(folder / "budgets.yaml")
    assert f"budgets.yaml:{line}: " in str(error.value)


def test_a_name_and_a_table_belong_to_one(folder: Path) -> None:
    (folder.parent / "shop.yaml").write_text("streams: [{name: purchases}]\n")
    (folder / "shop.yaml").write_text(GOOD)
    (folder / "by_hand.yaml").write_text(GOOD.replace("stream: budgets", "stream: purchases"))
    (folder / "Notes.txt").write_text("x")
    problems = check_drops(folder.parents[2], "sales")
    assert [problem.message for problem in problems] == [
        "'Notes.txt' is not the name of a drop",
        "the stream 'purchases' is also loaded by shop.yaml: both would write sales_raw.purchases",
        "the name 'shop' is also that of the connection shop.yaml",
        "the stream 'budgets' is also loaded by budgets.yaml: both would write sales_raw.budgets",
    ]


def test_a_schema_that_is_not_current_is_a_problem_with_its_remedy(tmp_path: Path) -> None:
    file = tmp_path / DROP_SCHEMA.file
    file.parent.mkdir()
    file.write_text("{}")
    (problem,) = check_drops(tmp_path)
    assert (problem.rule, problem.location.file) == ("drop-schema", file)
    file.write_text(DROP_SCHEMA.text())
    assert check_drops(tmp_path) == ()


def test_the_schema_for_editors_is_current_and_takes_the_good_file(repo: Path) -> None:
    assert DROP_SCHEMA.problems(repo) == ()
    schema = json.loads(DROP_SCHEMA.text())
    jsonschema.Draft202012Validator.check_schema(schema)
    validator = jsonschema.Draft202012Validator(schema)
    good = {"location": "x", "pattern": "*.csv", "stream": "a", "primary_key": "id", "options": {"types": {"id": "text"}}}
    assert list(validator.iter_errors(good)) == []
    assert [error.validator for error in validator.iter_errors({**good, "formats": "csv"})] == ["additionalProperties"]
    nameless = [
        name for part in (schema, *schema["$defs"].values()) for name, field in part["properties"].items() if not field.get("description")
    ]
    assert nameless == [], "every key is explained where it is typed"


@pytest.mark.parametrize(
    ("pattern", "path", "fits"),
    [
        ("*.csv", "a.CSV", True), ("*.csv", "a/b.csv", False), ("**/*.csv", "a.csv", True), ("**/*.csv", "a/b/c.csv", True),
        ("a?.csv", "ab.csv", True), ("a?.csv", "a/.csv", False), ("[ab].csv", "b.csv", True), ("[!ab].csv", "b.csv", False),
        ("x.{csv,tsv}", "x.tsv", True), ("a,b.csv", "a,b.csv", True), ("a+(1).csv", "a+(1).csv", True), ("2026/**", "2026/a/b", True),
    ],
)  # fmt: skip
def test_patterns(pattern: str, path: str, fits: bool) -> None:
    assert bool(glob_expression(pattern).fullmatch(path)) == fits
