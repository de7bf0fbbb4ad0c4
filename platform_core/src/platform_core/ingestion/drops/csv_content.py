"""CSV as people and programs really write it: separators, encodings and quotes are found out, and what is wrong is said by line.

The form that is read: RFC 4180, with ``;``, tab or ``|`` in the place of the comma, any line end, and empty lines.
"""

from __future__ import annotations

import codecs
import csv
import io
import itertools
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platform_core.ingestion.drops.content import FileContent, FileRow, check_header, counted, nameless
from platform_core.ingestion.drops.drop import ReadOptions
from platform_core.ingestion.drops.errors import UnreadableFileError, shortened

_DELIMITERS = (",", ";", "\t", "|")
_NAMES = {",": "comma", ";": "semicolon", "\t": "tab", "|": "vertical bar"}
_CHUNK = 1 << 20
_SAMPLE_ROWS = 50
_SAMPLE_CHARACTERS = 256_000
_LONGEST_VALUE = 16_000_000  # a quote that is never closed would swallow the rest of the file into memory
_MARKS = (
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_SEPARATOR_LINE = re.compile(r'"?sep=(.)"?\s*', re.IGNORECASE)  # a first line by which programs tell Excel the separator


@dataclass(frozen=True)
class _Form:
    encoding: str
    delimiter: str
    header_row: int


def open_csv(path: Path, options: ReadOptions) -> FileContent:
    """Opens a CSV file.

    Raises:
        UnreadableFileError: It is no text, or its header cannot be used. Reading the rows raises for what is wrong with them.
    """
    encoding = _encoding(path, options.encoding)
    form = _form(path, encoding, options)
    with _text(path, form) as text:
        _, header = next(_records(text, form), (0, None))
    if header is None:
        raise UnreadableFileError(
            f"The file has no line {form.header_row}, where the names of the columns are expected.",
            remedy="Write the names of the columns into the first line, and the rows below it.",
        )
    while len(header) > 1 and not header[-1].strip():
        header.pop()  # separators at the end of the line
    names = check_header(header, f"Line {form.header_row}")
    return FileContent(lambda: _rows(path, form, names), tuple(name for name in names if name), texts=True)


def _form(path: Path, encoding: str, options: ReadOptions) -> _Form:
    header_row, delimiter = options.header_row, options.delimiter
    with path.open(encoding=encoding, newline="") as text:
        told = _SEPARATOR_LINE.fullmatch(text.readline(10)) if header_row == 1 else None
    if told:
        header_row, delimiter = 2, delimiter or told[1]
    return _Form(encoding, delimiter or _delimiter(path, encoding, header_row), header_row)


def _rows(path: Path, form: _Form, names: tuple[str, ...]) -> Iterator[FileRow]:
    with _text(path, form) as text:
        for line, cells in itertools.islice(_records(text, form), 1, None):
            if not any(cells):
                continue  # an empty line, or one of separators only
            if len(cells) != len(names):
                while len(cells) > len(names) and not cells[-1].strip():
                    cells.pop()  # separators at the end of the line
                if len(cells) != len(names):
                    raise _ragged(line, cells, names, form)
            values = dict(zip(names, cells, strict=True))
            if "" in values:
                for position, (name, value) in enumerate(zip(names, cells, strict=True), 1):
                    if not name and value.strip():
                        raise nameless(position, f"Line {line}", shortened(value))
                del values[""]
            yield FileRow(line, values)


def _ragged(line: int, cells: list[str], names: tuple[str, ...], form: _Form) -> UnreadableFileError:
    separator = _NAMES.get(form.delimiter, repr(form.delimiter))
    more = len(cells) > len(names)
    what = f"Line {line} has {counted(len(cells), 'value')}, but line {form.header_row} names {counted(len(names), 'column')}."
    found = shortened(form.delimiter.join(cells))
    if more and len(names) == 1:
        remedy = (
            f"If line {form.header_row} is a title, remove it: the names of the columns must come first. "
            f'If the file has one column, a value that contains a {separator} must stand in quotation marks ("like this").'
        )
    elif more and any(cell.lstrip().startswith('"') and cell.count('"') == 1 for cell in cells):
        remedy = f"Remove the space before the quotation mark in line {line}, and in other lines that have one."
    elif more:
        remedy = (
            f'A value that contains a {separator} must stand in quotation marks ("like this"), or a {separator} is too many. '
            f"Correct line {line}."
        )
    else:
        remedy = f"A value or a {separator} is missing, or the line was broken in two. Correct line {line}."
    return UnreadableFileError(what, found=found, remedy=remedy)


def _text(path: Path, form: _Form) -> io.TextIOWrapper:
    text = path.open(encoding=form.encoding, newline="")
    for _ in range(form.header_row - 1):
        text.readline()
    return text


def _records(text: io.TextIOWrapper, form: _Form) -> Iterator[tuple[int, list[str]]]:
    """Records with the line on which they begin. Empty lines before the header are skipped."""
    csv.field_size_limit(_LONGEST_VALUE)  # a setting of the whole process; nothing else here reads CSV
    reader = csv.reader(text, delimiter=form.delimiter, strict=True)
    begun, offset = False, form.header_row
    while True:
        line = reader.line_num + offset
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            raise _broken(line, reader.line_num + offset - 1, str(error)) from error
        if not begun and not any(cell.strip() for cell in cells):
            continue
        begun = True
        yield line, cells


def _broken(line: int, last: int, reason: str) -> UnreadableFileError:
    if "NUL" in reason:
        return UnreadableFileError(
            f"Line {last} contains a character that no text has (NUL).", remedy="Export the file again as CSV; it may be damaged."
        )
    if "unexpected end" in reason or "field larger" in reason:
        return UnreadableFileError(
            f"A quotation mark that opens a value on line {line} is never closed.",
            remedy=f'Look at line {line}: close the quotation mark, or write it twice ("") where it belongs to the value.',
        )
    return UnreadableFileError(
        f"Line {last}: after a closing quotation mark there is more text before the next separator.",
        remedy='Write quotation marks inside a value twice: "a ""quoted"" word".',
    )


def _encoding(path: Path, wanted: str | None) -> str:
    with path.open("rb") as file:
        head = file.read(4)
    if wanted is None:
        wanted = next((encoding for mark, encoding in _MARKS if head.startswith(mark)), None)
    if wanted is None and len(head) == 4:  # UTF-16 that does not say so: every other byte of a Latin letter is 0
        zeros = [byte == 0 for byte in head]
        wanted = "utf-16-le" if zeros == [False, True] * 2 else "utf-16-be" if zeros == [True, False] * 2 else None
    if wanted is None:
        if _fits(path, "utf-8-sig"):
            return "utf-8-sig"
        wanted = "cp1252"
    elif codecs.lookup(wanted).name == "utf-8":
        wanted = "utf-8-sig"  # takes files with a byte order mark and without
    if not _fits(path, wanted):
        raise UnreadableFileError(
            "The file is not readable as text: it holds bytes that are no letters"
            + (f" in the encoding {wanted}." if wanted != "cp1252" else ", neither as UTF-8 nor as Windows text."),
            remedy="Save it as CSV with the encoding UTF-8 (in Excel: 'CSV UTF-8').",
        )
    return wanted


def _fits(path: Path, encoding: str) -> bool:
    decoder = codecs.getincrementaldecoder(encoding)("strict")
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                decoder.decode(chunk)
        decoder.decode(b"", final=True)
    except UnicodeError:
        return False
    return True


def _delimiter(path: Path, encoding: str, header_row: int) -> str:
    """The separator that cuts the first rows into the most columns, all rows alike; a comma when none does.

    One that cuts every row but the header is taken too: a title stands above the header, and the first row will say so.
    """
    with path.open(encoding=encoding, newline="") as text:
        for _ in range(header_row - 1):
            text.readline()
        sample = text.read(_SAMPLE_CHARACTERS)
    best, best_score = ",", (0.0, 0)
    for delimiter in _DELIMITERS:
        rows: list[list[str]] = []
        try:
            for row in csv.reader(io.StringIO(sample, newline=""), delimiter=delimiter, strict=True):
                if any(row):
                    rows.append(row)
                if len(rows) == _SAMPLE_ROWS:
                    break
        except csv.Error:  # a wrong separator finds quotes in strange places, a sample may end within a value
            pass
        if not rows:
            continue
        if (width := len(rows[0])) < 2:
            widths = {len(row) for row in rows[1:]}
            if best_score == (0.0, 0) and len(rows) > 2 and len(widths) == 1 and widths != {1}:
                best = delimiter
            continue
        # 1.234,56;7,5 has commas too: the separator is what the header has as often as the rows.
        alike = sum(len(row) == width for row in rows) / len(rows)
        header_words = sum(bool(re.search(r"[^\W\d]", cell)) for cell in rows[0]) / width
        score = (round(alike * header_words, 3), width)
        if score > best_score:
            best, best_score = delimiter, score
    return best
