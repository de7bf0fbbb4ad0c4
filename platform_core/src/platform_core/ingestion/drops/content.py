"""What every format gives: the fields of a file, and its rows one after the other, never all at once."""

from __future__ import annotations

import contextlib
import re
import zipfile
from collections.abc import Callable, Generator, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, NamedTuple

from platform_core.errors import MeshError
from platform_core.ingestion.drops.drop import ENDINGS, FILE_COLUMN, ROW_COLUMN, Drop, Format, ReadOptions
from platform_core.ingestion.drops.errors import UnreadableFileError, shortened
from platform_core.ingestion.types import Kind

_HEAD_BYTES = 512
_UNPACK = "Unpack it, and drop the files that are in it."
# First bytes that say what a file really is, whatever its name says.
_DISGUISES = (
    (b"\x1f\x8b", "", "a packed file (gzip)", _UNPACK),
    (b"BZh", "", "a packed file (bzip2)", _UNPACK),
    (b"\xfd7zXZ\x00", "", "a packed file (xz)", _UNPACK),
    (b"\x28\xb5\x2f\xfd", "", "a packed file (zstd)", _UNPACK),
    (b"7z\xbc\xaf\x27\x1c", "", "an archive (7z)", _UNPACK),
    (b"Rar!", "", "an archive (rar)", _UNPACK),
    (
        b"\xd0\xcf\x11\xe0",
        "",
        "an old Excel workbook (.xls), or one that is protected by a password",
        "Open it in Excel and save it as .xlsx without a password.",
    ),
    (b"PAR1", "parquet", "a Parquet file", "Give it the ending .parquet."),
    (b"%PDF", "", "a PDF document", "Export the table as CSV or .xlsx instead."),
    (b"{\\rtf", "", "a text document (RTF)", "Export the table as CSV or .xlsx instead."),
    (b"\x89PNG", "", "a picture", "Export the table as CSV or .xlsx instead."),
    (b"\xff\xd8\xff", "", "a picture", "Export the table as CSV or .xlsx instead."),
    (b"SQLite format 3", "", "a database", "Export the table as CSV instead."),
)
_ZIP = b"PK\x03\x04"
_PAGE = re.compile(rb"(\xef\xbb\xbf)?\s*<(!doctype\s+html|html|\?xml)\b", re.IGNORECASE)


class FileRow(NamedTuple):
    """One row.

    Attributes:
        number: Its line in the file, or its number where there are no lines, from 1.
        values: Field to value; what is empty is None or absent.
        lost: Fields whose value the source itself could not give (an Excel error).
    """

    number: int
    values: dict[str, Any]
    lost: tuple[str, ...] = ()


@dataclass(frozen=True)
class FileContent:
    """A file that can be read.

    Attributes:
        rows: Starts to read; may be called again.
        fields: Known before reading: a header or a schema. Empty for JSON, whose fields are found on the way.
        kinds: Types that the file itself declares.
        texts: Every value is text whose meaning has to be found (CSV).
    """

    rows: Callable[[], Iterator[FileRow]]
    fields: tuple[str, ...] = ()
    kinds: Mapping[str, Kind] = field(default_factory=dict)
    texts: bool = False


def open_content(path: Path, name: str, drop: Drop) -> FileContent:
    """Opens a file in the format of its declaration or of its ending.

    Args:
        path: The file on this machine.
        name: The name that it was dropped under.
        drop: The declaration.

    Raises:
        UnreadableFileError: The file is empty, or not of that format.
    """
    kind = drop.model.format or ENDINGS.get(Path(name.lower()).suffix)
    with path.open("rb") as file:
        head = file.read(_HEAD_BYTES)
    if not head:
        raise UnreadableFileError("The file is empty.", remedy="Look where it came from: the export may have been cut off. Drop it again.")
    true_kind, what, remedy = _disguise(path, head)
    if what and kind != true_kind:
        read_as = f"read as {_TITLES[kind]}, but it is " if kind else ""
        raise UnreadableFileError(f"The file is {read_as}{what}.", remedy=remedy)
    if kind is None:
        raise UnreadableFileError(
            f"The ending of the name {Path(name).name!r} does not say what kind of file it is.",
            remedy=f"Give it one of the endings {', '.join(sorted(ENDINGS))}, according to what it is.",
        )
    with _reading():
        content = _open(path, kind, drop.model.options)
    return replace(content, rows=lambda: _guarded(content.rows()))


