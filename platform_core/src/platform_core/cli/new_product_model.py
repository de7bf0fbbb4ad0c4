"""A product from a dbt model that the domain has already: the contract proposed from its columns and tests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import psycopg

from platform_core.cli.session import Session, err
from platform_core.contracts import did_you_mean, naming
from platform_core.errors import MeshError
from platform_core.transformation import DbtProject, ensure_manifest, starting
from platform_core.transformation.adoption import propose_table
from platform_core.warehouse import WarehouseError


def from_model(session: Session, draft: starting.ProductDraft, table: str, model: str) -> tuple[starting.ProductStart, list[str]]:
    """The product, and what a person should look at.

    Raises:
        MeshError: There is no such model, another product serves it, or nobody knows its columns.
    """
    import orjson

    project = DbtProject.of(draft.domain, session.settings)
    with err.status("reading the dbt project"):
        manifest: dict[str, Any] = orjson.loads(ensure_manifest(project).read_bytes())
    kinds = {"model", "seed", "snapshot"}
    nodes = {node["name"]: node for node in manifest["nodes"].values() if node["resource_type"] in kinds}
    node = nodes.get(model)
    if node is None:
        known = ", ".join(sorted(nodes)) or "none"
        raise MeshError(f"the domain has no dbt model {model!r}{did_you_mean(model, nodes)}", remedy=f"use one of: {known}")
    if node["config"]["materialized"] == "ephemeral":
        raise MeshError(f"the model {model!r} is ephemeral: it is no relation", remedy="materialize it as a table")
    for contract in session.mesh.contracts.values():
        if contract.domain == draft.domain and any(served.model == (node.get("alias") or model) for served in contract.tables):
            raise MeshError(f"{contract.id} serves the model {model!r} already", remedy="a model feeds one port; let another model read it")
    types = _types(session, draft.domain, str(node.get("alias") or model))
    tests = [
        test for test in manifest["nodes"].values() if test["resource_type"] == "test" and test.get("attached_node") == node["unique_id"]
    ]
    proposed, promises, decisions = propose_table(node, tests, types, table, known=bool(types))
    unknown = [decision for decision in decisions if decision.blocks]
    if unknown:
        message = f"{unknown[0].subject}: {unknown[0].message}"
        raise MeshError(
            message, remedy="build the model first, so that its columns are read from the warehouse; or give data_type in its YAML"
        )
    notes = [f"{decision.subject}: {decision.message}" for decision in decisions]
    notes += [f"{test}: stays a dbt test; to promise it, add relationships to the contract" for *_, test in promises.references]
    draft = replace(draft, kind="aggregate" if draft.inputs else draft.kind)
    return starting.from_model(draft, proposed), notes


def _types(session: Session, domain: str, relation: str) -> dict[str, str]:
    """Columns and types of the built relation; none when there is no warehouse or it is not built."""
    from platform_core.quality.shape import relation_columns

    try:
        with session.warehouse.connect_platform() as connection:
            found = relation_columns(connection, (naming.build_schema(domain), relation))
    except (psycopg.OperationalError, WarehouseError) as error:
        err.print(f"[dim]no warehouse is asked for types: {str(error).splitlines()[0]}[/]")
        return {}
    return {column.name: column.type for column in found}
