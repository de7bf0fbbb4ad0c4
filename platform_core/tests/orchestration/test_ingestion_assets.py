"""Connections as assets: what a run tells Dagster of the rows, of the table's columns, and of a schema that changed."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_core.ingestion import load_connection
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.orchestration import ingestion_assets
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

FAKE = Path(__file__).parents[1] / "ingestion" / "fake_connector.py"
KEY = dg.AssetKey(["sales", "raw", "orders"])


@pytest.fixture
def shop(database: Warehouse, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Runs the connection with these fields and this policy, the connector being a script."""
    settings = Settings.load({"MESH_REPO": str(tmp_path), "MESH_HOME": str(tmp_path / "home")})
    scenario, file = tmp_path / "scenario.json", tmp_path / "airbyte/sales/shop.yaml"
    file.parent.mkdir(parents=True)
    command = ConnectorCommand((sys.executable, "-I", "-S", str(FAKE), str(scenario)), "source-fake", "1.0.0")
    monkeypatch.setattr("platform_core.ingestion.sync.connection_command", lambda *_, **__: command)
    monkeypatch.setattr(Settings, "load", lambda: settings)
    monkeypatch.setattr(Warehouse, "from_settings", lambda _: database)

    def run(instance: dg.DagsterInstance, fields: dict[str, str], policy: str, **options: bool) -> dg.ExecuteInProcessResult:
        properties = {name: {"type": kind} for name, kind in fields.items()}
        offered = {"name": "orders", "json_schema": {"properties": properties}, "supported_sync_modes": ["full_refresh"]}
        done = {"stream_descriptor": {"name": "orders"}, "status": "COMPLETE"}
        script = [
            {"send": {"type": "RECORD", "record": {"stream": "orders", "data": {"id": 1}, "emitted_at": 1}}},
            {"send": {"type": "TRACE", "trace": {"type": "STREAM_STATUS", "emitted_at": 1, "stream_status": done}}},
        ]
        scenario.write_text(json.dumps({"catalog": [offered], "script": script}))
        streams = [{"name": "orders", "sync_mode": "full_refresh_overwrite"}]
        connector = {"package": "source-fake", "version": "1.0.0"}
        document = {"connector": connector, "streams": streams, "schema_changes": policy, "timeouts": {"discover_cache": 0}}
        file.write_text(json.dumps(document))
        config = {"ops": {"sales_ingest_shop": {"config": options}}} if options else None
        return dg.materialize([ingestion_assets(load_connection(file))], instance=instance, run_config=config, raise_on_error=False)

    return run


def observed(instance: dg.DagsterInstance) -> list[tuple[str | None, str]]:
    records = instance.fetch_observations(KEY, limit=10).records
    found = [record.asset_observation for record in reversed(records)]
    return [(one.description, str(one.metadata["schema changes"].value)) for one in found if one is not None]


def test_rows_columns_and_changes_of_a_stream_reach_dagster(shop):
    with dg.DagsterInstance.ephemeral() as instance:
        assert shop(instance, {"id": "integer", "old": "string"}, "propagate").success
        assert observed(instance) == []
        (first,) = instance.fetch_materializations(KEY, limit=1).records
        metadata = first.asset_materialization.metadata
        assert metadata["dagster/row_count"].value == 1
        assert [(column.name, column.type) for column in metadata["dagster/column_schema"].value.columns] == [
            ("id", "bigint"),
            ("old", "text"),
        ]

        failed = shop(instance, {"id": "integer", "new": "string"}, "pause")
        assert not failed.success
        (event,) = failed.filter_events(lambda event: event.is_step_failure)
        assert "--accept-changes" in event.step_failure_data.error.to_string()
        waiting = ("The source's schema changed: waiting for somebody's word.", "- `+ new text`\n- `- old text`")
        assert observed(instance) == [waiting] and len(instance.fetch_materializations(KEY, limit=9).records) == 1

        assert shop(instance, {"id": "integer", "new": "string"}, "pause", accept_changes=True).success
        taken = "- `new column new text`\n- `column old is no longer in the source, new rows have NULL`"
        assert observed(instance) == [waiting, ("The source's schema changed: taken into the table.", taken)]
        last = instance.fetch_materializations(KEY, limit=1).records[0].asset_materialization.metadata
        assert last["columns that the source no longer has"].value == "- `old`" and last["schema changes"].value == taken
