"""A drop: where people leave files, how they are read, and which raw table they become."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from pydantic import Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from platform_core.contracts import Document, Location, naming
from platform_core.contracts.file_model import FileModel
from platform_core.contracts.one_or_more import Names
from platform_core.ingestion.drops.errors import DropFileError
from platform_core.ingestion.placeholders import fill_placeholders
from platform_core.ingestion.types import Kind

Format = Literal["csv", "json", "jsonl", "parquet", "xlsx"]
TypeName = Literal["text", "integer", "number", "boolean", "date", "timestamp", "json"]

KINDS: dict[str, Kind] = {
    "text": Kind.TEXT, "integer": Kind.BIGINT, "number": Kind.NUMERIC, "boolean": Kind.BOOLEAN, "date": Kind.DATE,
    "timestamp": Kind.TIMESTAMPTZ, "json": Kind.JSONB,
}  # fmt: skip
ENDINGS: dict[str, Format] = {
    ".csv": "csv", ".tsv": "csv", ".txt": "csv", ".json": "json", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet",
    ".xlsx": "xlsx", ".xlsm": "xlsx",
}  # fmt: skip
"""Format of a file by its ending, when the declaration names none."""

FILE_COLUMN, ROW_COLUMN = "_file", "_file_row"
"""Columns of every dropped row: the file's path below the location, and the row's line (CSV, JSONL, XLSX) or number (JSON, Parquet), from 1."""


class ReadOptions(FileModel):
    """How the files are read. Everything has a default that fits most files."""

    delimiter: str | None = None
    """Of a CSV file; found out when absent (``,`` ``;`` tab ``|``)."""

    encoding: str | None = None
    """Of a CSV file; UTF-8 (or UTF-16, when the file says so), else Windows-1252 when absent."""

    decimal: Literal[".", ","] = "."
    """The decimal sign of a CSV file."""

    date_format: str | None = None
    """How a CSV file writes dates, as ``%d.%m.%Y``; ISO 8601 (2026-03-31) when absent."""

    header_row: int = Field(default=1, ge=1)
    """Line (CSV) or row (XLSX) with the column names, from 1."""

    sheet: str | None = None
    """Name of the XLSX sheet; the first one when absent."""

    types: dict[str, TypeName] = Field(default_factory=dict)
    """Column to type, where the type shall not be inferred."""

    @field_validator("delimiter")
    @classmethod
    def _is_one_character(cls, value: str | None) -> str | None:
        if value is not None and (len(value) != 1 or value in '"\r\n'):
            remedy = 'write one character in quotes: ";" or "\\t"'
            raise PydanticCustomError("delimiter", "is {value}, not one character", {"value": repr(value), "remedy": remedy})
        return value

    @field_validator("encoding")
    @classmethod
    def _is_encoding(cls, value: str | None) -> str | None:
        import codecs

        try:
            if value is not None:
                codecs.lookup(value)
        except LookupError:
            remedy = "use utf-8, cp1252, iso-8859-15 or another name that Python knows"
            raise PydanticCustomError("encoding", "is {value}, not an encoding", {"value": repr(value), "remedy": remedy}) from None
        return value

    @field_validator("date_format")
    @classmethod
    def _is_date_format(cls, value: str | None) -> str | None:
        if value is not None and not all(part in value for part in ("%d", "%m")):
            remedy = 'write the places of day, month and year: "%d.%m.%Y"'
            raise PydanticCustomError("date_format", "is {value}, which names no day and month", {"value": repr(value), "remedy": remedy})
        return value


class Quarantine(FileModel):
    """What happens to files that cannot be read."""

    location: str | None = Field(default=None, min_length=1)
    """Folder or URL; the folder ``quarantine`` in the drop's location when absent."""

    original: Literal["move", "copy"] = "move"
    """``move`` takes the file out of the location, ``copy`` leaves it there (for places that cannot be written)."""


