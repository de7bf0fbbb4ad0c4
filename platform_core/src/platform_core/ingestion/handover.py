"""Hands configuration, catalog and state to a connector without leaving them on a disk or in a command line."""

from __future__ import annotations

import contextlib
import fcntl
import os
import tempfile
from collections.abc import Generator
from dataclasses import dataclass


@dataclass(frozen=True)
class Handover:
    """A document that a child process can open.

    Attributes:
        path: What the child opens.
        descriptor: What the child must inherit, None for a file.
    """

    path: str
    descriptor: int | None


@contextlib.contextmanager
def handed_over(name: str, content: bytes) -> Generator[Handover]:
    """Makes ``content`` readable for a child process while the context lasts.

    On Linux it lies in sealed memory (memfd); elsewhere in a file that only this user reads, removed at the end.
    """
    if hasattr(os, "memfd_create"):
        descriptor = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
        try:
            view = memoryview(content)
            while view:
                view = view[os.write(descriptor, view) :]
            fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, fcntl.F_SEAL_WRITE | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW)
            yield Handover(f"/proc/self/fd/{descriptor}", descriptor)
        finally:
            os.close(descriptor)
        return
    with tempfile.NamedTemporaryFile(prefix=f"mesh-{name}-") as file:  # created with mode 0600
        file.write(content)
        file.flush()
        yield Handover(file.name, None)
