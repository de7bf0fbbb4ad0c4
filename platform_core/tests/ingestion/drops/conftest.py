"""Fixtures of the tests of dropped files."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from platform_core.warehouse import Warehouse

sys.path.append(str(Path(__file__).parent))  # for the module below, shared by the files of this folder

from dropped_inbox import Inbox


@pytest.fixture
def inbox(database: Warehouse, tmp_path: Path) -> Inbox:
    inbox = Inbox(tmp_path, database)
    inbox.folder.mkdir()
    return inbox


@pytest.fixture
def refused(inbox: Inbox) -> Callable[[str, str | bytes], str]:
    """Drops a file that cannot be read; the letter about it."""

    def drop(name: str, content: str | bytes) -> str:
        path = inbox.put(name, content)
        (quarantined,) = inbox.look().quarantined
        assert quarantined.path == name
        assert not path.exists()
        assert (inbox.folder / "quarantine" / name).read_bytes() == (content.encode() if isinstance(content, str) else content)
        assert inbox.query("SELECT to_regclass('sales_raw.by_hand')") == [(None,)], "nothing of it was loaded"
        return inbox.letter(name)

    return drop
