"""Which commit wrote a line of a file, and when it was committed."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from platform_core.contracts.git import git_says

_HEADER = re.compile(r"(?P<commit>[0-9a-f]{40,64}) \d+ (?P<line>\d+)(?: \d+)?")
_UNCOMMITTED = re.compile(r"0+")


@dataclass(frozen=True)
class Written:
    """A commit, by its hash, and its moment."""

    commit: str
    at: datetime


def written(file: Path) -> dict[int, Written]:
    """Line number to the commit that wrote it; lines that are not committed are left out, as is everything outside of git."""
    said = git_says(file.parent, "blame", "--line-porcelain", "--", file.name)
    if said is None:  # no commits: the audit says so
        return {}
    found: dict[int, Written] = {}
    commit, line = "", 0
    for text in said.decode(errors="replace").split("\n"):
        header = _HEADER.fullmatch(text)
        if header:
            commit, line = header["commit"], int(header["line"])
        elif text.startswith("committer-time ") and not _UNCOMMITTED.fullmatch(commit):
            found[line] = Written(commit, datetime.fromtimestamp(int(text.split()[1]), UTC))
    return found
