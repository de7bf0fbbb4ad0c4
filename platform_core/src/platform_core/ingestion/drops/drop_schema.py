"""The JSON Schema of drop declarations."""

from __future__ import annotations

from platform_core.contracts import EditorSchema, editor_schema
from platform_core.ingestion.drops.drop import DropModel

DROP_SCHEMA = EditorSchema("airbyte/drop.schema.json", "drop-schema", lambda: editor_schema(DropModel, "Drop of the data mesh"))
