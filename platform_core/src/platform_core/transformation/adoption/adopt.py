"""An adoption as files of the repository: the domain, its dbt project, its products, the report; and what a second run may change."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.contracts.model import Mesh
from platform_core.settings import Settings
from platform_core.transformation.adoption.decision import KINDS, Decision
from platform_core.transformation.adoption.proposal import propose
from platform_core.transformation.adoption.read_project import DbtFolder
from platform_core.transformation.adoption.report import carried_over, report_text
from platform_core.transformation.adoption.staging import stage
from platform_core.transformation.project import TransformationError
from platform_core.transformation.starting.dbt_text import project_name
from platform_core.transformation.starting.domain_changes import domain_changes
from platform_core.transformation.starting.domain_files import domain_files
from platform_core.transformation.starting.draft import ProductDraft
from platform_core.transformation.starting.files import FileChanges
from platform_core.transformation.starting.product_files import ProductStart, product_files

RECORD = "adoption.json"
"""In the domain's folder: what was written, so that a second run changes only what nobody touched since."""


@dataclass(frozen=True)
class Adoption:
    """What an adoption writes, and what it leaves to people."""

    changes: FileChanges
    products: tuple[ProductDraft, ...]
    decisions: tuple[Decision, ...]
    carried: Mapping[str, int]


def adopt(
    read: DbtFolder,
    domain: str,
    settings: Settings,
    mesh: Mesh,
    built: Mapping[str, Mapping[str, str]],
    *,
    owner: str | None,
    team: str | None,
) -> Adoption:
    """Decides everything; writes nothing.

    Args:
        read: The dbt project.
        domain: The domain that it becomes, new or adopted before.
        settings: Of the platform.
        mesh: What is there already.
        built: Relations of the domain's build schema with their columns and types, after a first build.
        owner: For products whose owner the project does not name.
        team: For products whose team the project does not name.

    Raises:
        TransformationError: The domain was not made by an adoption, or dbt does not take the project.
    """
    repo = settings.repo
    record = _record(repo, domain)
    others = Mesh(
        mesh.domains,
        {key: product for key, product in mesh.products.items() if product.domain != domain},
        {key: contract for key, contract in mesh.contracts.items() if contract.domain != domain},
        (),
        frozenset(key for key in mesh.broken if not key.startswith(f"{domain}.")),
    )
    staged = stage(domain, read, settings, built)
    proposal = propose(domain, staged.manifest, staged.known, others, owner=owner, team=team)
    order = list(KINDS)
    found = [*read.decisions, *staged.edited.decisions, *staged.decisions, *proposal.decisions]
    decisions = tuple(sorted(dict.fromkeys(found), key=lambda item: (order.index(item.kind), not item.blocks)))
    wanted: dict[str, bytes | str] = {
        **domain_files(domain, f"The dbt project {read.name}, as a domain.", owner or "the owners of its products", None)
    }
    wanted |= {f"dbt_projects/{project_name(domain)}/{name}": content for name, content in staged.edited.files.items()}
    for product in proposal.products:
        wanted |= product_files(ProductStart(product, {}, None))
    carried = carried_over(staged.manifest)
    wanted[f"domains/{domain}/ADOPTION.md"] = report_text(domain, read.name, proposal.products, decisions, len(read.files), carried)
    contents = {name: content.encode() if isinstance(content, str) else content for name, content in wanted.items()}
    return Adoption(_changes(repo, domain, contents, record), proposal.products, decisions, carried)


def _record(repo: Path, domain: str) -> dict[str, str]:
    """Path to digest of what the last adoption of the domain wrote; empty for a new domain."""
    folder = repo / "domains" / domain
    path = folder / RECORD
    if path.is_file():
        try:
            document: Any = json.loads(path.read_text())
            return {str(name): str(digest) for name, digest in document["files"].items()}
        except (ValueError, KeyError, AttributeError) as error:
            raise TransformationError("is not what an adoption writes", where=str(path), remedy="restore it from git") from error
    for place in (folder, repo / "dbt_projects" / project_name(domain)):
        if place.exists():
            raise TransformationError(
                "is there already and was not made by an adoption; nothing is overwritten",
                where=str(place),
                remedy="add --domain with another name",
            )
    return {}


def _changes(repo: Path, domain: str, wanted: Mapping[str, bytes], record: Mapping[str, str]) -> FileChanges:
    """New files, and files that are still what the last adoption wrote; what people changed or removed stays so."""
    created: dict[str, bytes] = {}
    edited: dict[str, tuple[bytes, bytes]] = {}
    kept: list[str] = []
    written = dict(record)
    for name, content in wanted.items():
        path = repo / name
        if not path.exists():
            if name in record:
                kept.append(name)  # removed on purpose: a decided report, a product that is not wanted
                continue
            created[name] = content
        else:
            before = path.read_bytes()
            if before != content and _digest(before) != record.get(name):
                kept.append(name)
                continue
            if before != content:
                edited[name] = (before, content)
        written[name] = _digest(content)
    text = (json.dumps({"files": dict(sorted(written.items()))}, indent=1) + "\n").encode()
    path = repo / "domains" / domain / RECORD
    if not path.exists():
        created[str(path.relative_to(repo))] = text
    elif path.read_bytes() != text:
        edited[str(path.relative_to(repo))] = (path.read_bytes(), text)
    places = domain_changes(repo, domain, {name: content for name, content in wanted.items() if name.endswith("/pyproject.toml")})
    return FileChanges(created, {**edited, **places.edited}, tuple(kept))


def _digest(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()[:16]
