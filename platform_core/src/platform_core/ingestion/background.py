"""One action at a time beside the thread that started it; its error is raised where it is waited for."""

from __future__ import annotations

import threading
from collections.abc import Callable


class Background:
    """Runs actions one after another. Used by one thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, action: Callable[[], None]) -> None:
        """Waits for the former action, then starts this one."""
        self.wait()
        self._thread = threading.Thread(target=self._run, args=(action,), name="commit")
        self._thread.start()

    def wait(self) -> None:
        """Returns when nothing runs.

        Raises:
            BaseException: What the action raised; once.
        """
        if self._thread is not None:
            self._thread.join()
            self._thread = None
        error, self._error = self._error, None
        if error is not None:
            raise error

    def look(self) -> None:
        """Raises the error of an action that ended, without waiting for one that runs."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()

    def _run(self, action: Callable[[], None]) -> None:
        try:
            action()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            self._error = error
