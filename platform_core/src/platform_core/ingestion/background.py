"""One action at a time beside the thread that started it; its error is raised where it is waited for."""

from __future__ import annotations

import contextlib
import sys
import threading
from collections.abc import Callable, Generator

_USUAL_TURN = sys.getswitchinterval()
_SHORT_TURN = 0.0005  # seconds that one thread keeps the interpreter while another wants it


@contextlib.contextmanager
def _short_turns() -> Generator[None]:
    """Who talks to Postgres is let in soon, or the server waits for its next bytes while something else is computed.

    Measured on a first load: 4 % of its time.
    """
    sys.setswitchinterval(_SHORT_TURN)
    try:
        yield
    finally:
        sys.setswitchinterval(_USUAL_TURN)


class Background:
    """Runs actions one after another. Used by one thread."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None
        self._error: BaseException | None = None

    def start(self, action: Callable[[], None]) -> None:
        """Waits for the former action, then starts this one."""
        self.wait()
        self.follow(action)

    def follow(self, action: Callable[[], None]) -> None:
        """Starts this one as soon as the former has ended, and ended well; returns at once."""
        former = self._thread

        def run() -> None:
            if former is not None:
                former.join()
            if self._error is None:
                self._run(action)

        self._thread = threading.Thread(target=run, name="commit")
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

    def idle(self) -> bool:
        """Whether nothing runs; raises the error of an action that ended, without waiting for one that runs."""
        if self._thread is not None and not self._thread.is_alive():
            self.wait()
        return self._thread is None

    def _run(self, action: Callable[[], None]) -> None:
        try:
            with _short_turns():
                action()
        except BaseException as error:  # noqa: BLE001 - handed to who waits
            self._error = error
