"""``mesh bench mask``: what reading through a port's view costs next to the bare table: nothing masked, masked, hashed, filtered by row."""

from __future__ import annotations

import statistics
import time
from collections.abc import Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import psutil
from psycopg import Connection, sql

from platform_core.cli.bench_measure import machine, own_server
from platform_core.cli.session import err
from platform_core.contracts import Column, Contract, DataProduct, Location, Mesh, OutputPort, Table, naming
from platform_core.contracts.masking import NULL, Mask
from platform_core.contracts.row_filter import RowFilter
from platform_core.warehouse import Warehouse, apply, prepare_databases

_FILE = Path("bench.odcs.yaml")
_KINDS = ("bigint", "text", "numeric(12,2)", "timestamp with time zone", "date")
_VALUES = {
    "bigint": "g * {n}", "text": "'person' || g % 1000 || '.{n}@example.com'", "numeric(12,2)": "g % 1000 + 0.{n}",
    "timestamp with time zone": "timestamptz '2026-01-01' + g * interval '1 s'", "date": "date '1950-01-01' + g % 20000",
}  # fmt: skip
_MASKS = {
    "text": Mask("partial", first=1, domain=True), "bigint": Mask("bucket", width="10"), "numeric(12,2)": NULL,
    "date": Mask("year"), "timestamp with time zone": Mask("bucket", months=1),
}  # fmt: skip
_SCANS = 5
"""Scans of a run, so that a run is long enough to be told from noise."""
_FIRST = "c01"
_REGIONS = 10


@dataclass(frozen=True)
class _Contestant:
    name: str
    role: str
    query: sql.Composed

    @property
    def copied(self) -> bool:
        """Whether the rows leave the server."""
        return self.query.as_string(None).startswith("COPY")


def bench_mask(repeat: int, *, rows: int = 100_000, columns: int = 100) -> dict[str, Any]:
    """Measures scans of a table as each kind of reader, against the bare table in turn.

    Args:
        repeat: Rounds; in each, every contestant runs once, so that all meet the same noise.
        rows: Size of the table.
        columns: Its width.

    Raises:
        MeshError: The server cannot be started.
    """
    with own_server("mask") as (_, server):
        warehouse = Warehouse({**server.conninfo(), "dbname": "bench_mask"}, server=server)
        prepare_databases(warehouse)
        versions = _publish(warehouse, rows, columns)
        measured = _run(warehouse, _contestants(versions, columns), repeat)
    results = [_result(name, runs, rows * _SCANS) for name, runs in measured.items()]
    return {"bench": "mask", "machine": machine(), "results": results, "ratios": _ratios(measured, rows)}


