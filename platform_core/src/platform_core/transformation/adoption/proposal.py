"""A dbt project as a domain: the whole decision, from a manifest and what is known of types to files and a report."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from platform_core.contracts.model import Mesh
from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.adoption.products import ProductPlan, plan_products
from platform_core.transformation.adoption.promises import Promises
from platform_core.transformation.adoption.tables import propose_table
from platform_core.transformation.starting.draft import InputDraft, ProductDraft, TableDraft
from platform_core.transformation.starting.names import fitting

_VERSION = "0.1.0"
_NOT_EMPTY = {"name": "has rows", "metric": "rowCount", "mustBeGreaterThan": 0, "dimension": "completeness", "severity": "warning"}


@dataclass(frozen=True)
class Known:
    """What is known of the project's relations beside its manifest.

    Attributes:
        columns: ``unique_id`` to the columns of the relation, in their order, with their types where they are known.
        whole: Models of which every column is known.
        failed: ``unique_id`` to why dbt cannot compile it on Postgres, or why its SQL is not understood.
        outside: ``unique_id`` to the relations that its SQL names by hand: no model, no source.
    """

    columns: Mapping[str, Mapping[str, str]] = field(default_factory=dict[str, Mapping[str, str]])
    whole: frozenset[str] = frozenset()
    failed: Mapping[str, str] = field(default_factory=dict[str, str])
    outside: Mapping[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])


@dataclass(frozen=True)
class Proposal:
    """The products of an adopted project, and what people must decide."""

    products: tuple[ProductDraft, ...]
    decisions: tuple[Decision, ...]


def propose(domain: str, manifest: Mapping[str, Any], known: Known, mesh: Mesh, *, owner: str | None, team: str | None) -> Proposal:
    """The products of a project.

    Args:
        domain: The new domain.
        manifest: The project's manifest, as dbt makes it of the domain's copy.
        known: Columns and types.
        mesh: What is there already.
        owner: For products whose owner the project does not name.
        team: For products whose team the project does not name.
    """
    plans, decisions = plan_products(domain, manifest, mesh)
    tests = _tests(manifest)
    nodes = manifest["nodes"]
    drafts: dict[str, ProductDraft] = {}
    open_references: list[tuple[ProductPlan, str, Promises]] = []
    for plan in plans:
        tables: list[TableDraft] = []
        for key, name in plan.models.items():
            types = known.columns.get(key, {})
            table, promises, found = propose_table(
                nodes[key], tests.get(key, []), types, name, known=key in known.whole, viewed=_viewed(key, manifest)
            )
            tables.append(replace(table, quality=(*table.quality, _NOT_EMPTY) if not _counts(table) else table.quality))
            decisions += found
            open_references.append((plan, name, promises))
        drafts[plan.name] = _draft(domain, plan, tuple(tables), owner, team, decisions)
    _references(domain, plans, nodes, drafts, open_references, decisions)
    decisions += _sources(domain, manifest)
    decisions += _of_models(manifest, known)
    return Proposal(tuple(drafts.values()), tuple(decisions))


def _counts(table: TableDraft) -> bool:
    return any(clause.get("metric") == "rowCount" for clause in table.quality)


def _tests(manifest: Mapping[str, Any]) -> dict[str, list[Mapping[str, Any]]]:
    """``unique_id`` of a model to its tests; a test in SQL belongs to the only model that it reads."""
    found: dict[str, list[Mapping[str, Any]]] = {}
    for node in manifest["nodes"].values():
        if node["resource_type"] != "test":
            continue
        read = [key for key in (node.get("depends_on") or {}).get("nodes", ()) if not key.startswith("source.")]
        model = node.get("attached_node") or (read[-1] if read else None)
        if model:
            found.setdefault(model, []).append(node)
    return found


def _viewed(key: str, manifest: Mapping[str, Any]) -> bool:
    """Whether a view stands on the model: it would go along with the table that a publication moves away."""
    children = (manifest.get("child_map") or {}).get(key, ())
    return any((manifest["nodes"].get(child, {}).get("config") or {}).get("materialized") == "view" for child in children)


def _draft(
    domain: str, plan: ProductPlan, tables: tuple[TableDraft, ...], owner: str | None, team: str | None, decisions: list[Decision]
) -> ProductDraft:
    address = plan.owner or owner
    file = f"domains/{domain}/src/{domain}/defs/{plan.name}/product.odps.yaml"
    if address is None:
        remedy = "name an owner and a support channel in the product, or adopt again with --owner"
        decisions.append(Decision("owner", f"{domain}.{plan.name}", "no exposure, group or meta names an owner", remedy, file, blocks=True))
    described = [table.description for table in tables if table.description]
    purpose = plan.purpose or (
        described[0] if len(tables) == 1 and described else f"The tables {', '.join(table.name for table in tables)}."
    )
    return ProductDraft(
        domain=domain,
        name=plan.name,
        title=plan.title,
        purpose=" ".join(purpose.split()),
        owner=address,
        team=fitting(plan.team or team or f"{domain}-data", domain).replace("_", "-"),
        tables=tables,
        kind="consumerAligned" if plan.exposures else "aggregate",
        version=_VERSION,
    )


def _references(
    domain: str,
    plans: tuple[ProductPlan, ...],
    nodes: Mapping[str, Any],
    drafts: dict[str, ProductDraft],
    found: list[tuple[ProductPlan, str, Promises]],
    decisions: list[Decision],
) -> None:
    """Relationships between tables that ports serve; one to another product makes that product an input."""
    latest_last = sorted(
        ((plan.name, key, table) for plan in plans for key, table in plan.models.items()), key=lambda item: _latest(nodes[item[1]])
    )
    served = {str(nodes[key]["name"]): (name, table) for name, key, table in latest_last}
    inputs: dict[str, set[str]] = {name: set() for name in drafts}
    for plan, table, promises in found:
        for column, model, target, test in promises.references:
            reason = _relate(domain, drafts, inputs, plan.name, table, column, served.get(model), target)
            if reason:
                decisions.append(Decision("test", test, f"of {table}: {reason}", "nothing: it runs with dbt build as before"))
    for name, read in inputs.items():
        ports = tuple(InputDraft(other, drafts[other].contract_id, drafts[other].version) for other in sorted(read))
        drafts[name] = replace(drafts[name], inputs=ports)


def _latest(node: Mapping[str, Any]) -> bool:
    return node.get("version") == node.get("latest_version")


def _relate(
    domain: str,
    drafts: dict[str, ProductDraft],
    inputs: dict[str, set[str]],
    product: str,
    table: str,
    column: str,
    target: tuple[str, str] | None,
    field_: str,
) -> str | None:
    """Writes a relationship into its column; why not, when it cannot be."""
    if target is None:
        return "it refers to a model that no product serves"
    other, other_table = target
    columns = {item.name for known in drafts[other].tables if known.name == other_table for item in known.columns}
    if field_ not in columns:
        return f"the column {field_} of {other_table} is not known"
    if other != product and _reaches(inputs, other, product):
        return f"{other} reads {product} already, and products must not read each other in a circle"
    own = drafts[product]
    if column not in {item.name for known in own.tables if known.name == table for item in known.columns}:
        return f"the column {column} is not known"
    name = (
        f"{other_table}.{field_}"
        if other == product
        else f"{drafts[other].contract_id}.odcs.yaml#/schema/{other_table}/properties/{field_}"
    )
    tables = tuple(
        replace(
            known,
            columns=tuple(
                replace(item, relationships=(*item.relationships, name)) if item.name == column else item for item in known.columns
            ),
        )
        if known.name == table
        else known
        for known in own.tables
    )
    drafts[product] = replace(own, tables=tables)
    if other != product:
        inputs[product].add(other)
    return None


def _reaches(inputs: Mapping[str, set[str]], start: str, wanted: str) -> bool:
    queue, seen = [start], set[str]()
    while queue:
        name = queue.pop()
        if name == wanted:
            return True
        if name not in seen:
            seen.add(name)
            queue += inputs[name]
    return False


def _sources(domain: str, manifest: Mapping[str, Any]) -> list[Decision]:
    found: list[Decision] = []
    for source in sorted(manifest.get("sources", {}).values(), key=lambda item: str(item["unique_id"])):
        if (source.get("config") or {}).get("enabled", True):
            message = f"{source['schema']}.{source['identifier']} is loaded by nothing yet{_freshness(source)}"
            remedy = f"./mesh new source {domain}/{fitting(str(source['source_name']), 'source')}, with the stream {source['identifier']}"
            subject = f"{source['source_name']}.{source['name']}"
            found.append(Decision("source", subject, message, remedy, str(source.get("original_file_path") or "")))
    return found


def _freshness(source: Mapping[str, Any]) -> str:
    """What ``dbt source freshness`` was told; the platform watches ports instead."""
    rules = source.get("freshness") or {}
    said = [
        f"{name.replace('_', ' ')} {rule['count']} {rule['period']}s"
        for name in ("warn_after", "error_after")
        if (rule := rules.get(name) or {}).get("count")
    ]
    return f"; its freshness rule ({', '.join(said)}) becomes a latency in slaProperties of the port that needs it" if said else ""


def _of_models(manifest: Mapping[str, Any], known: Known) -> list[Decision]:
    """What dbt or Postgres will not take, and what the platform does in its own way."""
    found: list[Decision] = []
    for key, node in sorted(manifest["nodes"].items()):
        file = str(node.get("original_file_path") or "")
        config = node.get("config") or {}
        if key in known.failed:
            found.append(Decision("dialect", str(node["name"]), known.failed[key], "rewrite it for Postgres, or disable it", file))
        for relation in known.outside.get(key, ()):
            message = f"reads {relation} by hand, which is neither a source nor a model; the domain's role may not"
            found.append(Decision("source", str(node["name"]), message, "declare it as a source, and load it or name the port", file))
        if config.get("grants"):
            message = "its grants are given by dbt at every build; who reads is a matter of the product's contract"
            found.append(Decision("grant", str(node["name"]), message, "remove the grants; name roles in the contract", file))
        parents = (node.get("depends_on") or {}).get("nodes", ())
        if config.get("materialized") == "view" and any(parent.startswith("source.") for parent in parents):
            message = "a view on a raw table keeps its columns from being changed by a sync"
            found.append(Decision("view", str(node["name"]), message, "materialize it as ephemeral or table", file))
    return found
