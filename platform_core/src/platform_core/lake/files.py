"""Objects of the lake on any file system that fsspec knows: a folder, S3, GCS, ADLS, memory."""

# pyarrow ships no type stubs: its types are unknown to pyright.
# pyright: reportUnknownParameterType=false

from __future__ import annotations

import contextlib
import os
import secrets
from collections.abc import Generator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import fsspec

from platform_core.errors import MeshError

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem


class LakeError(MeshError):
    """The lake cannot be reached, or a table cannot be read or written."""


@dataclass(frozen=True)
class LakeFiles:
    """One folder of the lake.

    Attributes:
        system: The fsspec file system.
        root: Path of the folder in it, without a slash at the end.
    """

    system: Any
    root: str

    @classmethod
    def at(cls, url: str) -> LakeFiles:
        """The folder of a URL; credentials come from the store's own environment variables, never from the URL.

        Raises:
            LakeError: No file system is known for the URL.
        """
        try:
            system, root = fsspec.core.url_to_fs(url)
        except (ValueError, ImportError) as error:
            raise LakeError(
                f"cannot open the lake: {error}",
                where="MESH_LAKE_URL",
                remedy="give a folder or an fsspec URL, and install its package (s3fs, gcsfs, adlfs)",
            ) from error
        return cls(system, root.rstrip("/"))

    @property
    def local(self) -> bool:
        """Whether this is a folder of this machine."""
        protocols = self.system.protocol
        return "file" in ((protocols,) if isinstance(protocols, str) else protocols)

    def path(self, *parts: str) -> str:
        """Full path in the file system."""
        return "/".join((self.root, *parts))

    def arrow(self) -> FileSystem:
        """The same file system for pyarrow."""
        from pyarrow import fs

        return fs.LocalFileSystem() if self.local else fs.PyFileSystem(fs.FSSpecHandler(self.system))

    def put(self, path: str, data: bytes) -> None:
        """Writes an object in one step: a reader sees the old content or the new one.

        Raises:
            LakeError: The store refuses.
        """
        with self.failing(path):
            if not self.local:
                self.system.pipe_file(path, data)  # one PUT
                return
            self.make_folder(path.rpartition("/")[0])
            temporary = Path(f"{path}.{secrets.token_hex(4)}.part")
            with temporary.open("wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            temporary.replace(path)

    def get(self, path: str) -> bytes | None:
        """The content of an object, None when there is none.

        Raises:
            LakeError: The store refuses.
        """
        with self.failing(path):
            try:
                return self.system.cat_file(path)
            except FileNotFoundError:
                return None

    def names(self, path: str) -> list[str]:
        """Names in a folder, sorted; empty when there is no such folder.

        Raises:
            LakeError: The store refuses.
        """
        with self.failing(path):
            self.system.invalidate_cache(path)
            try:
                listed = self.system.ls(path, detail=False)
            except FileNotFoundError:
                return []
            return sorted(str(entry).rstrip("/").rpartition("/")[2] for entry in listed)

    def make_folder(self, path: str) -> None:
        """Makes a folder where folders exist."""
        if self.local or "memory" in self.system.protocol:
            self.system.makedirs(path, exist_ok=True)

    def remove(self, path: str) -> None:
        """Removes an object or a folder with what is in it; nothing when it is gone already.

        Raises:
            LakeError: The store refuses.
        """
        with self.failing(path), contextlib.suppress(FileNotFoundError):
            self.system.invalidate_cache(path)
            self.system.rm(path, recursive=True)

    @contextlib.contextmanager
    def failing(self, path: str) -> Generator[None]:
        """Turns the store's errors (each has its own) into `LakeError`; a missing object stays FileNotFoundError."""
        try:
            yield
        except (FileNotFoundError, MeshError):
            raise
        except Exception as error:
            raise LakeError(
                f"{type(error).__name__}: {error}", where=path, remedy="check MESH_LAKE_URL, its access rights and free space"
            ) from error
