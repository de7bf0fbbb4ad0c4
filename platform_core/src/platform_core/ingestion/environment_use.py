"""Who uses a connector's environment: a shared lock while a connector runs, an exclusive one while the environment is removed."""

from __future__ import annotations

import contextlib
import fcntl
from collections.abc import Generator
from pathlib import Path

from platform_core.ingestion.errors import ConnectorEnvironmentError

COMPLETE = "complete"
"""File that marks a whole environment. It is made last and removed first, and carries the locks."""


@contextlib.contextmanager
def environment_in_use(environment: Path) -> Generator[None]:
    """Keeps an environment from being removed; the kernel ends the lock when this process ends in any way.

    Raises:
        ConnectorEnvironmentError: It was removed just now.
    """
    try:
        file = (environment / COMPLETE).open("rb")
    except FileNotFoundError as error:
        raise ConnectorEnvironmentError(
            "the connector's environment was removed while it was about to start", where=environment.name, remedy="run it again"
        ) from error
    with file:
        fcntl.flock(file, fcntl.LOCK_SH)
        yield


@contextlib.contextmanager
def environment_to_remove(environment: Path) -> Generator[bool]:
    """Gives whether an environment may be removed: nobody runs in it, and nobody starts to while the context lasts."""
    try:
        file = (environment / COMPLETE).open("rb")
    except FileNotFoundError:
        yield True  # never finished, or removed half: it is made anew before anybody runs in it
        return
    with file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
            return
        yield True
