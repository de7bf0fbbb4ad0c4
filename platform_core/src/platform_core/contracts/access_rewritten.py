"""Whether the past of an access file was changed: each entry that the commit before holds must still stand, in its place."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from platform_core.contracts.access_file import FOLDER
from platform_core.contracts.git import git_says
from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Location, SourceError, load_yaml, parse_bytes

_FILE = re.compile(rf"domains/[^/]+/{FOLDER}/[^/]+\.yaml")


def rewritten(repo: Path) -> Iterator[Problem]:
    """Entries that were changed or removed, in the files as they lie there against the last commit, and in that against the one before.

    A pull request as a forge merges it has the target branch as the commit before, so all of its commits are judged at once.
    Nothing is said outside of git, or where the clone is too shallow to know.
    """
    uncommitted = _changed(repo, "HEAD", None)
    latest = [path for path in _changed(repo, "HEAD^1", "HEAD") if path not in uncommitted]
    for base, paths in (("HEAD", uncommitted), ("HEAD^1", latest)):
        yield from (problem for path in paths if (problem := _judge(repo, base, path)) is not None)


def _changed(repo: Path, base: str, until: str | None) -> list[str]:
    """Access files that another commit, or the working tree, holds otherwise; from the mesh's root."""
    listed = git_says(
        repo,
        "diff",
        "--name-only",
        "--no-renames",
        "--relative",
        "--diff-filter=MDT",
        "-z",
        base,
        *([until] if until else []),
        "--",
        "domains",
    )
    return [path for path in (listed or b"").decode(errors="surrogateescape").split("\0") if _FILE.fullmatch(path)]


def _judge(repo: Path, base: str, path: str) -> Problem | None:
    content = git_says(repo, "show", f"{base}:./{path}")
    file = repo / path
    before = _history(content or b"", file)
    if not before:
        return None
    remedy = f"restore it (git show {base}:{path}) and add an entry instead: ./mesh access revoke, request, approve"
    if not file.is_file():
        if isinstance(before[-1], dict) and before[-1].get("action") in {"revoked", "denied"}:
            return None  # the last word was said; what was in force stays in the record of the warehouse
        return Problem("access-history", f"the file was removed while its last word is {_word(before[-1])}", Location(file, 1), remedy)
    try:
        document = load_yaml(file)
    except SourceError:
        return None  # said by the reader of the file
    after = document.data.get("history") if isinstance(document.data, dict) else None
    after = after if isinstance(after, list) else []
    for index, entry in enumerate(before):
        if index >= len(after) or after[index] != entry:
            at = document.at("history", index)
            message = f"entry {index + 1}, {_word(entry)}, is not what it was in the commit before: a history is only added to"
            return Problem("access-history", message, at, remedy)
    return None


def _word(entry: Any) -> str:
    return f"{entry.get('action')} by {entry.get('by')}" if isinstance(entry, dict) else repr(entry)


def _history(content: bytes, file: Path) -> list[Any]:
    """The entries that a commit holds; none of a file that was no access file then."""
    try:
        data = parse_bytes(content, file).data
    except SourceError:
        return []
    history = data.get("history") if isinstance(data, dict) else None
    return history if isinstance(history, list) else []