def _table(name: str, columns: int) -> Table:
    made = [_column(f"c{at:02d}", _KINDS[at % len(_KINDS)], None) for at in range(columns)]
    filtered = None
    if name == "masked":
        made = [replace(column, mask=_MASKS[str(column.physical_type)]) if at < columns // 10 else column for at, column in enumerate(made)]
    elif name == "hashed":
        made = [replace(column, mask=Mask("hash")) if column.name == _FIRST else column for column in made]
    elif name == "filtered":
        filtered = RowFilter("region", "region", Location(_FILE, 1))
    made.append(_column("region", "text", None))
    return Table(name, name, None, None, None, tuple(made), (), (), name, False, Location(_FILE, 1), filtered)


def _column(name: str, kind: str, mask: Mask | None) -> Column:
    return Column(name, name, None, kind, None, False, False, False, -1, None, (), None, (), Location(_FILE, 1), None, mask)


def _publish(warehouse: Warehouse, rows: int, columns: int) -> Mapping[str, str]:
    """Makes the four ports; table to version."""
    from platform_core.publishing import publish
    from platform_core.publishing.view_changes import view_changes
    from platform_core.quality import AuditReport

    tables = tuple(_table(name, columns) for name in ("plain", "masked", "hashed", "filtered"))
    contract = Contract(
        "bench.wide.wide", "wide", "1.0.0", "active", "bench", "bench.wide", None, None, None, tables, (), (), None, (), (), (), _FILE, {}, ()
    )  # fmt: skip
    port = OutputPort("wide", contract.id, "1.0.0", None, contract)
    product = DataProduct(
        "bench.wide", "bench", "wide", "wide", "1.0.0", "active", None, None, None, None, (), (), (port,), "bench", (), (), _FILE
    )
    mesh = Mesh(("bench",), {product.id: product}, {contract.id: contract}, ())
    apply(warehouse, mesh)
    err.print(f"{len(tables)} tables of {columns} columns and {rows:,} rows")
    with warehouse.connect_domain("bench") as connection:
        for table in tables:
            cells = [f"({_value(column, at)})::{column.physical_type} AS {column.name}" for at, column in enumerate(table.columns)]
            made = f"CREATE TABLE bench_build.{table.model} AS SELECT {', '.join(cells)} FROM generate_series(1, {rows}) AS g"  # noqa: S608 - ours
            connection.execute(made.encode())
    reader = naming.reader_role(product.id)
    outcome = publish(warehouse, contract, (reader,), lambda _relations: AuditReport(()), code_version="bench")
    with warehouse.connect_platform(autocommit=True) as admin:
        for step in view_changes(admin, mesh):
            if step.statement is not None:
                admin.execute(step.statement)
        admin.execute(
            "INSERT INTO mesh.reader_attributes (domain, role, attribute, value) SELECT '', %s, 'region', 'r' || g FROM generate_series(0, 1) AS g",
            (reader,),
        )
        admin.execute("CREATE ROLE bench_cleared")
        for role in (reader, naming.pii_reader_role(product.id)):
            admin.execute(sql.SQL("GRANT {} TO bench_cleared").format(sql.Identifier(role)))
        for version in outcome.versions.values():
            admin.execute(sql.SQL("VACUUM (FREEZE, ANALYZE) bench_wide_data.{}").format(sql.Identifier(version)))
    return outcome.versions


def _value(column: Column, at: int) -> str:
    return f"'r' || g % {_REGIONS}" if column.name == "region" else _VALUES[str(column.physical_type)].format(n=at + 1)


def _contestants(versions: Mapping[str, str], columns: int) -> list[_Contestant]:
    every = sql.SQL(", ").join(sql.SQL("count({})").format(sql.Identifier(f"c{at:02d}")) for at in range(columns))
    one = sql.SQL("count({})").format(sql.Identifier(_FIRST))
    reader, cleared, owner = "bench_wide_reader", "bench_cleared", naming.owner_role("bench")

    def bare(table: str, what: sql.Composable, where: sql.Composable | None = None) -> sql.Composed:
        return sql.SQL("SELECT {} FROM {}{}").format(what, sql.Identifier("bench_wide_data", versions[table]), where or sql.SQL(""))

    def view(table: str, what: sql.Composable) -> sql.Composed:
        return sql.SQL("SELECT {} FROM {}").format(what, sql.Identifier("bench_wide", table))

    def export(table: str, kind: str) -> sql.Composed:
        source = bare(table, sql.SQL("*")) if kind == "bare" else view(table, sql.SQL("*"))
        return sql.SQL("COPY ({}) TO STDOUT").format(source)

    mine = sql.SQL(" WHERE region IN ('r0', 'r1')")
    return [
        _Contestant("rows to a client, bare table", owner, export("plain", "bare")),
        _Contestant("rows to a client, view, nothing masked", reader, export("plain", "view")),
        _Contestant("bare table", owner, bare("plain", every)),
        _Contestant("view, nothing masked", reader, view("plain", every)),
        _Contestant(f"view, {columns // 10} of {columns} columns masked, in clear", cleared, view("masked", every)),
        _Contestant(f"view, {columns // 10} of {columns} columns masked, as reader", reader, view("masked", every)),
        _Contestant("one column, bare table", owner, bare("hashed", one)),
        _Contestant("one hashed column, in clear", cleared, view("hashed", one)),
        _Contestant("one hashed column, as reader", reader, view("hashed", one)),
        _Contestant("a fifth of the rows, bare table with WHERE", owner, bare("filtered", one, mine)),
        _Contestant("a fifth of the rows, by the row filter", reader, view("filtered", one)),
        _Contestant("every row of a filtered view, as owner", owner, view("filtered", one)),
    ]


def _run(warehouse: Warehouse, contestants: list[_Contestant], repeat: int) -> dict[str, list[tuple[float, float]]]:
    """Wall and server CPU seconds of every run, by contestant."""
    measured: dict[str, list[tuple[float, float]]] = {each.name: [] for each in contestants}
    with warehouse.connect_platform(autocommit=True) as connection:
        connection.execute("SET max_parallel_workers_per_gather = 0")  # one core, so that CPU is wall
        server = psutil.Process(connection.info.backend_pid)
        for number in range(repeat + 1):
            for each in contestants:
                with _acting(connection, each.role):
                    wall, cpu = _scan(connection, server, each)
                if number:  # the first round warms the caches
                    measured[each.name].append((wall, cpu))
    return measured


@contextmanager
def _acting(connection: Connection, role: str) -> Generator[None]:
    connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
    yield
    connection.execute("RESET ROLE")


def _scan(connection: Connection, server: psutil.Process, each: _Contestant) -> tuple[float, float]:
    before, began = server.cpu_times(), time.monotonic()
    for _ in range(_SCANS):
        if each.copied:
            with connection.cursor().copy(each.query) as rows:
                for _block in rows:
                    pass
        else:
            connection.execute(each.query).fetchall()
    wall, after = time.monotonic() - began, server.cpu_times()
    return wall, after.user + after.system - before.user - before.system


def _result(name: str, runs: list[tuple[float, float]], rows: int) -> dict[str, Any]:
    walls, cpus = [wall for wall, _ in runs], [cpu for _, cpu in runs]
    return {
        "name": name,
        "runs": len(runs),
        "wall_s": round(statistics.median(walls), 3),
        "wall_spread": [round(min(walls), 3), round(max(walls), 3)],
        "cpu_server_s": round(statistics.median(cpus), 3),
        "cpu_spread": [round(min(cpus), 3), round(max(cpus), 3)],
        "rows": rows,
    }


def _ratios(measured: Mapping[str, list[tuple[float, float]]], rows: int) -> dict[str, str]:
    names = list(measured)

    def ratio(name: str, base: str) -> str:
        """Of the CPU of the two in the same round: what the machine does beside does not count."""
        pairs = [mine / max(theirs, 1e-3) for (_, mine), (_, theirs) in zip(measured[name], measured[base], strict=True)]
        return f"{statistics.median(pairs):.2f} ({min(pairs):.2f} to {max(pairs):.2f})"

    def per_row(name: str, base: str) -> str:
        more = [(mine - theirs) / (rows * _SCANS) * 1e6 for (_, mine), (_, theirs) in zip(measured[name], measured[base], strict=True)]
        return f"{statistics.median(more):.2f} us a row ({min(more):.2f} to {max(more):.2f})"

    return {
        "nothing masked, rows to a client, view to bare table": ratio(names[1], names[0]),
        "nothing masked, all columns counted, view to bare table": ratio(names[3], names[2]),
        "masked, in clear, all columns counted, to bare table": ratio(names[4], names[2]),
        "masked, as reader, all columns counted, to bare table": ratio(names[5], names[2]),
        "hash": per_row(names[8], names[6]),
        "row filter to WHERE on the bare table": ratio(names[10], names[9]),
    }
