"""Reads the raw copies of syncs, and finishes those whose writer was killed."""

from __future__ import annotations

import contextlib
import hashlib
import io
import logging
from collections.abc import Generator, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import zstandard

from platform_core.lake.files import LakeFiles
from platform_core.lake.raw_copy import Sink
from platform_core.lake.raw_layout import MANIFEST, OBJECT, PARTIAL, RawCopyError, is_piece, put_manifest, raw_folder

_READ_BYTES = 1 << 20
_COMPRESSED_BYTES = 1 << 16  # about half a megabyte of records
_KILLED = f"{PARTIAL}.killed"

_log = logging.getLogger(__name__)


def raw_objects(lake_url: str, domain: str, connection: str) -> list[RawObject]:
    """The raw copies of a connection, in order of their names.

    Raises:
        LakeError: The lake cannot be listed.
    """
    folder = raw_folder(lake_url, domain, connection)
    return [RawObject(lake_url, domain, connection, name) for name in folder.names(folder.root)]


@dataclass(frozen=True)
class RawObject:
    """The raw copy of one sync."""

    lake_url: str
    domain: str
    connection: str
    sync_id: str

    @property
    def url(self) -> str:
        """URL of the object."""
        return "/".join((self.lake_url.rstrip("/"), "raw", self.domain, self.connection, self.sync_id, OBJECT))

    @property
    def _files(self) -> LakeFiles:
        return raw_folder(self.lake_url, self.domain, self.connection, self.sync_id)

    def manifest_text(self) -> str | None:
        """The manifest as it is stored, None when there is none.

        Raises:
            LakeError: The store refuses.
        """
        content = self._files.get(self._files.path(MANIFEST))
        return None if content is None else content.decode()

    def put_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Replaces the manifest in one step.

        Raises:
            LakeError: The store refuses.
        """
        put_manifest(self._files, manifest)

    def verify(self, sha256: str) -> None:
        """Reads the object and compares its hash.

        Raises:
            RawCopyError: The object is missing, or not the one that the manifest describes.
            LakeError: The store refuses.
        """
        digest = hashlib.sha256()
        with self._open() as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
        if digest.hexdigest() != sha256:
            raise RawCopyError(
                f"the raw copy is damaged: its SHA-256 is {digest.hexdigest()}, its manifest says {sha256}",
                where=self.url,
                remedy="restore the object from the store's versions or backup; or replay the other syncs by their ids",
            )

    def blocks(self) -> Iterator[list[bytes]]:
        """The lines of the object, in order, in blocks of about half a megabyte.

        Raises:
            RawCopyError: The object is missing or cannot be decompressed.
            LakeError: The store refuses.
        """
        with self._open() as file:
            try:
                yield from _lines(file)
            except zstandard.ZstdError as error:
                raise RawCopyError(
                    f"the raw copy cannot be decompressed: {error}", where=self.url, remedy="restore the object from a backup"
                ) from error

    @contextlib.contextmanager
    def _open(self) -> Generator[Any]:
        files = self._files
        with files.failing(self.url):
            try:
                with files.system.open(files.path(OBJECT), "rb") as file:
                    yield file
            except FileNotFoundError as error:
                raise RawCopyError(
                    "the raw copy is missing",
                    where=self.url,
                    remedy="check MESH_LAKE_URL, and whether a lifecycle rule of the store removed the object",
                ) from error

    def salvage(self) -> dict[str, Any] | None:
        """Finishes what a killed writer left: the object then holds every whole line that can be read.

        May itself be killed and called again. The caller writes the manifest, then calls `clean`.

        Returns:
            Name, size and hash of the object for the manifest; None when nothing was left to keep.

        Raises:
            RawCopyError: The object cannot be written.
            LakeError: The store refuses.
        """
        files = self._files
        names = files.names(files.root)
        if OBJECT in names:
            return self._figures()
        if PARTIAL in names and _KILLED not in names:
            # Under another name first: the new object is written under the name that is read from.
            with files.failing(self.url):
                files.system.mv(files.path(PARTIAL), files.path(_KILLED))
            names.append(_KILLED)
        source = [_KILLED] if _KILLED in names else [name for name in names if is_piece(name)]
        return self._rewrite(source) if source else None

    def _rewrite(self, source: list[str]) -> dict[str, Any]:
        files = self._files
        sink = Sink(files)
        with files.failing(self.url):
            try:
                for lines in _lines(io.BufferedReader(_Joined(files, source))):
                    sink.write(b"\n".join(lines) + b"\n")
            except zstandard.ZstdError as error:
                _log.warning("%s: only a part of what a killed sync left can be read: %s", self.url, error)
            sink.close()
        return sink.figures()

    def _figures(self) -> dict[str, Any]:
        digest, size = hashlib.sha256(), 0
        with self._open() as file:
            while block := file.read(_READ_BYTES):
                digest.update(block)
                size += len(block)
        return {"object": OBJECT, "compressed_bytes": size, "sha256": digest.hexdigest()}

    def clean(self) -> None:
        """Removes journal pieces and half-written objects; their content is in the object.

        In S3 this also ends the uploads that a killed writer left open, which are invisible and yet paid for. Other stores
        drop such uploads by themselves after a week.

        Raises:
            LakeError: The store refuses.
        """
        files = self._files
        for name in files.names(files.root):
            if name not in (OBJECT, MANIFEST):
                files.remove(files.path(name))
        if "s3" in files.system.protocol:
            bucket, _, key = files.path(OBJECT).partition("/")
            with files.failing(self.url):
                listed = files.system.call_s3("list_multipart_uploads", Bucket=bucket, Prefix=key)
                for upload in listed.get("Uploads") or ():
                    if upload["Key"] == key:
                        files.system.call_s3("abort_multipart_upload", Bucket=bucket, Key=key, UploadId=upload["UploadId"])


def _lines(file: Any) -> Iterator[list[bytes]]:
    """Whole lines of a compressed file; a piece of a line at its end is left out."""
    # Not zstandard's stream_reader: of a frame without an end it keeps the last megabyte to itself.
    frame = zstandard.ZstdDecompressor().decompressobj()
    rest: list[bytes] = []
    while not frame.eof and (compressed := file.read(_COMPRESSED_BYTES)):
        block = frame.decompress(compressed)
        end = block.rfind(b"\n")
        if end < 0:
            rest.append(block)
            continue
        yield b"".join((*rest, block[:end])).split(b"\n")
        rest = [block[end + 1 :]] if end + 1 < len(block) else []


class _Joined(io.RawIOBase):
    """Several files of a folder, read as one."""

    def __init__(self, files: LakeFiles, names: list[str]) -> None:
        super().__init__()
        self._files, self._names, self._file = files, list(names), None

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        view = memoryview(buffer)
        while True:
            if self._file is None:
                if not self._names:
                    return 0
                self._file = self._files.system.open(self._files.path(self._names.pop(0)), "rb")
            data = self._file.read(len(view))
            if data:
                view[: len(data)] = data
                return len(data)
            self._file.close()
            self._file = None
