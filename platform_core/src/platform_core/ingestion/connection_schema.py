"""The JSON Schema of connection files."""

from __future__ import annotations

from platform_core.contracts import EditorSchema, editor_schema
from platform_core.ingestion.connection_model import ConnectionModel

CONNECTION_SCHEMA = EditorSchema(
    "airbyte/connection.schema.json", "connection-schema", lambda: editor_schema(ConnectionModel, "Connection of the data mesh")
)
MODELINE = CONNECTION_SCHEMA.modeline("../")
