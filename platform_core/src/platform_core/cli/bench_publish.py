"""``mesh bench publish``: what publishing costs for ten rows and for ten million, without and with a copy, and what going back costs.

Every contestant is published as in production: sealed, analysed, audited with real rules (a primary key and a required column), switched.
The steps are timed apart, because only some of them look at rows: the audit and the statistics read the table, sealing and switching do not.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from psycopg import sql

from platform_core import publishing
from platform_core.cli.bench_measure import machine, own_server
from platform_core.cli.session import err
from platform_core.contracts import Column, Contract, DataProduct, Location, Mesh, OutputPort, Rule, Table, naming
from platform_core.publishing import Outcome
from platform_core.warehouse import Warehouse, apply, prepare_databases

SMALL, LARGE = 10, 10_000_000
_FILE = Path("bench.odcs.yaml")
_STEPS = ("seal", "switch", "statistics", "audit", "retention")
_SELECT = "SELECT g::bigint AS id, 'person' || g AS name, (g % 1000)::numeric(12,2) AS amount_usd FROM generate_series({}::bigint, {}) AS g"


@dataclass
class _Runs:
    rows: int
    seconds: list[dict[str, float]] = field(default_factory=list[dict[str, float]])

    def step(self, name: str) -> float:
        return statistics.median(run.get(name, 0.0) for run in self.seconds)

    @property
    def instant(self) -> list[float]:
        """What must not grow with the rows."""
        return [run.get("seal", 0.0) + run.get("switch", 0.0) for run in self.seconds]


def bench_publish(repeat: int, *, small: int = SMALL, large: int = LARGE) -> dict[str, Any]:
    """Measures publications and rollbacks of a table model and of an incremental model, both small and large.

    Args:
        repeat: Publications of each contestant; the median counts.
        small: Rows of the small tables.
        large: Rows of the large ones.

    Raises:
        MeshError: The server cannot be started, or a publication failed.
    """
    measured: dict[str, _Runs] = {}
    with own_server("publish") as (_, server):
        warehouse = Warehouse({**server.conninfo(), "dbname": "bench_publish"}, server=server)
        prepare_databases(warehouse)
        for incremental in (False, True):
            for rows in (small, large):
                _contest(warehouse, measured, rows, repeat, incremental=incremental)
    results = [_result(name, runs) for name, runs in measured.items()]
    return {"bench": "publish", "machine": machine(), "results": results, "ratios": _ratios(measured, small, large)}


def _contest(warehouse: Warehouse, measured: dict[str, _Runs], rows: int, repeat: int, *, incremental: bool) -> None:
    kind = "incremental" if incremental else "table"
    contract, mesh = _port(f"{kind}_{rows}", incremental=incremental)
    apply(warehouse, mesh)
    model = contract.tables[0].model
    published, back = _Runs(rows), _Runs(rows)
    measured[f"publish, {kind} model, {rows:,} rows"] = published
    measured[f"rollback, {kind} model, {rows:,} rows"] = back
    for run in range(repeat + 1):  # the first one has nothing to go back to, and fills the caches
        err.print(f"{kind} model of {rows:,} rows: publication {run + 1} of {repeat + 1}")
        _build(warehouse, model, rows, again=run > 0 and incremental)
        outcome = _publish(warehouse, contract)
        if run:
            published.seconds.append(dict(outcome.seconds))
            began = time.monotonic()
            done = publishing.rollback(warehouse, contract, (), actor="bench", reason="bench")
            back.seconds.append({"switch": done.seconds, "all": time.monotonic() - began})
            publishing.rollback(warehouse, contract, (), done.left, actor="bench", reason="bench")
    with warehouse.connect_platform(autocommit=True) as admin:  # the next contestant finds an empty disk
        admin.execute(sql.SQL("DROP SCHEMA {}, {}, bench_build CASCADE").format(*_schemas(contract)))
        admin.execute("CREATE SCHEMA bench_build AUTHORIZATION bench_owner")
        admin.execute("CHECKPOINT")


def _schemas(contract: Contract) -> tuple[sql.Identifier, sql.Identifier]:
    return sql.Identifier(naming.port_schema(contract.product_id)), sql.Identifier(naming.data_schema(contract.product_id))


def _build(warehouse: Warehouse, model: str, rows: int, *, again: bool) -> None:
    """What dbt does: a new table in the place of what bears the name, or (again, of an incremental model) a few rows more."""
    name = sql.Identifier(naming.build_schema("bench"), model)
    with warehouse.connect_domain("bench") as connection:
        if again:
            last = connection.execute(sql.SQL("SELECT max(id) FROM {}").format(name)).fetchone()
            first = int(last[0]) + 1 if last else 1
            connection.execute(sql.SQL("INSERT INTO {} {}").format(name, sql.SQL(_SELECT).format(first, first + 9)))
            return
        connection.execute(sql.SQL("DROP VIEW IF EXISTS {}").format(name))
        connection.execute(sql.SQL("CREATE TABLE {} AS {}").format(name, sql.SQL(_SELECT).format(1, rows)))


def _publish(warehouse: Warehouse, contract: Contract) -> Outcome:
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CHECKPOINT")  # what the build left to be written is not the publication's
    return publishing.publish(
        warehouse,
        contract,
        (),
        lambda relations: publishing.audit_candidate(warehouse, contract, relations),
        code_version="bench",
        copied=frozenset(table.model for table in contract.tables if table.incremental),
    )


def _port(name: str, *, incremental: bool) -> tuple[Contract, Mesh]:
    at = Location(_FILE, 1)
    kinds = {"id": "bigint", "name": "text", "amount_usd": "numeric(12,2)"}
    columns = tuple(
        Column(column, column, None, kind, None, column == "id", False, column == "id", -1, None, (), None, (), at)
        for column, kind in kinds.items()
    )
    rules = (
        Rule(f"{name}__primary_key", "primary_key", name, None, {"columns": ["id"]}, "error", "uniqueness", None, at),
        Rule(f"{name}__id_not_null", "not_null", name, "id", {"columns": ["id"]}, "error", "completeness", None, at),
    )
    table = Table(name, name, None, None, None, columns, rules, (), name, incremental, at)
    product_id = f"bench.{name}"
    contract = Contract(
        f"{product_id}.{name}", name, "1.0.0", "active", "bench", product_id, None, None, None, (table,), (), (), None, (), (), (), _FILE, {}, ()
    )  # fmt: skip
    port = OutputPort(name, contract.id, "1.0.0", None, contract)
    product = DataProduct(
        product_id, "bench", name, name, "1.0.0", "active", None, None, None, None, (), (), (port,), "bench", (), (), _FILE
    )
    return contract, Mesh(("bench",), {product.id: product}, {contract.id: contract}, ())


def _result(name: str, runs: _Runs) -> dict[str, Any]:
    instant = runs.instant
    steps: Mapping[str, float] = {step: round(runs.step(step), 4) for step in (*_STEPS, "all") if any(step in run for run in runs.seconds)}
    return {
        "name": f"{name}: seal and switch" if "publish" in name else name,
        "rows": runs.rows,
        "wall_s": round(statistics.median(instant), 4),
        "wall_spread": [round(min(instant), 4), round(max(instant), 4)],
        "steps_s": steps,
    }


def _ratios(measured: Mapping[str, _Runs], small: int, large: int) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, runs in measured.items():
        steps = ", ".join(f"{step} {runs.step(step) * 1000:,.0f} ms" for step in _STEPS if any(step in run for run in runs.seconds))
        found[name] = steps
    for kind in ("table", "incremental"):
        for what in ("publish", "rollback"):
            few, many = (statistics.median(measured[f"{what}, {kind} model, {rows:,} rows"].instant) for rows in (small, large))
            seal = "seal and switch" if what == "publish" else "all of it"
            found[f"{what}, {kind} model: {seal} at {large:,} rows against {small:,}"] = f"{many / few:.2f} times" if few else "too fast"
    return found
