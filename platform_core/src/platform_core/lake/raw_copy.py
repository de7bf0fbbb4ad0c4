"""Writes the raw copy of a sync: its records and states as one zstd-compressed JSONL object, and a manifest beside it.

What a commit brings into the warehouse is secured here before (`RawCopy.secure`), so a runner that is killed leaves a raw copy
that holds at least every committed row; `raw_object` finishes what it left. Layout: ``raw_layout``.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import queue
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import zstandard

from platform_core.errors import MeshError
from platform_core.lake.files import LakeFiles
from platform_core.lake.raw_layout import OBJECT, PARTIAL, RUNNING, RawCopyError, piece_name, put_manifest, raw_folder

# Measured on 181 MB of faker records: 28.5 MB in 0.33 CPU-s; with level 1's own tables, which are larger, 27.7 MB in 0.38.
_COMPRESSION = zstandard.ZstdCompressionParameters.from_level(1, window_log=18, hash_log=13, write_checksum=True)
_BLOCK_BYTES = 1 << 19
_QUEUE_BLOCKS = 4
# S3 takes parts of 5 MiB and more, 10,000 an object: this allows 80 GB compressed, and is what memory holds.
_PART_BYTES = 8 << 20


class RawCopy:
    """Writes one raw copy. Compression and upload run in a thread; a full queue slows the source down, so memory is bounded."""

    def __init__(self, lake_url: str, domain: str, connection: str, sync_id: str, manifest: dict[str, Any] | None = None) -> None:
        """Writes the manifest of a running sync, and opens the object.

        Args:
            lake_url: Folder or object-store URL (any that fsspec knows).
            domain: Domain of the connection.
            connection: Name of the connection.
            sync_id: Name of the sync, unique.
            manifest: What is known of the sync at its start: enough to finish the raw copy if this process is killed.

        Raises:
            RawCopyError: The lake cannot be written.
        """
        self.url = "/".join((lake_url.rstrip("/"), "raw", domain, connection, sync_id, OBJECT))
        try:
            self._files = raw_folder(lake_url, domain, connection, sync_id)
            if manifest is not None:
                put_manifest(self._files, {**manifest, "status": RUNNING})
            self._sink = Sink(self._files)
        except Exception as error:  # each file system has errors of its own
            raise self._error(error) from error
        self._failed: BaseException | None = None
        self._gathered: list[bytes] = []
        self._gathered_bytes = 0
        self._queue: queue.Queue[bytes | threading.Event | None] = queue.Queue(_QUEUE_BLOCKS)
        self._thread = threading.Thread(target=self._run, name="raw-copy", daemon=True)
        self._thread.start()

    def write(self, lines: bytes) -> None:
        """Takes whole lines, separated by newlines.

        Raises:
            RawCopyError: An earlier write failed.
        """
        if self._failed is not None:
            raise self._error(self._failed)
        if not lines:
            return
        self._gathered.append(lines)
        self._gathered_bytes += len(lines)
        if self._gathered_bytes >= _BLOCK_BYTES:
            self._pass_on()

    def _pass_on(self) -> None:
        """Hands what was gathered to the thread: few large blocks cost fewer changes between threads."""
        if self._gathered:
            self._queue.put(b"\n".join((*self._gathered, b"")))
            self._gathered, self._gathered_bytes = [], 0

    def secure(self) -> None:
        """Returns when everything written so far would survive the end of this process (in a folder: of this machine).

        Raises:
            RawCopyError: A write failed.
        """
        self.securing()()

    def securing(self) -> Callable[[], None]:
        """Begins to secure everything written so far; what it gives waits for that, as `secure` does, in any thread."""
        self._pass_on()
        done = threading.Event()
        self._queue.put(done)

        def wait() -> None:
            done.wait()
            if self._failed is not None:
                raise self._error(self._failed)

        return wait

    def finish(self, manifest: dict[str, Any]) -> str:
        """Completes the object and writes its manifest. Called again, it only writes the manifest anew.

        Args:
            manifest: What the caller knows of the sync; hash and sizes are added.

        Returns:
            The object's URL.

        Raises:
            RawCopyError: The lake refused.
        """
        self._end()
        if self._failed is not None:
            self._sink.abandon()
            raise self._error(self._failed)
        try:
            self._sink.close()
            put_manifest(self._files, {**manifest, **self._sink.figures()})
            self._sink.forget_pieces()
        except Exception as error:
            raise self._error(error) from error
        return self.url

    def _end(self) -> None:
        if self._thread.is_alive():
            self._pass_on()
            self._queue.put(None)
            self._thread.join()

    def _error(self, error: BaseException) -> RawCopyError:
        said, remedy = (error.what, error.remedy) if isinstance(error, MeshError) else (str(error), None)
        return RawCopyError(
            f"the raw copy cannot be written: {said}",
            where=self.url,
            remedy=remedy or "check MESH_LAKE_URL, its access rights and free space",
        )

    def _run(self) -> None:
        while (given := self._queue.get()) is not None:
            try:
                if self._failed is None:  # after a failure the queue is drained, so that the writer does not hang
                    if isinstance(given, bytes):
                        self._sink.write(given)
                    else:
                        self._sink.secure()
            except Exception as error:  # noqa: BLE001 - handed to the writer
                self._failed = error
            if isinstance(given, threading.Event):
                given.set()


class Sink:
    """Compresses into the object of one folder; not thread-safe."""

    def __init__(self, files: LakeFiles) -> None:
        """Opens the object: under a temporary name where it could be seen half written, under its own where it could not."""
        self._files = files
        self._compress = zstandard.ZstdCompressor(compression_params=_COMPRESSION).compressobj()
        self._hash = hashlib.sha256()
        self._bytes = 0
        self._closed = False
        self._pending = bytearray()  # in an object store: what the journal does not have yet
        self._pieces = 0
        self._object = files.path(OBJECT)
        self._file: Any
        if files.local:
            files.make_folder(files.root)
            self._file = Path(files.path(PARTIAL)).open("wb")  # noqa: SIM115 - closed by close()
        else:
            files.make_folder(files.root)
            self._file = files.system.open(self._object, "wb", block_size=_PART_BYTES)

    def write(self, data: bytes) -> None:
        """Takes a piece of the content."""
        self._store(self._compress.compress(data))

    def secure(self) -> None:
        """Everything taken so far can be read again after this process was killed."""
        self._store(self._compress.flush(zstandard.COMPRESSOBJ_FLUSH_BLOCK))
        if self._files.local:
            self._file.flush()
            os.fsync(self._file.fileno())
        elif self._pending:
            self._write_piece()

    def _store(self, data: bytes) -> None:
        if not data:
            return
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)
        if not self._files.local:
            self._pending += data
            if len(self._pending) >= _PART_BYTES:
                self._write_piece()

    def _write_piece(self) -> None:
        self._files.put(self._files.path(piece_name(self._pieces)), bytes(self._pending))
        self._pieces += 1
        self._pending.clear()

    def close(self) -> None:
        """Makes the object appear, whole. Does nothing the second time."""
        if self._closed:
            return
        data = self._compress.flush()
        self._file.write(data)
        self._hash.update(data)
        self._bytes += len(data)
        if self._files.local:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
            Path(self._files.path(PARTIAL)).replace(self._object)
        else:
            self._file.close()
        self._closed = True

    def abandon(self) -> None:
        """Lets go of an object that cannot be written any more; what it holds is finished by `raw_object`."""
        if self._files.local:
            with contextlib.suppress(OSError):  # of what is still buffered; it failed before
                self._file.close()

    def figures(self) -> dict[str, Any]:
        """Name, size and hash of the object, for its manifest."""
        return {"object": OBJECT, "compressed_bytes": self._bytes, "sha256": self._hash.hexdigest()}

    def forget_pieces(self) -> None:
        """Removes the journal; the object holds it all."""
        for number in range(self._pieces):
            self._files.remove(self._files.path(piece_name(number)))
        self._pieces = 0
