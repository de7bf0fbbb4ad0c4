"""``mesh plan`` and ``mesh apply`` with an Airbyte server selected: shown, applied, in words and in JSON."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

sys.path.append(str(Path(__file__).parents[1] / "ingestion" / "server"))  # the stand-in

from shop import DESTINATION_SPEC
from standin import CLIENT_ID, CLIENT_SECRET, StandIn
from standin_state import WORKSPACE, Definition, Stream

Mesh = Any  # the fixtures' types; test modules do not import each other


def _variables(files: Path) -> set[str]:
    """The environment variables that the company's connections need."""
    return {name for path in (files / "airbyte").glob("*/*.yaml") for name in re.findall(r"\$\{(\w+)\}", path.read_text())}


@pytest.fixture
def server(mesh: Mesh, files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[StandIn]:
    """A stand-in that the environment selects, with the connectors that the company's files name."""
    definitions = [
        Definition("airbyte/source-faker", "7.2.0", [Stream(name) for name in ("users", "purchases", "products")]),
        Definition("airbyte/destination-postgres", "3.0.10", (), DESTINATION_SPEC),
    ]
    with StandIn(definitions) as running:
        for name, value in {
            "MESH_AIRBYTE_URL": f"{running.url}/api/public/v1",
            "MESH_AIRBYTE_WORKSPACE": WORKSPACE,
            "MESH_AIRBYTE_CLIENT_ID": CLIENT_ID,
            "MESH_AIRBYTE_CLIENT_SECRET": CLIENT_SECRET,
            "MESH_AIRBYTE_WAREHOUSE": "postgresql://db.example:5432/mesh?sslmode=require",
            **{
                f"MESH_AIRBYTE_WAREHOUSE_PASSWORD_{folder.name.upper()}": f"secret-of-{folder.name}"
                for folder in (files / "domains").iterdir()
            },
            **{name: f"secret-of-{name}" for name in _variables(files)},
        }.items():
            monkeypatch.setenv(name, value)
        yield running
    assert running.faults == []


def test_plan_shows_and_apply_does_the_same_and_then_nothing_is_left(mesh: Mesh, server: StandIn) -> None:
    planned = mesh("plan")
    assert planned.code == 0, planned.all
    assert "create airbyte source mesh sales/shop\n" in planned.out
    assert "create airbyte connection mesh customer/crm/users\n" in planned.out
    assert "the server runs airbyte/source-faker 7.2.0, the file says 7.2.1" in planned.out
    assert "create airbyte definition mesh plaza\n" in planned.out
    (count,) = re.findall(r"(\d+) changes on the Airbyte server", planned.out)
    assert not any(server.objects.values())
    applied = mesh("apply")
    assert applied.code == 0, applied.all
    assert f"{count} changes applied to the Airbyte server" in applied.out
    assert {item["name"] for item in server.objects["connection"].values()} > {
        "mesh customer/crm/users", "mesh inventory/catalog/products", "mesh sales/shop/purchases", "mesh marketing/plaza_delivery/plaza_campaigns",
    }  # fmt: skip
    assert "the Airbyte server is what the files say" in mesh("apply").out
    server.named("connection", "mesh sales/shop/purchases")["status"] = "inactive"
    assert "status: inactive -> active" in mesh("plan").out
    assert not [line for line in (planned.all + applied.all).splitlines() if "secret-of" in line or CLIENT_SECRET in line]


def test_json_has_the_same(mesh: Mesh, server: StandIn) -> None:
    mesh("apply")
    server.named("connection", "mesh sales/shop/purchases")["prefix"] = "x_"
    assert mesh("plan", "--json").json()["airbyte_server"]["changes"] == [
        {"action": "update", "object": "airbyte connection mesh sales/shop/purchases", "changes": ["prefix: x_ -> ''"]}
    ]
    assert mesh("apply", "--json").json()["airbyte_server"]["changes"][0]["action"] == "update"
    assert mesh("apply", "--json").json()["airbyte_server"]["changes"] == []


def test_ingest_syncs_on_the_server_and_only_what_is_asked_for(mesh: Mesh, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_AIRBYTE_POLL", "0.01")
    assert "run ./mesh apply" in mesh("ingest", "sales/shop").err
    mesh("apply")
    said = mesh("ingest", "sales/shop")
    assert said.code == 0, said.all
    assert "purchases: 100 rows, 5,000 bytes in" in said.out
    assert [list(job.streams) for job in server.jobs.values()] == [["purchases"]]
    (synced,) = mesh("ingest", "customer/crm", "--stream", "users", "--json").json()["syncs"]
    assert (synced["rows"], synced["joined"], synced["error"]) == (100, False, None)
    assert "has no stream 'user'" in mesh("ingest", "customer/crm", "--stream", "user").err
    assert "not for an Airbyte server" in mesh("ingest", "customer/crm", "--full-refresh").err


def test_an_ingest_that_fails_on_the_server_says_so(mesh: Mesh, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_AIRBYTE_POLL", "0.01")
    mesh("apply")
    server.course = ["failed"]
    said = mesh("ingest", "sales/shop")
    assert said.code == 1
    assert "job 1 failed on the Airbyte server" in said.err


def test_without_a_server_nothing_is_said_of_one(mesh: Mesh, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESH_AIRBYTE_URL", raising=False)
    assert "irbyte" not in mesh("plan").out
    assert "airbyte_server" not in mesh("plan", "--json").json()


def test_a_server_that_is_not_there_is_an_error_with_a_remedy(mesh: Mesh, server: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("MESH_AIRBYTE_WORKSPACE")
    said = mesh("plan")
    assert said.code != 0
    assert "MESH_AIRBYTE_WORKSPACE is not set" in said.err
