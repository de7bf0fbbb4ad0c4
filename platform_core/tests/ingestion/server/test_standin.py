"""The stand-in is honest: the stock dagster-airbyte client works against it, and what the description forbids is refused."""

from __future__ import annotations

import copy
from typing import Any

import jsonschema
import pytest
import requests
from official import OPERATIONS, PROBLEM
from shop import API_KEY
from standin import CLIENT_ID, CLIENT_SECRET, Misbehaviour, StandIn
from standin_state import MASK, WORKSPACE

SOURCE = {"name": "s", "workspaceId": WORKSPACE, "configuration": {"count": 1, "api_key": API_KEY}}
DESTINATION = {
    "name": "d",
    "workspaceId": WORKSPACE,
    "configuration": {"host": "h", "port": 1, "username": "u", "database": "d", "schema": "s", "password": "p"},
}


@pytest.fixture
def ask(server: StandIn) -> Any:
    """Sends a request with a good token; gives status and body."""
    token = requests.post(
        f"{server.url}/api/public/v1/applications/token", json={"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET}, timeout=5
    ).json()["access_token"]

    def send(method: str, path: str, body: Any = None, **options: Any) -> tuple[int, Any]:
        headers = {"Authorization": f"Bearer {token}"}
        answer = requests.request(method, f"{server.url}/api/{path}", json=body, **{"headers": headers, "timeout": 5, **options})
        return answer.status_code, answer.json()

    return send


@pytest.fixture
def connection(ask: Any, server: StandIn) -> dict[str, Any]:
    source = ask("POST", "public/v1/sources", {**SOURCE, "definitionId": server.definitions[0].id})[1]
    destination = ask("POST", "public/v1/destinations", {**DESTINATION, "definitionId": server.definitions[2].id})[1]
    body = {
        "name": "c", "sourceId": source["sourceId"], "destinationId": destination["destinationId"],
        "configurations": {"streams": [{"name": "users", "syncMode": "incremental_append"}]},
    }  # fmt: skip
    status, made = ask("POST", "public/v1/connections", body)
    assert status == 200, made
    return made


def test_every_operation_has_a_handler() -> None:
    missing = [
        one.name for one in OPERATIONS if one.name != "createAccessToken" and not hasattr(StandIn, "_do_" + one.name.replace(".", "_"))
    ]
    assert missing == []


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("GET", "public/v1/nothing", None, 404),
        ("PUT", "public/v1/jobs", {}, 405),
        ("GET", "public/v1/jobs?limit=0", None, 400),
        ("GET", "public/v1/jobs?limit=101", None, 400),
        ("GET", "public/v1/jobs?limit=many", None, 400),
        ("GET", "public/v1/jobs?status=sleeping", None, 400),
        ("GET", "public/v1/jobs?colour=red", None, 400),
        ("GET", "public/v1/jobs", {"stray": "body"}, 400),
        ("GET", "public/v1/jobs/one", None, 400),
        ("GET", "public/v1/jobs/77", None, 404),
        ("GET", f"public/v1/workspaces/{WORKSPACE.replace('5', '6')}", None, 403),
        ("GET", "public/v1/sources/not-a-uuid", None, 400),
        ("POST", "public/v1/jobs", {"connectionId": WORKSPACE}, 422),
        ("POST", "public/v1/jobs", {"connectionId": WORKSPACE, "jobType": "sync", "streams": ["users"]}, 422),
        ("POST", "public/v1/jobs", {"connectionId": WORKSPACE, "jobType": "sync"}, 404),
        ("POST", "public/v1/jobs", None, 415),
        ("POST", "public/v1/sources", {**SOURCE, "configuration": 1, "definitionId": 5}, 422),
        ("POST", "public/v1/sources", {**SOURCE, "colour": "red"}, 422),
        ("POST", "public/v1/sources", SOURCE, 422),
    ],
)
def test_what_the_description_does_not_allow_is_refused_with_the_official_error(
    ask: Any, method: str, path: str, body: Any, status: int
) -> None:
    answered, problem = ask(method, path, body)
    assert answered == status == problem["status"]
    jsonschema.validate(problem, PROBLEM)


@pytest.mark.parametrize("headers", [{}, {"Authorization": "Bearer stale"}, {"Authorization": "Basic YTpi"}])
def test_a_request_without_a_good_token_is_refused(ask: Any, headers: dict[str, str]) -> None:
    status, problem = ask("GET", "public/v1/sources", headers=headers)
    assert (status, problem["title"]) == (401, "invalid-api-key")


