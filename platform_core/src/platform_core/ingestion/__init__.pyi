from .connection import Connection, ConnectorReference, StreamSelection
from .connection_file import check_connections, load_connection, load_connections
from .connector import ConnectorCommand
from .environment import connection_command, connector_environment
from .environment_store import StoredConnector, remove_stored, stored_connectors
from .errors import (
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
from .offered import OfferedStream, offered_streams
from .raw_manifest import SyncManifest
from .replay import ReplayProgress, ReplayResult, replayable_syncs, run_replay
from .result import Progress, StreamResult, SyncResult
from .sync import open_source, run_sync

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
