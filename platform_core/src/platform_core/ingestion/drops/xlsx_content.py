"""Excel workbooks (.xlsx): one sheet, row by row; dates are dates, formulas count with the value that Excel saved."""

from __future__ import annotations

import re
import warnings
import zipfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from datetime import datetime, time
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from platform_core.contracts import did_you_mean
from platform_core.ingestion.drops.content import FileContent, FileRow, check_header, nameless
from platform_core.ingestion.drops.drop import ReadOptions
from platform_core.ingestion.drops.errors import UnreadableFileError, shortened

_MAIN = "{http://schemas.openxmlformats.org/spreadsheetml/2006/main}"
_ZEROS = re.compile(r"0{2,}")  # the number format of codes with leading zeros: 00123 is 123 in the file


def open_xlsx(path: Path, options: ReadOptions) -> FileContent:
    """Opens a sheet of a workbook.

    Raises:
        UnreadableFileError: It is no workbook, lacks the sheet or the header, or holds formulas that were never calculated.
    """
    with _sheet(path, options) as sheet:
        first = next(sheet.iter_rows(min_row=options.header_row, max_row=options.header_row, values_only=True), ())
        title = sheet.title
    header = [_name(value) for value in first]
    names = check_header(header, f"Row {options.header_row} of the sheet {title!r}")
    _check_formulas(path, options)
    return FileContent(lambda: _rows(path, options, names), tuple(name for name in names if name))


def _rows(path: Path, options: ReadOptions, names: tuple[str, ...]) -> Iterator[FileRow]:
    with _sheet(path, options) as sheet:
        for number, cells in enumerate(sheet.iter_rows(min_row=options.header_row + 1), options.header_row + 1):
            values: dict[str, Any] = {}
            lost: list[str] = []
            for position, cell in enumerate(cells):
                value = cell.value
                if value is None or (isinstance(value, str) and not value.strip()):
                    continue
                name = names[position] if position < len(names) else ""
                if not name:
                    raise nameless(position + 1, f"Row {number}", shortened(str(value)))
                if cell.data_type == "e":
                    lost.append(name)
                    continue
                values[name] = _value(value, cell.number_format)
            if values or lost:
                yield FileRow(number, values, tuple(lost))


def _value(value: Any, number_format: str | None) -> Any:
    if type(value) is int and number_format and value >= 0 and _ZEROS.fullmatch(number_format):
        return str(value).zfill(len(number_format))
    return value


def _name(value: Any) -> str:
    if isinstance(value, datetime) and value.time() == time():
        value = value.date()  # a workbook has no dates without a time
    return "" if value is None else str(value)


@contextmanager
def _sheet(path: Path, options: ReadOptions) -> Generator[Any]:
    import openpyxl
    from openpyxl.utils.exceptions import InvalidFileException

    try:
        with warnings.catch_warnings(), path.open("rb") as file:  # openpyxl judges a path by its ending
            warnings.simplefilter("ignore")  # of features (styles, validations) that it does not read
            book = openpyxl.load_workbook(file, read_only=True, data_only=True)
            try:
                sheet = _choose(book, options)
                sheet.reset_dimensions()  # some programs write wrong ones
                yield sheet
            finally:
                book.close()
    except (InvalidFileException, zipfile.BadZipFile, KeyError, ValueError, SyntaxError) as error:
        raise UnreadableFileError(
            "The file is not a whole Excel workbook.",
            found=shortened(str(error)),
            remedy="Open it in Excel, save it as .xlsx, and drop it again.",
        ) from error


def _choose(book: Any, options: ReadOptions) -> Any:
    sheets = {sheet.title: sheet for sheet in book.worksheets}
    if not sheets:
        raise UnreadableFileError("The workbook has no sheet with cells.", remedy="Put the rows into a sheet.")
    if options.sheet is None:
        shown = (sheet for sheet in sheets.values() if sheet.sheet_state == "visible")  # what nobody sees nobody meant to drop
        return next(shown, next(iter(sheets.values())))
    if options.sheet not in sheets:
        names = ", ".join(map(repr, sheets))
        raise UnreadableFileError(
            f"The workbook has no sheet called {options.sheet!r}{did_you_mean(options.sheet, sheets)}; it has {names}.",
            remedy=f"Rename the sheet with the rows to {options.sheet!r}.",
        )
    return sheets[options.sheet]


def _check_formulas(path: Path, options: ReadOptions) -> None:
    """A program that writes formulas without calculating them leaves cells without a value: empty would be wrong.

    openpyxl does not tell such a cell from an empty one, so the sheet's own XML is asked (ECMA-376 part 1, 18.3.1.4): a formula
    ``f`` without a value ``v``. A result that is an empty text has an empty ``v``, or says so by its type.
    """
    with _sheet(path, options) as sheet:
        part = sheet._worksheet_path
    with zipfile.ZipFile(path) as archive, archive.open(part) as xml:
        for _, element in ElementTree.iterparse(xml):  # noqa: S314 - expat bounds what entities may expand to
            if element.tag == f"{_MAIN}c":
                formula = element.find(f"{_MAIN}f")
                if formula is not None and not element.findtext(f"{_MAIN}v") and element.get("t", "n") == "n":
                    raise UnreadableFileError(
                        f"Cell {element.get('r')} holds a formula whose result is not in the file.",
                        found=shortened(f"={formula.text}") if formula.text else None,
                        remedy="Open the workbook in Excel, let it calculate, save it, and drop it again.",
                    )
            elif element.tag == f"{_MAIN}row":
                element.clear()
