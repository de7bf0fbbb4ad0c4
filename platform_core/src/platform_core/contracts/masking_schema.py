"""The JSON Schema of the attribute policy, ``domains/masking.schema.json``: what editors complete and check while the file is written.

Made from the models of ``masking_model``, so there is one place to describe a key. The file names it in its first line::

    # yaml-language-server: $schema=masking.schema.json

Usage: python -m platform_core.contracts.masking_schema [--check]
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from platform_core.contracts.masking_model import MaskingModel
from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Location

SCHEMA_FILE = "masking.schema.json"
MODELINE = f"# yaml-language-server: $schema={SCHEMA_FILE}\n"
WRITE = "./mesh exec python -m platform_core.contracts.masking_schema"


def masking_schema() -> str:
    """The schema, as the file holds it."""
    head = {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Attribute policy of the data mesh"}
    return json.dumps({**head, **_tidy(MaskingModel.model_json_schema())}, indent=2, ensure_ascii=False) + "\n"


def schema_problems(repo: Path) -> tuple[Problem, ...]:
    """What is wrong with the schema file in ``domains/``; a repository without one has nothing that could be stale."""
    file = repo / "domains" / SCHEMA_FILE
    if not file.is_file() or file.read_text() == masking_schema():
        return ()
    return (Problem("masking-schema", "is not what this version of the platform accepts", Location(file, 1), f"write it anew: {WRITE}"),)


def _tidy(value: Any, *, named: bool = False) -> Any:
    """Without pydantic's titles and defaults, and without null beside a type (to leave a key out is the way to say nothing).

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
        key: " ".join(item.split()) if key == "description" and isinstance(item, str) else _tidy(item, named=key in {"properties", "$defs"})
        for key, item in value.items()
        if named or key not in {"title", "default"}
    }


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
