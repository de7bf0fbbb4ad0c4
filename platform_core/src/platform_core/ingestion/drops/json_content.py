"""JSON: a list of objects (or an object that holds one), and JSON lines."""

from __future__ import annotations

import json
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

from platform_core.ingestion.drops.content import FileContent, FileRow
from platform_core.ingestion.drops.drop import FILE_COLUMN, ROW_COLUMN
from platform_core.ingestion.drops.errors import UnreadableFileError, shortened
from platform_core.ingestion.protocol import dump_json

_LARGEST_JSON = 200_000_000  # one document has to be in memory as a whole; lines do not
_LARGEST_LINE = 64_000_000
_WORDS = {str: "a text", bool: "true or false", int: "a number", Decimal: "a number", list: "a list", type(None): "nothing (null)"}


def open_json(path: Path) -> FileContent:
    """Opens a document that is a list of objects, or an object with exactly one list of objects.

    Raises:
        UnreadableFileError: It is something else, no JSON, or larger than 200 MB.
    """
    size = path.stat().st_size
    if size > _LARGEST_JSON:
        raise UnreadableFileError(
            f"The file is {size / 1e6:,.0f} MB large; one JSON document may have {_LARGEST_JSON / 1e6:,.0f} MB.",
            remedy="Write one object a line and give the file the ending .jsonl: such files may have any size.",
        )
    document = _parse(_decoded(path.read_bytes(), None), None)
    if isinstance(document, dict):
        lists = {name: value for name, value in document.items() if isinstance(value, list)}
        if len(lists) != 1:
            found = f"the lists {', '.join(map(repr, lists))}" if lists else "no list"
            raise UnreadableFileError(
                f"The file holds one object with {found}. Expected is a list of rows, or an object with exactly one list.",
                remedy='Write the rows as a list: [{"name": "value"}, ...].',
            )
        ((_, document),) = lists.items()
    if not isinstance(document, list):
        raise UnreadableFileError(
            f"The file holds {_word(document)}, not a list of rows.", remedy='Write the rows as a list: [{"name": "value"}, ...].'
        )
    rows: list[Any] = document
    for number, row in enumerate(rows, 1):
        _check(row, f"Item {number} of the list")
    return FileContent(lambda: (FileRow(number, row) for number, row in enumerate(rows, 1)))


def open_json_lines(path: Path) -> FileContent:
    """Opens a file of one JSON object a line; empty lines are skipped."""
    return FileContent(lambda: _lines(path))


def _lines(path: Path) -> Iterator[FileRow]:
    with path.open("rb") as file:
        number = 0
        while line := file.readline(_LARGEST_LINE):
            number += 1
            if len(line) == _LARGEST_LINE:
                raise UnreadableFileError(
                    f"Line {number} is longer than {_LARGEST_LINE / 1e6:,.0f} MB.",
                    remedy="Write one object a line; if the file is one JSON document, give it the ending .json.",
                )
            if number == 1:
                line = line.removeprefix(b"\xef\xbb\xbf")
            if not line.strip():
                continue
            row = _parse(_decoded(line, number), number)
            _check(row, f"Line {number}")
            yield FileRow(number, row)


def _decoded(data: bytes, number: int | None) -> str:
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = number or data[: error.start].count(b"\n") + 1
        raise UnreadableFileError(f"Line {line} is not UTF-8 text.", remedy="Save the file with the encoding UTF-8.") from error


def _parse(text: str, number: int | None) -> Any:
    try:
        return json.loads(text, parse_float=Decimal, parse_int=_integer, parse_constant=_refuse)
    except _NotANumberError as error:
        where = f"Line {number}" if number else "The file"
        raise UnreadableFileError(f"{where} holds {error}, which is no JSON.", remedy="Write null, or a number.") from error
    except RecursionError as error:
        raise UnreadableFileError("The file is nested too deeply.", remedy="Write flat rows.") from error
    except json.JSONDecodeError as error:
        line = number or error.lineno
        lines = number is None and error.msg == "Extra data"  # something follows the first document
        raise UnreadableFileError(
            f"Line {line} is not JSON: {error.msg} at character {error.colno}.",
            found=shortened(error.doc.splitlines()[error.lineno - 1 if number is None else 0]) if error.doc.strip() else None,
            remedy="If every line is an object of its own, give the file the ending .jsonl; otherwise put the rows into one list: [...]."
            if lines
            else f"Correct line {line}; a comma, a quotation mark or a bracket may be missing, or the file was cut off.",
        ) from error


def _integer(text: str) -> int | Decimal:
    return int(text) if len(text) < 19 else Decimal(text)  # int refuses more than 4300 digits


class _NotANumberError(ValueError):
    pass


def _refuse(word: str) -> Any:
    raise _NotANumberError(word)


def _check(row: Any, where: str) -> None:
    if not isinstance(row, dict):
        raise UnreadableFileError(
            f"{where} is {_word(row)}, not an object with names and values.",
            found=shortened(dump_json(row)),
            remedy='Write every row as an object: {"name": "value"}.'
            + (" If the file is one list of rows, give it the ending .json." if isinstance(row, list) else ""),
        )
    for name in (FILE_COLUMN, ROW_COLUMN):
        if name in row:
            raise UnreadableFileError(f"{where} has the name {name!r}, which the platform uses itself.", remedy="Give it another name.")


def _word(value: Any) -> str:
    return _WORDS.get(type(value), "an object")
