"""What assets written in Python use to reach the warehouse and the lake: as their domain, and only when they ask."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

import dagster as dg
from pydantic import Field, PrivateAttr

from platform_core.settings import Settings
from platform_core.warehouse import Warehouse, WarehouseError

if TYPE_CHECKING:
    import psycopg
    from psycopg_pool import ConnectionPool

    from platform_core.lake import LakeTables

_WAIT_SECONDS = 30.0


class WarehouseResource(dg.ConfigurableResource[Any]):
    """The warehouse, as a domain's job: tables it makes belong to the domain, and it can do what the domain may do.

    Connections come from a pool of this process. Nothing connects before the first `connection()`.
    """

    domain: str = Field(description="Domain whose role is used, for example `sales`.")
    max_connections: int = Field(default=4, ge=1, description="Most connections that one process holds.")

    _pool: ConnectionPool[psycopg.Connection] | None = PrivateAttr(default=None)
    _guard: Any = PrivateAttr(default_factory=threading.Lock)

    def warehouse(self) -> Warehouse:
        """The address that the environment selects (see `platform_core.settings`)."""
        return Warehouse.from_settings(Settings.load())

    @contextmanager
    def connection(self) -> Generator[psycopg.Connection]:
        """Lends a connection; commits when the block ends, rolls back when it raises.

        Raises:
            WarehouseError: The warehouse cannot be reached, or all connections stay taken.
        """
        from psycopg_pool import PoolTimeout

        pool = self._opened()
        try:
            connection = pool.getconn()
        except PoolTimeout as error:
            self.warehouse().connect_domain(self.domain).close()  # says why, when the reason is the server
            raise WarehouseError(
                f"all {self.max_connections} connections of domain {self.domain} are taken",
                remedy="leave the `with warehouse.connection()` blocks sooner, or raise max_connections",
            ) from error
        try:
            with connection:  # a pooled connection goes back instead of closing
                yield connection
        finally:
            pool.putconn(connection)

    def teardown_after_execution(self, context: dg.InitResourceContext) -> None:
        """Closes the pool."""
        with self._guard:
            if self._pool is not None:
                self._pool.close()
                self._pool = None

    def _opened(self) -> ConnectionPool[psycopg.Connection]:
        with self._guard:
            if self._pool is None:
                self._pool = _pool(self.warehouse(), self.domain, self.max_connections)
            return self._pool


def _pool(warehouse: Warehouse, domain: str, most: int) -> ConnectionPool[psycopg.Connection]:
    import psycopg
    from psycopg_pool import ConnectionPool

    class DomainConnection(psycopg.Connection[Any]):
        """Makes the pool connect the one way the warehouse plane knows."""

        @classmethod
        def connect(cls, conninfo: str = "", **kwargs: Any) -> Any:
            return warehouse.connect_domain(domain)

    warehouse.connect_domain(domain).close()  # a wrong address fails here, at once, with its reason
    return ConnectionPool(
        connection_class=DomainConnection,
        min_size=0,
        max_size=most,
        timeout=_WAIT_SECONDS,
        check=ConnectionPool.check_connection,
        open=True,
        name=f"mesh {domain}",
    )


class LakeResource(dg.ConfigurableResource[Any]):
    """The lake: Parquet tables and objects under one URL."""

    domain: str = Field(description="Domain that uses it.")
    url: str | None = Field(default=None, description="Folder or object-store URL; by default what MESH_LAKE_URL selects.")

    def lake_url(self) -> str:
        """Where the lake is."""
        return self.url or Settings.load().lake_url

    def tables(self) -> LakeTables:
        """The lake's tables."""
        from platform_core.lake import LakeTables

        return LakeTables(self.lake_url())
