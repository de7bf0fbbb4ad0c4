"""``mesh new source``: files written from the connector's own answers, that lint and load untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_core.ingestion import load_connection
from platform_core.ingestion.connection_schema import MODELINE
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.orchestration import ingestion_assets

Mesh = Any  # the fixtures' types; test modules do not import each other
FAKE = Path(__file__).parents[1] / "ingestion" / "fake_connector.py"
SPEC = {
    "type": "object",
    "required": ["url", "credentials"],
    "properties": {
        "pages": {"type": "integer", "default": 10, "order": 3, "description": "How many. At most 100."},
        "url": {"type": "string", "title": "Address", "description": "Where <b>the API</b> is. No slash.", "order": 1},
        "credentials": {
            "title": "Authentication",
            "order": 2,
            "oneOf": [
                {"title": "Key", "required": ["kind", "api_key"],
                 "properties": {"kind": {"const": "key"}, "api_key": {"type": "string", "airbyte_secret": True}}},
                {"title": "Login", "required": ["kind", "user", "password"],
                 "properties": {"kind": {"const": "login"}, "user": {"type": "string"}, "password": {"type": "string", "airbyte_secret": True}}},
            ],
        },
    },
}  # fmt: skip
FIELDS = {"id": {"type": "integer"}, "at": {"type": "string", "format": "date-time"}}
CATALOG = [
    {"name": "leads", "json_schema": {"properties": FIELDS}, "supported_sync_modes": ["full_refresh", "incremental"],
     "source_defined_cursor": True, "default_cursor_field": ["at"], "source_defined_primary_key": [["id"]]},
    {"name": "notes", "json_schema": {"properties": FIELDS}, "supported_sync_modes": ["full_refresh", "incremental"]},
]  # fmt: skip


@pytest.fixture
def crm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A scripted connector in place of every package; gives what it expects as configuration."""
    scenario: dict[str, Any] = {"spec": SPEC, "catalog": CATALOG}
    path = tmp_path / "scenario.json"
    path.write_text(json.dumps(scenario))
    command = ConnectorCommand((sys.executable, "-I", "-S", str(FAKE), str(path)), "source-fake", "1.0.0")
    monkeypatch.setattr("platform_core.cli.new_source.connection_command", lambda *_, **__: command)
    lock = tmp_path / "home" / "connectors" / "locks" / "source-fake-1.0.0.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("source-fake==1.0.0 --hash=sha256:0\n")

    def expects(**config: Any) -> None:
        path.write_text(json.dumps({**scenario, "expect": config}))

    return expects


FLAGS = ("--connector", "source-fake==1.0.0", "--set", "url=https://crm.test", "--set", "credentials.kind=key", "--yes")


