"""The past of an access file cannot be changed without lint saying so: against the last commit, and in it."""

from __future__ import annotations

import os
import subprocess
from typing import Any

import pytest

from platform_core.contracts.access_rewritten import rewritten

Files = Any  # the fixture's type; test modules do not import each other

FILE = "domains/shop/access/shop.customers.customers.domain-sales.yaml"
HISTORY = """\
port: shop.customers.customers
principal: domain:sales
history:
  - {action: requested, at: 2026-01-05T09:00:00Z, by: sales@example.com, purpose: Letters.}
  - {action: approved, at: 2026-01-06T09:00:00Z, by: shop@example.com}
"""
REVOKED = "  - {action: revoked, at: 2026-01-07T09:00:00Z, by: shop@example.com, reason: Over.}\n"


def _git(files: Files, *arguments: str) -> None:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    identity = ("-c", "user.email=a@example.com", "-c", "user.name=a", "-c", "commit.gpgsign=false")
    subprocess.run(["git", "-C", str(files.root), *identity, *arguments], check=True, env=clean, capture_output=True)


def _commit(files: Files) -> None:
    _git(files, "add", "-A")
    _git(files, "commit", "-q", "-m", "x")


@pytest.fixture
def committed(files: Files) -> Files:
    """A clone whose only commit holds an approved request."""
    files.write(FILE, HISTORY)
    _git(files, "init", "-q")
    _commit(files)
    return files


def _said(files: Files) -> list[tuple[int, str]]:
    return [(problem.location.line, problem.message) for problem in rewritten(files.root)]


def test_adding_is_no_rewriting(committed: Files) -> None:
    assert _said(committed) == []
    committed.write(FILE, "# a comment\n" + HISTORY.replace("{action: approved,", "{  action: 'approved',") + REVOKED)
    assert _said(committed) == []
    _commit(committed)
    assert _said(committed) == []


@pytest.mark.parametrize(
    ("old", "new", "line"),
    [
        ("Letters.", "Answers.", 4),
        ("2026-01-06", "2026-01-05", 5),
        ("by: shop@example.com", "by: other@example.com", 5),
        ("  - {action: approved, at: 2026-01-06T09:00:00Z, by: shop@example.com}\n", "", 4),
    ],
)
def test_a_changed_entry_is_found_before_and_after_its_commit(committed: Files, old: str, new: str, line: int) -> None:
    committed.replace(FILE, old, new)
    (before,) = _said(committed)
    _commit(committed)
    (after,) = _said(committed)
    assert before == after
    assert before[0] == line or not new
    assert "only added to" in before[1]
    _commit_nothing(committed)
    assert _said(committed) == [], "said of the commit that did it, and of no later one"


def _commit_nothing(files: Files) -> None:
    _git(files, "commit", "-q", "--allow-empty", "-m", "y")


def test_a_file_may_go_once_its_last_word_is_said(committed: Files) -> None:
    committed.path(FILE).unlink()
    assert [message for _, message in _said(committed)] == ["the file was removed while its last word is approved by shop@example.com"]
    committed.write(FILE, HISTORY + REVOKED)
    _commit(committed)
    committed.path(FILE).unlink()
    assert _said(committed) == []


def test_a_merge_is_judged_against_the_branch_it_goes_into(committed: Files) -> None:
    _git(committed, "checkout", "-q", "-b", "work")
    committed.replace(FILE, "Letters.", "Answers.")
    _commit(committed)
    committed.write("README.md", "x")
    _commit(committed)
    assert _said(committed) == [], "two commits later, on the branch itself"
    _git(committed, "checkout", "-q", "-")
    _git(committed, "merge", "-q", "--no-ff", "work", "-m", "merge")
    assert len(_said(committed)) == 1, "as a forge builds a pull request"


def test_outside_of_git_nothing_is_said(files: Files) -> None:
    files.write(FILE, HISTORY)
    assert _said(files) == []
