"""The assets on an Airbyte server: same as the embedded ones to everyone else, synced through dagster-airbyte."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
from shop import API_KEY
from standin import CLIENT_ID, CLIENT_SECRET, Misbehaviour, StandIn
from standin_state import WORKSPACE

from platform_core.ingestion import Connection
from platform_core.ingestion.server import AirbyteApi, ServerError, apply_server
from platform_core.orchestration.ingestion_assets import ingestion_assets
from platform_core.orchestration.server_assets import connection_assets
from platform_core.settings import AirbyteSettings, Settings, SettingsError
from platform_core.warehouse import Warehouse


@pytest.fixture
def selected(server: StandIn, monkeypatch: pytest.MonkeyPatch, repo: Path) -> StandIn:
    """The environment selects the stand-in."""
    for name, value in {
        "MESH_REPO": str(repo),
        "MESH_AIRBYTE_URL": server.url,
        "MESH_AIRBYTE_WORKSPACE": WORKSPACE,
        "MESH_AIRBYTE_CLIENT_ID": CLIENT_ID,
        "MESH_AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
        "MESH_AIRBYTE_POLL": "0.01",
        "MESH_AIRBYTE_TIMEOUT": "120",
    }.items():
        monkeypatch.setenv(name, value)
    return server


@pytest.fixture
def shop(
    selected: StandIn, write: Callable[..., Connection], settings: Settings, database: Warehouse, environ: dict[str, str], api: AirbyteApi
) -> Connection:
    """The example, applied; its secrets are not in the environment of runs."""
    connection = write()
    apply_server([connection], settings, database, environ=environ, api=api)
    return connection


def _run(connection: Connection, *streams: str) -> dg.ExecuteInProcessResult:
    keys = [dg.AssetKey(["sales", "raw", name]) for name in streams]
    return dg.materialize([connection_assets(connection)], selection=keys or None, raise_on_error=False)


def _metadata(result: dg.ExecuteInProcessResult) -> dict[str, dict[str, Any]]:
    return {
        event.asset_key.path[-1]: {name: value.value for name, value in event.step_materialization_data.materialization.metadata.items()}
        for event in result.get_asset_materialization_events()
        if event.asset_key
    }


def test_without_a_server_connectors_run_embedded(write: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESH_AIRBYTE_URL", raising=False)
    connection = write()
    assert {spec.key for spec in connection_assets(connection).specs} == {spec.key for spec in ingestion_assets(connection).specs}


def test_nobody_downstream_can_tell_the_two_apart(selected: StandIn, write: Callable[..., Connection]) -> None:
    connection = write()
    ours, embedded = connection_assets(connection), ingestion_assets(connection)
    assert ours.op.name == embedded.op.name
    for left, right in zip(sorted(ours.specs, key=lambda spec: spec.key), sorted(embedded.specs, key=lambda spec: spec.key), strict=True):
        for part in ("key", "group_name", "kinds", "code_version", "metadata", "description", "skippable", "tags", "deps"):
            assert getattr(left, part) == getattr(right, part), part
        assert left.automation_condition is not None
        assert right.automation_condition is not None
        assert left.automation_condition.get_label() == right.automation_condition.get_label()


def test_loading_asks_the_server_nothing_and_imports_no_dagster_airbyte(selected: StandIn, write: Callable[..., Connection]) -> None:
    connection = write()
    program = (
        "import sys, pathlib\n"
        "from platform_core.ingestion import load_connection\n"
        "from platform_core.orchestration.server_assets import connection_assets\n"
        "print(len(list(connection_assets(load_connection(pathlib.Path(sys.argv[1]))).specs)), 'dagster_airbyte' in sys.modules)\n"
    )
    environment = {**os.environ, "PYTHONWARNINGS": "ignore"}
    shown = subprocess.run(
        [sys.executable, "-c", program, str(connection.path)], env=environment, capture_output=True, text=True, check=True
    )
    assert shown.stdout.split() == ["3", "False"]
    assert selected.requests == []


def test_an_incomplete_selection_is_refused_at_load(
    selected: StandIn, write: Callable[..., Connection], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("MESH_AIRBYTE_CLIENT_SECRET")
    with pytest.raises(SettingsError, match="one complete login"):
        connection_assets(write())


def test_a_run_syncs_every_stream_with_rows_and_bytes_as_metadata(shop: Connection, server: StandIn) -> None:
    result = _run(shop)
    assert result.success
    found = _metadata(result)
    assert {name: (one["dagster/row_count"], one["bytes"]) for name, one in found.items()} == {
        "users": (10, 1000), "purchases": (100, 5000), "events": (7, 70),
    }  # fmt: skip
    users = server.named("connection", "mesh sales/shop/users")["connectionId"]
    assert found["users"]["airbyte"] == f"{server.url}/workspaces/{WORKSPACE}/connections/{users}"
    assert (found["users"]["airbyte connection"], found["users"]["attached"]) == ("mesh sales/shop/users", False)
    assert found["users"]["sync"] in {str(number) for number in server.jobs}


def test_a_subset_means_only_those_streams(shop: Connection, server: StandIn) -> None:
    result = _run(shop, "purchases")
    assert set(_metadata(result)) == {"purchases"}
    assert [list(job.streams) for job in server.jobs.values()] == [["purchases"]]


def test_a_sync_that_runs_already_is_joined_and_said_so(shop: Connection, server: StandIn) -> None:
    running = server.begin(server.named("connection", "mesh sales/shop/users")["connectionId"])
    found = _metadata(_run(shop, "users"))
    assert (found["users"]["attached"], found["users"]["sync"]) == (True, str(running.id))


def test_a_start_whose_answer_is_lost_is_sent_once(shop: Connection, server: StandIn) -> None:
    server.misbehave("createJob", Misbehaviour(drop="after"))
    found = _metadata(_run(shop, "users"))
    assert (found["users"]["attached"], server.calls("createJob"), len(server.jobs)) == (False, 1, 1)


def test_streams_that_succeeded_are_materialized_although_another_failed(shop: Connection, server: StandIn) -> None:
    server.misbehave("createJob", Misbehaviour(403, message="not allowed to run this"))
    result = _run(shop)
    assert not result.success
    assert set(_metadata(result)) == {"purchases", "events"}
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "not allowed to run this" in str(failure.event_specific_data)


def test_a_run_before_the_first_apply_says_what_to_do(selected: StandIn, write: Callable[..., Connection]) -> None:
    result = _run(write(), "users")
    failure = next(event for event in result.all_events if event.is_step_failure)
    assert "run ./mesh apply" in str(failure.event_specific_data)


def test_no_secret_appears_in_the_events_of_a_run(shop: Connection, server: StandIn, capfd: pytest.CaptureFixture[str]) -> None:
    server.misbehave("createJob", Misbehaviour(403, message=f"refused {CLIENT_SECRET}"))
    result = _run(shop)
    shown = capfd.readouterr()
    everything = "".join(map(str, result.all_events)) + json.dumps(_metadata(result)) + shown.out + shown.err
    assert "refused ***" in everything
    assert [secret for secret in (API_KEY, CLIENT_SECRET, *server.tokens) if secret in everything] == []


def test_the_workspace_is_dagster_airbytes_own_and_reads_through_our_transport(
    shop: Connection, airbyte: AirbyteSettings, server: StandIn
) -> None:
    from dagster_airbyte import AirbyteWorkspace

    from platform_core.orchestration.airbyte_workspace import MeshAirbyteWorkspace

    workspace = MeshAirbyteWorkspace.of(airbyte)
    assert isinstance(workspace, AirbyteWorkspace)
    found = workspace.fetch_airbyte_workspace_data()
    assert {item.name for item in found.connections_by_id.values()} == {
        f"mesh sales/shop/{name}" for name in ("users", "purchases", "events")
    }
    assert CLIENT_SECRET not in repr(workspace) + repr(workspace.get_client()) + str(workspace.get_client().__dict__)
    server.misbehave("getWorkspace", Misbehaviour(404))
    before = server.calls("getWorkspace")
    with pytest.raises(ServerError, match="404"):
        workspace.get_client().validate_workspace_id()
    assert server.calls("getWorkspace") == before + 1, "a 4xx is not repeated"
