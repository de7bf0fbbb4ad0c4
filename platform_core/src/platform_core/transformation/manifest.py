"""What the platform needs of a dbt manifest, as plain data: models with their parents, and tests."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Relation = tuple[str, str]


@dataclass(frozen=True)
class Model:
    """A model, seed or snapshot that dbt builds.

    Attributes:
        unique_id: dbt's identifier.
        name: Its relation's name (alias).
        parents: Relations it reads, ``(schema, name)``; ephemeral models are seen through.
        columns: Column to ``(data type or None, description)``, as the project's YAML says.
        file: Its source, relative to the project.
        fqn: Package, folders and name: what selects exactly this model on dbt's command line.
    """

    unique_id: str
    name: str
    schema: str
    description: str
    materialized: str
    tags: tuple[str, ...]
    parents: tuple[Relation, ...]
    columns: Mapping[str, tuple[str | None, str]]
    file: str
    checksum: str
    fqn: tuple[str, ...] = ()


@dataclass(frozen=True)
class Test:
    """A dbt test of one model.

    Attributes:
        model: ``unique_id`` of the model it is shown at.
    """

    unique_id: str
    name: str
    model: str
    severity: str
    description: str


@dataclass(frozen=True)
class Manifest:
    """The models and tests of a project."""

    models: tuple[Model, ...]
    tests: tuple[Test, ...]

    def incremental(self) -> frozenset[str]:
        """Names of models whose table must stay in place because the next build adds to it."""
        return frozenset(model.name for model in self.models if model.materialized not in {"table", "view"})


def read_manifest(path: Path) -> Manifest:
    """Reads ``manifest.json``."""
    import orjson

    raw = orjson.loads(path.read_bytes())
    nodes, sources = raw["nodes"], raw["sources"]
    models = [node for node in nodes.values() if _built(node)]
    return Manifest(
        tuple(_model(node, nodes, sources) for node in models),
        tuple(_tests(nodes, {node["unique_id"] for node in models})),
    )


def _built(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in {"model", "seed", "snapshot"} and node["config"].get("materialized") != "ephemeral"


def _model(node: Mapping[str, Any], nodes: Mapping[str, Any], sources: Mapping[str, Any]) -> Model:
    return Model(
        unique_id=node["unique_id"],
        name=node.get("alias") or node["name"],
        schema=node["schema"],
        description=node.get("description") or "",
        materialized=node["config"]["materialized"],
        tags=tuple(node.get("tags") or ()),
        parents=tuple(dict.fromkeys(_parents(node, nodes, sources))),
        columns={name: (column.get("data_type"), column.get("description") or "") for name, column in node["columns"].items()},
        file=node["original_file_path"],
        checksum=node["checksum"]["checksum"],
        fqn=tuple(node["fqn"]),
    )


def _parents(node: Mapping[str, Any], nodes: Mapping[str, Any], sources: Mapping[str, Any]) -> Iterator[Relation]:
    for parent in (node.get("depends_on") or {}).get("nodes", ()):
        if parent in sources:
            yield sources[parent]["schema"], sources[parent]["identifier"]
        elif parent in nodes and _built(nodes[parent]):
            yield nodes[parent]["schema"], nodes[parent].get("alias") or nodes[parent]["name"]
        elif parent in nodes:
            yield from _parents(nodes[parent], nodes, sources)


def _tests(nodes: Mapping[str, Any], models: set[str]) -> Iterator[Test]:
    for node in nodes.values():
        if node["resource_type"] != "test":
            continue
        attached = node.get("attached_node")
        parents = [parent for parent in (node.get("depends_on") or {}).get("nodes", ()) if parent in models]
        model = attached if attached in models else parents[-1] if parents else None
        if model is not None:
            severity = str(node["config"].get("severity", "error")).lower()
            yield Test(node["unique_id"], node["name"], model, severity, node.get("description") or "")
