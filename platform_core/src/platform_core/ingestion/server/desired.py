"""What the connection files ask of an Airbyte server: one source each, one destination a domain, one connection a stream.

Why a connection for each stream: the API starts syncs of whole connections only, and a stream that is taken out of one for a
moment may lose its state (``ConnectionsHandler.updateConnection`` wipes it, behind a feature flag). With a connection for each,
a subset is exactly that, and the job's rows and bytes are the stream's. Sources that read a database's log keep one position for
all streams; theirs stay together, and a subset is refused.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

from platform_core.contracts import naming
from platform_core.ingestion.config import ResolvedConfig, Steps
from platform_core.ingestion.connection import Connection, StreamSelection
from platform_core.ingestion.server.api import Kind

# Ours to the server's; its public API has no word for the plain "deduped" of newer user interfaces.
_SYNC_MODES = {"incremental_deduped": "incremental_deduped_history"}
_SCHEMA_CHANGES = {"propagate": "propagate_columns", "pause": "disable_connection", "ignore": "ignore"}
_LOG_READERS = {"airbyte-source-mongodb-v2"}


@dataclass(frozen=True)
class Reference:
    """Stands for the id of an object in a body, known once the object exists."""

    kind: Kind
    name: str


@dataclass(frozen=True)
class Desired:
    """One object as the files want it.

    Attributes:
        kind: What it is.
        name: Its name on the server, by which it is found again.
        domain: Whose it is; empty for a low-code connector, which all domains may use.
        fixed: The part of the body that only a creation takes; ids may be ``Reference``.
        content: The part that an update takes too. Holds secrets.
        hidden: Leaves of ``content`` whose values nobody may see.
        where: The file that says so.
    """

    kind: Kind
    name: str
    domain: str
    fixed: dict[str, Any]
    content: dict[str, Any] = field(repr=False)
    hidden: frozenset[Steps]
    where: str


def definition_name(connection: Connection) -> str:
    """Name of the low-code connector on the server."""
    assert connection.manifest is not None
    return f"mesh {connection.manifest.name}"


def source_name(connection: Connection) -> str:
    """Name of the source on the server."""
    return f"mesh {connection.id}"


def destination_name(domain: str) -> str:
    """Name of the domain's destination on the server."""
    return f"mesh {domain}"


def connection_names(connection: Connection) -> dict[str, tuple[StreamSelection, ...]]:
    """The connections on the server, by name, with the streams of each."""
    if reads_a_log(connection):
        return {source_name(connection): connection.streams}
    return {f"{source_name(connection)}/{stream.name}": (stream,) for stream in connection.streams}


def reads_a_log(connection: Connection) -> bool:
    """Whether the source keeps one position in a database's log for all of its streams (change data capture)."""
    return connection.connector.package in _LOG_READERS or _has_log_method(connection.config)


def _has_log_method(config: Any) -> bool:
    if isinstance(config, Mapping):
        method = config.get("replication_method")
        named = method.get("method") if isinstance(method, Mapping) else method
        if "replication_slot" in config or (isinstance(named, str) and named.upper().startswith("CDC")):
            return True
        return any(_has_log_method(value) for value in config.values())
    return False


def want_definition(connection: Connection) -> Desired:
    """The low-code connector of a manifest."""
    import yaml

    assert connection.manifest is not None
    manifest = orjson.loads(orjson.dumps(yaml.safe_load(connection.manifest.content)))  # YAML knows dates, JSON does not
    name, content = definition_name(connection), {"manifest": manifest}
    return Desired("definition", name, "", {"name": name}, content, frozenset(), str(connection.manifest.path))


def want_source(
    connection: Connection, config: ResolvedConfig, spec: Mapping[str, Any], definition: str | Reference, workspace: str
) -> Desired:
    """The source.

    Args:
        connection: The file.
        config: Its configuration, fit to the connector's specification.
        spec: That specification; says which values are secrets.
        definition: The connector's id on the server.
        workspace: The workspace's id.
    """
    name = source_name(connection)
    hidden = frozenset(("configuration", *steps) for steps in {*_placeholders(connection.config), *_secret_steps(spec, config.data)})
    fixed = {"workspaceId": workspace, "definitionId": definition}
    return Desired("source", name, connection.domain, fixed, {"name": name, "configuration": config.data}, hidden, str(connection.path))


def want_destination(domain: str, configuration: Mapping[str, Any], definition: str, workspace: str) -> Desired:
    """The domain's destination, shared by its connections."""
    name = destination_name(domain)
    content = {"name": name, "configuration": dict(configuration)}
    fixed = {"workspaceId": workspace, "definitionId": definition}
    return Desired("destination", name, domain, fixed, content, frozenset({("configuration", "password")}), "MESH_AIRBYTE_WAREHOUSE")


def want_connections(connection: Connection) -> Iterable[Desired]:
    """The connections of a file, each whole: the server reads an update without streams as the wish for all of them."""
    for name, streams in connection_names(connection).items():
        content = {
            "name": name,
            "status": "active",
            "schedule": {"scheduleType": "manual"},  # Dagster decides when
            "namespaceDefinition": "custom_format",
            "namespaceFormat": naming.raw_schema(connection.domain),
            "prefix": "",
            "nonBreakingSchemaUpdatesBehavior": _SCHEMA_CHANGES[connection.schema_changes],
            "configurations": {"streams": [_stream(stream) for stream in streams]},
        }
        fixed = {
            "sourceId": Reference("source", source_name(connection)),
            "destinationId": Reference("destination", destination_name(connection.domain)),
        }
        yield Desired("connection", name, connection.domain, fixed, content, frozenset(), str(connection.path))


def _stream(stream: StreamSelection) -> dict[str, Any]:
    said: dict[str, Any] = {"name": stream.name, "syncMode": _SYNC_MODES.get(stream.sync_mode, stream.sync_mode)}
    if stream.namespace is not None:
        said["namespace"] = stream.namespace
    if stream.cursor_field:
        said["cursorField"] = list(stream.cursor_field)
    if stream.primary_key:
        said["primaryKey"] = [[name] for name in stream.primary_key]
    return said


def _placeholders(value: Any, steps: Steps = ()) -> set[Steps]:
    """Leaves that come from the environment, in whole or in part."""
    if isinstance(value, dict):
        return {found for key, item in value.items() for found in _placeholders(item, (*steps, key))}
    if isinstance(value, list):
        return {found for index, item in enumerate(value) for found in _placeholders(item, (*steps, index))}
    return {steps} if isinstance(value, str) and "${" in value else set()


def _secret_steps(schema: Any, value: Any, steps: Steps = ()) -> set[Steps]:
    """Leaves that the specification marks ``airbyte_secret``; in an alternative (``oneOf``) those of every branch."""
    if not isinstance(schema, Mapping):
        return set()
    found = {steps} if schema.get("airbyte_secret") else set[Steps]()
    for branch in (*(schema.get("oneOf") or ()), *(schema.get("anyOf") or ()), *(schema.get("allOf") or ())):
        found |= _secret_steps(branch, value, steps)
    if isinstance(value, dict):
        properties = schema.get("properties") or {}
        for key, item in value.items():
            found |= _secret_steps(properties.get(key), item, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            found |= _secret_steps(schema.get("items"), item, (*steps, index))
    return found
