"""A connection: which connector, with which configuration, brings which streams into a domain."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_core.contracts import Document, Location
from platform_core.ingestion.connection_model import ConnectorReference, Schedule, SchemaPolicy, StreamSelection, SyncMode, Timeouts
from platform_core.ingestion.manifest import Manifest

__all__ = ["Connection", "ConnectorReference", "Schedule", "SchemaPolicy", "StreamSelection", "SyncMode", "Timeouts"]


@dataclass(frozen=True)
class Connection:
    """A validated connection file.

    Attributes:
        domain: Folder of the file, the owner of the raw tables.
        name: File name without its ending.
        path: The file.
        description: What the source is, for people.
        connector: Package and exact version that run; those of the CDK for a low-code manifest.
        manifest: The low-code connector, None for a package.
        config: Connector configuration with its ``${ENV}`` placeholders unresolved.
        streams: What is synced, in file order.
        schedule: When it runs by itself.
        schema_changes: What a changed source does to the tables.
        timeouts: Limits in seconds.
        memory_bytes: The most that the connector's processes may hold together, None without a limit.
        content_hash: Hash of the file and of its manifest, which never hold a secret.
    """

    domain: str
    name: str
    path: Path
    description: str | None
    connector: ConnectorReference
    manifest: Manifest | None
    config: dict[str, Any]
    streams: tuple[StreamSelection, ...]
    schedule: Schedule
    schema_changes: SchemaPolicy
    timeouts: Timeouts
    memory_bytes: int | None
    content_hash: str
    document: Document = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """``<domain>/<connection>``."""
        return f"{self.domain}/{self.name}"

    @property
    def connector_label(self) -> str:
        """The connector, for people: ``airbyte-source-faker 7.2.1``, ``manifest ads (airbyte-cdk 7.39.1)``."""
        runs = f"{self.connector.package} {self.connector.version}"
        return f"manifest {self.manifest.name} ({runs})" if self.manifest else runs

    def declaration(self, stream: str) -> str:
        """Hash of what the file declares of a stream: connector, configuration and its own entry; the version of the asset's code.

        Comments, schedules, limits and other streams are left out: changing them asks for no new data.
        """
        selection = next(selection for selection in self.streams if selection.name == stream)
        parts = [self.connector.model_dump(), self.config, selection.model_dump(exclude_none=True)]
        content = json.dumps(parts, sort_keys=True, default=str).encode() + (self.manifest.content if self.manifest else b"")
        return hashlib.sha256(content).hexdigest()

    def at(self, *steps: str | int) -> Location:
        """The line of a value of the file, for errors."""
        return self.document.at(*steps)
