"""What a contract that others wrote would be here: whether it is valid, what its clauses would do, and what keeps it from being served."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.contracts import official
from platform_core.contracts.clause_effects import Effect, clause_of
from platform_core.contracts.clause_paths import clauses_of, folded
from platform_core.contracts.contract_file import read_contract
from platform_core.contracts.problem import Problem, source_problem
from platform_core.contracts.source import Document, Location, SourceError, Step, load_yaml
from platform_core.contracts.undelivered import documented_only

_SERVED = {"postgres", "postgresql"}
_SUFFIXES = {".yaml", ".yml", ".json"}


@dataclass(frozen=True)
class Inspection:
    """The report about one file.

    Attributes:
        path: The file.
        id: The contract's id, None when it cannot be read.
        version: The ``apiVersion`` that it names.
        release: The release of the standard that it was judged by; None for a version that is not known.
        breaches: Breaches of the official schema of that release.
        hindrances: What keeps a valid file from being served by this platform.
        clauses: The clauses that it uses, by their effect here, the path written as in ``docs/clauses.md``.
        documented: Each clause of the file that would be documented only, as people name it, with its place.
        later: Clauses that it uses although only a later release of the standard has them.
        servers: Name and type of its servers.
    """

    path: Path
    id: str | None
    version: str | None
    release: str | None
    breaches: tuple[Problem, ...]
    hindrances: tuple[Problem, ...] = ()
    clauses: Mapping[Effect, tuple[str, ...]] | None = None
    documented: tuple[tuple[str, Location], ...] = ()
    later: tuple[str, ...] = ()
    servers: tuple[tuple[str, str], ...] = ()

    @property
    def valid(self) -> bool:
        """Whether the file is what its own release of the standard asks for."""
        return not self.breaches

    @property
    def problems(self) -> tuple[Problem, ...]:
        """Everything that is to be said about the file; only breaches of the standard are errors."""
        return (*self.breaches, *self.hindrances)


def contract_files(path: Path) -> list[Path]:
    """The file itself, or every contract in a folder and below: by its name, or by ``kind: DataContract`` among its first lines."""
    if not path.is_dir():
        return [path]
    found = sorted(file for file in path.rglob("*") if file.suffix in _SUFFIXES and file.is_file())
    return [file for file in found if ".odcs." in file.name or _is_contract(file)]


def inspect(path: Path) -> Inspection:
    """Reads a contract of any release; whatever the file holds becomes part of the report."""
    try:
        document = load_yaml(path)
    except SourceError as error:
        return Inspection(path, None, None, None, (source_problem(error, path),))
    data = document.data
    version, contract_id = (_text(data, "apiVersion"), _text(data, "id"))
    release = official.release_of(document, "odcs")
    if release is None or data.get("kind") != "DataContract":
        return Inspection(path, contract_id, version, None, read_contract(path).problems)
    breaches = tuple(official.check_release(document, "odcs", release))
    if breaches:
        newest = official.releases("odcs")[0]
        return Inspection(path, contract_id, version, release, breaches, later=_later(document, release) if newest != release else ())
    served = tuple(_warning(problem) for problem in (*read_contract(path).problems, *_elsewhere(document)))
    documented, _ = documented_only(document, "odcs")
    return Inspection(
        path, contract_id, version, release, (), served, _effects(document), tuple(documented), _later(document, release), _servers(data)
    )


def _is_contract(file: Path) -> bool:
    try:
        with file.open("rb") as opened:
            head = opened.read(4096)
    except OSError:
        return False  # in a folder that is searched; a file that is named is read and reported
    return b"DataContract" in head and b"apiVersion" in head


def _text(data: Any, key: str) -> str | None:
    value = data.get(key) if isinstance(data, dict) else None
    return value if isinstance(value, str) else None


def _warning(problem: Problem) -> Problem:
    return Problem(problem.rule, f"not served here: {problem.message}", problem.location, problem.remedy, "warning")


def _elsewhere(document: Document) -> Iterator[Problem]:
    servers = _servers(document.data)
    if servers and not any(kind in _SERVED for _, kind in servers):
        kinds = ", ".join(dict.fromkeys(kind for _, kind in servers))
        remedy = "ingest it by a connection, and let a model fill the port"
        yield Problem("server", f"the data lies in {kinds}, the platform serves its own Postgres", document.at("servers"), remedy)


def _servers(data: Any) -> tuple[tuple[str, str], ...]:
    servers = data.get("servers")
    listed = servers if isinstance(servers, list) else []
    return tuple((str(server.get("server")), str(server.get("type"))) for server in listed if isinstance(server, dict))


def _used(value: Any, path: str = "", steps: tuple[Step, ...] = ()) -> Iterator[str]:
    """The paths of every key of a document."""
    if isinstance(value, dict):
        for key, inner in value.items():
            below = folded(f"{path}.{key}" if path else key)
            yield below
            yield from _used(inner, below, (*steps, key))
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _used(item, folded(f"{path}[]"), (*steps, index))


def _effects(document: Document) -> Mapping[Effect, tuple[str, ...]]:
    known = clauses_of("odcs")
    found: dict[Effect, list[str]] = {"enforced": [], "published": [], "documented only": []}
    for path in dict.fromkeys(_used(document.data)):
        clause = clause_of("odcs", path) if path in known else None
        if clause is not None:
            found[clause.effect].append(path)
    return {effect: tuple(paths) for effect, paths in found.items()}


def _later(document: Document, release: str) -> tuple[str, ...]:
    known = clauses_of("odcs")
    return tuple(path for path in dict.fromkeys(_used(document.data)) if path in known and _number(known[path]) > _number(release))


def _number(release: str) -> tuple[int, ...]:
    return tuple(int(part) for part in release.removeprefix("v").split("."))
