"""Fixtures of the ingestion tests."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from platform_core.warehouse import Warehouse

sys.path.append(str(Path(__file__).parent))  # for the test double below, shared by the files of this folder

from scripted_source import Source


@pytest.fixture
def make_source(database: Warehouse, tmp_path: Path) -> Callable[..., Source]:
    """Builds a scripted source whose domain is ``sales``."""

    def make(modes: dict[str, str], catalog: list[dict[str, Any]], **options: Any) -> Source:
        return Source(tmp_path, database, modes, catalog, **options)

    return make
