"""Errors of the ingestion plane."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from platform_core.errors import MeshError


class IngestionError(MeshError):
    """Base of everything that can go wrong between a connection file and its raw tables."""


class ConnectionFileError(IngestionError):
    """A connection file cannot be used as it is written."""


class ConfigurationError(IngestionError):
    """The configuration cannot be resolved: an environment variable is missing, or the connector's spec refuses a value."""


class ConnectorEnvironmentError(IngestionError):
    """The connector's Python environment cannot be made."""


class ConnectorError(IngestionError):
    """The connector failed, or said that it failed. The text is the connector's own user-facing message."""


class ProtocolError(IngestionError):
    """The connector broke the Airbyte protocol in a way that could lose or double rows."""


class LoadError(IngestionError):
    """The warehouse cannot take the rows as asked."""


class SchemaChangeError(IngestionError):
    """The source's schema changed, and the connection's policy is to wait for somebody's word.

    Attributes:
        changes: What changed, by stream: ``+ field type``, ``- field type``, ``~ field type -> type``.
    """

    changes: Mapping[str, tuple[str, ...]] = MappingProxyType({})

    def about(self, changes: Mapping[str, tuple[str, ...]]) -> SchemaChangeError:
        """The same error with its changes."""
        self.changes = changes
        return self


class ConcurrentSyncError(IngestionError):
    """Another sync of the same connection holds the lock."""


class SharedStateError(IngestionError):
    """The streams of a connection have one state in common, so some of them cannot be synced alone."""


class ReplayError(IngestionError):
    """A raw copy cannot be loaded again as asked."""