def test_by_flags_with_secrets_from_the_environment(mesh: Mesh, files: Path, crm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CRM_API_KEY", "s3cret-value")
    crm(url="https://crm.test", credentials={"kind": "key", "api_key": "s3cret-value"})
    said = mesh("new", "source", "marketing/crm", *FLAGS, "--schedule", "0 6 * * *", "--description", "The CRM.", "--json")
    assert said.code == 0, said.all
    assert said.json()["environment"] == ["CRM_API_KEY"] and len(said.json()["written"]) == 3
    path = files / "airbyte/marketing/crm.yaml"
    text = path.read_text()
    assert (
        text
        == f"""\
{MODELINE}description: The CRM.

connector:
  package: source-fake
  version: 1.0.0

config:
  # Where the API is
  url: https://crm.test
  credentials:
    kind: key
    api_key: ${{CRM_API_KEY}}

streams:
  - name: leads
    sync_mode: incremental_deduped  # what is new, one row per key, the newest; key id and cursor at by the source
  - name: notes
    sync_mode: full_refresh_overwrite  # everything, in place of what was there

schedule:
  cron: 0 6 * * *
"""
    )
    assert "s3cret" not in said.all + "".join(file.read_text() for file in (files / "airbyte").rglob("*.*"))
    assert (files / "airbyte/locks/source-fake-1.0.0.txt").is_file()
    assert "0 problems" in mesh("lint").out
    connection = load_connection(path)
    assert {key.path[-1] for key in ingestion_assets(connection).keys} == {"leads", "notes"}
    assert (files / "domains/marketing/src/marketing/defs/crm/defs.yaml").read_text().splitlines()[-1] == "  connection: crm"

    again = mesh("new", "source", "marketing/crm", *FLAGS)
    assert again.code == 1 and "nothing is overwritten" in again.err and "airbyte/marketing/crm.yaml" in again.err
    assert path.read_text() == text


def test_modes_cursors_and_keys_that_the_source_does_not_define(mesh: Mesh, files: Path, crm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "s3cret-value")
    choice = ("--stream", "notes", "--mode", "incremental_deduped", "--cursor", "at", "--key", "id")
    said = mesh("new", "source", "marketing/crm", *FLAGS, "--secret", "credentials.api_key=MY_KEY", *choice)
    assert said.code == 0, said.all
    (stream,) = load_connection(files / "airbyte/marketing/crm.yaml").streams
    assert (stream.sync_mode, stream.cursor_field, stream.primary_key) == ("incremental_deduped", ("at",), ("id",))


@pytest.mark.parametrize(
    ("arguments", "message", "remedy"),
    [
        (("nowhere/crm", *FLAGS), "no domain 'nowhere'", "sales"),
        (("crm", *FLAGS), "'crm' is not domain/name", "sales/crm"),
        (("sales/../x", *FLAGS), "is not domain/name", "small letters"),
        (("sales/shop", *FLAGS), "nothing is overwritten", "another name"),
        (("sales/crm", "--connector", "source-fake", "--yes"), "'source-fake' names no connector", "exact version"),
        (("sales/crm", "--connector", "source-fake==latest", "--yes"), "names no connector", "exact version"),
        (("sales/crm", "--manifest", "nothing", "--yes"), "no manifest 'nothing'", "use one of"),
        (("sales/crm", "--yes"), "no connector is named", "--connector"),
        (("sales/crm", *FLAGS[:2], "--yes"), "credentials has several shapes", "--set credentials.kind=key"),
        (("sales/crm", *FLAGS[:2], *FLAGS[4:]), "more settings: url (Where the API is)", "--set url=..."),
        (("sales/crm", *FLAGS, "--set", "page=5"), "no setting 'page', did you mean 'pages'?", "url"),
        (("sales/crm", *FLAGS, "--set", "pages=many"), "pages is 'many', not of type integer", "--set pages"),
        (("sales/crm", *FLAGS, "--set", "credentials.api_key=abc"), "credentials.api_key is a secret", "CRM_API_KEY"),
        (("sales/crm", *FLAGS), "error: environment variable not set: CRM_API_KEY", "set CRM_API_KEY for this command"),
        (("sales/crm", *FLAGS, "--mode", "incremental"), "no sync mode 'incremental'", "incremental_deduped"),
        (("sales/crm", *FLAGS, "--stream", "lead"), "no stream 'lead', did you mean 'leads'?", "leads, notes"),
        (("sales/crm", *FLAGS, "--stream", "notes", "--mode", "incremental_append"), "no cursor of its own", "--cursor with one of: id, at"),
        (("sales/crm", *FLAGS, "--stream", "notes", "--mode", "incremental_deduped", "--cursor", "at"), "no primary key of its own", "--key"),
        (("sales/crm", *FLAGS, "--stream", "notes", "--key", "idd"), "no field 'idd', did you mean 'id'?", "use: id, at"),
        (("sales/crm", *FLAGS, "--schedule", "daily"), "schedule.cron is 'daily', not a cron line", "five fields"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_said_and_leaves_nothing_behind(
    mesh: Mesh, files: Path, crm: Any, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str, remedy: str
) -> None:
    if "not set" not in message:
        monkeypatch.setenv("CRM_API_KEY", "s3cret-value")
    before = {path: path.read_bytes() for path in files.rglob("*") if path.is_file()}
    said = mesh("new", "source", *arguments)
    assert said.code == 1 and message in said.err and remedy in said.err.partition("remedy: ")[2], said.err
    assert str(files) not in said.err
    assert {path: path.read_bytes() for path in files.rglob("*") if path.is_file()} == before


def test_on_a_terminal_it_asks(mesh: Mesh, files: Path, crm: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    import io

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.delenv("CRM_PASSWORD", raising=False)
    monkeypatch.setattr("getpass.getpass", lambda *_, **__: "typed-secret")
    monkeypatch.setattr("click.termui.hidden_prompt_func", lambda *_: "typed-secret", raising=False)
    crm(url="https://crm.test", credentials={"kind": "login", "user": "ann", "password": "typed-secret"}, pages=20)
    answers = ["source-fake==1.0.0", "https://crm.test", "2", "ann", "y", "20", "1", "y"]
    monkeypatch.setattr("sys.stdin", Terminal("".join(f"{answer}\n" for answer in answers)))
    said = mesh("new", "source", "sales/crm")
    assert said.code == 0, said.all
    connection = load_connection(files / "airbyte/sales/crm.yaml")
    assert connection.config == {
        "url": "https://crm.test", "credentials": {"kind": "login", "user": "ann", "password": "${CRM_PASSWORD}"}, "pages": 20,
    }  # fmt: skip
    assert [stream.name for stream in connection.streams] == ["leads"]
    assert "typed-secret" not in said.all and "set where it runs: CRM_PASSWORD" in said.out
    assert "1. leads" in said.err and "2. Login" in said.err and "Where the API is" in said.err


def test_the_real_faker_is_asked_and_its_files_load_untouched(mesh: Mesh, files: Path) -> None:
    arguments = ("--connector", "airbyte-source-faker==7.2.1", "--set", "count=100", "--stream", "users", "--yes", "--json")
    said = mesh("new", "source", "marketing/people", *arguments)
    assert said.code == 0, said.all
    connection = load_connection(files / "airbyte/marketing/people.yaml")
    assert connection.config["count"] == 100 and [stream.name for stream in connection.streams] == ["users"]
    assert said.json()["written"] == ["airbyte/marketing/people.yaml", "domains/marketing/src/marketing/defs/people/defs.yaml"]
    assert "0 problems" in mesh("lint").out

    # The code location of the copy, in a process of its own: this one has imported the repository's.
    code = "import marketing.definitions as m; print(*[k.to_user_string() for k in m.defs.resolve_asset_graph().get_all_asset_keys()])"
    environment = {**os.environ, "PYTHONPATH": str(files / "domains/marketing/src")}
    loaded = subprocess.run([sys.executable, "-c", code], env=environment, cwd=files, capture_output=True, text=True, check=False)
    assert loaded.returncode == 0 and "marketing/raw/users" in loaded.stdout.split(), loaded.stderr[-2000:]
