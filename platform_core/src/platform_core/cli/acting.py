"""Who gives a command, for what is decided under a name: ``--as``, ``MESH_USER``, or the e-mail address that git is set up with."""

from __future__ import annotations

import getpass
import os
import platform
from pathlib import Path
from typing import Annotated

import typer

from platform_core.contracts.git import git_user
from platform_core.errors import MeshError

As = Annotated[str | None, typer.Option("--as", help="Who you are, as teams list you. Default: MESH_USER, else git's user.email.")]


def acting(given: str | None, repo: Path) -> str:
    """The name of the person, as the teams of products list their members.

    It is taken at its word: what guards a decision is the review of the file that records it.

    Raises:
        MeshError: Nothing says who acts.
    """
    name = _known(given, repo)
    if not name:
        remedy = 'say it with --as NAME, set MESH_USER, or run: git config user.email "you@example.com"'
        raise MeshError("nobody knows who you are", remedy=remedy)
    return name


def acting_here(given: str | None, repo: Path) -> str:
    """The same for what no name may hold up, as a rollback at night: where nothing says who acts, the user of this machine does."""
    return _known(given, repo) or f"{_user()}@{platform.node()}"


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a container whose user has no entry
        return f"uid-{os.getuid()}"


def _known(given: str | None, repo: Path) -> str:
    return (given or os.environ.get("MESH_USER") or git_user(repo) or "").strip()
