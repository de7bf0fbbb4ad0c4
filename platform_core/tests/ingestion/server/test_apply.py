"""The connection files on the server: shown first, applied by API, the second time nothing, drift reported, secrets nowhere."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import date
from typing import Any

import psycopg
import pytest
import yaml
from shop import API_KEY, SHOP_FILE, WAREHOUSE_PASSWORD
from standin import CLIENT_SECRET, Misbehaviour, StandIn
from standin_state import MASK, WORKSPACE, Definition

from platform_core.ingestion import ConfigurationError, Connection
from platform_core.ingestion.config import resolve_config
from platform_core.ingestion.server import (
    AirbyteApi,
    ApiError,
    RoleStep,
    ServerError,
    ServerPlan,
    Transport,
    UnreachableError,
    apply_server,
    plan_server,
)
from platform_core.ingestion.server.desired import want_source
from platform_core.settings import AirbyteSettings, Settings
from platform_core.warehouse import Warehouse

MANIFEST: dict[str, Any] = {
    "version": "7.0.0",
    "type": "DeclarativeSource",
    "check": {"type": "CheckStream", "stream_names": ["spend"]},
    "streams": [{"type": "DeclarativeStream", "name": "spend"}],
    "spec": {
        "type": "Spec",
        "connection_specification": {"type": "object", "properties": {"key": {"type": "string", "airbyte_secret": True}}},
    },
}


class Mesh:
    """The files, the server and the warehouse of a test."""

    def __init__(self, settings: Settings, warehouse: Warehouse, environ: dict[str, str], api: AirbyteApi) -> None:
        self.settings, self.warehouse, self.environ, self.api = settings, warehouse, environ, api

    def plan(self, *connections: Connection) -> ServerPlan:
        return plan_server(connections, self.settings, self.warehouse, environ=self.environ, api=self.api)

    def apply(self, *connections: Connection) -> ServerPlan:
        return apply_server(connections, self.settings, self.warehouse, environ=self.environ, api=self.api)


@pytest.fixture
def mesh(settings: Settings, database: Warehouse, environ: dict[str, str], api: AirbyteApi) -> Mesh:
    return Mesh(settings, database, environ, api)


@pytest.fixture
def shop(write: Callable[..., Connection]) -> Connection:
    return write()


def _lines(plan: ServerPlan) -> list[str]:
    return [str(step) for step in plan.steps]


def _changed(**changes: Any) -> dict[str, Any]:
    return {**copy.deepcopy(SHOP_FILE), **changes}


def test_a_plan_shows_every_object_and_touches_none(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    assert _lines(mesh.plan(shop)) == [
        "alter role sales_job to act as sales_owner in " + mesh.warehouse.parameters["dbname"],
        "create airbyte source mesh sales/shop",
        "create airbyte destination mesh sales",
        "create airbyte connection mesh sales/shop/events",
        "create airbyte connection mesh sales/shop/purchases",
        "create airbyte connection mesh sales/shop/users",
    ]
    assert {method.split()[0] for method, name, _ in server.requests if not name.startswith(("config.", "createAccess"))} == {"GET"}
    assert not any(server.objects.values())


def test_an_apply_makes_the_source_the_destination_and_a_connection_for_each_stream(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    planned = _lines(mesh.plan(shop))
    assert _lines(mesh.apply(shop)) == planned, "exactly the plan"
    source, destination = server.named("source", "mesh sales/shop"), server.named("destination", "mesh sales")
    assert source["configuration"] == {"count": 5, "api_key": API_KEY, "region": "eu"}, "typed as the connector's specification asks"
    assert destination["configuration"] == {
        "host": "warehouse.example",
        "port": 5433,
        "database": "mesh",
        "schema": "sales_raw",
        "raw_data_schema": "sales_raw",
        "username": "sales_job",
        "password": WAREHOUSE_PASSWORD,
        "ssl": True,
        "ssl_mode": {"mode": "require"},
        "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
    }
    users = server.named("connection", "mesh sales/shop/users")
    assert (users["sourceId"], users["destinationId"]) == (source["sourceId"], destination["destinationId"])
    assert (users["namespaceDefinition"], users["namespaceFormat"], users["prefix"]) == ("custom_format", "sales_raw", "")
    assert users["schedule"] == {"scheduleType": "manual"}, "the orchestrator decides when"
    streams = {
        name: server.named("connection", f"mesh sales/shop/{name}")["configurations"]["streams"]
        for name in ("users", "purchases", "events")
    }
    assert {
        name: [(one["name"], one["syncMode"], one["cursorField"], one["primaryKey"]) for one in found] for name, found in streams.items()
    } == {
        "users": [("users", "incremental_deduped_history", ["updated_at"], [["id"]])],
        "purchases": [("purchases", "full_refresh_overwrite", ["updated_at"], [["id"]])],
        "events": [("events", "incremental_append", ["at"], [])],
    }


def test_a_second_apply_changes_nothing_although_the_server_hides_secrets(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    mesh.apply(shop)
    shown = {item["name"]: item["configuration"] for item in mesh.api.observe("source")}
    assert shown["mesh sales/shop"]["api_key"] == MASK
    before = len([name for _, name, _ in server.requests if name.startswith(("create", "put", "patch", "update"))])
    assert mesh.plan(shop).steps == mesh.apply(shop).steps == ()
    assert len([name for _, name, _ in server.requests if name.startswith(("create", "put", "patch", "update"))]) == before


@pytest.mark.parametrize("fails", [Misbehaviour(drop="before"), Misbehaviour(drop="after"), Misbehaviour(500)])
@pytest.mark.parametrize("operation", ["createSource", "createDestination", "createConnection"])
def test_an_apply_that_broke_off_goes_on_and_doubles_nothing(
    mesh: Mesh, shop: Connection, server: StandIn, operation: str, fails: Misbehaviour
) -> None:
    server.misbehave(operation, fails)
    with pytest.raises(UnreachableError):
        mesh.apply(shop)
    mesh.apply(shop)
    assert {kind: len(found) for kind, found in server.objects.items()} == {"definition": 0, "source": 1, "destination": 1, "connection": 3}
    assert mesh.plan(shop).steps == ()


@pytest.mark.parametrize("taken", range(6))
def test_an_apply_that_is_stopped_before_any_step_goes_on_and_doubles_nothing(
    mesh: Mesh, shop: Connection, server: StandIn, taken: int
) -> None:
    steps: list[object] = []

    def stop(step: object) -> None:
        steps.append(step)
        if len(steps) > taken:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        apply_server([shop], mesh.settings, mesh.warehouse, environ=mesh.environ, api=mesh.api, progress=stop)
    assert len(mesh.apply(shop).steps) == 6 - taken
    assert {kind: len(found) for kind, found in server.objects.items()} == {"definition": 0, "source": 1, "destination": 1, "connection": 3}
    assert mesh.plan(shop).steps == ()


def test_an_apply_that_was_killed_before_it_could_remember_sends_again_what_cannot_be_compared(mesh: Mesh, shop: Connection) -> None:
    mesh.apply(shop)
    with mesh.warehouse.connect_platform() as session:
        session.execute("DELETE FROM mesh.server_objects WHERE kind = 'source'")
    assert _lines(mesh.plan(shop)) == [
        "update airbyte source mesh sales/shop: never applied with these credentials, so what the server hides is sent again"
    ]
    mesh.apply(shop)
    assert mesh.plan(shop).steps == ()


@pytest.mark.parametrize(
    ("kind", "name", "change", "line"),
    [
        (
            "source",
            "mesh sales/shop",
            {"configuration": {"count": 5, "api_key": API_KEY, "region": "us"}},
            "configuration.region: us -> eu",
        ),
        (
            "source",
            "mesh sales/shop",
            {"configuration": {"count": 9, "api_key": API_KEY, "region": "eu"}},
            "configuration.count: differs (not shown)",
        ),
        (
            "source",
            "mesh sales/shop",
            {"configuration": {"count": 5, "api_key": API_KEY, "region": "eu", "auth": {"token": "typed-in"}}},
            "configuration.auth: set on the server, not in the file",
        ),
        ("connection", "mesh sales/shop/users", {"status": "inactive"}, "status: inactive -> active"),
        ("connection", "mesh sales/shop/users", {"namespaceFormat": "public"}, "namespaceFormat: public -> sales_raw"),
        ("connection", "mesh sales/shop/users", {"prefix": "x_"}, "prefix: x_ -> ''"),
        (
            "connection",
            "mesh sales/shop/users",
            {"schedule": {"scheduleType": "cron", "cronExpression": "0 0 * * * ?"}},
            "schedule: cron -> manual",
        ),
        (
            "connection",
            "mesh sales/shop/users",
            {"configurations": {"streams": [{"name": "users", "syncMode": "full_refresh_append"}]}},
            "stream users syncMode: full_refresh_append -> incremental_deduped_history",
        ),
        (
            "connection",
            "mesh sales/shop/events",
            {"configurations": {"streams": [{"name": "events", "syncMode": "incremental_append", "cursorField": ["event_id"]}]}},
            'stream events cursorField: ["event_id"] -> ["at"]',
        ),
        (
            "connection",
            "mesh sales/shop/users",
            {"configurations": {"streams": [{"name": "purchases", "syncMode": "full_refresh_overwrite"}]}},
            "stream users: not selected on the server; stream purchases: selected on the server, not in the file",
        ),
    ],
)
def test_a_change_on_the_server_is_reported_as_drift_and_taken_back(
    mesh: Mesh, shop: Connection, server: StandIn, kind: str, name: str, change: dict[str, Any], line: str
) -> None:
    mesh.apply(shop)
    server.named(kind, name).update(change)
    assert _lines(mesh.plan(shop)) == [f"update airbyte {kind} {name}: {line}"]
    mesh.apply(shop)
    assert mesh.plan(shop).steps == ()


def test_a_secret_that_changed_is_sent_although_nobody_can_see_the_difference(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    mesh.apply(shop)
    mesh.environ["SHOP_API_KEY"] = "another-key"
    assert _lines(mesh.plan(shop)) == ["update airbyte source mesh sales/shop: a value that the server does not show has changed"]
    mesh.apply(shop)
    assert server.named("source", "mesh sales/shop")["configuration"]["api_key"] == "another-key"
    assert mesh.plan(shop).steps == ()


def test_a_changed_file_changes_the_server(mesh: Mesh, shop: Connection, server: StandIn, write: Callable[..., Connection]) -> None:
    mesh.apply(shop)
    changed = _changed(schema_changes="pause")
    changed["config"]["region"] = "apac"
    changed["streams"][1]["sync_mode"] = "full_refresh_append"
    lines = _lines(mesh.apply(write(changed)))
    assert lines[0] == "update airbyte source mesh sales/shop: configuration.region: eu -> apac"
    assert "nonBreakingSchemaUpdatesBehavior: propagate_columns -> disable_connection" in lines[1]
    assert "stream purchases syncMode: full_refresh_overwrite -> full_refresh_append" in lines[2]
    assert server.named("connection", "mesh sales/shop/purchases")["configurations"]["streams"][0]["syncMode"] == "full_refresh_append"


def test_no_update_of_a_connection_leaves_its_streams_out(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    """The server would take it as the wish for every stream of the source, full refresh, overwriting."""
    mesh.apply(shop)
    server.named("connection", "mesh sales/shop/users")["status"] = "inactive"
    mesh.apply(shop)
    sent = [body for _, name, body in server.requests if name == "patchConnection"]
    assert [body["configurations"]["streams"][0]["name"] for body in sent] == ["users"]
    with pytest.raises(ApiError, match="never changed without its streams"):
        mesh.api.update("connection", server.named("connection", "mesh sales/shop/users")["connectionId"], {"status": "active"})


def test_a_stream_that_no_file_asks_for_any_more_stops_and_keeps_its_state(
    mesh: Mesh, shop: Connection, server: StandIn, write: Callable[..., Connection]
) -> None:
    mesh.apply(shop)
    gone = server.named("connection", "mesh sales/shop/events")
    server.state[gone["connectionId"], "events"] = 7
    fewer = write(_changed(streams=SHOP_FILE["streams"][:2]))
    assert _lines(mesh.apply(fewer)) == ["deactivate airbyte connection mesh sales/shop/events: no file asks for it"]
    assert (gone["status"], [stream["name"] for stream in gone["configurations"]["streams"]]) == ("inactive", ["events"])
    assert server.state == {(gone["connectionId"], "events"): 7}
    assert mesh.plan(fewer).steps == ()
    assert _lines(mesh.apply(write()))[0].startswith("update airbyte connection mesh sales/shop/events: status: inactive -> active")


def test_what_others_made_on_the_server_is_left_alone(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    mesh.apply(shop)
    users = server.named("connection", "mesh sales/shop/users")
    for number, name in enumerate(("by hand", "mesh other/team/stream")):
        server.objects["connection"][f"x{number}"] = {
            **users,
            "connectionId": "00000000-0000-0000-0000-00000000000" + str(number),
            "name": name,
        }
    assert mesh.plan(shop).steps == ()


def test_an_object_that_stands_twice_is_an_error_that_names_both(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    mesh.apply(shop)
    source = server.named("source", "mesh sales/shop")
    other = "00000000-0000-0000-0000-000000000001"
    server.objects["source"][other] = {**source, "sourceId": other}
    with pytest.raises(ServerError, match="twice") as caught:
        mesh.plan(shop)
    assert source["sourceId"] in str(caught.value)
    assert other in str(caught.value)


def test_another_connector_under_the_same_name_is_refused(mesh: Mesh, shop: Connection, write: Callable[..., Connection]) -> None:
    mesh.apply(shop)
    other = write(_changed(connector={"package": "airbyte-source-faker", "version": "7.2.1"}))
    with pytest.raises(ServerError, match="another definitionId") as caught:
        mesh.plan(other)
    assert "delete the source on the server" in str(caught.value)


def test_a_connector_that_the_server_lacks_is_named_with_a_guess(mesh: Mesh, write: Callable[..., Connection]) -> None:
    with pytest.raises(ServerError, match="no connector airbyte/source-shopp") as caught:
        mesh.plan(write(_changed(connector={"package": "airbyte-source-shopp", "version": "1.2.3"})))
    assert "airbyte/source-shop" in caught.value.what
    assert "shop.yaml:" in str(caught.value)


def test_another_version_of_the_connector_on_the_server_is_noted(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    server.definitions[0].tag = "1.3.0"
    assert mesh.plan(shop).notes == (
        "sales/shop: the server runs airbyte/source-shop 1.3.0, the file says 1.2.3; versions are set by the server's administrator",
    )


def test_two_applies_at_once_double_nothing(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    with ThreadPoolExecutor(2) as pool:
        taken = [len(plan.steps) for plan in pool.map(lambda _: mesh.apply(shop), range(2))]
    assert sorted(taken) == [0, 6], "one waits for the other"
    assert {kind: len(found) for kind, found in server.objects.items()} == {"definition": 0, "source": 1, "destination": 1, "connection": 3}


def test_tables_that_the_embedded_runner_filled_are_noted_before_the_server_takes_them_over(mesh: Mesh, shop: Connection) -> None:
    with mesh.warehouse.connect_platform() as session:
        session.execute(
            "INSERT INTO mesh.raw_streams (domain, stream, connection, generation_id, sync_id) VALUES ('sales', 'users', 'shop', 1, 's')"
        )
    (note,) = mesh.plan(shop).notes
    assert note.startswith("sales/shop: sales_raw.users was loaded by the embedded runner")
    mesh.apply(shop)
    assert mesh.plan(shop).notes == (), "said once, before"


def test_of_two_connectors_of_a_name_the_one_with_the_files_version_is_taken(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    server.definitions.append(Definition("airbyte/source-shop", "9.9.9"))
    assert mesh.plan(shop).notes == ()
    server.definitions[0].tag = "8.8.8"
    with pytest.raises(ServerError, match="2 connectors airbyte/source-shop"):
        mesh.plan(shop)


def test_a_configuration_that_does_not_fit_the_servers_connector_is_refused_by_the_plan(mesh: Mesh, shop: Connection) -> None:
    mesh.environ["SHOP_COUNT"] = "many"
    with pytest.raises(ConfigurationError, match="SHOP_COUNT is not of type integer"):
        mesh.plan(shop)


@pytest.mark.parametrize("missing", ["SHOP_API_KEY", "MESH_AIRBYTE_WAREHOUSE_PASSWORD_SALES"])
def test_a_missing_secret_is_named(mesh: Mesh, shop: Connection, missing: str) -> None:
    del mesh.environ[missing]
    with pytest.raises((ConfigurationError, ServerError), match=missing):
        mesh.plan(shop)


@pytest.mark.parametrize(
    ("address", "said"),
    [
        (None, "nothing says how"),
        ("postgresql:///mesh", "no Postgres address"),
        ("host=/run/pg", "socket"),
        ("postgresql://u:p@h/d", "carries a password"),
    ],
)
def test_an_address_that_the_server_cannot_use_is_refused(
    mesh: Mesh, shop: Connection, airbyte: AirbyteSettings, address: str | None, said: str
) -> None:
    other = AirbyteSettings(airbyte.url, WORKSPACE, airbyte.client_id, airbyte.client_secret, warehouse=address)
    mesh.api = AirbyteApi(other, Transport(other))
    with pytest.raises(ServerError, match=said) as caught:
        mesh.plan(shop)
    assert "MESH_AIRBYTE_WAREHOUSE" in str(caught.value)


def test_a_low_code_connector_is_made_from_its_manifest_and_follows_it(
    mesh: Mesh, server: StandIn, write: Callable[..., Connection]
) -> None:
    folder = mesh.settings.repo / "airbyte" / "manifests"
    folder.mkdir(parents=True)
    dated = {**MANIFEST, "metadata": {"since": date(2026, 1, 1)}}
    (folder / "ads.yaml").write_text(yaml.safe_dump(dated))
    content = {
        "connector": {"manifest": "ads"},
        "config": {"key": "${SHOP_API_KEY}"},
        "streams": [{"name": "spend", "sync_mode": "full_refresh_overwrite"}],
    }
    lines = _lines(mesh.apply(write(content, "ads")))
    assert [line.removeprefix("create airbyte ") for line in lines[1:]] == [
        "definition mesh ads", "source mesh sales/ads", "destination mesh sales", "connection mesh sales/ads/spend",
    ]  # fmt: skip
    assert server.named("definition", "mesh ads")["manifest"]["metadata"] == {"since": "2026-01-01"}
    assert server.named("source", "mesh sales/ads")["definitionId"] == server.named("definition", "mesh ads")["id"]
    assert mesh.plan(write(content, "ads")).steps == ()
    (folder / "ads.yaml").write_text(yaml.safe_dump({**MANIFEST, "description": "new"}))
    assert _lines(mesh.apply(write(content, "ads"))) == ["update airbyte definition mesh ads: manifest differs"]
    assert server.named("definition", "mesh ads")["version"] == 2


def test_streams_of_a_database_log_share_one_connection(mesh: Mesh, server: StandIn, write: Callable[..., Connection]) -> None:
    server.definitions[0].spec = {"type": "object"}
    log = _changed(config={"replication_method": {"method": "CDC", "replication_slot": "mesh"}})
    assert [line for line in _lines(mesh.plan(write(log))) if " connection " in line] == ["create airbyte connection mesh sales/shop"]


def test_what_the_server_writes_belongs_to_the_domain(mesh: Mesh, shop: Connection) -> None:
    """The server logs in as ``sales_job`` with a password and knows no roles; its tables must be ``sales_owner``'s all the same."""
    assert isinstance(mesh.apply(shop).steps[0], RoleStep)
    with mesh.warehouse.connect("sales_job", autocommit=True) as session:
        session.execute("CREATE TABLE sales_raw.users (id int)")
    with mesh.warehouse.connect_platform() as session:
        assert session.execute("SELECT tableowner FROM pg_tables WHERE tablename = 'users'").fetchone() == ("sales_owner",)
    with mesh.warehouse.connect("sales_job") as session, pytest.raises(psycopg.errors.InsufficientPrivilege):
        session.execute("CREATE TABLE customer_raw.theirs (id int)")


