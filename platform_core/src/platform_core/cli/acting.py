"""Who gives a command, for what is decided under a name: ``--as``, ``MESH_USER``, or the e-mail address that git is set up with."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from platform_core.errors import MeshError


def acting(given: str | None, repo: Path) -> str:
    """The name of the person, as the teams of products list their members.

    It is taken at its word: what guards a decision is the review of the file that records it.

    Raises:
        MeshError: Nothing says who acts.
    """
    name = given or os.environ.get("MESH_USER") or _git_address(repo)
    if not name.strip():
        remedy = 'say it with --as NAME, set MESH_USER, or run: git config user.email "you@example.com"'
        raise MeshError("nobody knows who you are", remedy=remedy)
    return name.strip()


def _git_address(repo: Path) -> str:
    try:
        found = subprocess.run(["git", "-C", str(repo), "config", "user.email"], capture_output=True, text=True, check=False)
    except FileNotFoundError:  # an image without git: the other two ways remain
        return ""
    return found.stdout.strip()
