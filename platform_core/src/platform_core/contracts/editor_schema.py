"""JSON Schemas beside the files they describe: what an editor completes and checks while a file is written.

Each is made from the pydantic model that reads the file, so there is one place to describe a key; ``mesh schemas`` writes them and
``mesh lint`` says when one is stale.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import BaseModel

from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Location


@dataclass(frozen=True)
class EditorSchema:
    """A schema file of the repository.

    Attributes:
        file: From the repository's root.
        rule: The linter's, for a stale file.
        text: Makes what the file should hold.
    """

    file: str
    rule: str
    text: Callable[[], str]

    def modeline(self, way: str) -> str:
        """The first line of a file that names its schema; ``way`` leads from its folder to the schema's, as ``../``."""
        return f"# yaml-language-server: $schema={way}{Path(self.file).name}\n"

    def problems(self, repo: Path) -> tuple[Problem, ...]:
        """What is wrong with the file; a repository without it has nothing that could be stale."""
        file = repo / self.file
        if not file.is_file() or file.read_text() == self.text():
            return ()
        message = "is not what this version of the platform accepts"
        return (Problem(self.rule, message, Location(file, 1), "write it anew: ./mesh schemas"),)

    def write(self, repo: Path) -> bool:
        """Writes the file where its folder is; whether it changed."""
        file, text = repo / self.file, self.text()
        if not file.parent.is_dir() or (file.is_file() and file.read_text() == text):
            return False
        file.write_text(text)
        return True


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
