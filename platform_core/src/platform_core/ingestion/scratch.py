"""The temporary folder of a running connector: its home and working folder, gone with it, or with the next one."""

from __future__ import annotations

import contextlib
import fcntl
import logging
import os
import shutil
import tempfile
import time
from collections.abc import Generator, Iterator
from pathlib import Path

_PREFIX = "mesh-connector-"
_YOUNG_SECONDS = 60.0  # between the making of a folder and its lock

_log = logging.getLogger(__name__)


@contextlib.contextmanager
def scratch_folder() -> Generator[str]:
    """Makes a folder, and removes those that killed processes left.

    A living owner holds a lock on its folder, which the kernel releases when the process ends in any way.
    """
    _sweep()
    folder = tempfile.mkdtemp(prefix=_PREFIX)
    descriptor = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


def _sweep() -> None:
    for path in _left():
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC | os.O_NOFOLLOW)
        except OSError:
            continue  # gone meanwhile
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(path)
        except BlockingIOError:
            pass  # in use
        except OSError as error:
            _log.warning("the folder %s of an ended connector stays: %s", path, error)
        finally:
            os.close(descriptor)


def _left() -> Iterator[Path]:
    oldest = time.time() - _YOUNG_SECONDS
    with os.scandir(tempfile.gettempdir()) as entries:
        for entry in entries:
            if not entry.name.startswith(_PREFIX):
                continue
            with contextlib.suppress(FileNotFoundError):
                status = entry.stat(follow_symlinks=False)
                if entry.is_dir(follow_symlinks=False) and status.st_uid == os.geteuid() and status.st_mtime < oldest:
                    yield Path(entry.path)
