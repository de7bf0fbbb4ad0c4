"""Connectors of the package index that are not ours, from their committed locks: files on CDK 0.88, GitHub and Notion on CDK 7.

They answer ``spec``; ``check`` fails in their own words where credentials are missing; ``discover`` answers where it needs no network.
"""

from __future__ import annotations

import json
import re
from decimal import Decimal
from pathlib import Path

import pytest

from platform_core.ingestion import ConnectorCommand, ConnectorError, ConnectorReference, connector_environment, load_connection, run_sync
from platform_core.ingestion.conversation import request
from platform_core.settings import Settings

CONNECTORS = {"file": "0.5.39", "github": "2.7.1", "notion": "3.2.0"}
CSV = """id,name,amount,note
00123,Ada,19.99,"a, ""quoted"" note"
00007,Grace,0.10,
00099,Zoë 😀,12345678901234567890.12345,"two
lines"
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("home")


@pytest.fixture(scope="module")
def command(repo_root: Path, home: Path):
    def start(name: str) -> ConnectorCommand:
        reference = ConnectorReference(package=f"airbyte-source-{name}", version=CONNECTORS[name])
        assert (repo_root / "airbyte" / "locks" / f"{reference.package}-{reference.version}.txt").is_file()
        return connector_environment(reference, repo=repo_root, home=home)

    return start


@pytest.fixture(scope="module")
def repo_root() -> Path:
    return Path(__file__).parents[3]


@pytest.mark.parametrize("name", CONNECTORS)
def test_spec_names_what_the_configuration_takes(command, name):
    spec = request(command(name), "spec")["connectionSpecification"]
    known = {"file": "provider", "github": "repositories", "notion": "credentials"}
    assert spec["type"] == "object" and known[name] in spec["properties"]


@pytest.mark.parametrize(
    ("name", "config", "words"),
    [
        ("file", {"dataset_name": "x", "format": "csv", "url": "/nowhere/x.csv", "provider": {"storage": "local"}}, "No such file|nowhere"),
        ("github", {"repositories": ["airbytehq/airbyte"]}, "'credentials' is a required property"),
        ("notion", {"credentials": {"auth_type": "token"}}, "Config validation error"),
    ],
)
def test_check_fails_in_the_connectors_own_words(command, name, config, words):
    status = request(command(name), "check", config=config)
    assert status["status"] == "FAILED" and re.search(words, status["message"])


def test_discover_without_network(command):
    streams = request(command("notion"), "discover", config={"credentials": {"auth_type": "token", "token": "none"}})["streams"]
    assert {"users", "databases", "pages"} <= {stream["name"] for stream in streams}
    with pytest.raises(ConnectorError, match="discover failed: Config validation error: 'credentials'") as caught:
        request(command("github"), "discover", config={"repositories": ["airbytehq/airbyte"]})
    assert caught.value.remedy and "airbyte-source-github 2.7.1" in caught.value.where


def test_source_file_loads_a_local_csv_end_to_end(command, database, repo_root, home, tmp_path):
    file = tmp_path / "orders.csv"
    file.write_text(CSV)
    connection = tmp_path / "airbyte" / "sales" / "files.yaml"
    connection.parent.mkdir(parents=True)
    options = json.dumps({"dtype": "string"})  # texts as they are in the file: no connector of it guesses numbers
    connection.write_text(
        json.dumps(
            {
                "connector": {"package": "airbyte-source-file", "version": CONNECTORS["file"]},
                "config": {
                    "dataset_name": "orders",
                    "format": "csv",
                    "url": str(file),
                    "provider": {"storage": "local"},
                    "reader_options": options,
                },
                "streams": [{"name": "orders", "sync_mode": "full_refresh_overwrite"}],
            }
        )
    )
    settings = Settings.load({"MESH_REPO": str(repo_root), "MESH_HOME": str(home)})
    for _ in range(2):  # twice: the second generation replaces the first
        result = run_sync(load_connection(connection), warehouse=database, settings=settings)
    assert result.streams["orders"].rows == 3
    with database.connect_domain("sales", autocommit=True) as session:
        rows = session.execute(
            "SELECT id, name, amount::numeric, note, _airbyte_generation_id FROM sales_raw.orders ORDER BY id"
        ).fetchall()
    assert rows == [
        ("00007", "Grace", Decimal("0.10"), None, 2),
        ("00099", "Zoë 😀", Decimal("12345678901234567890.12345"), "two\nlines", 2),
        ("00123", "Ada", Decimal("19.99"), 'a, "quoted" note', 2),
    ]
