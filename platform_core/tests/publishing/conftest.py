"""Fixtures of the publishing tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from platform_core.warehouse import Warehouse

sys.path.append(str(Path(__file__).parent))  # for the bench below, shared by the files of this folder

from port_bench import Port, open_port


@pytest.fixture
def port(empty_database: Warehouse) -> Port:
    """The port ``sales.orders.orders`` in a database of its own."""
    return open_port(empty_database)