def test_no_secret_appears_in_plans_logs_or_the_warehouse(
    mesh: Mesh, shop: Connection, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.DEBUG):
        first = mesh.apply(shop)
        mesh.environ |= {"SHOP_API_KEY": "second-secret-key", "MESH_AIRBYTE_WAREHOUSE_PASSWORD_SALES": "second-password"}
        second = mesh.apply(shop)
    with mesh.warehouse.connect_platform() as session:
        rows = session.execute("SELECT * FROM mesh.server_objects").fetchall()
    assert len(rows) == 5
    everything = f"{first!r}{second!r}{_lines(first)}{_lines(second)}{caplog.text}{rows}{mesh.settings!r}{mesh.api!r}"
    secrets = [API_KEY, WAREHOUSE_PASSWORD, "second-secret-key", "second-password", CLIENT_SECRET, *server.tokens]
    assert [secret for secret in secrets if secret in everything] == []
    assert "second-secret-key" in json.dumps(server.objects), "the test would see it"


def test_a_secret_that_the_server_repeats_in_a_refusal_is_hidden(mesh: Mesh, shop: Connection, server: StandIn) -> None:
    server.misbehave("createSource", Misbehaviour(422, message=f"bad api_key {API_KEY}"))
    with pytest.raises(ApiError, match=r"bad api_key \*\*\*"):
        mesh.apply(shop)
    server.misbehave("createDestination", Misbehaviour(422, message=f"bad password {WAREHOUSE_PASSWORD}"))
    with pytest.raises(ApiError, match=r"bad password \*\*\*"):
        mesh.apply(shop)


