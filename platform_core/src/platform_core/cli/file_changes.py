"""How every command that writes files of the repository ends: shown, asked, written, the lock checked, said as text or as JSON."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from platform_core.cli.session import err, out, print_json
from platform_core.transformation import starting

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the files; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is missing is an error.")]


@dataclass(frozen=True)
class Manner:
    """How a command was asked to write.

    Attributes:
        dry_run: Write nothing.
        ask: Somebody sits at the terminal and is asked.
        as_json: Say it as one JSON document.
    """

    dry_run: bool
    ask: bool
    as_json: bool

    @classmethod
    def of(cls, *, dry_run: bool, yes: bool, as_json: bool) -> Manner:
        """By the flags, and by whether there is a terminal."""
        return cls(dry_run, sys.stdin.isatty() and not (yes or as_json or dry_run), as_json)


def finish(
    repo: Path,
    changes: starting.FileChanges,
    manner: Manner,
    *,
    said: dict[str, object],
    following: str,
    preview: Sequence[str] | None = None,
    question: str = "write these files?",
    tell: Callable[[], None] | None = None,
) -> None:
    """Shows or writes the changes and says what comes next.

    Args:
        repo: The repository's root.
        changes: What was decided.
        manner: How it is written and said.
        said: What the JSON document says beside the files.
        following: The commands that come next.
        preview: Lines before the question; each path by default.
        question: To who sits at the terminal.
        tell: Says as text what was written; each path by default.
    """
    if manner.ask and not changes.empty:
        for line in _paths(changes, "  new     ", "  edited  ") if preview is None else preview:
            out.print(line, markup=False)
        if not typer.confirm(question, default=True):
            raise typer.Exit(1)
    if not manner.dry_run:
        starting.write(repo, changes)
    warning = _lock_warning(repo) if "uv.lock" in changes.edited and not manner.dry_run else None
    if manner.as_json:
        files = {"created": list(changes.created), "edited": list(changes.edited), "kept": list(changes.kept)}
        print_json({**said, "dry_run": manner.dry_run, **files, "warning": warning})
        return
    if tell is not None:
        tell()
    else:
        verbs = ("would write: ", "would edit: ") if manner.dry_run else ("written: ", "edited: ")
        for line in _paths(changes, *verbs):
            out.print(line, markup=False)
    if changes.empty:
        out.print("nothing to do: everything is there", markup=False)
        return
    if warning:
        err.print("[yellow]warning:[/] ", end="")
        err.print(warning, markup=False, soft_wrap=True)
    if not manner.dry_run:
        out.print(f"next: {following}", markup=False)


def _paths(changes: starting.FileChanges, new: str, edited: str) -> list[str]:
    return [*(f"{new}{path}" for path in changes.created), *(f"{edited}{path}" for path in changes.edited)]


def _lock_warning(repo: Path) -> str | None:
    """What uv says against the edited lock; None when it is sound. No index is asked: a member of the workspace needs none."""
    uv = os.environ.get("MESH_UV")
    if not uv:
        return "uv.lock was completed but not checked (no uv here); ./mesh uses it as it is. To check: uv lock --check"
    command = [uv, "lock", "--check", "--offline", "--project", str(repo), "--python", sys.executable]
    try:
        checked = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    except OSError as error:
        return f"uv.lock was completed but not checked ({error}). To check: uv lock --check"
    if checked.returncode == 0:
        return None
    reason = next((line.strip() for line in checked.stderr.splitlines() if "error" in line.lower()), checked.stderr.strip())
    return f"uv does not take the completed uv.lock as it is ({reason}). With a network, run: uv lock"
