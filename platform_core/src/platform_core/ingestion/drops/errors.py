"""Errors of dropped files: those for the people who run the platform, and the one for the person who dropped the file."""

from __future__ import annotations

from platform_core.ingestion.errors import IngestionError


class DropFileError(IngestionError):
    """A declaration ``airbyte/<domain>/drops/<name>.yaml`` cannot be used as it is written."""


class DropLocationError(IngestionError):
    """The place where files are dropped cannot be reached, listed or written."""


class UnreadableFileError(IngestionError):
    """A dropped file cannot be read. Said in words for whoever made the file, who may never have seen a program.

    Args:
        what: What is wrong and where in the file, as whole sentences.
        found: What stands there, shortened.
        remedy: What to do about it, as whole sentences.
    """

    def __init__(self, what: str, *, remedy: str, found: str | None = None, where: str | None = None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.found = found

    def __reduce__(self) -> tuple[object, ...]:
        return _rebuild, (self.what, self.remedy, self.found, self.where)


def _rebuild(what: str, remedy: str, found: str | None, where: str | None) -> UnreadableFileError:
    return UnreadableFileError(what, remedy=remedy, found=found, where=where)


def shortened(text: str, length: int = 120) -> str:
    """A piece of a file as it can be shown: one line, not longer than ``length``."""
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    return line if len(line) <= length else f"{line[: length - 1]}…"
