"""One metadata change proposal: an aspect of an entity, as plain data.

Format: DataHub's ``MetadataChangeProposal`` (https://docs.datahub.com/docs/what/mxe), always an UPSERT of a whole aspect.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import orjson

UNSTAMPED: dict[str, Any] = {"time": 0, "actor": "urn:li:corpuser:unknown"}
"""DataHub's default audit stamp: no time, so that equal content stays equal."""

EVENTS = frozenset({"assertionRunEvent", "operation"})
"""Aspects that are a time series: an entity has many of each."""
_FIRST = frozenset({"tag", "domain", "corpGroup", "corpuser"})


@dataclass(frozen=True, slots=True)
class Proposal:
    """An aspect to be upserted.

    Attributes:
        entity_type: For example ``dataset``.
        entity_urn: The entity.
        aspect_name: For example ``schemaMetadata``.
        aspect: The aspect's JSON value; absent optional fields are left out.
        event: Empty for a state. For an event of a time series its key: sorts by time, unique within the aspect.
    """

    entity_type: str
    entity_urn: str
    aspect_name: str
    aspect: Mapping[str, Any] = field(hash=False)
    event: str = ""

    @property
    def stage(self) -> int:
        """Place in the order of sending, see ``stage_of``."""
        return stage_of(self.entity_type, self.aspect_name)

    def value(self) -> bytes:
        """The aspect as JSON with sorted keys: equal content gives equal bytes."""
        return orjson.dumps(self.aspect, option=orjson.OPT_SORT_KEYS)

    def to_obj(self) -> dict[str, Any]:
        """The proposal as a JSON object, in the form of DataHub's metadata files."""
        return {
            "entityType": self.entity_type,
            "entityUrn": self.entity_urn,
            "changeType": "UPSERT",
            "aspectName": self.aspect_name,
            "aspect": {"json": self.aspect},
        }


def stage_of(entity_type: str, aspect_name: str) -> int:
    """Order of sending: domains, tags, owners; datasets; lineage; data products; assertions; their results."""
    if entity_type in _FIRST:
        return 0
    if entity_type == "dataset" and aspect_name not in EVENTS:
        return 2 if aspect_name == "upstreamLineage" else 1
    if entity_type == "dataProduct":
        return 3
    return 5 if aspect_name in EVENTS else 4


def content_hash(value: bytes) -> str:
    """Hash of an aspect's JSON."""
    return hashlib.sha256(value).hexdigest()


def present(**fields: Any) -> dict[str, Any]:
    """A JSON object without the fields that are None: DataHub leaves absent optional fields out."""
    return {name: value for name, value in fields.items() if value is not None}
