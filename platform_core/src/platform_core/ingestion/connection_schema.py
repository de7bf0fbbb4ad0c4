"""The JSON Schema of connection files, ``airbyte/connection.schema.json``: what editors complete and check while a file is written.

Made from the models of ``connection_model``, so there is one place to describe a key. A file names it in its first line::

    # yaml-language-server: $schema=../connection.schema.json

Usage: python -m platform_core.ingestion.connection_schema [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from platform_core.contracts import Location, Problem
from platform_core.ingestion.connection_model import ConnectionModel

SCHEMA_FILE = "connection.schema.json"
MODELINE = f"# yaml-language-server: $schema=../{SCHEMA_FILE}\n"
WRITE = "./mesh exec python -m platform_core.ingestion.connection_schema"


def connection_schema() -> str:
    """The schema, as the file holds it."""
    schema = _tidy(ConnectionModel.model_json_schema())
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Connection of the data mesh"}
    return json.dumps({**head, **schema}, indent=2, ensure_ascii=False) + "\n"


def schema_problems(folder: Path) -> list[Problem]:
    """What is wrong with the schema file in ``airbyte/``; a repository without one has nothing that could be stale."""
    file = folder / SCHEMA_FILE
    if not file.is_file() or file.read_text() == connection_schema():
        return []
    return [Problem("connection-schema", "is not what this version of the platform accepts", Location(file, 1), f"write it anew: {WRITE}")]


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


def main(arguments: list[str]) -> int:
    """Writes the file of this repository, or with ``--check`` says whether it is current."""
    from platform_core.settings import Settings

    file = Settings.load().repo / "airbyte" / SCHEMA_FILE
    if arguments == ["--check"]:
        current = file.is_file() and file.read_text() == connection_schema()
        if not current:
            sys.stderr.write(f"airbyte/{SCHEMA_FILE} is not current; write it anew: {WRITE}\n")
        return 0 if current else 1
    file.write_text(connection_schema())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
