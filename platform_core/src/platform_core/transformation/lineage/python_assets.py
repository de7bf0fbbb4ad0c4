"""Where the columns of a table come from that no SQL builds: what its contract declares, else everything that the domain may read."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from platform_core.contracts import Column, Contract, Mesh, Problem, Table, did_you_mean, naming
from platform_core.contracts.declassified import declared_sources
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref, Relation

_RULE = "lineage-source"
UNDECLARED = "Python, nothing declared"


def python_asset(
    mesh: Mesh, contract: Contract, table: Table, candidate: str, relations: Mapping[str, Relation], sources: Iterable[str]
) -> tuple[Relation, tuple[Problem, ...]]:
    """The lineage of a port's candidate that is no dbt model.

    A column's ``transformSourceObjects`` names what it is computed from: ``model.column`` of the domain, ``schema.table.column``, or
    ``domain.product.table.column``; without the column the whole table is meant, an empty list means nothing. A column without the
    clause is taken to come from everything that the domain may read.

    Args:
        mesh: The product files.
        contract: The port's contract.
        table: The port's table.
        candidate: Id of the relation that the asset writes.
        relations: What is known of the mesh's models.
        sources: The relations that dbt sources name.
    """
    readable = _readable(mesh, contract.domain, candidate, relations, sources)
    everything = tuple(Edge(Ref(relation, ALL), "other", UNDECLARED) for relation in readable)
    names = {*relations, *sources, *readable}
    problems: list[Problem] = []
    columns: dict[str, tuple[Edge, ...]] = {}
    for column in table.columns:
        declared = declared_sources(contract, table, column)
        if declared is None:
            columns[column.physical_name] = everything
            continue
        refs = [_resolved(mesh, text, contract.domain, names) for text in declared]
        for text, ref in zip(declared, refs, strict=True):
            problem = _unknown(mesh, text, ref, column, names, relations)
            if problem is not None:
                problems.append(problem)
        columns[column.physical_name] = tuple(Edge(ref, "other", "Python, as declared") for ref in refs if ref is not None)
    named = dict.fromkeys(edge.source.relation for edges in columns.values() for edge in edges)
    whole = any(edge.expression == UNDECLARED for edges in columns.values() for edge in edges)
    rows = tuple(Ref(relation, ALL) for relation in readable) if whole else tuple(Ref(relation, ROWS) for relation in named)
    return Relation(candidate, table.model, "model", columns, rows=rows), tuple(problems)


def _readable(mesh: Mesh, domain: str, candidate: str, relations: Mapping[str, Relation], sources: Iterable[str]) -> tuple[str, ...]:
    """The relations that Postgres lets the domain read: its raw streams, its models, and the ports that its products name as inputs."""
    own = (naming.raw_schema(domain), naming.build_schema(domain))
    found = [name for name in (*relations, *sources) if name.partition(".")[0] in own and "#" not in name and name != candidate]
    for product in mesh.of_domain(domain):
        for port in product.inputs:
            contract = mesh.contracts.get(port.contract_id or "")
            if contract is not None:
                found += [f"{naming.port_schema(contract.product_id)}.{table.physical_name}" for table in contract.tables]
    return tuple(dict.fromkeys(found))


def _resolved(mesh: Mesh, text: str, domain: str, names: set[str]) -> Ref | None:
    parts = text.split(".")
    schemas = {name.partition(".")[0] for name in names}
    match parts:
        case [product_domain, product, table, column] if f"{product_domain}.{product}" in mesh.products:
            return Ref(f"{naming.port_schema(f'{product_domain}.{product}')}.{table}", column)
        case [product_domain, product, table] if f"{product_domain}.{product}" in mesh.products:
            return Ref(f"{naming.port_schema(f'{product_domain}.{product}')}.{table}", ALL)
        case [schema, table, column]:
            return Ref(f"{schema}.{table}", column)
        case [schema, table] if schema in schemas:
            return Ref(f"{schema}.{table}", ALL)
        case [model, column]:
            return Ref(f"{naming.build_schema(domain)}.{model}", column)
        case [model]:
            return Ref(f"{naming.build_schema(domain)}.{model}", ALL)
        case _:
            return None


def _unknown(mesh: Mesh, text: str, ref: Ref | None, column: Column, names: set[str], relations: Mapping[str, Relation]) -> Problem | None:
    remedy = "write model.column, schema.table.column or domain.product.table.column"
    if ref is None or ref.relation not in names:
        hint = did_you_mean(text, sorted(name.partition(".")[2] for name in names if "#" not in name))
        message = f"{column.physical_name!r} is declared to come from {text!r}, which is no relation of the mesh{hint}"
        return Problem(_RULE, message, column.location, remedy)
    known = relations.get(ref.relation)
    if ref.relation in {
        f"{naming.port_schema(item.product_id)}.{table.physical_name}" for item in mesh.contracts.values() for table in item.tables
    }:
        listed = next(
            [each.physical_name for each in table.columns]
            for item in mesh.contracts.values()
            for table in item.tables
            if f"{naming.port_schema(item.product_id)}.{table.physical_name}" == ref.relation
        )
    elif known is not None and known.closed:
        listed = list(known.columns)
    else:
        return None
    if ref.column == ALL or ref.column in listed:
        return None
    message = f"{column.physical_name!r} is declared to come from {text!r}, but that relation has no such column{did_you_mean(ref.column, listed)}"
    return Problem(_RULE, message, column.location, remedy)
