"""Completion: what the command answers to a shell, the scripts that ask it, and their installation."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from platform_core.cli.shell_completion import VARIABLE, install, script
from platform_core.errors import MeshError

Mesh = Any  # the fixtures' types; test modules do not import each other


@pytest.mark.parametrize(
    ("typed", "answers"),
    [
        ("./mesh ro", ["rollback"]),
        ("./mesh versions inv", ["inventory.items.items"]),
        ("./mesh ingest marketing/b", ["marketing/budgets"]),
        ("./mesh ingest sales/", ["sales/shop"]),
        ("./mesh reload s", ["sales"]),
        ("./mesh new product s", ["sales."]),
        ("./mesh new source s", ["sales/"]),
        ("./mesh new product sales.x --kind p", ["python"]),
        ("./mesh lint /", []),
    ],
)
def test_the_shell_is_told_what_fits(
    mesh_command: Mesh, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, typed: str, answers: list[str]
) -> None:
    words = typed.split(" ")
    monkeypatch.setenv("MESH_REPO", str(repo))
    monkeypatch.setenv("MESH_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COMP_WORDS", typed)
    monkeypatch.setenv("COMP_CWORD", str(len(words) - 1))
    monkeypatch.setenv(VARIABLE, "complete_bash")
    assert mesh_command().out.split() == [f"plain,{answer}" for answer in answers], "files are the shell's affair"


def test_bash_completes_by_the_script_whatever_path_was_typed(repo: Path, tmp_path: Path) -> None:
    """The real shell, the real script, the real command."""
    command = tmp_path / "another folder" / "mesh"
    command.parent.mkdir()
    command.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m platform_core.cli "$@"\n')
    command.chmod(0o755)
    asked = f'{script("bash")}\nCOMP_WORDS=(../mesh checks mark); COMP_CWORD=2; _mesh_completion "{command}"; printf "%s\\n" "${{COMPREPLY[@]}}"; complete -p mesh'
    environment = {**os.environ, "MESH_REPO": str(repo), "MESH_HOME": str(tmp_path)}
    said = subprocess.run(["bash", "-c", asked], env=environment, capture_output=True, text=True, check=True)
    assert said.stdout.splitlines() == [
        "marketing.campaign_performance.campaign_performance",
        "marketing.customer_segments.customer_segments",
        "complete -o default -F _mesh_completion mesh",
    ]


@pytest.mark.parametrize(("shell", "start"), [("bash", ".bashrc"), ("zsh", ".zshrc"), ("fish", None)])
def test_it_is_installed_once_and_keeps_what_the_start_file_says(tmp_path: Path, shell: str, start: str | None) -> None:
    if start:
        (tmp_path / start).write_text("alias ll='ls -l'")
    written = install(shell, tmp_path)
    assert [path for path in written if path.read_text() == script(shell)]
    if start:
        first, line = (tmp_path / start).read_text().splitlines()
        assert first == "alias ll='ls -l'" and str(written[0]) in line
    assert install(shell, tmp_path) == []


def test_what_cannot_be_installed_is_said(tmp_path: Path) -> None:
    with pytest.raises(MeshError, match="no completion for tcsh"):
        install("tcsh", tmp_path)
    (tmp_path / ".local").write_text("a file where a folder is needed")
    with pytest.raises(MeshError, match="cannot be installed") as raised:
        install("bash", tmp_path)
    assert "--show-completion" in str(raised.value)
