"""``mesh bench ingest``: the same recorded messages through our loader, ``psql \\copy``, dlt and PyAirbyte, into one Postgres.

Everything lives in ``<home>/bench``: the recording, a Postgres of its own, and the peers' environments. CPU-seconds are what to
compare on a machine that does other things too; peak memory is that of the client.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from psycopg import sql

from platform_core.cli import bench_peers
from platform_core.cli.bench_measure import Measured, machine, measure, summary
from platform_core.cli.bench_records import STREAMS, Recording, recording
from platform_core.cli.session import err
from platform_core.contracts import Mesh, naming
from platform_core.errors import MeshError
from platform_core.ingestion.environment import uv_program
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, binaries, prepare_databases

_DOMAIN = "bench"
_DATABASE = "bench"
_QUICK = 3  # rounds of what takes two seconds, a round of the others: it differs by a tenth from run to run
_TIMES = 5  # how much more is sent to show that memory does not grow
# The newest that resolve; the environments are kept, `rm -r <home>/bench/envs` takes newer ones.
_PEERS = {"dlt": ("dlt[postgres]", "pyarrow", "adbc-driver-postgresql", "orjson"), "pyairbyte": ("airbyte",)}


def bench_ingest(repeat: int, *, users: int, peers: bool) -> dict[str, Any]:
    """Measures all contestants in one call.

    Args:
        repeat: Rounds in which each runs once; three times as many of our loader and ``\\copy``, one of what takes minutes
            (PyAirbyte, dlt without Arrow) and of the larger volume.
        users: Size of the recording.
        peers: Whether dlt and PyAirbyte take part.

    Raises:
        MeshError: A contestant failed, or did not load every record.
    """
    settings = Settings.load()
    folder = settings.home / "bench"
    folder.mkdir(parents=True, exist_ok=True)
    recorded = recording(settings, folder, users)
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    bench = _Bench(folder, recorded, server, repeat)
    try:
        return bench.run(peers)
    finally:
        bench.clean()
        server.stop()


@dataclass(frozen=True)
class _Contestant:
    """Who loads the recording: a short and a long name, what runs it, where its tables are, how often it gets the records."""

    key: str
    name: str
    once: Callable[[], Measured]
    schema: str
    times: int = 1


class _Bench:
    """The contestants, and the database that is made anew before each of their runs."""

    def __init__(self, folder: Path, recorded: Recording, server: EmbeddedPostgres, repeat: int) -> None:
        self._folder, self._recorded, self._server, self._repeat = folder, recorded, server, repeat
        self._warehouse = Warehouse({**server.conninfo(), "dbname": _DATABASE}, server=server)
        self._results: dict[str, dict[str, Any]] = {}

    def run(self, peers: bool) -> dict[str, Any]:
        raw = naming.raw_schema(_DOMAIN)
        append = _Contestant("append", "our loader, append", lambda: self._ours("incremental_append"), raw)
        dedup = _Contestant("dedup", "our loader, dedup", lambda: self._ours("incremental_deduped"), raw)
        copy = _Contestant("copy", "psql \\copy of the same rows as CSV (the limit)", self._copy, "copied")
        err.print("a run that does not count, for the caches and for the CSV that psql loads")
        self._once(append)
        self._write_csv()
        self._rounds((append, dedup, copy), _QUICK * self._repeat)
        larger = f"our loader, append, {_TIMES} times the records"
        self._rounds((_Contestant("larger", larger, lambda: self._ours("incremental_append", _TIMES), raw, _TIMES),), 1)
        if peers:
            self._peers()
        return {"bench": "ingest", "machine": machine(), "results": list(self._results.values()), "ratios": self._ratios()}

    def _peers(self) -> None:
        dlt, airbyte = self._environment("dlt"), self._environment("pyairbyte")
        dlt_name = f"dlt {_version(dlt, 'dlt')}"

        def arrow(how: str) -> _Contestant:
            return _Contestant(f"dlt {how}", f"{dlt_name}, Arrow to Parquet, {how}", lambda: self._dlt(dlt, "arrow", how), f"dlt_{how}")

        self._rounds((arrow("append"), arrow("merge")), self._repeat)
        dictionaries = f"{dlt_name}, dictionaries to CSV, merge (one run)"
        cache = f"PyAirbyte {_version(airbyte, 'airbyte')}, Postgres cache (one run)"
        slow = (
            _Contestant("dlt merge of dictionaries", dictionaries, lambda: self._dlt(dlt, "dicts", "merge"), "dlt_merge"),
            _Contestant("pyairbyte", cache, lambda: self._pyairbyte(airbyte), "pyairbyte"),
        )
        self._rounds(slow, 1)

    def _rounds(self, contestants: Sequence[_Contestant], rounds: int) -> None:
        """In each round every contestant runs once, so that all meet the same noise."""
        measured: dict[str, list[Measured]] = {each.key: [] for each in contestants}
        rows: dict[str, int] = {}
        for number in range(rounds):
            for each in contestants:
                err.print(f"{each.name}: run {number + 1} of {rounds}")
                run, rows[each.key] = self._once(each)
                measured[each.key].append(run)
        for each in contestants:
            self._results[each.key] = summary(each.name, measured[each.key], rows[each.key])

    def _once(self, contestant: _Contestant) -> tuple[Measured, int]:
        self._fresh()
        measured = contestant.once()
        return measured, self._check(contestant)

    def clean(self) -> None:
        """Removes what runs left; the recording and the environments stay."""
        with self._warehouse.database("postgres").connect_platform(autocommit=True) as connection:
            connection.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(_DATABASE)))
        for name in ("home/lake", "dlt", "pyairbyte"):
            shutil.rmtree(self._folder / name, ignore_errors=True)

    def _fresh(self) -> None:
        self.clean()
        prepare_databases(self._warehouse)
        apply(self._warehouse, Mesh((_DOMAIN,), {}, {}, ()))
        with self._warehouse.connect_platform(autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE SCHEMA copied"))
            connection.execute(sql.SQL("CHECKPOINT"))  # nobody pays for what another one wrote

    def _check(self, contestant: _Contestant) -> int:
        """Every record arrived; a benchmark of a loader that loses rows is none."""
        total = 0
        with self._warehouse.connect_platform(autocommit=True) as connection:
            for stream in STREAMS:
                row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(contestant.schema, stream))).fetchone()
                found, sent = row[0] if row else 0, self._recorded.rows[stream] * contestant.times
                if found != sent:
                    raise MeshError(f"{contestant.name} loaded {found:,} of {sent:,} {stream}", where=contestant.schema)
                total += found
        return total

    def _ours(self, mode: str, times: int = 1) -> Measured:
        connection = self._folder / "airbyte" / _DOMAIN / f"{mode}.yaml"
        connection.parent.mkdir(parents=True, exist_ok=True)
        streams = [{"name": name, "sync_mode": mode} for name in STREAMS]
        connection.write_text(json.dumps({"connector": {"package": "recorded-faker", "version": "1"}, "streams": streams}))
        given = {
            "folder": str(self._folder),
            "database": _DATABASE,
            "connection": str(connection),
            "source": str(self._recorded.source(times)),
        }
        return self._measure([sys.executable, "-m", "platform_core.cli.bench_loader", json.dumps(given)])

    def _write_csv(self) -> None:
        with self._warehouse.connect_platform() as connection:
            for stream in STREAMS:
                target = self._folder / f"{stream}.csv"
                source = sql.Identifier(naming.raw_schema(_DOMAIN), stream)
                with target.open("wb") as file, connection.cursor() as cursor:
                    with cursor.copy(sql.SQL("COPY {} TO STDOUT (FORMAT csv)").format(source)) as copy:
                        for block in copy:
                            file.write(block)
                    cursor.execute(
                        "SELECT string_agg(format('%%I %%s', attname, format_type(atttypid, atttypmod)), ', ' ORDER BY attnum)"
                        " FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped",
                        (f"{naming.raw_schema(_DOMAIN)}.{stream}",),
                    )
                    row = cursor.fetchone()
                    (self._folder / f"{stream}.columns").write_text(row[0] if row else "")

    def _copy(self) -> Measured:
        # The table is made in the same transaction, as our loader and dlt do on a first load: Postgres then skips the log.
        lines = ["BEGIN;"]
        for stream in STREAMS:
            lines.append(f"CREATE TABLE copied.{stream} ({(self._folder / f'{stream}.columns').read_text()});")
            lines.append(f"\\copy copied.{stream} from '{self._folder / f'{stream}.csv'}' csv")
        script = self._folder / "copy.sql"
        script.write_text("\n".join([*lines, "COMMIT;"]) + "\n")
        psql = str(binaries.locate().folder / "psql")
        return self._measure([psql, "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", str(script)])

    def _dlt(self, python: Path, form: str, how: str) -> Measured:
        work = self._folder / "dlt"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        more = {
            "DESTINATION__POSTGRES__CREDENTIALS": self._url(),
            "DLT_DATA_DIR": str(work),
            "RUNTIME__DLTHUB_TELEMETRY": "false",
            "RUNTIME__LOG_LEVEL": "ERROR",
        }
        script = Path(bench_peers.__file__).with_name("dlt_postgres.py")
        given = [str(self._recorded.folder / name) for name in ("messages.jsonl", "catalog.jsonl")]
        return self._measure([str(python), str(script), *given, form, how, f"dlt_{how}"], more)

    def _pyairbyte(self, python: Path) -> Measured:
        work = self._folder / "pyairbyte"
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir()
        more = {"PGPASSWORD": self._password(), "AIRBYTE_OFFLINE_MODE": "1", "DO_NOT_TRACK": "1", "AIRBYTE_PROJECT_DIR": str(work)}
        script = Path(bench_peers.__file__).with_name("pyairbyte_postgres.py")
        return self._measure([str(python), str(script), str(self._recorded.source()), "pyairbyte"], more)

    def _measure(self, command: list[str], more: dict[str, str] | None = None) -> Measured:
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "MESH_"))}
        environment |= self._warehouse.libpq_environment(naming.PLATFORM_ROLE) | (more or {})
        return measure(command, environment=environment, folder=self._folder, server=self._server.data)

    def _password(self) -> str:
        return self._server.set_password(naming.PLATFORM_ROLE)

    def _url(self) -> str:
        return f"postgresql://{naming.PLATFORM_ROLE}:{self._password()}@127.0.0.1:{self._server.port}/{_DATABASE}"

    def _environment(self, peer: str) -> Path:
        """Python of a peer's own environment, made on first use."""
        environment = self._folder / "envs" / peer
        done = environment / "complete"
        if not done.is_file():
            with err.status(f"installing {', '.join(_PEERS[peer])} into an environment of its own"):
                shutil.rmtree(environment, ignore_errors=True)
                python = str(environment / "bin" / "python")
                for arguments in (
                    ["venv", "--quiet", "--no-project", "--python", sys.executable, str(environment)],
                    ["pip", "install", "--quiet", "--python", python, *_PEERS[peer]],
                ):
                    made = subprocess.run([uv_program(), *arguments], capture_output=True, text=True, check=False)
                    if made.returncode:
                        raise MeshError(
                            f"{peer} cannot be installed: {made.stderr[-2000:]}", remedy="see whether the package index answers"
                        )
                done.touch()
        return environment / "bin" / "python"

    def _ratios(self) -> dict[str, float]:
        def cpu(key: str) -> float:
            return self._results[key]["cpu_client_s"] + self._results[key]["cpu_server_s"]

        results = self._results
        ratios = {
            "append: wall time of psql \\copy": results["append"]["wall_s"] / results["copy"]["wall_s"],
            "append: CPU of psql \\copy": cpu("append") / cpu("copy"),
        }
        contests = (("dlt append", "append"), ("dlt merge", "dedup"), ("dlt merge of dictionaries", "dedup"), ("pyairbyte", "dedup"))
        for key, ours in contests:
            if key in results:
                ratios[f"{key}: CPU of our {ours}"] = cpu(key) / cpu(ours)
                ratios[f"{key}: wall time of our {ours}"] = results[key]["wall_s"] / results[ours]["wall_s"]
        return {what: round(ratio, 2) for what, ratio in ratios.items()}


def _version(python: Path, package: str) -> str:
    code = f"import importlib.metadata; print(importlib.metadata.version({package!r}))"
    return subprocess.run([str(python), "-c", code], capture_output=True, text=True, check=True).stdout.strip()
