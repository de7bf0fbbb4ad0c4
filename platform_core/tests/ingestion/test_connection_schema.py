"""The published JSON Schema: current, true of every file of this repository, and refusing what the platform refuses."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from test_connection_file import GOOD, WRONG, write

from platform_core.ingestion import check_connections
from platform_core.ingestion.connection_model import ConnectionModel
from platform_core.ingestion.connection_schema import CONNECTION_SCHEMA, MODELINE

SCHEMA: Any = json.loads(CONNECTION_SCHEMA.text())
# What a schema cannot say, or says without the whole truth: the platform's own reader is the judge of it.
BEYOND = {
    "a stream that stands twice", "an open placeholder", "a placeholder without a name", "a secret in the file", "a nested secret",
    "a cron line out of range", "a key that stands twice", "broken YAML", "an empty file", "a manifest that is not there",
    "a time zone that does not exist", "a time zone that is a path",
}  # fmt: skip


def errors(document: Any) -> list[str]:
    return [error.message for error in jsonschema.Draft202012Validator(SCHEMA).iter_errors(document)]


def test_the_schema_is_a_schema_and_the_file_is_current(repo):
    jsonschema.Draft202012Validator.check_schema(SCHEMA)
    assert (repo / CONNECTION_SCHEMA.file).read_text() == CONNECTION_SCHEMA.text()


def test_every_connection_file_names_the_schema_and_keeps_to_it(repo):
    files = [path for path in (repo / "airbyte").glob("*/*.yaml") if path.parent.name != "manifests"]
    assert len(files) >= 3
    for path in files:
        text = path.read_text()
        assert text.startswith(MODELINE), path
        assert (path.parent / text.splitlines()[0].partition("$schema=")[2]).resolve() == (repo / CONNECTION_SCHEMA.file).resolve()
        assert errors(yaml.safe_load(text)) == [], path


@pytest.mark.parametrize("case", [case for case in WRONG if case[0] not in BEYOND], ids=lambda case: case[0])
def test_what_the_platform_refuses_the_schema_refuses_too(case):
    _, old, new, *_ = case
    assert errors(yaml.safe_load(GOOD.replace(old, new, 1)))


@pytest.mark.parametrize(
    "more",
    ["schedule: {cron: '@daily', timezone: Europe/Berlin}", "schedule: {on_change: false}", "schema_changes: pause",
     "memory_limit: 2GB", "timeouts: {idle: 5, total: 1.5}", "description: x"],
)  # fmt: skip
def test_what_is_right_passes_both(tmp_path: Path, more):
    (tmp_path / "domains" / "sales").mkdir(parents=True)
    write(tmp_path, f"{GOOD}{more}\n")
    assert check_connections(tmp_path) == () and errors(yaml.safe_load(f"{GOOD}{more}\n")) == []


def test_every_key_is_described_for_whoever_writes_it():
    described = [SCHEMA, *SCHEMA["$defs"].values()]
    bare = [name for part in described for name, value in part["properties"].items() if "description" not in value and "$ref" not in value]
    assert bare == [] and set(SCHEMA["properties"]) == set(ConnectionModel.model_fields)


def test_a_stale_schema_is_a_problem(tmp_path: Path):
    (tmp_path / "domains").mkdir()
    file = tmp_path / CONNECTION_SCHEMA.file
    file.parent.mkdir()
    file.write_text("{}")
    (problem,) = check_connections(tmp_path)
    assert (problem.rule, problem.location.file) == ("connection-schema", file)
    assert "./mesh schemas" in problem.remedy
    assert CONNECTION_SCHEMA.write(tmp_path) is True
    assert check_connections(tmp_path) == ()
    assert CONNECTION_SCHEMA.write(tmp_path) is False