class DropModel(FileModel):
    """The contents of ``airbyte/<domain>/drops/<name>.yaml``."""

    description: str | None = None
    """What the files are and who drops them."""

    location: str = Field(min_length=1)
    """Folder (relative to the repository, or absolute) or bucket URL; may hold ``${ENV}``."""

    pattern: str = Field(min_length=1)
    """Which files, as a glob below the location: ``*.csv``, ``2026/**/*.xlsx``. Letter case does not matter."""

    format: Format | None = None
    """Of the files; by their ending when absent."""

    options: ReadOptions = ReadOptions()
    """How they are read."""

    stream: str
    """Name of the raw table, and of the asset ``<domain>/raw/<stream>``."""

    primary_key: Names = ()
    """One row a key, the newest; every row is kept when absent."""

    changed_file: Literal["replace", "append"] = "replace"
    """``replace`` puts the rows of a changed file in the place of its former ones, ``append`` keeps both."""

    settle_seconds: float = Field(default=2.0, ge=0, le=3600)
    """How long a file must rest before it is read; a half-copied file does not."""

    quarantine: Quarantine = Quarantine()
    """Where files go that cannot be read; `quarantine` in the location when absent."""

    @field_validator("settle_seconds", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: object) -> object:
        return float(value) if type(value) is int else value

    @field_validator("pattern")
    @classmethod
    def _is_pattern(cls, value: str) -> str:
        if value.startswith("/") or ".." in value.split("/"):
            remedy = "write it relative to the location: *.csv"
            raise PydanticCustomError("pattern", "is {value}, which leaves the location", {"value": repr(value), "remedy": remedy})
        return value

    @field_validator("stream")
    @classmethod
    def _is_stream(cls, value: str) -> str:
        if not naming.NAME.fullmatch(value) or len(value) > naming.IDENTIFIER_BYTES:
            remedy = "use lower-case letters, digits and underscores, a letter first"
            raise PydanticCustomError("stream", "is {value}, not the name of a table", {"value": repr(value), "remedy": remedy})
        return value

    @model_validator(mode="after")
    def _key_and_policy_agree(self) -> DropModel:
        if self.primary_key and self.changed_file == "append":
            remedy = "remove changed_file, or the primary_key: with a key there is one row a key"
            raise PydanticCustomError("changed_file", "appends changed files although there is a primary_key", {"remedy": remedy})
        return self


@dataclass(frozen=True)
class Drop:
    """A validated declaration.

    Attributes:
        domain: Owner of the raw table.
        name: File name of the declaration without its ending.
        path: The declaration.
        model: Its contents, placeholders unresolved.
        content_hash: Hash of the declaration.
    """

    domain: str
    name: str
    path: Path
    model: DropModel
    content_hash: str
    document: Document = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """``<domain>/<drop>``."""
        return f"{self.domain}/{self.name}"

    def at(self, *steps: str | int) -> Location:
        """The line of a value of the file, for errors."""
        return self.document.at(*steps)

    def resolved(self, environ: Mapping[str, str], repo: Path) -> str:
        """The location with the values of the environment.

        Raises:
            DropFileError: A variable is not set.
        """
        return self._place(self.model.location, ("location",), environ, repo)

    def shown(self, environ: Mapping[str, str], repo: Path) -> str:
        """The resolved location for people: from the repository's root, and without a user's name and password."""
        return re.sub(r"://[^/@]*@", "://", self.resolved(environ, repo).removeprefix(f"{repo}/"))

    def resolved_quarantine(self, environ: Mapping[str, str], repo: Path) -> str:
        """The place of files that cannot be read, with the values of the environment.

        Raises:
            DropFileError: A variable is not set.
        """
        if self.model.quarantine.location is None:
            return f"{self.resolved(environ, repo)}/quarantine"
        return self._place(self.model.quarantine.location, ("quarantine", "location"), environ, repo)

    def _place(self, text: str, steps: tuple[str, ...], environ: Mapping[str, str], repo: Path) -> str:
        filled = fill_placeholders(text, environ)
        place = filled.text
        if filled.missing:
            names = ", ".join(sorted(set(filled.missing)))
            raise DropFileError(f"environment variable not set: {names}", where=str(self.at(*steps)), remedy=f"set {names}")
        if "://" not in place and not Path(place).is_absolute():
            place = str(repo / place)
        return place.rstrip("/")
