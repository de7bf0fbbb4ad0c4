"""The verdict of a compiled JSON Schema (``jsonschema-rs``), a hundredth of the time that ``jsonschema`` takes."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jsonschema_rs import Validator


def accepts(compiled: Callable[[], Validator], document: Any) -> bool:
    """Whether a document holds to a schema. What is refused, or has no form here, is for ``jsonschema`` to decide and explain.

    Args:
        compiled: Gives the schema's validator.
        document: Plain data.
    """
    try:
        return compiled().is_valid(document)
    except ValueError:  # a date, half of a surrogate pair: values of YAML that JSON does not have; or a schema that is none
        return False
