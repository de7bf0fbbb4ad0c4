"""``mesh schemas``: the editors' schemas are written from the models, and a stale one is named."""

from __future__ import annotations

from pathlib import Path
from typing import Any

STALE = "airbyte/drop.schema.json"


def test_a_stale_schema_is_named_then_written_then_current(mesh: Any, files: Path) -> None:
    (files / STALE).write_text("{}")
    checked = mesh("schemas", "--check")
    assert (checked.code, checked.out) == (1, f"stale: {STALE}\n")
    assert mesh("lint").code == 1
    assert mesh("schemas", "--json").json() == {"written": [STALE]}
    assert mesh("schemas", "--check").out == "every schema is current\n"
