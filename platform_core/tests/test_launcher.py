"""The launcher ``./mesh``: what it says when the environment cannot be made. uv is stood in by a program that fails as uv does."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest


def test_a_home_that_cannot_be_written_is_said_before_anything_is_made(repo: Path, tmp_path: Path) -> None:
    """Somebody else's clone, or a read-only disk; stood in by a file where the folder would be, which stops the superuser too."""
    (tmp_path / "home").touch()
    environment = {**os.environ, "MESH_HOME": str(tmp_path / "home")}
    started = subprocess.run([sys.executable, str(repo / "mesh"), "lint"], env=environment, capture_output=True, text=True, check=False)
    assert started.returncode == 1
    assert started.stderr.splitlines() == [
        f"mesh: {tmp_path / 'home'} cannot be written",
        "  remedy: choose a folder of your own for the environment and the data: export MESH_HOME=~/mesh-home",
    ]


@pytest.mark.parametrize(
    ("locked", "there", "said", "remedy"),
    [
        (("sales",), ("sales", "finance"), "uv.lock lacks what is in domains/: finance", "put back the uv.lock that has it"),
        (("sales", "finance"), ("sales",), "uv.lock names what is not in domains/: finance", "put the folder back"),
        (("sales",), ("sales",), "the environment could not be made", "./mesh reset --yes"),
    ],
)
def test_a_lock_put_back_without_its_domains_is_told_from_a_half_made_environment(
    repo: Path, tmp_path: Path, locked: tuple[str, ...], there: tuple[str, ...], said: str, remedy: str
) -> None:
    root, uv = tmp_path / "clone", tmp_path / "uv"
    for name in there:
        (root / "domains" / name).mkdir(parents=True)
        (root / "domains" / name / "pyproject.toml").touch()
    (root / "platform_core").mkdir()
    (root / "platform_core/pyproject.toml").touch()
    (root / "pyproject.toml").touch()
    (root / "uv.lock").write_text("".join(f'source = {{ editable = "domains/{name}" }}\n' for name in locked))
    shutil.copy(repo / "mesh", root)
    uv.write_text("#!/bin/sh\nexit 2\n")
    uv.chmod(0o755)
    environment = {**os.environ, "MESH_UV": str(uv), "MESH_HOME": str(tmp_path / "home")}
    started = subprocess.run([sys.executable, str(root / "mesh"), "lint"], env=environment, capture_output=True, text=True, check=False)
    assert started.returncode == 1
    assert said in started.stderr and f"remedy: {remedy}" in started.stderr.replace("see the lines above; ", ""), started.stderr
    assert (f"{uv} lock --project {root}" in started.stderr) == (locked != there)
