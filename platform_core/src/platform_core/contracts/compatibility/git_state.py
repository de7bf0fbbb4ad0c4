"""A state of the mesh's files out of git. The checkout, the index and the stash stay untouched: blobs are read, nothing is written."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Sequence
from pathlib import Path

from platform_core.contracts.compatibility.state import ComparisonError, State, belongs, folder_state

_RANGE = re.compile(r"(?P<left>.*?)(?P<dots>\.{2,3})(?P<right>.*)")


def states(repo: Path, revision: str) -> tuple[State, State]:
    """The two states that a revision names, as ``git diff`` reads it.

    Args:
        repo: Root of the mesh; it may be a folder of a larger repository.
        revision: ``A`` compares it with the files as they lie in the folder; ``A..B`` two commits; ``A...B`` what B did since it
            left A; an empty B is the folder again.

    Raises:
        ComparisonError: No git repository, an unknown revision, no common ancestor.
    """
    found = _RANGE.fullmatch(revision)
    left, dots, right = (found["left"], found["dots"], found["right"]) if found else (revision, "", "")
    old = _commit(repo, left or "HEAD")
    new = _commit(repo, right) if right else None
    if dots == "...":
        old = _merge_base(repo, old, new or _commit(repo, "HEAD"))
    after = git_state(repo, new, right) if new else folder_state(repo, "the working tree")
    return git_state(repo, old, left or "HEAD"), after


def git_state(repo: Path, commit: str, name: str) -> State:
    """The files of one commit, below the mesh's folder.

    Raises:
        ComparisonError: Git fails.
    """
    listed = _git(repo, "ls-tree", "-r", "-z", commit).decode(errors="surrogateescape")  # of the current folder, paths from there
    wanted: dict[str, str] = {}
    for entry in listed.split("\0"):
        head, _, path = entry.partition("\t")
        if path and head.split()[1] == "blob" and belongs(path):
            wanted[path] = head.split()[2]
    hashes = list(dict.fromkeys(wanted.values()))
    blobs = dict(zip(hashes, _blobs(repo, hashes), strict=True))
    return State(name, {path: blobs[digest] for path, digest in wanted.items()})


def revisions(repo: Path) -> list[str]:
    """Names of branches and tags, also of remotes.

    Raises:
        ComparisonError: Git fails.
    """
    return _git(repo, "for-each-ref", "--format=%(refname:short)").decode(errors="replace").split()


def _blobs(repo: Path, hashes: Sequence[str]) -> list[bytes]:
    """The contents of blobs in one process, in their order: ``<hash> blob <size>\\n<content>\\n`` each (git-cat-file, batch output)."""
    if not hashes:
        return []
    output = _git(repo, "cat-file", "--batch", given="".join(f"{digest}\n" for digest in hashes).encode())
    contents: list[bytes] = []
    position = 0
    for digest in hashes:
        end = output.index(b"\n", position)
        head = output[position:end].split()
        if head[-1] == b"missing":
            raise ComparisonError(
                f"the object {digest} is not in this clone", where=str(repo), remedy="fetch the whole history: git fetch --unshallow"
            )
        size = int(head[2])
        contents.append(output[end + 1 : end + 1 + size])
        position = end + size + 2
    return contents


def _commit(repo: Path, revision: str) -> str:
    if revision.startswith("-"):
        raise ComparisonError(f"{revision!r} is no revision", remedy="name a branch, a tag or a commit, for example origin/main")
    _inside(repo)
    try:
        return _git(repo, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}").decode().strip()
    except ComparisonError as error:
        remedy = "name a branch, a tag or a commit; in CI fetch it first: git fetch origin main"
        raise ComparisonError(f"git knows no revision {revision!r}", where=str(repo), remedy=remedy) from error


def _merge_base(repo: Path, old: str, new: str) -> str:
    try:
        return _git(repo, "merge-base", old, new).decode().strip()
    except ComparisonError as error:
        remedy = "fetch the whole history: git fetch --unshallow, or compare with `..` in place of `...`"
        raise ComparisonError("the two revisions have no common ancestor in this clone", where=str(repo), remedy=remedy) from error


def _inside(repo: Path) -> None:
    try:
        _git(repo, "rev-parse", "--is-inside-work-tree")
    except ComparisonError as error:
        if "another user" in error.what:
            raise
        remedy = "change into a clone, or compare two folders: ./mesh diff --from DIR --to DIR"
        raise ComparisonError(f"this is no git repository ({error.what})", where=str(repo), remedy=remedy) from error


def _git(repo: Path, *arguments: str, given: bytes = b"") -> bytes:
    try:
        result = subprocess.run(["git", "-C", str(repo), *arguments], input=given, capture_output=True, check=False)
    except FileNotFoundError as error:
        raise ComparisonError(
            "git is not installed", remedy="install git, or compare two folders: ./mesh diff --from DIR --to DIR"
        ) from error
    if result.returncode:
        if b"dubious ownership" in result.stderr:
            remedy = f"trust the clone: git config --global --add safe.directory {repo}"
            raise ComparisonError("the clone belongs to another user, so git does not read it", where=str(repo), remedy=remedy)
        said = result.stderr.decode(errors="replace").strip().splitlines()
        raise ComparisonError(
            said[0] if said else f"git {arguments[0]} failed with {result.returncode}", where=str(repo), remedy="see git's words"
        )
    return result.stdout
