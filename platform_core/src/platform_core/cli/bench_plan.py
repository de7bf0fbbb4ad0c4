"""``mesh bench plan``: how long a plan takes for a mesh of many products, and how many questions it asks the server."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection, Cursor, sql

from platform_core.cli.bench_measure import machine, own_server
from platform_core.cli.session import err
from platform_core.contracts import Contract, DataProduct, Mesh, load_mesh
from platform_core.errors import MeshError
from platform_core.warehouse import EmbeddedPostgres, Warehouse, make_plan, prepare_databases

if TYPE_CHECKING:
    from platform_core.publishing import Outcome

_PER_DOMAIN = 20
_COLUMNS = 12
_SMALL = 20
"""Products of the small mesh whose number of queries must be that of the large one."""


def bench_plan(repeat: int, *, products: int = 1000) -> dict[str, Any]:
    """Measures reading the files, the first plan, its application, and the plan of a mesh in which every port is published.

    Args:
        repeat: Runs of each; the median counts.
        products: Size of the mesh; twenty products a domain, each reading one of its neighbour domain.

    Raises:
        MeshError: A plan was not what it must be: then there is nothing to measure.
    """
    with own_server("plan") as (folder, server):
        small = _Bench(folder / "small", server, "bench_small", _SMALL)
        small.prepare()
        large = _Bench(folder / "large", server, "bench_large", products)
        results = large.run(repeat)
        queries = {"small": small.plan(), "large": large.plan()}
    if queries["small"] != queries["large"]:
        raise MeshError(f"the number of queries grows with the mesh: {queries}", where="mesh bench plan")
    told = f"{queries['large']} for {products:,} products and for {_SMALL}"
    return {"bench": "plan", "machine": machine(), "results": results, "ratios": {"queries of a plan": told}}


class _Bench:
    """A generated mesh and its database."""

    def __init__(self, repo: Path, server: EmbeddedPostgres, database: str, products: int) -> None:
        self._repo, self._products = repo, products
        self._warehouse = Warehouse({**server.conninfo(), "dbname": database}, server=server)
        self._mesh = Mesh((), {}, {}, ())

    def prepare(self) -> None:
        """Files, database, everything applied and published."""
        from platform_core.publishing.governance import apply_everything

        _write(self._repo, self._products)
        prepare_databases(self._warehouse)
        self._mesh = self._load()
        apply_everything(self._warehouse, self._mesh)
        self._publish()

    def run(self, repeat: int) -> list[dict[str, Any]]:
        """Every figure, on the way to a mesh in which all is published."""
        from platform_core.publishing.governance import apply_everything, files_hash

        _write(self._repo, self._products)
        prepare_databases(self._warehouse)
        err.print(f"reading the files of {self._products:,} products")
        results = [self._measured("reading the files, never seen before", self._read_unseen, 1)]
        results.append(self._measured("reading the files, by another process", self._read_anew, repeat))
        results.append(self._measured("hashing the files, for a plan's file", lambda: files_hash(self._repo), repeat))
        results.append(self._measured("plan: nothing there", self.plan, repeat))
        results.append(self._measured("apply: everything created", lambda: apply_everything(self._warehouse, self._mesh), 1))
        results.append(self._measured("plan: nothing published", self._plan_of_nothing, repeat))
        err.print("publishing every port")
        self._publish()
        results.append(self._measured("plan: every port published", self._plan_of_nothing, repeat))
        results.append(self._measured("apply: nothing to do", lambda: apply_everything(self._warehouse, self._mesh), repeat))
        return results

    def plan(self) -> int:
        """Plans; how many queries it took."""
        from platform_core.publishing.governance import SOURCES

        with self._warehouse.connect_platform() as connection:
            connection.read_only = True
            connection.cursor_factory = _Counting
            _Counting.asked = 0
            steps = make_plan(connection, self._mesh, SOURCES).steps
            connection.rollback()
        self._steps = len(steps)
        return _Counting.asked

    def _plan_of_nothing(self) -> None:
        self.plan()
        if self._steps:
            raise MeshError(f"{self._steps} steps are left after an apply", where="mesh bench plan")

    def _read_anew(self) -> None:
        from platform_core.contracts import product_file

        product_file._read_product.cache_clear()  # pyright: ignore[reportPrivateUsage]  # what a fresh process has not read yet
        self._mesh = self._load()

    def _read_unseen(self) -> None:
        from platform_core.contracts import sound_files

        sound_files._known().clear()  # pyright: ignore[reportPrivateUsage]
        self._read_anew()

    def _load(self) -> Mesh:
        mesh = load_mesh(self._repo)
        errors = [problem for problem in mesh.problems if problem.severity == "error"]
        if errors or len(mesh.products) != self._products:
            raise MeshError(f"{len(mesh.products)} products were read; the first problem: {errors[:1]}", where=str(self._repo))
        return mesh

    def _measured(self, name: str, act: Callable[[], object], repeat: int) -> dict[str, Any]:
        walls: list[float] = []
        cpus: list[float] = []
        for _ in range(repeat):
            wall, cpu = time.monotonic(), time.process_time()
            act()
            walls.append(time.monotonic() - wall)
            cpus.append(time.process_time() - cpu)
        return {
            "name": name,
            "runs": repeat,
            "wall_s": round(statistics.median(walls), 2),
            "wall_spread": [round(min(walls), 2), round(max(walls), 2)],
            "cpu_client_s": round(statistics.median(cpus), 2),
            "rows": self._products,
        }

    def _publish(self) -> None:
        from platform_core.publishing import publish
        from platform_core.quality import AuditReport
        from platform_core.warehouse import readers

        for product in self._mesh.products.values():
            for port in product.outputs:
                contract = port.contract
                with self._warehouse.connect_domain(product.domain) as connection:
                    for table in contract.tables:
                        values = [
                            sql.SQL("NULL::{} AS {}").format(sql.SQL(column.physical_type or "text"), sql.Identifier(column.physical_name))  # pyright: ignore[reportArgumentType]
                            for column in table.columns
                        ]
                        target = sql.Identifier(f"{product.domain}_build", table.model)
                        connection.execute(sql.SQL("CREATE TABLE {} AS SELECT {}").format(target, sql.SQL(", ").join(values)))
                publish(
                    self._warehouse,
                    contract,
                    readers(self._mesh, contract),
                    lambda _: AuditReport(()),
                    code_version="bench",
                    announce=_telling(product, contract),
                )


def _telling(product: DataProduct, contract: Contract) -> Callable[[Connection, Outcome], None]:
    from platform_core.catalog import CatalogProduct, announce

    def tell(connection: Connection, outcome: Outcome) -> None:
        announce(connection, CatalogProduct.of_port(product, contract, outcome.publication, datetime.now(UTC), outcome.rows))

    return tell


class _Counting(Cursor[Any]):
    """A cursor that counts round trips."""

    asked = 0

    def execute(self, *given: Any, **options: Any) -> _Counting:  # pyright: ignore[reportIncompatibleMethodOverride]
        """As its parent does."""
        _Counting.asked += 1
        return super().execute(*given, **options)


def _write(repo: Path, products: int) -> None:
    """Product and contract files; product n of a domain reads product n of the domain before."""
    for number in range(products):
        domain, name = f"d{number // _PER_DOMAIN:03d}", f"p{number % _PER_DOMAIN:02d}"
        folder = repo / "domains" / domain / "src" / domain / "defs" / name
        (folder / "contracts").mkdir(parents=True)
        (repo / "domains" / domain / "pyproject.toml").touch()
        before = f"d{number // _PER_DOMAIN - 1:03d}.{name}.{name}" if number >= _PER_DOMAIN else None
        (folder / "product.odps.yaml").write_text(_product(domain, name, before))
        (folder / "contracts" / f"{name}.odcs.yaml").write_text(_contract(domain, name))


def _product(domain: str, name: str, before: str | None) -> str:
    inputs = f"inputPorts:\n  - name: before\n    version: 1.0.0\n    contractId: {before}\n" if before else ""
    return f"""apiVersion: v1.1.0