def _disguise(path: Path, head: bytes) -> tuple[str, str, str]:
    """What a file is by its first bytes: the format that reads it (none of ours when empty), its name for people, and what to do."""
    if head.startswith(_ZIP):
        with contextlib.suppress(zipfile.BadZipFile), zipfile.ZipFile(path) as archive:
            if not any(member.startswith("xl/") for member in archive.namelist()):
                return "", "an archive (zip)", _UNPACK
        return "xlsx", "an Excel workbook", "Give it the ending .xlsx."
    if _PAGE.match(head):
        what, remedy = "a web page or XML", "Export the table as CSV or .xlsx. If it was downloaded: log in, and download it again."
        return "", what, remedy
    return next(((kind, what, remedy) for mark, kind, what, remedy in _DISGUISES if head.startswith(mark)), ("", "", ""))


def counted(number: int, what: str) -> str:
    """``1 value``, ``2 values``."""
    return f"{number:,} {what}{'' if number == 1 else 's'}"


def _guarded(rows: Iterator[FileRow]) -> Iterator[FileRow]:
    with _reading():
        yield from rows


@contextlib.contextmanager
def _reading() -> Generator[None]:
    """A file that breaks its reader in a way that nobody foresaw is unreadable too; this machine's own troubles are not the file's."""
    try:
        yield
    except (MeshError, OSError, MemoryError):
        raise
    except Exception as error:
        raise UnreadableFileError(
            "The file is damaged, or uses something that cannot be read here.",
            found=shortened(f"{type(error).__name__}: {error}"),
            remedy="Open it in the program that made it and save it again; if that does not help, save it as CSV.",
        ) from error


_TITLES: dict[Format, str] = {
    "csv": "CSV (text with separators)", "json": "JSON", "jsonl": "JSON lines", "parquet": "Parquet", "xlsx": "an Excel workbook",
}  # fmt: skip


def _open(path: Path, kind: Format, options: ReadOptions) -> FileContent:
    # Imported here: a location that loads no file needs none of the libraries behind them.
    if kind == "csv":
        from platform_core.ingestion.drops.csv_content import open_csv

        return open_csv(path, options)
    if kind == "xlsx":
        from platform_core.ingestion.drops.xlsx_content import open_xlsx

        return open_xlsx(path, options)
    if kind == "parquet":
        from platform_core.ingestion.drops.parquet_content import open_parquet

        return open_parquet(path)
    from platform_core.ingestion.drops.json_content import open_json, open_json_lines

    return open_json(path) if kind == "json" else open_json_lines(path)


def check_header(header: list[str], where: str) -> tuple[str, ...]:
    """The names of a header row.

    Names that are empty stay empty; the caller ignores such a column while nothing stands in it.

    Raises:
        UnreadableFileError: There are no names, or two columns have the same one.
    """
    names = tuple(name.strip() for name in header)
    if not any(names):
        raise UnreadableFileError(f"{where} should hold the names of the columns, but it is empty.", remedy="Write the names there.")
    first: dict[str, int] = {}
    for position, name in enumerate(names, 1):
        if not name:
            continue
        if name in (FILE_COLUMN, ROW_COLUMN):
            raise UnreadableFileError(
                f"Column {position} is called {name!r}, a name that the platform uses itself.", remedy="Give the column another name."
            )
        if first.setdefault(name, position) != position:
            raise UnreadableFileError(
                f"Columns {first[name]} and {position} are both called {name!r} ({where}).",
                remedy="Give one of them another name, so that it is clear which is which.",
            )
    return names


def nameless(position: int, where: str, value: str) -> UnreadableFileError:
    """A value stands under an empty column name."""
    return UnreadableFileError(
        f"{where}: there is a value in column {position}, but that column has no name.",
        found=value,
        remedy="Write a name at the top of the column, or remove what stands in it.",
    )
