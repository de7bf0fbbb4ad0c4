"""Which contents the official schemas accepted before. Validating takes nine tenths of the time of reading a mesh, and files rarely change.

Kept in ``<home>/sound-files``, one hash a line; losing the file costs time only. A content that was refused is never kept.
"""

from __future__ import annotations

import functools
import hashlib
import logging
import os
from pathlib import Path
from typing import Any

from platform_core.settings import Settings, SettingsError

_log = logging.getLogger(__name__)
_LARGEST = 8_000_000
"""Bytes, some 120,000 contents; a larger file begins anew."""


def verdict_key(data: Any, schemas: bytes) -> str:
    """Names a content and the hash of the schemas that judge it. ``repr`` tells a date from its text, which a schema does too."""
    return hashlib.sha256(schemas + repr(data).encode(errors="surrogatepass")).hexdigest()


def known_sound(key: str) -> bool:
    """Whether the content was accepted before, by this process or another one."""
    return key in _known()


def remember_sound(key: str) -> None:
    """Keeps that a content was accepted."""
    _known().add(key)
    path = _path()
    if path is None:
        return
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        try:
            os.write(descriptor, f"{key}\n".encode())  # one write: lines of several processes do not mix
        finally:
            os.close(descriptor)
    except OSError as error:
        _log.debug("the verdict is not kept for the next process: %s", error)


@functools.cache
def _known() -> set[str]:
    path = _path()
    try:
        if path is None or not path.is_file():
            return set()
        if path.stat().st_size > _LARGEST:
            path.unlink()
            return set()
        return set(path.read_text().split())
    except OSError as error:
        _log.debug("verdicts of former processes are not read: %s", error)
        return set()


@functools.cache
def _path() -> Path | None:
    try:
        home = Settings.load().home
    except SettingsError:  # files outside of a repository are judged each time
        return None
    return home / "sound-files" if home.is_dir() else None