kind: DataProduct
id: {domain}.{name}
name: {name}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: Product {name} of {domain}.}}
{inputs}outputPorts:
  - {{name: {name}, type: tables, version: 1.0.0, contractId: {domain}.{name}.{name}}}
team:
  name: {domain}-data
  members:
    - {{username: {domain}@example.com, role: owner}}
support:
  - {{channel: {domain}, url: "https://example.com/{domain}"}}
"""


def _contract(domain: str, name: str) -> str:
    columns = "\n".join(
        f"      - {{name: c{at:02d}, logicalType: string, physicalType: text, description: Column {at}., classification: {kind}}}"
        for at in range(_COLUMNS)
        for kind in ("restricted" if at == 1 else "public",)
    )
    return f"""apiVersion: v3.1.0
kind: DataContract
id: {domain}.{name}.{name}
name: {name}
version: 1.0.0
status: active
domain: {domain}
dataProduct: {domain}.{name}
description: {{purpose: Rows of {name}.}}
schema:
  - name: t_{name}
    physicalName: t_{name}
    logicalType: object
    physicalType: table
    description: Table of {name}.
    properties:
{columns}
roles:
  - {{role: {domain}_{name}_reader, access: read}}
  - {{role: {domain}_{name}_reader_pii, access: read, firstLevelApprovers: {domain}-data, secondLevelApprovers: privacy}}
team:
  name: {domain}-data
  members:
    - {{username: {domain}@example.com, role: owner}}
support:
  - {{channel: {domain}, url: "https://example.com/{domain}"}}
"""