def test_values_that_the_connector_calls_secret_are_hidden_wherever_they_come_from(shop: Connection) -> None:
    config = resolve_config(shop, {"SHOP_API_KEY": API_KEY})
    spec = {
        "properties": {
            "region": {"airbyte_secret": True},
            "auth": {"oneOf": [{"properties": {"token": {"airbyte_secret": True}}}, {"properties": {"user": {}}}]},
        }
    }
    config = replace(config, data={**config.data, "auth": {"token": "t", "user": "u"}})
    hidden = want_source(shop, config, spec, "id", WORKSPACE).hidden
    assert hidden == {("configuration", name) for name in ("count", "api_key", "region")} | {("configuration", "auth", "token")}


def test_the_remembered_hash_cannot_be_tried_out_without_the_servers_credentials(mesh: Mesh, shop: Connection) -> None:
    from platform_core.ingestion.server.plan import digest

    mesh.apply(shop)
    with mesh.warehouse.connect_platform() as session:
        (stored,) = session.execute("SELECT digest FROM mesh.server_objects WHERE kind = 'source'").fetchone() or ("",)
    content = {"name": "mesh sales/shop", "configuration": {"count": 5, "api_key": API_KEY, "region": "eu"}}
    assert stored == digest(content, CLIENT_SECRET.encode())
    assert stored not in {digest(content, b""), digest(content, b"guess")}
