"""The JSON Schema of the attribute policy."""

from __future__ import annotations

from platform_core.contracts.editor_schema import EditorSchema, editor_schema
from platform_core.contracts.masking_model import MaskingModel

MASKING_SCHEMA = EditorSchema(
    "domains/masking.schema.json", "masking-schema", lambda: editor_schema(MaskingModel, "Attribute policy of the data mesh")
)
MODELINE = MASKING_SCHEMA.modeline("")
