"""``mesh bench ingest``: the documented form, from real runs of every contestant that needs no installation."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest

from platform_core.cli import bench_ingest, bench_records
from platform_core.cli.bench import run_bench
from platform_core.cli.bench_measure import measure
from platform_core.errors import MeshError
from platform_core.warehouse import EmbeddedPostgres

ROWS = {"users": 1200, "products": 100, "purchases": 1200}


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A home in which the recording is there already, made by hand."""
    folder = tmp_path / "home" / "bench" / f"faker-{bench_records.FAKER.version}-1200"
    folder.mkdir(parents=True)
    lines, streams = [], []
    for name, count in ROWS.items():
        properties = {"id": {"type": "integer"}, "updated_at": {"type": "string", "format": "date-time"}, "note": {"type": "string"}}
        streams.append(
            {
                "name": name,
                "json_schema": {"type": "object", "properties": properties},
                "supported_sync_modes": ["full_refresh", "incremental"],
                "source_defined_cursor": True,
                "default_cursor_field": ["updated_at"],
                "source_defined_primary_key": [["id"]],
            }
        )
        for number in range(count):
            data = {"id": number, "updated_at": "2026-01-01T00:00:00Z", "note": f"{name} {number}"}
            lines.append({"type": "RECORD", "record": {"stream": name, "data": data, "emitted_at": 1}})
        status = {"stream_descriptor": {"name": name}, "status": "COMPLETE"}
        lines.append({"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": status}})
    messages = "".join(json.dumps(line) + "\n" for line in lines)
    (folder / "messages.jsonl").write_text(messages)
    (folder / "catalog.jsonl").write_text(json.dumps({"type": "CATALOG", "catalog": {"streams": streams}}) + "\n")
    (folder / "recording.json").write_text(json.dumps({"rows": ROWS, "bytes": len(messages)}))
    monkeypatch.setenv("MESH_HOME", str(tmp_path / "home"))
    monkeypatch.setattr(bench_ingest, "_QUICK", 2)
    return folder


def test_every_run_is_counted_and_said_in_the_documented_form(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    run_bench("ingest", 1, True, users=1200, peers=False)
    document = json.loads(capsys.readouterr().out)
    assert document["bench"] == "ingest" and document["machine"]["cores"]
    names = [result["name"] for result in document["results"]]
    assert names == [
        "our loader, append", "our loader, dedup", "psql \\copy of the same rows as CSV (the limit)", "our loader, append, 5 times the records",
    ]  # fmt: skip
    total = sum(ROWS.values())
    assert [result["rows"] for result in document["results"]] == [total, total, total, 5 * total]
    assert [result["runs"] for result in document["results"]] == [2, 2, 2, 1]
    for result in document["results"]:
        assert (
            result["wall_s"] > 0 and result["cpu_client_s"] + result["cpu_server_s"] > 0 and result["peak_mb"] >= 0
        )  # psql is gone before anyone looks
        assert result["wall_spread"][0] <= result["wall_s"] <= result["wall_spread"][1]
    assert set(document["ratios"]) == {"append: wall time of psql \\copy", "append: CPU of psql \\copy"}

    described = home / "recording.json"
    described.write_text(json.dumps({"rows": {**ROWS, "users": 1201}, "bytes": 1}))
    with pytest.raises(MeshError, match="our loader, append loaded 1,200 of 1,201 users"):
        bench_ingest.bench_ingest(1, users=1200, peers=False)


def test_what_a_program_takes_is_measured(postgres: EmbeddedPostgres, tmp_path: Path) -> None:
    program = (
        "import time; keep = bytearray(60_000_000); end = time.process_time() + 0.3\nwhile time.process_time() < end: pass\ntime.sleep(0.2)"
    )
    measured = measure([sys.executable, "-c", program], environment={}, folder=tmp_path, server=postgres.data)
    assert 0.3 <= measured.cpu_client_s < 3 and measured.wall_s > 0.5 and 60 < measured.peak_mb < 200
    parent = f"import subprocess, sys; keep = bytearray(60_000_000); subprocess.run([sys.executable, '-c', {program!r}], check=True)"
    family = measure([sys.executable, "-c", parent], environment={}, folder=tmp_path, server=postgres.data)
    assert family.cpu_client_s >= 0.3 and 120 < family.peak_mb < 300
    with pytest.raises(MeshError, match=r"ended with code 3: (.|\n)*last words"):
        measure([sys.executable, "-c", "print('last words'); exit(3)"], environment={}, folder=tmp_path, server=postgres.data)


def test_an_unknown_benchmark_is_refused() -> None:
    with pytest.raises(MeshError, match="no benchmark 'injest'"):
        run_bench("injest", 1, True)
