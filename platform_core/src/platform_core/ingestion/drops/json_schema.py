"""The JSON Schema of drop declarations."""

from __future__ import annotations

import inspect
import json
import re
from typing import Any

from platform_core.contracts import EditorSchema
from platform_core.ingestion.drops.drop import DropModel, Quarantine, ReadOptions


def drop_json_schema() -> str:
    """The schema as the file holds it.

    Its descriptions are those of the model's docstrings, so that there is one place to write them.
    """
    schema = DropModel.model_json_schema()
    for model, part in ((DropModel, schema), (ReadOptions, schema["$defs"]["ReadOptions"]), (Quarantine, schema["$defs"]["Quarantine"])):
        _describe(model, part)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Drop of the data mesh"}
    return json.dumps({**head, **{name: value for name, value in schema.items() if name != "title"}}, indent=2) + "\n"


def _describe(model: type[Any], part: dict[str, Any]) -> None:
    text = inspect.getdoc(model) or ""
    part["description"] = text.split("\n\n")[0].replace("``", "`")
    attributes = text.partition("Attributes:\n")[2]
    for name, said in re.findall(r"^ {4}(\w+): (.*(?:\n {8}.*)*)", attributes, re.MULTILINE):
        field = part["properties"][name]
        field.pop("title", None)
        field["description"] = re.sub(r"\s+", " ", said).replace("``", "`")
    for field in part["properties"].values():
        field.pop("title", None)


DROP_SCHEMA = EditorSchema("airbyte/drop.schema.json", "drop-schema", drop_json_schema)
