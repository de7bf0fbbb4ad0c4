"""The place where files are dropped: what lies there, whether it rests, and its files brought here and moved away.

Places are fsspec's: a folder, ``s3://``, ``gs://``, ``abfs://``. Credentials and endpoints come from the store's own environment
variables (``AWS_ACCESS_KEY_ID``, ``AWS_ENDPOINT_URL`` and so on) or from fsspec's (``FSSPEC_S3_ENDPOINT_URL``).
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import fsspec

from platform_core.ingestion.drops.errors import DropLocationError

_CHUNK = 1 << 20
# What programs put beside a file while they work on it, or for themselves.
_NOT_FILES = re.compile(r"(^|/)(\.|~\$|(thumbs\.db|desktop\.ini)$)|\.(part|partial|tmp|crdownload|filepart)$|\.error\.txt$", re.IGNORECASE)


@dataclass(frozen=True)
class SeenFile:
    """A file as a listing shows it.

    Attributes:
        path: Below the location, with forward slashes.
        fingerprint: Changes when the content does; costs no reading.
        size: Bytes.
        order: Sorts files by age, then name.
        whole: The store shows objects only when they are complete, so there is nothing to wait for.
    """

    path: str
    fingerprint: str
    size: int
    order: tuple[float, str]
    whole: bool


@dataclass(frozen=True)
class DropPlace:
    """A location."""

    system: Any
    root: str
    shown: str

    @classmethod
    def at(cls, place: str, shown: str) -> DropPlace:
        """The place of a resolved location.

        Args:
            place: Folder or URL.
            shown: The same as the declaration writes it, for errors: the resolved one may hold a secret.

        Raises:
            DropLocationError: No file system is known for the URL.
        """
        try:
            system, root = fsspec.core.url_to_fs(place)
        except (ValueError, ImportError) as error:
            raise DropLocationError(
                f"cannot be opened: {error}",
                where=shown,
                remedy="give a folder or an fsspec URL, and install its package (s3fs, gcsfs, adlfs)",
            ) from error
        return cls(system, str(root).rstrip("/"), shown)

    @property
    def is_folder(self) -> bool:
        """Whether this is a folder of this machine."""
        protocols = self.system.protocol
        return "file" in ((protocols,) if isinstance(protocols, str) else protocols)

    def files(self, pattern: str, leave_out: DropPlace | None = None) -> list[SeenFile]:
        """The files of a pattern, the oldest first.

        Args:
            pattern: A glob below the location; letter case does not matter.
            leave_out: A place inside this one that is not looked into (the quarantine).

        Raises:
            DropLocationError: The place does not exist or cannot be listed.
        """
        expression = glob_expression(pattern)
        depth = None if "**" in pattern else pattern.count("/") + 1
        with self._failing():
            self.system.invalidate_cache()
            if self.is_folder and not Path(self.root).is_dir():
                raise DropLocationError("the folder does not exist", where=self.shown, remedy="create it, or correct location:")
            try:
                listed: dict[str, dict[str, Any]] = self.system.find(self.root, maxdepth=depth, detail=True)
            except FileNotFoundError as error:
                raise DropLocationError(f"does not exist: {error}", where=self.shown, remedy="create it, or correct location:") from error
        excluded = f"{leave_out.root}/" if leave_out is not None and leave_out.system.protocol == self.system.protocol else None
        found: list[SeenFile] = []
        for full, info in listed.items():
            path = str(full)[len(self.root) :].lstrip("/")
            if excluded is not None and str(full).startswith(excluded):
                continue
            if info.get("type") == "file" and expression.fullmatch(path) and not _NOT_FILES.search(path):
                found.append(_seen(path, info))
        return sorted(found, key=lambda file: file.order)

    def look(self, path: str) -> SeenFile | None:
        """One file as it is now, None when it is gone."""
        with self._failing():
            self.system.invalidate_cache()
            try:
                return _seen(path, self.system.info(self.full(path)))
            except FileNotFoundError:
                return None

    def fetch(self, path: str, target: Path) -> str:
        """Copies a file to this machine.

        Returns:
            SHA-256 of what was copied.

        Raises:
            DropLocationError: It cannot be read.
        """
        digest = hashlib.sha256()
        with self._failing(), self.system.open(self.full(path), "rb") as source, target.open("wb") as copy:
            while chunk := source.read(_CHUNK):
                digest.update(chunk)
                copy.write(chunk)
        return digest.hexdigest()

    def put(self, path: str, source: Path | bytes) -> None:
        """Writes a file in one step: it appears whole, or not at all."""
        full = self.full(path)
        with self._failing():
            self.system.makedirs(full.rpartition("/")[0], exist_ok=True)
            target = f"{full}.part" if self.is_folder else full
            if isinstance(source, bytes):
                self.system.pipe_file(target, source)
            else:
                self.system.put_file(str(source), target)
            if self.is_folder:
                Path(target).replace(full)

    def get(self, path: str) -> bytes | None:
        """The content of a small file, None when there is none."""
        with self._failing():
            self.system.invalidate_cache()
            try:
                return self.system.cat_file(self.full(path))
            except FileNotFoundError:
                return None

    def remove(self, path: str) -> None:
        """Removes a file; nothing when it is gone already."""
        with self._failing(), contextlib.suppress(FileNotFoundError):
            self.system.rm_file(self.full(path))

    def full(self, path: str) -> str:
        """Path in the file system."""
        return f"{self.root}/{path}"

    @contextlib.contextmanager
    def _failing(self) -> Generator[None]:
        try:
            yield
        except (DropLocationError, FileNotFoundError):
            raise
        except Exception as error:  # each store has errors of its own
            raise DropLocationError(
                f"{type(error).__name__}: {error}", where=self.shown, remedy="check location:, the store's credentials and its endpoint"
            ) from error


def glob_expression(pattern: str) -> re.Pattern[str]:
    """A glob as a regular expression: ``*`` and ``?`` stay within a folder, ``**/`` is any number of folders, ``[abc]``, ``{a,b}``."""
    written, position, braces = "", 0, 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            written, position = f"{written}(?:.*/)?", position + 3
        elif rest.startswith("**"):
            written, position = f"{written}.*", position + 2
        elif rest[0] == "[" and "]" in rest[2:]:
            end = rest.index("]", 2)
            inner = rest[1:end].replace("\\", "\\\\")
            written, position = f"{written}[{'^' + inner[1:] if inner[0] == '!' else inner}]", position + end + 1
        else:
            letter = rest[0]
            braces += (letter == "{") - (letter == "}" and braces > 0)
            special = {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
            written += special.get(letter, "|" if letter == "," and braces else re.escape(letter))
            position += 1
    try:
        return re.compile(written, re.IGNORECASE | re.DOTALL)
    except re.error as error:
        raise DropLocationError(f"the pattern {pattern!r} cannot be used: {error}", remedy="write a glob: *.csv") from error


def _seen(path: str, info: dict[str, Any]) -> SeenFile:
    size = int(info.get("size") or 0)
    tag = info.get("ETag") or info.get("etag") or info.get("md5Hash")
    changed = info.get("mtime") or info.get("LastModified") or info.get("last_modified") or info.get("updated") or ""
    moment = changed if isinstance(changed, int | float) else getattr(changed, "timestamp", lambda: 0.0)()
    mark = str(tag).strip('"') if tag else f"{changed}:{info.get('ino', '')}"
    return SeenFile(path, f"{size}:{mark}", size, (float(moment), path), whole=bool(tag))
