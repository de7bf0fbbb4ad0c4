"""The JSON Schema of connection files, ``airbyte/connection.schema.json``: what editors complete and check while a file is written.

Made from the models of ``connection_model``, so there is one place to describe a key. A file names it in its first line::

    # yaml-language-server: $schema=../connection.schema.json

Usage: python -m platform_core.ingestion.connection_schema [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from platform_core.contracts import Location, Problem, editor_schema
from platform_core.ingestion.connection_model import ConnectionModel

SCHEMA_FILE = "connection.schema.json"
MODELINE = f"# yaml-language-server: $schema=../{SCHEMA_FILE}\n"
WRITE = "./mesh exec python -m platform_core.ingestion.connection_schema"


def connection_schema() -> str:
    """The schema, as the file holds it."""
    return editor_schema(ConnectionModel, "Connection of the data mesh")


def schema_problems(folder: Path) -> list[Problem]:
    """What is wrong with the schema file in ``airbyte/``; a repository without one has nothing that could be stale."""
    file = folder / SCHEMA_FILE
    if not file.is_file() or file.read_text() == connection_schema():
        return []
    return [Problem("connection-schema", "is not what this version of the platform accepts", Location(file, 1), f"write it anew: {WRITE}")]


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
