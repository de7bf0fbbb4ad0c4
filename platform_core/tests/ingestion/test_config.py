"""Configuration at run time: values from the environment get the type that the connector's spec asks for, wherever they stand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from platform_core.ingestion import ConfigurationError, Connection, load_connection
from platform_core.ingestion.config import fit_to_spec, resolve_config

SPEC = {
    "type": "object",
    "properties": {
        "ports": {"type": "array", "items": {"type": "integer"}},
        "login": {
            "oneOf": [
                {"properties": {"kind": {"const": "key"}, "key": {"type": "string"}}, "required": ["key"]},
                {
                    "properties": {"kind": {"const": "user"}, "port": {"type": "integer"}, "tls": {"type": ["null", "boolean"]}},
                    "required": ["port"],
                },
            ]
        },
    },
}


@pytest.fixture
def connection(tmp_path: Path) -> Connection:
    path = tmp_path / "airbyte" / "sales" / "shop.yaml"
    path.parent.mkdir(parents=True)
    path.write_text(
        "connector: {package: source-fake, version: '1.0'}\n"
        "config:\n  ports: ['${FIRST}', 5]\n  login: {kind: user, port: '${PORT}', tls: '${TLS:-true}', note: 'at ${PORT}'}\n"
        "streams: [{name: orders, sync_mode: full_refresh_append}]\n"
    )
    return load_connection(path)


def test_values_of_lists_and_of_one_of_several_shapes_are_typed(connection: Connection) -> None:
    config = fit_to_spec(connection, resolve_config(connection, {"FIRST": "80", "PORT": "5432"}), SPEC)
    assert config.data == {"ports": [80, 5], "login": {"kind": "user", "port": 5432, "tls": True, "note": "at 5432"}}


def test_a_value_of_another_type_is_named_by_its_variable_not_by_itself(connection: Connection) -> None:
    with pytest.raises(ConfigurationError, match=r"shop.yaml:4: environment variable PORT is not of type integer") as caught:
        fit_to_spec(connection, resolve_config(connection, {"FIRST": "80", "PORT": "s3cret"}), SPEC)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize(
    "broken",
    [
        {"type": "nonsense"},
        {"properties": {"login": {"pattern": "((("}, "ports": {"items": {"pattern": "((("}}}},
        {"properties": []},
        {"required": True},
        {"$ref": "#/nowhere"},
        {"$ref": "http://127.0.0.1:1/schema.json"},
        {"dependencies": 3},
    ],
    ids=["type", "pattern", "properties", "required", "reference", "foreign reference", "dependencies"],
)
def test_a_spec_that_is_no_schema_leaves_the_judgement_to_the_connector(
    connection: Connection, broken: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    fitted = fit_to_spec(connection, resolve_config(connection, {"FIRST": "hushhush", "PORT": "hushhush"}), broken)
    assert fitted.data["ports"] == ["hushhush", 5]
    (warning,) = [each for each in caplog.records if each.levelname == "WARNING"]
    assert "source-fake 1.0: its spec is no JSON Schema" in warning.getMessage() and "hushhush" not in caplog.text


def test_a_value_that_json_does_not_have_is_judged_all_the_same(connection: Connection) -> None:
    path = connection.path
    path.write_text(path.read_text().replace("5]", "2024-02-29]"))
    with pytest.raises(ConfigurationError, match=r"shop.yaml:3: config.ports.1 does not fit the connector: it is not of type integer"):
        fit_to_spec(load_connection(path), resolve_config(load_connection(path), {"FIRST": "80", "PORT": "5432"}), SPEC)


def test_what_a_connector_reports_adds_to_the_secrets(connection: Connection) -> None:
    declared = resolve_config(connection, {"FIRST": "80", "PORT": "old-token"})
    config = declared.updated({"login": {"port": "new-token", "kind": "user"}, "ports": []})
    assert config.redact("old-token new-token user") == "*** *** user" and "new-token" not in repr(config)


@pytest.mark.parametrize(
    ("secret", "said", "shown"),
    [
        ("p/s+s w&rd=ü", "GET /x?key=p%2Fs%2Bs%20w%26rd%3D%C3%BC or p%2Fs%2Bs+w%26rd%3D%C3%BC", "GET /x?key=*** or ***"),
        ('say "hush"\\', r'{"password": "say \"hush\"\\"}', '{"password": "***"}'),
        ("-----BEGIN KEY-----\nMIIEvQIBADANBgkqhkiG\nx\n", "bad MIIEvQIBADANBgkqhkiG after -----BEGIN KEY-----", "bad *** after ***"),
    ],
    ids=["in an address", "in JSON", "line by line"],
)
def test_a_secret_is_hidden_however_it_is_written(connection: Connection, secret: str, said: str, shown: str) -> None:
    assert resolve_config(connection, {"FIRST": "80", "PORT": secret}).redact(said) == shown
