"""What git answers, and that nobody falls where it cannot."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from platform_core.contracts.blame import written
from platform_core.contracts.git import git_says, git_user


@pytest.fixture
def clone(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    return tmp_path


def test_the_address_of_the_clone_is_the_user(clone: Path) -> None:
    assert git_user(clone) is None
    subprocess.run(["git", "-C", str(clone), "config", "user.email", "ana@example.com"], check=True)
    assert git_user(clone) == "ana@example.com"


def test_what_git_refuses_is_no_answer(clone: Path) -> None:
    assert git_says(clone, "rev-parse", "--is-inside-work-tree") == b"true\n"
    assert git_says(clone, "show", "HEAD:file") is None
    assert git_says(clone / "missing", "status") is None


def test_a_machine_without_git_answers_nothing(clone: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    subprocess.run(["git", "-C", str(clone), "config", "user.email", "ana@example.com"], check=True)
    monkeypatch.setenv("PATH", str(clone))
    assert git_says(clone, "status") is None
    assert git_user(clone) is None
    assert written(clone / "file") == {}
