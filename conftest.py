"""Fixtures of every test: one real Postgres a session, one fresh database a test."""

from __future__ import annotations

import itertools
import os
from collections.abc import Callable, Generator, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from platform_core.contracts import Mesh
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, embedded, prepare_databases

DOMAINS = ("customer", "inventory", "sales", "marketing")
_numbers = itertools.count(1)


@pytest.fixture(scope="session")
def postgres(tmp_path_factory: pytest.TempPathFactory) -> Iterator[EmbeddedPostgres]:
    """A running embedded server of this test session. It need not outlive a power failure, so it waits for no disk."""
    server = EmbeddedPostgres(tmp_path_factory.mktemp("server") / "postgres")
    with pytest.MonkeyPatch.context() as patch:
        for name in ("fsync", "full_page_writes"):
            patch.setitem(embedded._SETTINGS, name, "off")
        server.start()
    yield server
    server.stop()


@pytest.fixture(scope="session")
def new_database(postgres: EmbeddedPostgres) -> Callable[[], AbstractContextManager[Warehouse]]:
    """Makes fresh databases without anything of the mesh; each is dropped at the end of its context."""

    @contextmanager
    def make() -> Generator[Warehouse]:
        name = f"mesh_{os.getpid()}_{next(_numbers)}"
        warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
        prepare_databases(warehouse)
        yield warehouse
        with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))

    return make


@pytest.fixture
def empty_database(new_database: Callable[[], AbstractContextManager[Warehouse]]) -> Iterator[Warehouse]:
    """A fresh database without anything of the mesh; dropped after the test."""
    with new_database() as warehouse:
        yield warehouse


@pytest.fixture
def database(empty_database: Warehouse) -> Warehouse:
    """A fresh database with the platform's tables and the four domains, no product yet."""
    apply(empty_database, Mesh(DOMAINS, {}, {}, ()))
    return empty_database


@pytest.fixture
def select(monkeypatch: pytest.MonkeyPatch) -> Callable[[Warehouse, Path, Path], None]:
    """Selects a warehouse, the files and the home as in production: by environment variables, and nothing else of this machine's."""

    def chosen(warehouse: Warehouse, repo: Path, home: Path) -> None:
        parameters = warehouse.parameters
        for name in ("MESH_DATAHUB_URL", "MESH_ALERT_WEBHOOK", "MESH_LAKE_URL"):
            monkeypatch.delenv(name, raising=False)
        monkeypatch.setenv("MESH_REPO", str(repo))
        monkeypatch.setenv("MESH_HOME", str(home))
        monkeypatch.setenv("MESH_WAREHOUSE_DSN", f"postgresql://{parameters['host']}:{parameters['port']}/{parameters['dbname']}")
        monkeypatch.setenv("PGPASSFILE", parameters["passfile"])

    return chosen


@pytest.fixture(scope="session")
def repo() -> Path:
    """The root of this repository."""
    return Path(__file__).parent


# Tests that share the one running platform, in the order in which they may use it: started twice, used, stopped.
_PLATFORM = ("tests/end_to_end/test_bare_machine.py", "tests/end_to_end", "tests/browser", "tests/zz_end")


def _rank(nodeid: str) -> int:
    return next((at for at, prefix in enumerate(_PLATFORM) if nodeid.startswith(prefix)), len(_PLATFORM))


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Starts with what shares a platform, because it takes longest."""
    items.sort(key=lambda item: _rank(item.nodeid))


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Keeps what shares a platform on one worker, and every other file whole."""
    from xdist.scheduler import LoadScopeScheduling

    class OnePlatform(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return "platform" if _rank(nodeid) < len(_PLATFORM) else nodeid.split("::", 1)[0]

    return OnePlatform(config, log)
