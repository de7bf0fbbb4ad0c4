"""The JSON Schema of access files."""

from __future__ import annotations

from platform_core.contracts.access_model import AccessModel
from platform_core.contracts.editor_schema import EditorSchema, editor_schema

ACCESS_SCHEMA = EditorSchema(
    "domains/access.schema.json", "access-schema", lambda: editor_schema(AccessModel, "Access to a port of the data mesh")
)
MODELINE = ACCESS_SCHEMA.modeline("../../")
