"""One state of the mesh's files, held in memory: of a folder, or of a git revision (see ``git_state``)."""

from __future__ import annotations

import functools
import os
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from platform_core.contracts.problem import ContractError, Problem
from platform_core.contracts.source import Document, SourceError, parse_bytes

_PRODUCT_FILES = re.compile(r"(?:.*/)?[^/]+\.(?:odcs|odps)\.ya?ml")
_MODELS = re.compile(r"(?:.*/)?dbt_projects/(?P<domain>[^/]+)_dbt/(?:models|seeds|snapshots)/(?:.*/)?(?P<name>[^/]+)\.(?:sql|py|csv)")
_CODE = re.compile(r"(?:.*/)?(?:dbt_projects/[^/]+_dbt/.*\.(?:sql|py|ya?ml|csv)|domains/[^/]+/src/.*\.py)")
_POLICIES = re.compile(r"domains/(?:masking\.yaml|[^/]+/(?:team\.yaml|access/[^/.][^/]*\.ya?ml))")
_LEFT_OUT = {".git", ".mesh", ".venv", "target", "dbt_packages", "logs", "__pycache__", "node_modules"}


class ComparisonError(ContractError):
    """One of the two states cannot be read at all."""


@dataclass(frozen=True)
class Unreadable:
    """A file of a state that cannot be compared.

    Attributes:
        state: Name of the state.
        file: Path from the root of the mesh.
        line: Where it goes wrong.
        message: What is wrong.
    """

    state: str
    file: str
    line: int
    message: str


@dataclass(frozen=True, eq=False)  # one state is itself, not its megabytes
class State:
    """The files of the mesh at one moment.

    Attributes:
        name: How people call it: a git revision, or a folder.
        files: Content by path from the mesh's root: product files, contracts, the domains' SQL and Python, and who may see what:
            the attribute policy, requests for access, teams.
    """

    name: str
    files: Mapping[str, bytes] = field(repr=False)

    @functools.cached_property
    def product_files(self) -> Mapping[str, bytes]:
        """The product and contract files."""
        return {path: content for path, content in self.files.items() if _PRODUCT_FILES.fullmatch(path)}

    @functools.cached_property
    def models(self) -> Mapping[tuple[str, str], str]:
        """``(domain, model)`` to the file that builds it in dbt."""
        found = ((path, _MODELS.fullmatch(path)) for path in self.files)
        return {(match["domain"], match["name"]): path for path, match in found if match}

    def document(self, path: str) -> Document:
        """A file as a mapping with lines.

        Raises:
            SourceError: It is none.
        """
        return _document(path, self.files[path])

    def unreadable(self, path: str, problem: Problem) -> Unreadable:
        """A file that says something wrong."""
        return Unreadable(self.name, path, problem.location.line, problem.message)

    def readable(self, paths: Iterable[str]) -> tuple[dict[str, Document], tuple[Unreadable, ...]]:
        """The files that can be read, and what is wrong with the others."""
        documents: dict[str, Document] = {}
        broken: list[Unreadable] = []
        for path in paths:
            try:
                documents[path] = self.document(path)
            except SourceError as error:
                line = re.search(r":(\d+)$", error.where or "")
                broken.append(Unreadable(self.name, path, int(line[1]) if line else 1, error.what))
        return documents, tuple(broken)


def belongs(path: str) -> bool:
    """Whether a file, by its path from the mesh's root, is part of a state."""
    return not _LEFT_OUT.intersection(path.split("/")) and any(kind.fullmatch(path) for kind in (_PRODUCT_FILES, _CODE, _POLICIES))


def folder_state(root: Path, name: str) -> State:
    """The files of a folder: those below ``domains`` and ``dbt_projects`` when it has them, else every product file in it.

    Raises:
        ComparisonError: There is no such folder.
    """
    if not root.is_dir():
        raise ComparisonError("is no folder", where=str(root), remedy="name the root of a mesh, the folder with domains/")
    tops = [root / top for top in ("domains", "dbt_projects") if (root / top).is_dir()] or [root]
    files: dict[str, bytes] = {}
    for top in tops:
        for folder, folders, names in os.walk(top):
            folders[:] = sorted(set(folders) - _LEFT_OUT)
            for path in (Path(folder, file) for file in sorted(names)):
                relative = path.relative_to(root).as_posix()
                if belongs(relative):
                    try:
                        files[relative] = path.read_bytes()
                    except OSError as error:
                        remedy = "correct its permissions, or remove it"
                        raise ComparisonError(f"cannot be read: {error.strerror}", where=str(path), remedy=remedy) from error
    return State(name, files)


@functools.lru_cache(maxsize=8192)  # most files are the same in both states
def _document(path: str, content: bytes) -> Document:
    document = parse_bytes(content, Path(path))
    if not isinstance(document.data, dict):
        raise SourceError("is not a mapping", where=f"{path}:1", remedy="start with apiVersion and kind")
    return document


def text_of(value: Any) -> str | None:
    """A value that must be a text, None for anything else."""
    return value if isinstance(value, str) else None
