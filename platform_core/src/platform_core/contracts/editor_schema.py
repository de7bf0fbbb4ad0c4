"""A JSON Schema out of pydantic models, in the form that helps an editor: what completes and checks a file while it is written."""

from __future__ import annotations

import json
from typing import Any

from pydantic import BaseModel


def editor_schema(model: type[BaseModel], title: str) -> str:
    """The schema of a file's model, as a file holds it.

    Args:
        model: The whole file; the texts of its fields become the descriptions.
        title: What the file is.
    """
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": title}
    return json.dumps({**head, **_tidy(model.model_json_schema())}, indent=2, ensure_ascii=False) + "\n"


def _tidy(value: Any, *, named: bool = False) -> Any:
    """Without what helps no editor: pydantic's titles, and null beside a type (to leave a key out is the way to say nothing).

    ``named`` marks a mapping whose keys are the names of others.
    """
    if isinstance(value, list):
        return [_tidy(item) for item in value]
    if not isinstance(value, dict):
        return value
    if not named and {"type": "null"} in value.get("anyOf", ()):
        kept = [item for item in value["anyOf"] if item != {"type": "null"}]
        rest = {key: item for key, item in value.items() if key not in {"anyOf", "default"}}
        return _tidy({**kept[0], **rest} if len(kept) == 1 else {"anyOf": kept, **rest})
    return {
        key: _text(item) if key == "description" and isinstance(item, str) else _tidy(item, named=key in {"properties", "$defs"})
        for key, item in value.items()
        if named or not (key == "title" or (key == "default" and isinstance(item, dict)))
    }


def _text(description: str) -> str:
    return " ".join(description.replace("``", "`").split())
