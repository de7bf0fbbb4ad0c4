"""Fixtures of the publishing tests."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from platform_core.warehouse import EmbeddedPostgres, Warehouse, prepare_databases

sys.path.append(str(Path(__file__).parent))  # for the bench below, shared by the files of this folder

from port_bench import Port, open_port


@pytest.fixture
def port(empty_database: Warehouse) -> Port:
    """The port ``sales.orders.orders`` in a database of its own."""
    return open_port(empty_database)


@pytest.fixture(scope="module")
def module_port(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Port:
    """The same for all tests of a module: for those that try what must not change anything."""
    warehouse = Warehouse({**postgres.conninfo(), "dbname": tmp_path_factory.mktemp("port").name}, server=postgres)
    prepare_databases(warehouse)
    return open_port(warehouse)
