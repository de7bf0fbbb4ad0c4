"""The JSON Schema of the attribute policy, ``domains/masking.schema.json``: what editors complete and check while the file is written.

Made from the models of ``masking_model``, so there is one place to describe a key. The file names it in its first line::

    # yaml-language-server: $schema=masking.schema.json

Usage: python -m platform_core.contracts.masking_schema [--check]
"""

from __future__ import annotations

import sys
from pathlib import Path

from platform_core.contracts.editor_schema import editor_schema
from platform_core.contracts.masking_model import MaskingModel
from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Location

SCHEMA_FILE = "masking.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
WRITE = "./mesh exec python -m platform_core.contracts.masking_schema"


def masking_schema() -> str:
    """The schema, as the file holds it."""
    return editor_schema(MaskingModel, "Attribute policy of the data mesh")


def schema_problems(repo: Path) -> tuple[Problem, ...]:
    """What is wrong with the schema file in ``domains/``; a repository without one has nothing that could be stale."""
    file = repo / "domains" / SCHEMA_FILE
    if not file.is_file() or file.read_text() == masking_schema():
        return ()
    return (Problem("masking-schema", "is not what this version of the platform accepts", Location(file, 1), f"write it anew: {WRITE}"),)


def main(arguments: list[str]) -> int:
    """Writes the file of this repository, or with ``--check`` says whether it is current."""
    from platform_core.settings import Settings

    file = Settings.load().repo / "domains" / SCHEMA_FILE
    if arguments == ["--check"]:
        current = file.is_file() and file.read_text() == masking_schema()
        if not current:
            sys.stderr.write(f"domains/{SCHEMA_FILE} is not current; write it anew: {WRITE}\n")
        return 0 if current else 1
    file.write_text(masking_schema())
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
