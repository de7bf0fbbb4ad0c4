"""The ingestion plane: Airbyte connections as files, run embedded, loaded exactly once into ``<domain>_raw``."""

from platform_core.ingestion.connection import Connection, ConnectorReference, StreamSelection
from platform_core.ingestion.connection_file import check_connections, load_connection, load_connections
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.environment import connection_command, connector_environment
from platform_core.ingestion.environment_store import StoredConnector, remove_stored, stored_connectors
from platform_core.ingestion.errors import (
    ConcurrentSyncError,
    ConfigurationError,
    ConnectionFileError,
    ConnectorEnvironmentError,
    ConnectorError,
    IngestionError,
    LoadError,
    ProtocolError,
    ReplayError,
    SchemaChangeError,
    SharedStateError,
)
from platform_core.ingestion.offered import OfferedStream, offered_streams
from platform_core.ingestion.raw_manifest import SyncManifest
from platform_core.ingestion.replay import ReplayProgress, ReplayResult, replayable_syncs, run_replay
from platform_core.ingestion.result import Progress, StreamResult, SyncResult
from platform_core.ingestion.sync import open_source, run_sync

__all__ = [
    "ConcurrentSyncError",
    "ConfigurationError",
    "Connection",
    "ConnectionFileError",
    "ConnectorCommand",
    "ConnectorEnvironmentError",
    "ConnectorError",
    "ConnectorReference",
    "IngestionError",
    "LoadError",
    "OfferedStream",
    "Progress",
    "ProtocolError",
    "ReplayError",
    "ReplayProgress",
    "ReplayResult",
    "SchemaChangeError",
    "SharedStateError",
    "StoredConnector",
    "StreamResult",
    "StreamSelection",
    "SyncManifest",
    "SyncResult",
    "check_connections",
    "connection_command",
    "connector_environment",
    "load_connection",
    "load_connections",
    "offered_streams",
    "open_source",
    "remove_stored",
    "replayable_syncs",
    "run_replay",
    "run_sync",
    "stored_connectors",
]
