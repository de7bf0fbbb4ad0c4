"""Everything that the files govern, compared with what Postgres and the catalog hold, and made so: the plan, its file, and its application."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import orjson

from platform_core.contracts.model import Mesh
from platform_core.publishing.catalog_changes import catalog_changes
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.retirement import retirement_changes
from platform_core.publishing.version_changes import version_changes
from platform_core.publishing.view_changes import view_changes
from platform_core.warehouse import Applied, Change, Source, StalePlanError, Warehouse, apply_plan, make_plan
from platform_core.warehouse import apply as apply_all

SOURCES: tuple[Source, ...] = (view_changes, version_changes, retirement_changes, catalog_changes)
FORMAT = "mesh plan 1"
_FOLDERS = ("domains/*/src/**/*.yaml", "domains/*/access/**/*.yaml", "domains/*.yaml")


@dataclass(frozen=True)
class Plan:
    """What an apply would do, and what it was made for.

    Attributes:
        steps: In order; those of a domain make one transaction.
        files: Hash of the files that it was compiled from.
        state: Hash of what the warehouse held.
    """

    steps: tuple[Change, ...]
    files: str
    state: str

    @property
    def counts(self) -> Mapping[str, int]:
        """How many steps of each kind."""
        return {kind: sum(step.kind == kind for step in self.steps) for kind in ("create", "change", "remove", "drift")}

    def document(self) -> dict[str, Any]:
        """The plan as JSON; what a statement holds is not shown, only what it does."""
        return {
            "format": FORMAT,
            "files": self.files,
            "state": self.state,
            "summary": dict(self.counts),
            "changes": [as_document(step) for step in self.steps],
        }


def as_document(step: Change) -> dict[str, Any]:
    """One step as JSON."""
    return {
        "action": step.action,
        "object": step.object,
        "kind": step.kind,
        "domain": step.domain,
        "product": step.product,
        "prune": step.prune,
        "doable": step.doable,
        "detail": step.detail,
    }


def plan(warehouse: Warehouse, mesh: Mesh, repo: Path, *, now: datetime | None = None) -> Plan:
    """Compares the files with the warehouse and the catalog; nothing is touched.

    Args:
        warehouse: Reached as the platform's role.
        mesh: The files.
        repo: The folder they lie in.
        now: The moment at which access that ends is judged; the present by default.

    Raises:
        WarehouseError: The warehouse cannot be reached, or two products would share a schema or role.
    """
    with warehouse.connect_platform() as connection:
        connection.read_only = True
        planned = make_plan(connection, mesh, SOURCES, now=now)
        connection.rollback()
    return Plan(planned.steps, files_hash(repo), planned.state)


def apply(
    warehouse: Warehouse,
    mesh: Mesh,
    repo: Path,
    *,
    expected: Plan | Mapping[str, Any] | None = None,
    prune: bool = False,
    now: datetime | None = None,
) -> Applied:
    """Makes the warehouse and the catalog's outbox what the files say, the platform's own first, then each domain in one transaction.

    Args:
        warehouse: Reached as the platform's role.
        mesh: The files.
        repo: The folder they lie in.
        expected: A plan that was shown, or read by ``read_plan``: exactly this is done, or nothing.
        prune: Whether what no file declares any more is removed with its content.
        now: The moment at which access that ends is judged; the present by default.

    Raises:
        StalePlanError: Files or warehouse are not what the plan was made for.
        WarehouseError: The warehouse cannot be reached, or two products would share a schema or role.
    """
    state = None
    if expected is not None:
        files, state = (expected.files, expected.state) if isinstance(expected, Plan) else (expected["files"], expected["state"])
        if files != files_hash(repo):
            remedy = "plan again, look at what is different, and apply that"
            raise StalePlanError("the files were changed since the plan was made", where=str(repo), remedy=remedy)
    return apply_plan(warehouse, mesh, sources=SOURCES, prune=prune, now=now, expected=state)


def apply_everything(warehouse: Warehouse, mesh: Mesh) -> tuple[Change, ...]:
    """Makes all what the files say, without a plan; what ``mesh up`` and ``mesh reload`` do.

    Raises:
        WarehouseError: A domain could not be made what its files say; the others were.
    """
    return apply_all(warehouse, mesh, sources=SOURCES)


def write_plan(made: Plan, path: Path) -> None:
    """Writes a plan's file; it carries no secret and no statement."""
    path.write_bytes(orjson.dumps(made.document(), option=orjson.OPT_INDENT_2) + b"\n")


def read_plan(path: Path) -> Mapping[str, Any]:
    """Reads a plan's file.

    Raises:
        PublishingError: It is no plan of this version.
    """
    try:
        document: Any = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise PublishingError(f"cannot be read as a plan: {error}", where=str(path), remedy="write one: ./mesh plan --out FILE") from error
    strings = ("files", "state")
    if not isinstance(document, dict) or document.get("format") != FORMAT or not all(isinstance(document.get(key), str) for key in strings):  # pyright: ignore[reportUnknownMemberType]
        raise PublishingError(f"is no plan of the format {FORMAT!r}", where=str(path), remedy="write one: ./mesh plan --out FILE")
    return document  # pyright: ignore[reportUnknownVariableType]


def files_hash(repo: Path) -> str:
    """Hash of every file that a plan is compiled from, with its place."""
    digest = hashlib.sha256()
    paths = sorted({path for pattern in _FOLDERS for path in repo.glob(pattern) if path.is_file()})
    for path in paths:
        digest.update(f"{path.relative_to(repo)}\0{hashlib.sha256(path.read_bytes()).hexdigest()}\n".encode())
    return digest.hexdigest()[:32]
