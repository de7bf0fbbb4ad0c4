"""The types of JSON Schema, as Python sees decoded values."""

from __future__ import annotations

from typing import Any


def is_of_type(value: Any, kind: str) -> bool:
    """Whether a decoded value is of a JSON Schema type; an unknown type takes nothing. A whole float is no ``integer`` here."""
    match kind:
        case "string":
            return isinstance(value, str)
        case "integer":
            return type(value) is int
        case "number":
            return type(value) in (int, float)
        case "boolean":
            return type(value) is bool
        case "array":
            return isinstance(value, list)
        case "object":
            return isinstance(value, dict)
        case _:
            return kind == "null" and value is None
