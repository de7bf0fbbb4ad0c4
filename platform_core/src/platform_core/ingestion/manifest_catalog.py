"""The catalog of a low-code manifest that says everything itself, so that nobody has to start the CDK (3 CPU-seconds) to ask for it.

Answers only what is certain without the CDK: plain streams whose schema stands in the manifest. Whatever the CDK would have to
compute (schemas from files or from the API, ``$parameters`` that spread, code, expressions in the keys that decide) is left to it.
Format and meaning: https://docs.airbyte.com/platform/connector-development/config-based/understanding-the-yaml-file/yaml-overview
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from platform_core.ingestion.protocol import Json

_SIMPLE = {"type", "name", "primary_key", "retriever", "schema_loader", "transformations", "incremental_sync"}
_CURSORS = {"DatetimeBasedCursor", "IncrementingCountCursor"}
_DEPTH = 50


class _Uncertain(Exception):  # noqa: N818 - no error: the CDK is asked
    """The CDK has to say."""


def manifest_catalog(manifest: Json, resolved: Callable[[Any], Any]) -> Json | None:
    """The ``catalog`` that the CDK's ``discover`` would give, None when only the CDK can know it.

    Args:
        manifest: The manifest as it is written.
        resolved: Follows the ``$ref`` of a value, without those within it; None when it leads nowhere.
    """
    streams = manifest.get("streams")
    if manifest.get("dynamic_streams") or not isinstance(streams, list):
        return None
    try:
        return {"streams": [_stream(_whole(stream, resolved)) for stream in streams]}
    except _Uncertain:
        return None


def _stream(stream: Any) -> Json:
    simple = isinstance(stream, dict) and stream.get("type") == "DeclarativeStream" and stream.keys() <= _SIMPLE
    if not simple or _part(stream, "retriever").get("type") != "SimpleRetriever" or not isinstance(stream.get("name"), str):
        raise _Uncertain
    loader = _part(stream, "schema_loader")
    schema = loader.get("schema")
    kind = schema.get("type") if isinstance(schema, dict) else None
    if loader.get("type") != "InlineSchemaLoader" or not (kind == "object" or isinstance(kind, list)):
        raise _Uncertain  # the CDK takes another schema for a component, and completes it
    offered: Json = {
        "name": stream["name"],
        "json_schema": schema,
        "supported_sync_modes": ["full_refresh"],
        "is_resumable": False,
        "is_file_based": False,
    }
    if stream.get("incremental_sync") is not None:
        offered |= {
            "supported_sync_modes": ["full_refresh", "incremental"],
            "is_resumable": True,
            "source_defined_cursor": True,
            "default_cursor_field": [_cursor(_part(stream, "incremental_sync"))],
        }
    key = _key(stream.get("primary_key"))
    return {**offered, "source_defined_primary_key": key} if key else offered


def _cursor(cursor: Json) -> str:
    name = cursor.get("cursor_field")
    if cursor.get("type") not in _CURSORS or cursor.get("allow_catalog_defined_cursor_field") or not isinstance(name, str) or "{" in name:
        raise _Uncertain
    return name


def _key(key: Any) -> list[list[str]]:
    fields = [] if key in (None, "") else [key] if isinstance(key, str) else key
    if not isinstance(fields, list):
        raise _Uncertain
    if all(isinstance(field, list) and len(field) == 1 for field in fields):
        fields = [field[0] for field in fields]
    if not all(isinstance(field, str) for field in fields):
        raise _Uncertain
    return [[field] for field in fields]


def _part(owner: Json, name: str) -> Json:
    part = owner.get(name)
    if not isinstance(part, dict):
        raise _Uncertain
    return part


def _whole(value: Any, resolved: Callable[[Any], Any], depth: int = 0) -> Any:
    """The value with every reference in it followed."""
    refers = (isinstance(value, dict) and "$ref" in value) or (isinstance(value, str) and value.startswith("#/"))
    found = resolved(value) if refers else value
    if depth > _DEPTH or (refers and found is None) or (isinstance(found, dict) and "$parameters" in found):
        raise _Uncertain
    if isinstance(found, dict):
        return {key: _whole(item, resolved, depth + 1) for key, item in found.items()}
    return [_whole(item, resolved, depth + 1) for item in found] if isinstance(found, list) else found
