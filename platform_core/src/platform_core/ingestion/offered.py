"""What a source offers, for people: its streams with fields, types, keys and cursors."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from platform_core.ingestion.types import columns_of


@dataclass(frozen=True)
class OfferedStream:
    """A stream of the source's catalog.

    Attributes:
        name: Its name.
        namespace: Its namespace, None when the source has none.
        modes: ``full_refresh``, ``incremental``.
        primary_key: Fields of the key that the source defines, dotted where they are nested; empty without one.
        cursor: Path of the cursor that the source proposes, empty without one.
        source_defined_cursor: The source takes care of the cursor itself.
        fields: Field to the Postgres type of its column.
    """

    name: str
    namespace: str | None
    modes: tuple[str, ...]
    primary_key: tuple[str, ...]
    cursor: tuple[str, ...]
    source_defined_cursor: bool
    fields: dict[str, str]

    def as_json(self) -> dict[str, Any]:
        """The same as plain data."""
        return asdict(self)


def offered_streams(catalog: Mapping[str, Any]) -> list[OfferedStream]:
    """The streams of a catalog (the body of a CATALOG message), by name."""
    streams = [_offered(stream) for stream in catalog.get("streams") or ()]
    return sorted(streams, key=lambda stream: (stream.name, stream.namespace or ""))


def _offered(stream: Mapping[str, Any]) -> OfferedStream:
    return OfferedStream(
        name=stream["name"],
        namespace=stream.get("namespace") or None,
        modes=tuple(stream.get("supported_sync_modes") or ["full_refresh"]),
        primary_key=tuple(".".join(path) for path in stream.get("source_defined_primary_key") or ()),
        cursor=tuple(stream.get("default_cursor_field") or ()),
        source_defined_cursor=bool(stream.get("source_defined_cursor")),
        fields={column.field: column.kind.value for column in columns_of(stream.get("json_schema") or {})},
    )
