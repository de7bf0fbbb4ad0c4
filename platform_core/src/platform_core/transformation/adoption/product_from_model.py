"""A product from a dbt model that the domain has already: the contract proposed from its columns and tests."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from platform_core.contracts.model import Mesh
from platform_core.contracts.problem import did_you_mean
from platform_core.transformation.adoption.tables import propose_table
from platform_core.transformation.project import DbtProject, TransformationError, ensure_manifest
from platform_core.transformation.starting.draft import ProductDraft
from platform_core.transformation.starting.product_files import ProductStart, from_model

_BUILT = {"model", "seed", "snapshot"}


def product_from_model(
    project: DbtProject, mesh: Mesh, built: Mapping[str, Mapping[str, str]], draft: ProductDraft, table: str, model: str
) -> tuple[ProductStart, list[str]]:
    """The product, and what a person should look at.

    Args:
        project: The domain's dbt project.
        mesh: What is there already.
        built: Relations of the domain's build schema with their columns and types, as far as they are built.
        draft: The product without tables.
        table: Name of the port's table.
        model: Name of the model.

    Raises:
        TransformationError: There is no such model, another product serves it, or nobody knows its columns.
    """
    import orjson

    manifest: dict[str, Any] = orjson.loads(ensure_manifest(project).read_bytes())
    nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] in _BUILT}
    node = nodes.get(model)
    if node is None:
        known = ", ".join(sorted(nodes)) or "none"
        raise TransformationError(f"the domain has no dbt model {model!r}{did_you_mean(model, nodes)}", remedy=f"use one of: {known}")
    relation = str(node.get("alias") or model)
    if node["config"]["materialized"] == "ephemeral":
        raise TransformationError(f"the model {model!r} is ephemeral: it is no relation", remedy="materialize it as a table")
    for contract in mesh.contracts.values():
        if contract.domain == draft.domain and any(served.model == relation for served in contract.tables):
            remedy = "a model feeds one port; let another model read it"
            raise TransformationError(f"{contract.id} serves the model {model!r} already", remedy=remedy)
    types = built.get(relation, {})
    tests = [
        test for test in manifest["nodes"].values() if test["resource_type"] == "test" and test.get("attached_node") == node["unique_id"]
    ]
    proposed, promises, decisions = propose_table(node, tests, types, table, known=bool(types))
    unknown = [decision for decision in decisions if decision.blocks]
    if unknown:
        remedy = "build the model first, so that its columns are read from the warehouse; or give data_type in its YAML"
        raise TransformationError(f"{unknown[0].subject}: {unknown[0].message}", remedy=remedy)
    notes = [f"{decision.subject}: {decision.message}" for decision in decisions]
    notes += [f"{test}: stays a dbt test; to promise it, add relationships to the contract" for *_, test in promises.references]
    return from_model(replace(draft, kind="aggregate" if draft.inputs else draft.kind), proposed), notes
