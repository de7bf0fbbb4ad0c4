"""Test double of a source: a scenario for ``fake_connector.py``, its connection file, and one-line messages."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_core.ingestion import Connection, ConnectorCommand, SyncResult, load_connection, run_sync
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

FAKE = Path(__file__).with_name("fake_connector.py")
Json = dict[str, Any]


def record(stream: str, data: Any, **more: Any) -> Json:
    return {"send": {"type": "RECORD", "record": {"stream": stream, "data": data, "emitted_at": 1_700_000_000_000, **more}}}


def state(stream: str, blob: Any, count: int | None = None) -> Json:
    body: Json = {"type": "STREAM", "stream": {"stream_descriptor": {"name": stream}, "stream_state": blob}}
    return {"send": {"type": "STATE", "state": {**body, **({} if count is None else {"sourceStats": {"recordCount": float(count)}})}}}


def status(stream: str, value: str) -> Json:
    body = {"stream_descriptor": {"name": stream}, "status": value}
    return {"send": {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": body}}}


def complete(*streams: str) -> list[Json]:
    return [status(stream, "COMPLETE") for stream in streams]


def stream(name: str, properties: Mapping[str, Any] | None = None, **more: Any) -> Json:
    properties = {"id": {"type": "integer"}, "text": {"type": "string"}} if properties is None else properties
    return {
        "name": name,
        "json_schema": {"type": "object", "properties": dict(properties)},
        "supported_sync_modes": ["full_refresh", "incremental"],
        "source_defined_cursor": True,
        "default_cursor_field": ["id"],
        "source_defined_primary_key": [["id"]],
        **more,
    }


@dataclass
class Source:
    """A source in a folder of its own."""

    folder: Path
    warehouse: Warehouse
    modes: dict[str, str]
    catalog: list[Json]
    script: Sequence[Json] = ()
    rows: Json | None = None
    settings_of_streams: dict[str, Json] = field(default_factory=dict)
    keys: Json = field(default_factory=dict)
    file: str = ""
    more: Json = field(default_factory=dict)
    name: str = "shop"

    @property
    def command(self) -> ConnectorCommand:
        scenario = {"catalog": self.catalog, "script": list(self.script), **self.more}
        if self.rows is not None:
            scenario["rows"] = self.rows
        path = self.folder / "scenario.json"
        path.write_text(json.dumps(scenario))
        return ConnectorCommand((sys.executable, "-I", "-S", str(FAKE), str(path)), "source-fake", "1.0.0")

    @property
    def connection(self) -> Connection:
        folder = self.folder / "airbyte" / "sales"
        folder.mkdir(parents=True, exist_ok=True)
        streams = [{"name": name, "sync_mode": mode, **self.settings_of_streams.get(name, {})} for name, mode in self.modes.items()]
        document = {
            "connector": {"package": "source-fake", "version": "1.0.0"},
            "streams": streams,
            "timeouts": {"discover_cache": 0},
            **self.keys,
        }
        path = folder / f"{self.name}.yaml"
        path.write_text(self.file or json.dumps(document))  # JSON is YAML
        return load_connection(path)

    @property
    def settings(self) -> Settings:
        home = self.folder / "home"
        return Settings.load({"MESH_REPO": str(self.folder), "MESH_HOME": str(home)})

    def sync(self, **options: Any) -> SyncResult:
        return run_sync(self.connection, warehouse=self.warehouse, settings=self.settings, connector=self.command, **options)

    def query(self, text: str, *values: Any) -> list[tuple[Any, ...]]:
        with self.warehouse.connect_domain("sales", autocommit=True) as connection:
            connection.execute("SET TimeZone = 'UTC'")
            return connection.execute(text, values or None).fetchall()  # type: ignore[call-overload]

    def calls(self) -> list[str]:
        return (self.folder / "calls").read_text().splitlines()


def gone(pid_file: Path) -> bool:
    """Whether the process that wrote its number into a file ends within a minute."""
    pid, deadline = int(pid_file.read_text()), time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z":
                return True
        except FileNotFoundError:
            return True
        time.sleep(0.02)
    return False
