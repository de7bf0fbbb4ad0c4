"""The long forms of tests are reached by the documented command, ``VARIABLE=... ./mesh test``."""

from __future__ import annotations

import re
from pathlib import Path

from platform_core.cli import develop

ASKED = re.compile(r"""^[^#\n]*environ(?:\.get\(|\[)\s*["'](MESH_\w+)""", re.MULTILINE)
OWN = {"MESH_TEST_HOME"}  # set by the command itself


def test_every_variable_that_tests_ask_for_is_passed_on(repo: Path) -> None:
    modules = [path for folder in ("platform_core/tests", "tests") for path in (repo / folder).rglob("*.py")]
    asked = {name for path in modules for name in ASKED.findall(path.read_text(encoding="utf-8"))}
    assert {"MESH_CHAOS_KILLS", "MESH_MUTATIONS", "MESH_SCREENSHOTS"} <= asked
    assert asked - OWN == develop.KEPT_FOR_TESTS
