"""The immutable raw copy of a sync: its records and states as one zstd-compressed JSONL object, and a manifest beside it.

Layout under the lake's URL: ``raw/<domain>/<connection>/<sync_id>/messages.jsonl.zst`` and ``manifest.json``. The object is
written under a temporary name and renamed when it is whole; the manifest comes last, so where it stands the object is complete.
"""

from __future__ import annotations

import contextlib
import hashlib
import queue
import threading
from collections.abc import Sequence
from typing import Any

import fsspec
import orjson
import zstandard

from platform_core.errors import MeshError

OBJECT = "messages.jsonl.zst"
MANIFEST = "manifest.json"
_LEVEL = 1  # measured on 181 MB of faker records: 27.7 MB in 0.37 CPU-s; level 3 is 26.9 MB in 0.57
_QUEUE_BLOCKS = 8


class RawCopyError(MeshError):
    """The lake cannot take the raw copy."""


class RawCopy:
    """Writes one raw copy. Compression and upload run in a thread; a full queue slows the source down, so memory is bounded."""

    def __init__(self, lake_url: str, domain: str, connection: str, sync_id: str) -> None:
        """Opens the object under its temporary name.

        Args:
            lake_url: Folder or object-store URL (any that fsspec knows).
            domain: Domain of the connection.
            connection: Name of the connection.
            sync_id: Name of the sync, unique.

        Raises:
            RawCopyError: The lake cannot be written.
        """
        self.url = "/".join((lake_url.rstrip("/"), "raw", domain, connection, sync_id, OBJECT))
        self.compressed_bytes = 0
        self._hash = hashlib.sha256()
        self._finished = False
        self._failed: BaseException | None = None
        try:
            self._files, self._path = fsspec.core.url_to_fs(self.url)
            self._files.makedirs(self._path.rpartition("/")[0], exist_ok=True)
            self._partial = f"{self._path}.part"
            self._file: Any = self._files.open(self._partial, "wb")
        except Exception as error:  # each file system has errors of its own
            raise self._error(error) from error
        self._queue: queue.Queue[bytes | None] = queue.Queue(_QUEUE_BLOCKS)
        self._thread = threading.Thread(target=self._run, name="raw-copy", daemon=True)
        self._thread.start()

    def write(self, lines: Sequence[bytes]) -> None:
        """Takes whole lines, without their ends.

        Raises:
            RawCopyError: An earlier write failed.
        """
        if self._failed is not None:
            raise self._error(self._failed)
        if lines:
            self._queue.put(b"\n".join(lines) + b"\n")

    def finish(self, manifest: dict[str, Any]) -> str:
        """Completes the object and writes its manifest. Called again, it only writes the manifest anew.

        Args:
            manifest: What the caller knows of the sync; hash and sizes are added.

        Returns:
            The object's URL.

        Raises:
            RawCopyError: The lake refused.
        """
        if not self._finished:
            self._queue.put(None)
            self._thread.join()
        if self._failed is not None:
            raise self._error(self._failed)
        whole = {
            "format": "airbyte-messages/jsonl+zstd/1",
            **manifest,
            "object": OBJECT,
            "compressed_bytes": self.compressed_bytes,
            "sha256": self._hash.hexdigest(),
        }
        folder = self._path.rpartition("/")[0]
        try:
            if not self._finished:
                self._files.mv(self._partial, self._path)
                self._finished = True
            with self._files.open(f"{folder}/{MANIFEST}.part", "wb") as file:
                file.write(orjson.dumps(whole, option=orjson.OPT_INDENT_2, default=str))
            self._files.mv(f"{folder}/{MANIFEST}.part", f"{folder}/{MANIFEST}")
        except Exception as error:
            raise self._error(error) from error
        return self.url

    def discard(self) -> None:
        """Ends the thread and removes what was written; for a sync that never began to load."""
        self._queue.put(None)
        self._thread.join()
        with contextlib.suppress(FileNotFoundError):
            self._files.rm(self._partial)

    def _error(self, error: BaseException) -> RawCopyError:
        return RawCopyError(
            f"the raw copy cannot be written: {error}",
            where=self.url,
            remedy="check MESH_LAKE_URL, its access rights and free space",
        )

    def _run(self) -> None:
        compress = zstandard.ZstdCompressor(level=_LEVEL, write_checksum=True).compressobj()
        while (block := self._queue.get()) is not None:
            self._store(compress.compress(block))
        self._store(compress.flush())
        try:
            self._file.close()
        except Exception as error:  # noqa: BLE001 - object stores upload on close, with errors of their own; the writer must hear of it
            self._failed = self._failed or error

    def _store(self, data: bytes) -> None:
        if not data or self._failed is not None:
            return  # after a failure the queue is drained, so that the writer does not hang
        try:
            self._file.write(data)
        except Exception as error:  # noqa: BLE001 - handed to the writer
            self._failed = error
            return
        self._hash.update(data)
        self.compressed_bytes += len(data)
