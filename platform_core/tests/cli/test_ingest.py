"""``mesh ingest`` and ``mesh connectors``: a connection by hand, and what its connectors leave behind."""

from __future__ import annotations

import io
import json
import os
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from rich.console import Console

from platform_core.cli.connection_names import complete_connection, complete_stream
from platform_core.cli.ingest_progress import SyncDisplay
from platform_core.cli.replay import complete_sync
from platform_core.ingestion import Progress, load_connection
from platform_core.ingestion.connector import ConnectorCommand, ConnectorRun

Mesh = Any  # the fixtures' types; test modules do not import each other
Applied = Any
FAKE = Path(__file__).parents[1] / "ingestion" / "fake_connector.py"
OFFERED = {
    "name": "purchases",
    "json_schema": {"properties": {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}},
    "supported_sync_modes": ["full_refresh", "incremental"],
    "source_defined_cursor": True,
    "default_cursor_field": ["at"],
    "source_defined_primary_key": [["id"]],
}


@pytest.fixture
def shop(applied: Applied, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """The connection ``sales/shop`` with a script for a connector: gives what it sends."""
    scenario = tmp_path / "scenario.json"
    command = ConnectorCommand((sys.executable, "-I", "-S", str(FAKE), str(scenario)), "source-fake", "1.0.0")
    monkeypatch.setattr("platform_core.ingestion.sync.connection_command", lambda *_, **__: command)

    def sends(*ids: int, check: str = "SUCCEEDED", **fields: Any) -> None:
        record = {"stream": "purchases", "emitted_at": 1}
        done = {"stream_descriptor": {"name": "purchases"}, "status": "COMPLETE"}
        script = [
            {"send": {"type": "RECORD", "record": {**record, "data": {"id": i, "at": "2026-11-20T12:00:00Z", **fields}}}} for i in ids
        ]
        script.append({"send": {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": done}}})
        offered = {
            **OFFERED,
            "json_schema": {"properties": {**OFFERED["json_schema"]["properties"], **{n: {"type": "string"} for n in fields}}},
        }
        scenario.write_text(json.dumps({"catalog": [offered], "script": script, "check": {"status": check, "message": "wrong password"}}))

    sends(1, 2)
    return sends


def test_a_sync_in_words_and_in_json(mesh: Mesh, shop: Any) -> None:
    said = mesh("ingest", "sales/shop")
    assert said.code == 0, said.all
    assert "sales_raw.purchases: 2 rows" in said.out and "starting airbyte-source-faker 7.2.1" in said.err
    shop(2, 3)
    document = mesh("ingest", "shop", "--stream", "purchases", "--json").json()
    assert document["streams"]["purchases"]["rows"] == 2 and document["sync"]
    assert mesh("query", "--json", "select count(*) from sales_raw.purchases").json()["rows"] == [[3]]
    shop(9)
    assert mesh("ingest", "sales/shop", "--full-refresh").code == 0
    assert mesh("query", "--json", "select id from sales_raw.purchases").json()["rows"] == [[9]]


def test_raw_tables_come_back_from_the_raw_copies(mesh: Mesh, shop: Any) -> None:
    assert mesh("ingest", "sales/shop", "--syncs").out == "sales/shop has no raw copy yet\n"
    said = mesh("ingest", "sales/shop", "--replay", "all")
    assert said.code == 1 and "sales/shop: has no raw copy" in said.err and "remedy: " in said.err
    for ids in ((1, 2), (2, 3)):
        shop(*ids)
        assert mesh("ingest", "sales/shop").code == 0
    listed = mesh("ingest", "sales/shop", "--syncs", "--json").json()["syncs"]
    assert [(sync["status"], sync["rows"]) for sync in listed] == [("succeeded", 2)] * 2
    assert listed[0]["sync"] in mesh("ingest", "sales/shop", "--syncs").out
    newest = SimpleNamespace(params={"connection": "sales/shop"})
    assert complete_sync(newest, "") == ["latest", "all", *(sync["sync"] for sync in listed)]
    shop(9)  # what the source would send now is not asked for
    said = mesh("ingest", "sales/shop", "--replay", "all")
    assert said.code == 0 and "sales_raw.purchases: 4 rows" in said.out and "2 syncs replayed, the source was not asked" in said.out
    assert mesh("ingest", "sales/shop", "--replay", "latest", "--json").json()["rows"] == {"purchases": 2}
    assert mesh("query", "--json", "select id from sales_raw.purchases order by 1").json()["rows"] == [[1], [2], [3]]
    assert mesh("ingest", "sales/shop", "--replay", "all", "--full-refresh").code == 2


def test_check_and_discover_load_nothing(mesh: Mesh, shop: Any) -> None:
    assert mesh("ingest", "sales/shop", "--check").out == "sales/shop: airbyte-source-faker 7.2.1 reaches its source\n"
    shop(1, check="FAILED")
    said = mesh("ingest", "sales/shop", "--check", "--json")
    assert said.code == 1 and "wrong password" in said.err and "remedy: " in said.err
    said = mesh("ingest", "sales/shop", "--discover")
    assert "in the file as incremental_deduped" in said.out and "key id; cursor at" in said.out
    lines = [line.split() for line in said.out.splitlines()]
    assert ["id", "bigint", "key"] in lines and ["at", "timestamp", "with", "time", "zone", "cursor"] in lines
    (stream,) = mesh("ingest", "sales/shop", "--discover", "--json").json()["streams"]
    assert stream["fields"] == {"id": "bigint", "at": "timestamp with time zone"} and stream["selected"] == "incremental_deduped"
    assert mesh("query", "--json", "select count(*) from mesh.syncs").json()["rows"] == [[0]]


def test_a_paused_connection_goes_on_when_somebody_accepts(mesh: Mesh, shop: Any, files: Path) -> None:
    path = files / "airbyte/sales/shop.yaml"
    path.write_text(path.read_text() + "schema_changes: pause\ntimeouts: {discover_cache: 0}\n")
    assert mesh("ingest", "sales/shop").code == 0
    shop(3, colour="red")
    said = mesh("ingest", "sales/shop")
    assert said.code == 1 and "error: airbyte/sales/shop.yaml:" in said.err and "+ colour text" in said.err
    assert str(files) not in said.err
    said = mesh("ingest", "sales/shop", "--accept-changes")
    assert said.code == 0 and "changed: new column colour text" in said.out


@pytest.mark.parametrize(
    ("name", "suggestion"),
    [("sales/shp", "did you mean 'sales/shop'?"), ("shpo", "did you mean 'shop'?"), ("nowhere/x", ""), ("../../etc/passwd", ""), ("/", "")],
)
def test_an_unknown_connection(mesh: Mesh, files: Path, name: str, suggestion: str) -> None:
    said = mesh("ingest", name)
    assert said.code == 1 and f"there is no connection {name!r}" in said.err and suggestion in said.err
    assert "customer/crm" in said.err and "sales/shop" in said.err and str(files) not in said.all


@pytest.mark.parametrize(
    ("arguments", "message"),
    [(("--stream", "purchase"), "has no stream 'purchase', did you mean 'purchases'?"), (("--check", "--discover"), "load nothing"),
     (("--check", "--full-refresh"), "load nothing"), (("--discover", "--stream", "purchase"), "did you mean 'purchases'?")],
)  # fmt: skip
def test_what_makes_no_sense_is_refused(mesh: Mesh, shop: Any, files: Path, arguments: tuple[str, ...], message: str) -> None:
    said = mesh("ingest", "sales/shop", *arguments)
    assert said.code in (1, 2) and message in " ".join(said.err.replace("│", " ").split()) and str(files) not in said.all


def test_names_are_completed(mesh: Mesh, files: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert complete_connection("sa") == ["sales/shop"] and "customer/crm" in complete_connection("")

    typed: Any = SimpleNamespace(params={"connection": "sales/shop"})
    assert complete_stream(typed, "p") == ["purchases"]
    typed.params = {"connection": "nothing"}
    assert complete_stream(typed, "") == []
    monkeypatch.setenv("MESH_DEMO_USERS", "many")
    assert complete_connection("") == []


def test_progress_on_a_terminal_and_elsewhere(files: Path) -> None:
    connection = load_connection(files / "airbyte/sales/shop.yaml")
    progress = Progress(connection.id, {"purchases": 1234}, 5_600_000, {"purchases": "2026-11-20"}, 2.0)
    now = 100.0
    written = io.StringIO()
    with SyncDisplay(connection, ["purchases"], Console(file=written, force_terminal=True, width=100), clock=lambda: now) as display:
        display.update(progress)
        now += 2
        Console(file=written, width=100).print(display.shown())
    for word in ("sales/shop", "purchases", "1,234", "617", "5.6 MB", "2026-11-20"):
        assert word in written.getvalue(), word
    plain = io.StringIO()
    with SyncDisplay(connection, ["purchases"], Console(file=plain, width=200), clock=lambda: now) as display:
        display.update(progress)
        assert "1,234" not in plain.getvalue(), "a line every few seconds, not every half"
        now += 10
        display.update(progress)
    assert plain.getvalue().splitlines()[1] == "sales/shop: 1,234 records, 123 rows/s, 5.6 MB, purchases at 2026-11-20"


@pytest.fixture
def home(files: Path, tmp_path: Path) -> Path:
    """Environments of a connector that is needed, of one that is not, and of a former lock; answers and locks beside them."""
    from platform_core.ingestion import ConnectorReference
    from platform_core.ingestion.environment import environment_folder

    folder = tmp_path / "home" / "connectors"
    needed = environment_folder(ConnectorReference(package="airbyte-source-faker", version="7.2.1"), files, tmp_path / "home")
    for path in (needed, folder / "airbyte-source-faker-7.2.1-0123456789ab", folder / "airbyte-source-old-1.0-0123456789ab"):
        (path / "bin").mkdir(parents=True)
        (path / "bin" / "python").write_bytes(b"x" * 1000)
        (path / "pyvenv.cfg").touch()
        (path / "complete").touch()
    for path in (
        folder / "cache/airbyte-source-faker-7.2.1/c.json",
        folder / "cache/airbyte-source-old-1.0/c.json",
        folder / "locks/airbyte-source-old-1.0.txt",
    ):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("{}")
    return folder


def test_what_is_kept_is_listed_with_its_users(mesh: Mesh, home: Path) -> None:
    listed = mesh("connectors", "list", "--json").json()["connectors"]
    used = {(one["kind"], one["label"]): one["used_by"] for one in listed if one["used_by"]}
    everybody = ["customer/crm", "inventory/catalog", "sales/shop"]
    assert {"environment", "cache"} == {kind for kind, label in used if label == "airbyte-source-faker-7.2.1"}
    assert set(everybody) <= set(used["environment", "airbyte-source-faker-7.2.1"])
    assert sum(not one["used_by"] for one in listed) == 4
    said = mesh("connectors", "list").out
    assert "airbyte-source-old-1.0" in said and "nobody" in said and "sales/shop" in said


def test_gc_removes_what_nobody_needs_and_asks_before(mesh: Mesh, home: Path) -> None:
    before = sorted(home.rglob("*"))
    said = mesh("connectors", "gc")
    assert said.code == 1 and "nobody to ask" in said.err and "--yes" in said.err
    assert [path for path in sorted(home.rglob("*")) if path.name[0] != "."] == [path for path in before if path.name[0] != "."]
    assert "4 removed" in mesh("connectors", "gc", "--yes").out
    left = sorted(path.name for path in home.iterdir() if path.name[0] != ".")
    assert len(left) == 3 and left[0].startswith("airbyte-source-faker-7.2.1-") and not left[0].endswith("0123456789ab")
    assert [path.name for path in (home / "cache").iterdir()] == ["airbyte-source-faker-7.2.1"]
    assert "nothing to remove" in mesh("connectors", "gc", "--yes").out


def test_gc_removes_catalogs_that_would_be_asked_for_again(mesh: Mesh, home: Path) -> None:
    old, young = (home / "cache/airbyte-source-faker-7.2.1" / f"catalog-{name}.json" for name in ("old", "young"))
    for path, age in ((old, 90_000), (young, 80_000)):  # they are kept for a day
        path.write_text("{}")
        os.utime(path, (time.time() - age,) * 2)
    assert "5 removed" in mesh("connectors", "gc", "--yes").out
    assert young.exists() and not old.exists()


def test_gc_leaves_an_environment_in_which_a_connector_runs(mesh: Mesh, home: Path) -> None:
    environment = home / "airbyte-source-old-1.0-0123456789ab"
    command = ConnectorCommand(("/bin/sleep",), "airbyte-source-old", "1.0", environment=environment)
    with ConnectorRun(command, "10"):
        said = mesh("connectors", "gc", "--yes", "--json")
        assert "a connector runs in it" in said.err and environment.is_dir()
        assert {one["kind"] for one in said.json()["removed"] if "old" in one["label"]} == {"cache", "lock"}
    assert mesh("connectors", "gc", "--yes").code == 0 and not environment.exists()


def test_gc_removes_nothing_while_a_file_cannot_be_read(mesh: Mesh, home: Path, files: Path) -> None:
    (files / "airbyte/sales/shop.yaml").write_text("connector: [\n")
    said = mesh("connectors", "gc", "--yes")
    assert said.code == 1 and "airbyte/sales/shop.yaml:" in said.err and str(files) not in said.err
    assert (home / "airbyte-source-old-1.0-0123456789ab").is_dir()