def test_a_configuration_that_the_connector_does_not_take_is_refused(ask: Any, server: StandIn) -> None:
    body = {**copy.deepcopy(SOURCE), "definitionId": server.definitions[0].id}
    body["configuration"]["count"] = "5"
    assert ask("POST", "public/v1/sources", body)[0] == 422


def test_secrets_are_masked(ask: Any, connection: dict[str, Any]) -> None:
    assert ask("GET", f"public/v1/sources/{connection['sourceId']}")[1]["configuration"] == {"count": 1, "api_key": MASK}
    assert ask("GET", f"public/v1/destinations/{connection['destinationId']}")[1]["configuration"]["password"] == MASK


@pytest.mark.parametrize(
    ("stream", "said"),
    [
        ({"name": "nothing"}, "Invalid stream"),
        ({"name": "users", "syncMode": "full_refresh_update"}, "Cannot set sync mode"),
        ({"name": "users", "syncMode": "incremental_append", "cursorField": ["id"]}, "already defined by source"),
        ({"name": "users", "syncMode": "incremental_deduped_history", "primaryKey": [["name"]]}, "pre-defined"),
        ({"name": "events", "syncMode": "incremental_append"}, "No default cursor"),
        ({"name": "events", "syncMode": "incremental_append", "cursorField": ["nothing"]}, "Invalid cursor"),
        ({"name": "events", "syncMode": "incremental_deduped_history", "cursorField": ["at"]}, "No default primary key"),
    ],
)
def test_streams_are_checked_as_the_server_does(ask: Any, connection: dict[str, Any], stream: dict[str, Any], said: str) -> None:
    status, problem = ask("PATCH", f"public/v1/connections/{connection['connectionId']}", {"configurations": {"streams": [stream]}})
    assert status == 400
    assert said in problem["data"]["message"]


def test_a_patch_without_streams_selects_all_of_them_as_the_real_server_does(ask: Any, connection: dict[str, Any]) -> None:
    patched = ask("PATCH", f"public/v1/connections/{connection['connectionId']}", {"name": "new"})[1]
    assert {stream["name"]: stream["syncMode"] for stream in patched["configurations"]["streams"]} == {
        "users": "full_refresh_overwrite", "purchases": "full_refresh_overwrite", "events": "full_refresh_overwrite",
    }  # fmt: skip


def test_a_connection_has_one_job_at_a_time(ask: Any, connection: dict[str, Any]) -> None:
    body = {"connectionId": connection["connectionId"], "jobType": "sync"}
    assert ask("POST", "public/v1/jobs", body)[0] == 200
    status, problem = ask("POST", "public/v1/jobs", body)
    assert (status, problem["title"]) == (409, "state-conflict")
    assert ask("POST", "public/v1/jobs", {**body, "jobType": "refresh"})[0] == 422


def _stock(server: StandIn, **options: Any) -> Any:
    from dagster_airbyte import AirbyteWorkspace

    return AirbyteWorkspace(
        rest_api_base_url=f"{server.url}/api/public/v1", configuration_api_base_url=f"{server.url}/api/v1", workspace_id=WORKSPACE,
        client_id=CLIENT_ID, client_secret=CLIENT_SECRET, poll_interval=0.01, request_retry_delay=0.0, max_items_per_page=1, **options,
    )  # fmt: skip


def test_the_stock_dagster_airbyte_reads_the_workspace_page_by_page(server: StandIn, connection: dict[str, Any]) -> None:
    other = "00000000-0000-0000-0000-000000000001"
    server.objects["connection"][other] = {**connection, "connectionId": other, "name": "other"}
    found = _stock(server).fetch_airbyte_workspace_data()
    assert {item.name for item in found.connections_by_id.values()} == {"c", "other"}
    assert {name for name, stream in found.connections_by_id[other].streams.items() if stream.selected} == {"users"}
    assert server.refused == []


def test_the_stock_dagster_airbyte_syncs(server: StandIn, connection: dict[str, Any]) -> None:
    output = _stock(server).get_client().sync_and_poll(connection["connectionId"])
    assert output.job_details["status"] == "succeeded"
    assert server.refused == []


def test_the_stock_dagster_airbyte_has_the_faults_that_ours_mends(server: StandIn, connection: dict[str, Any]) -> None:
    """Should one of these fail after an update, the stock client has improved and ours may shrink."""
    from dagster import Failure

    client = _stock(server).get_client()
    server.misbehave("getJob", *[Misbehaviour(404)] * 4)
    with pytest.raises(Failure):
        client.get_job_details(1)
    assert server.calls("getJob") == 4, "it repeats a 4xx"
    server.begin(connection["connectionId"], course=["running"])
    with pytest.raises(Failure, match="already running"):
        client.sync_and_poll(connection["connectionId"])
