"""A file that one process at a time holds."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Generator
from pathlib import Path


@contextlib.contextmanager
def held_alone(file: Path) -> Generator[None]:
    """Waits until no other process holds ``file``, then holds it; the file and its folder are made.

    The kernel lets go when the process ends in any way, so a killed holder is in nobody's way.
    """
    file.parent.mkdir(parents=True, exist_ok=True)
    with file.open("w") as opened:
        fcntl.flock(opened, fcntl.LOCK_EX)
        yield
