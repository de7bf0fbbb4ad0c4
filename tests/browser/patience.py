"""Reads a page that may still be drawing: again and again, until it shows what is wanted."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from playwright.sync_api import Error, Page

PATIENCE_SECONDS = 90.0
_PAUSE_MS = 100.0

Seen = TypeVar("Seen")


def read_until(page: Page, read: Callable[[], Seen], wanted: Seen) -> Seen:
    """What ``read`` gave last: ``wanted`` as soon as it gives that, anything else after 90 s.

    The caller asserts that the two are equal, so that a failure shows both. Nothing is read from a page but by this function or
    by Playwright's ``expect``: between two statements of a test a page may be drawn anew.

    Args:
        page: The page that is read.
        read: Reads the page, in one go (``evaluate_all``); its failure on a page that is half drawn counts as not yet.
        wanted: What the page shows when it is drawn.

    Raises:
        AssertionError, LookupError, ValueError, Error: What ``read`` raised the last time.
    """
    deadline = time.monotonic() + PATIENCE_SECONDS
    while True:
        late = time.monotonic() >= deadline
        try:
            seen = read()
        except (AssertionError, LookupError, ValueError, Error):
            if late:
                raise
        else:
            if late or seen == wanted:
                return seen
        page.wait_for_timeout(_PAUSE_MS)
