"""The JSON Schema of drop declarations, for editors: ``airbyte/drop.schema.json``.

Usage, from the repository's root: python -m platform_core.ingestion.drops.json_schema
"""

from __future__ import annotations

import inspect
import json
import re
from pathlib import Path
from typing import Any

from platform_core.contracts import Location, Problem
from platform_core.ingestion.drops.drop import DropModel, Quarantine, ReadOptions

SCHEMA_FILE = "airbyte/drop.schema.json"
WRITE = "./mesh exec python -m platform_core.ingestion.drops.json_schema"


def drop_json_schema() -> str:
    """The schema as the file holds it; ``mesh lint`` compares the two.

    Its descriptions are those of the model's docstrings, so that there is one place to write them.
    """
    schema = DropModel.model_json_schema()
    for model, part in ((DropModel, schema), (ReadOptions, schema["$defs"]["ReadOptions"]), (Quarantine, schema["$defs"]["Quarantine"])):
        _describe(model, part)
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Drop of the data mesh"}
    return json.dumps({**head, **{name: value for name, value in schema.items() if name != "title"}}, indent=2) + "\n"


def schema_problems(repo: Path) -> list[Problem]:
    """What is wrong with the schema file; a repository without one has nothing that could be stale."""
    file = repo / SCHEMA_FILE
    if not file.is_file() or file.read_text() == drop_json_schema():
        return []
    return [Problem("drop-schema", "is not what this version of the platform accepts", Location(file, 1), f"write it anew: {WRITE}")]


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


if __name__ == "__main__":
    Path(SCHEMA_FILE).write_text(drop_json_schema())
