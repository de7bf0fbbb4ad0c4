"""Puts a file that cannot be read aside, with a letter to whoever dropped it."""

from __future__ import annotations

import tempfile
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath

from platform_core.ingestion.drops.drop import Drop
from platform_core.ingestion.drops.errors import UnreadableFileError
from platform_core.ingestion.drops.location import DropPlace


@dataclass(frozen=True)
class QuarantinedFile:
    """A file that could not be read.

    Attributes:
        path: The file, below the location.
        kept_as: Where it is now, below the quarantine's place.
        reason: What is wrong with it, and what to do.
    """

    path: str
    kept_as: str
    reason: str


def letter(drop: Drop, path: str, error: UnreadableFileError, *, location: str, now: datetime) -> str:
    """The text of ``<file>.error.txt``: for somebody who knows the file and its ``location``, not the platform."""
    found = f"\n\nWhat was found\n  {error.found}" if error.found else ""
    moved = drop.model.quarantine.original == "move"
    again = (
        f"Then copy the corrected file into the folder where you dropped it ({location})."
        if moved
        else f"Then replace the file in the folder where you dropped it ({location})."
    )
    return (
        f"The file {PurePosixPath(path).name} could not be loaded.\n\n"
        f"What is wrong\n  {error.what}{found}\n\n"
        f"What to do\n  {error.remedy}\n  {again}\n\n"
        f"Nothing of this file was loaded; what earlier files brought is untouched.\n"
        f"Read on {now:%Y-%m-%d at %H:%M} UTC for the table {drop.domain}_raw.{drop.model.stream}.\n"
    )


def put_aside(
    drop: Drop, place: DropPlace, *, path: str, content_hash: str, copy: Path, error: UnreadableFileError, location: str
) -> QuarantinedFile:
    """Copies the file into the quarantine and writes the letter beside it. Done again, it changes nothing.

    Args:
        drop: The declaration.
        place: The quarantine.
        path: The file, below the location.
        content_hash: SHA-256 of the content.
        copy: The file on this machine.
        error: What is wrong with it.
        location: Where it was dropped, for people.

    Raises:
        DropLocationError: The quarantine cannot be written.
    """
    kept_as = path
    if not _is_free(place, kept_as, content_hash):
        pure = PurePosixPath(path)  # another bad file of this name was kept before
        kept_as = str(pure.with_name(f"{pure.stem}-{content_hash[:8]}{pure.suffix}"))
    place.put(kept_as, copy)
    place.put(f"{kept_as}.error.txt", letter(drop, path, error, location=location, now=datetime.now(UTC)).encode())
    return QuarantinedFile(path, kept_as, f"{error.what} {error.remedy}")


def _is_free(place: DropPlace, path: str, content_hash: str) -> bool:
    if place.look(path) is None:
        return True
    with tempfile.TemporaryDirectory() as folder:
        return place.fetch(path, Path(folder) / "kept") == content_hash
