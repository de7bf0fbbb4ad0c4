"""Fixtures of the server runner's tests: a stand-in server, connection files, and how to reach both."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_core.ingestion import Connection, load_connection
from platform_core.ingestion.server import AirbyteApi, Patience, Transport
from platform_core.settings import AirbyteSettings, Settings

sys.path.append(str(Path(__file__).parent))  # for the stand-in, shared by the files of this folder

from shop import API_KEY, DESTINATION_SPEC, SHOP_FILE, SHOP_SPEC, SHOP_STREAMS, WAREHOUSE_PASSWORD
from standin import CLIENT_ID, CLIENT_SECRET, StandIn
from standin_state import WORKSPACE, Definition


@pytest.fixture
def server() -> Iterator[StandIn]:
    """A stand-in with a shop to read and a Postgres to write; the test fails when the stand-in itself was wrong."""
    definitions = [
        Definition("airbyte/source-shop", "1.2.3", SHOP_STREAMS, SHOP_SPEC),
        Definition("airbyte/source-faker", "7.2.1", SHOP_STREAMS),
        Definition("airbyte/destination-postgres", "3.0.10", (), DESTINATION_SPEC),
    ]
    with StandIn(definitions) as running:
        yield running
    assert running.faults == []


@pytest.fixture
def airbyte(server: StandIn) -> AirbyteSettings:
    """How the platform reaches it."""
    return AirbyteSettings(
        url=server.url, workspace=WORKSPACE, client_id=CLIENT_ID, client_secret=CLIENT_SECRET,
        warehouse="postgresql://warehouse.example:5433/mesh?sslmode=require", poll=0.02, timeout=120.0,
    )  # fmt: skip


@pytest.fixture
def settings(airbyte: AirbyteSettings, tmp_path: Path) -> Settings:
    return Settings(tmp_path, tmp_path / ".mesh", "lake", None, "mesh_platform", None, None, None, 10, airbyte)


@pytest.fixture
def environ() -> dict[str, str]:
    """The secrets of the files."""
    return {"SHOP_API_KEY": API_KEY, "MESH_AIRBYTE_WAREHOUSE_PASSWORD_SALES": WAREHOUSE_PASSWORD}


@pytest.fixture
def pauses() -> list[float]:
    """The pauses that the transport asked for; none is taken."""
    return []


@pytest.fixture
def api(airbyte: AirbyteSettings, pauses: list[float]) -> AirbyteApi:
    """Our client; where it would pause, it goes on at once."""
    return AirbyteApi(airbyte, Transport(airbyte, patience=Patience(tries=4, timeout=60.0, slow_timeout=60.0), sleep=pauses.append))


@pytest.fixture
def write(tmp_path: Path) -> Callable[..., Connection]:
    """Writes ``airbyte/sales/<name>.yaml`` and reads it."""

    def written(content: dict[str, Any] | None = None, name: str = "shop", domain: str = "sales") -> Connection:
        path = tmp_path / "airbyte" / domain / f"{name}.yaml"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(content or SHOP_FILE))
        return load_connection(path)

    return written
