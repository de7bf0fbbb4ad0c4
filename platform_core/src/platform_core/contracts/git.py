"""What git says about a folder, for those who can do without its answer."""

from __future__ import annotations

import subprocess
from pathlib import Path


def git_says(folder: Path, *arguments: str) -> bytes | None:
    """The output of a git command, None where git cannot answer: it is not installed, or there is no such repository, commit or setting."""
    try:
        result = subprocess.run(["git", "-C", str(folder), *arguments], capture_output=True, check=False)
    except FileNotFoundError:
        return None
    return result.stdout if result.returncode == 0 else None


def git_user(folder: Path) -> str | None:
    """The e-mail address that git signs with there, None when it knows none."""
    return (git_says(folder, "config", "user.email") or b"").decode(errors="replace").strip() or None
