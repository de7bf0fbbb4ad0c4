"""YAML as people and editors write it: its traps become text, values or one clear error, and every value knows its line."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from platform_core.contracts import SourceError, load_yaml
from platform_core.contracts.source import parse_yaml

HERE = Path("file.yaml")


def test_every_value_knows_its_line() -> None:
    document = parse_yaml("a: 1\nb:\n  - c: 2\n    d:\n      e: x\n  - 3\n", HERE)
    assert document.data == {"a": 1, "b": [{"c": 2, "d": {"e": "x"}}, 3]}
    assert [document.line(path) for path in [(), ("a",), ("b",), ("b", 0), ("b", 0, "d", "e"), ("b", 1)]] == [1, 1, 2, 3, 5, 6]
    assert document.line(("b", 0, "d", "missing", "deeper")) == 4
    assert str(document.at("b", 1)) == "file.yaml:6"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2026-01-31", "2026-01-31"),  # a date stays text
        ("2026-01-31T10:00:00Z", "2026-01-31T10:00:00Z"),
        ("'NO'", "NO"),
        ("NO", False),  # YAML 1.1: the reader of validValues says so, see test_wrong_files
        ("1.0.0", "1.0.0"),
        ("1.0", 1.0),
        ("16-24", "16-24"),
        ("~", None),
        ("\ufeffx", "x"),  # a byte order mark, as Windows editors write it
    ],
)
def test_scalars(text: str, value: object, tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_text(text, encoding="utf-8")
    assert load_yaml(path).data == value


def test_lines_of_windows_count_once(tmp_path: Path) -> None:
    path = tmp_path / "x.yaml"
    path.write_bytes(b"a: 1\r\nb: 2\r\n")
    assert load_yaml(path).line(("b",)) == 2


def test_anchors_and_merge_keys_expand() -> None:
    document = parse_yaml("base: &b {x: 1, y: 2}\na:\n  <<: *b\n  y: 3\nc: *b\nd:\n  <<: [*b, {z: 4}]\n", HERE)
    assert document.data["a"] == {"x": 1, "y": 3}
    assert document.data["c"] == {"x": 1, "y": 2}
    assert document.data["d"] == {"x": 1, "y": 2, "z": 4}


@pytest.mark.parametrize("text", ["a: &a {x: [1]}\nb:\n  <<: *a\n  x:\n    - 2\n", "a: &a {x: [1]}\nb:\n\n  x:\n    - 2\n  <<: *a\n"])
def test_what_overrides_a_merged_value_is_found_where_it_stands(text: str) -> None:
    document = parse_yaml(text, HERE)
    assert document.data["b"] == {"x": [2]}
    assert (document.line(("b", "x")), document.line(("b", "x", 0))) == (4, 5)


NAMES = "abcdefgh"
BOMB = "a: &a [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{name}: &{name} [{', '.join([f'*{before}'] * 10)}]\n" for before, name in pairwise(NAMES)
)
MERGE_BOMB = "a: &a {x: 1}\n" + "".join(f"{name}: &{name} {{<<: [{', '.join([f'*{before}'] * 10)}]}}\n" for before, name in pairwise(NAMES))


@pytest.mark.parametrize(
    ("text", "line", "says"),
    [
        ("a: 1\na: 2\n", 2, "'a' stands twice"),
        ("a:\n\tb: 1\n", 2, "not valid YAML"),
        ("a: [1\nb: 2\n", 2, "not valid YAML"),
        ("a: 'x\n", 2, "not valid YAML"),
        ("a: 1\n---\nb: 2\n", 2, "not valid YAML"),
        ("a: *nowhere\n", 1, "not valid YAML"),
        ("a: &a\n  b: *a\n", 1, "its own parent"),
        ("a: &a [*a]\n", 1, "its own parent"),
        ("a: 1\n? [x]\n: 2\n", 2, "the key here is not text"),
        ("a: 1\nNO: 2\n", 2, "the key False is not text"),
        ("a: 1\n<<: 3\n", 2, "merges something else"),
        ("a: 1\nb: !!python/object/apply:os.system ['true']\n", 2, ""),
        ("a: !!bool maybe\n", 1, "!!bool"),
        ("a: !!int ''\n", 1, "!!int"),
        ("a: !!timestamp soon\n", 1, "!!timestamp"),
        ("a: !!float x\n", 1, "!!float"),
        ("a: " + "9" * 5000 + "\n", 1, ""),
        ("a: 1\nb: 0x" + "f" * 5000 + "\n", 2, "thousands of digits"),
        (BOMB, 6, "more than 200,000 values"),
        (MERGE_BOMB, 6, "more than 200,000 values"),
        ("a: \x07\n", 1, "not valid YAML"),
        ("[" * 100_000, 1, ""),
        ("- " * 50_000, 1, ""),
        ("", 1, "empty"),
        ("# only a comment\n", 1, "empty"),
    ],
)
def test_what_cannot_be_used_is_one_error_with_a_line(text: str, line: int, says: str) -> None:
    with pytest.raises(SourceError) as caught:
        parse_yaml(text, HERE)
    assert says in caught.value.what
    assert caught.value.where == f"file.yaml:{line}"
    assert caught.value.remedy


def test_a_missing_file_and_a_folder_say_so(tmp_path: Path) -> None:
    for path in (tmp_path / "none.yaml", tmp_path):
        with pytest.raises(SourceError, match="cannot be read"):
            load_yaml(path)


def test_a_file_that_is_no_text_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "latin1.yaml"
    path.write_bytes("a: 1\nb: é\n".encode("latin-1"))
    with pytest.raises(SourceError, match="not UTF-8") as caught:
        load_yaml(path)
    assert caught.value.where == f"{path}:2"


def test_a_file_too_large_is_not_parsed(tmp_path: Path) -> None:
    path = tmp_path / "big.yaml"
    path.write_bytes(b"#" * 4_000_001)
    with pytest.raises(SourceError, match="bytes long"):
        load_yaml(path)


@settings(max_examples=300, deadline=None)
@given(st.text(alphabet=st.sampled_from("ab:-[]{}&*!|>'\"%@`#,? \n\t~<0é\x00"), max_size=60))
def test_any_text_is_a_document_or_a_source_error(text: str) -> None:
    try:
        document = parse_yaml(text, HERE)
    except SourceError as error:
        assert error.where and error.where.startswith("file.yaml:")
    else:
        assert document.line(()) >= 1
