"""``mesh bench plan``: how long reading, planning and applying take for a mesh of many products, and how many questions a plan asks."""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from psycopg import Connection, Cursor, sql

from platform_core.cli.bench_measure import machine, own_server
from platform_core.cli.bench_mesh import write_mesh
from platform_core.cli.session import err
from platform_core.contracts import Contract, DataProduct, Mesh, load_mesh
from platform_core.errors import MeshError
from platform_core.warehouse import EmbeddedPostgres, Warehouse, make_plan, prepare_databases

if TYPE_CHECKING:
    from platform_core.publishing import Outcome

_SMALL = 20
"""Products of the small mesh whose number of queries must be that of the large one."""
_READ = """
import json, sys, time
from pathlib import Path
from platform_core.contracts import load_mesh
wall, cpu = time.monotonic(), time.process_time()
mesh = load_mesh(Path(sys.argv[1]))
print(json.dumps({"wall": time.monotonic() - wall, "cpu": time.process_time() - cpu, "products": len(mesh.products)}))
"""


def bench_plan(repeat: int, *, products: int = 1000) -> dict[str, Any]:
    """Measures reading the files, the first plan, its application, and the plan of a mesh in which every port is published.

    Args:
        repeat: Runs of each; the median counts.
        products: Size of the mesh; twenty products a domain, each reading one of its neighbour domain.

    Raises:
        MeshError: A plan was not what it must be: then there is nothing to measure.
    """
    figures = _Figures(products)
    told = ""
    for number in range(repeat):
        with own_server("plan") as (folder, server):  # roles are a server's: only a new one holds nothing of a mesh
            large = _Bench(folder / "large", server, products)
            if number == 0:
                err.print(f"reading the files of {products:,} products")
                large.read(figures, repeat)
            err.print(f"planning and applying, {number + 1} of {repeat}")
            large.create(figures)
            if number == repeat - 1:
                err.print("publishing every port")
                large.publish()
                large.look(figures, repeat)
                told = _questions(large, _Bench(folder / "small", server, _SMALL))
    return {"bench": "plan", "machine": machine(), "results": figures.results(), "ratios": {"queries of a plan": told}}


def _questions(large: _Bench, small: _Bench) -> str:
    """How many queries a plan takes, which must be the same for a small mesh."""
    from platform_core.publishing.governance import apply_everything

    small.load()
    apply_everything(small.warehouse, small.mesh)
    small.publish()
    queries = {"small": small.plan(), "large": large.plan()}
    if queries["small"] != queries["large"]:
        raise MeshError(f"the number of queries grows with the mesh: {queries}", where="mesh bench plan")
    return f"{queries['large']} for {len(large.mesh.products):,} products and for {_SMALL}"


class _Figures:
    """Wall and CPU seconds of every run, by what was run."""

    def __init__(self, rows: int) -> None:
        self._rows = rows
        self._runs: dict[str, list[tuple[float, float]]] = {}

    def add(self, name: str, wall: float, cpu: float) -> None:
        """Counts a run."""
        self._runs.setdefault(name, []).append((wall, cpu))

    def measure(self, name: str, act: Callable[[], object]) -> None:
        """Runs something once."""
        wall, cpu = time.monotonic(), time.process_time()
        act()
        self.add(name, time.monotonic() - wall, time.process_time() - cpu)

    def results(self) -> list[dict[str, Any]]:
        """The documented form: the median of the runs, and the spread."""
        return [
            {
                "name": name,
                "runs": len(runs),
                "wall_s": round(statistics.median(wall for wall, _ in runs), 2),
                "wall_spread": [round(min(runs)[0], 2), round(max(runs)[0], 2)],
                "cpu_client_s": round(statistics.median(cpu for _, cpu in runs), 2),
                "rows": self._rows,
            }
            for name, runs in self._runs.items()
        ]


class _Bench:
    """A generated mesh and its database."""

    def __init__(self, repo: Path, server: EmbeddedPostgres, products: int) -> None:
        self.warehouse = Warehouse({**server.conninfo(), "dbname": f"bench_{products}"}, server=server)
        self.mesh = Mesh((), {}, {}, ())
        self._repo, self._products = repo, products
        self._steps = 0
        write_mesh(repo, products)
        prepare_databases(self.warehouse)

    def read(self, figures: _Figures, repeat: int) -> None:
        """Reads the files as a command does that has just been started, then again as one that runs on."""
        for _ in range(repeat):
            said = json.loads(subprocess.run([sys.executable, "-c", _READ, str(self._repo)], check=True, stdout=subprocess.PIPE).stdout)
            if said["products"] != self._products:
                raise MeshError(f"{said['products']} products were read", where=str(self._repo))
            figures.add("reading the files, by a new process (cold)", said["wall"], said["cpu"])
        self.load()
        for _ in range(repeat):
            figures.measure("reading them again, in the same process (warm)", self.load)

    def load(self) -> None:
        """Reads the files.

        Raises:
            MeshError: They hold something else than was written.
        """
        self.mesh = load_mesh(self._repo)
        errors = [problem for problem in self.mesh.problems if problem.severity == "error"]
        if errors or len(self.mesh.products) != self._products:
            raise MeshError(f"{len(self.mesh.products)} products were read; the first problem: {errors[:1]}", where=str(self._repo))

    def create(self, figures: _Figures) -> None:
        """The first plan, and its application, where nothing of the mesh exists."""
        from platform_core.publishing.governance import apply_everything

        self.load()
        figures.measure("plan: nothing there", self.plan)
        figures.measure("apply: everything created", lambda: apply_everything(self.warehouse, self.mesh))
        figures.measure("plan: nothing published", self._plan_of_nothing)

    def look(self, figures: _Figures, repeat: int) -> None:
        """Plans of a mesh that is as its files say."""
        from platform_core.publishing.governance import apply_everything, files_hash

        for _ in range(repeat):
            figures.measure("plan: every port published", self._plan_of_nothing)
            figures.measure("apply: nothing to do", lambda: apply_everything(self.warehouse, self.mesh))
            figures.measure("hashing the files, for a plan's file", lambda: files_hash(self._repo))

    def plan(self) -> int:
        """Plans; how many queries it took."""
        from platform_core.publishing.governance import SOURCES

        with self.warehouse.connect_platform() as connection:
            connection.read_only = True
            connection.cursor_factory = _Counting
            _Counting.asked = 0
            steps = make_plan(connection, self.mesh, SOURCES).steps
            connection.rollback()
        self._steps = len(steps)
        return _Counting.asked

    def _plan_of_nothing(self) -> None:
        self.plan()
        if self._steps:
            raise MeshError(f"{self._steps} steps are left after an apply", where="mesh bench plan")

    def publish(self) -> None:
        """Every port, with a row each."""
        from platform_core.publishing import publish
        from platform_core.quality import AuditReport
        from platform_core.warehouse import readers

        for product in self.mesh.products.values():
            for port in product.outputs:
                contract = port.contract
                with self.warehouse.connect_domain(product.domain) as connection:
                    for table in contract.tables:
                        values = [
                            sql.SQL("NULL::{} AS {}").format(sql.SQL(column.physical_type or "text"), sql.Identifier(column.physical_name))  # pyright: ignore[reportArgumentType]
                            for column in table.columns
                        ]
                        target = sql.Identifier(f"{product.domain}_build", table.model)
                        connection.execute(sql.SQL("CREATE TABLE {} AS SELECT {}").format(target, sql.SQL(", ").join(values)))
                publish(
                    self.warehouse,
                    contract,
                    readers(self.mesh, contract),
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
