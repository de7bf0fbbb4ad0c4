"""The column lineage of the whole mesh: raw streams, models and ports of every domain, joined into one graph."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from platform_core.contracts import Contract, Location, Mesh, Problem, Table, naming
from platform_core.settings import Settings
from platform_core.transformation.lineage.compiled import Compiled, Ports, compiled, kept
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref, Relation
from platform_core.transformation.lineage.model_lineage import Known, ModelLineage
from platform_core.transformation.lineage.python_assets import python_asset


@dataclass(frozen=True)
class Mark:
    """What a dbt source says about the sensitivity of a raw column (``meta.classification``, ``tags``)."""

    classification: str | None
    tags: tuple[str, ...]


@dataclass(frozen=True, eq=False)
class Lineage:
    """The graph.

    Attributes:
        relations: By id.
        ports: Relation of a port's table to its contract and table.
        marks: Raw relation to its marked columns; ``ALL`` for those that the source marks as a whole.
        problems: What could not be traced, and what is declared wrongly.
        domains: The domains whose SQL is known.
    """

    relations: Mapping[str, Relation]
    ports: Mapping[str, tuple[Contract, Table]]
    marks: Mapping[str, Mapping[str, Mark]]
    problems: tuple[Problem, ...]
    domains: frozenset[str]

    def edges(self, ref: Ref) -> tuple[Edge, ...]:
        """What a column is computed from, one step up; nothing for a raw column."""
        relation = self.relations.get(ref.relation)
        return relation.edges(ref.column) if relation else ()

    def influences(self, ref: Ref) -> tuple[Ref, ...]:
        """What decides a column, or the rows of a relation, without being its value, one step up."""
        relation = self.relations.get(ref.relation)
        return relation.influences(ref.column) if relation else ()

    def upstream(self, ref: Ref) -> tuple[frozenset[Ref], frozenset[Ref]]:
        """Everything behind a column: what its values come from, and what else decides them. The column itself is in neither."""
        direct, indirect = (frozenset(item for item in refs if item.column != ROWS and item != ref) for refs in self._behind(ref))
        return direct, indirect - direct

    def relations_behind(self, ref: Ref) -> frozenset[str]:
        """The relations behind a column, also those of which only rows are counted."""
        return frozenset(item.relation for refs in self._behind(ref) for item in refs)

    def _behind(self, ref: Ref) -> tuple[set[Ref], set[Ref]]:
        direct: set[Ref] = set()
        stack = [ref]
        while stack:
            for edge in self.edges(stack.pop()):
                if edge.source not in direct:
                    direct.add(edge.source)
                    stack.append(edge.source)
        indirect: set[Ref] = set()
        stack = [influence for item in (ref, *direct) for influence in self.influences(item)]
        while stack:
            item = stack.pop()
            if item not in indirect:
                indirect.add(item)
                stack += [edge.source for edge in self.edges(item)]
                stack += self.influences(item)
        return direct, indirect

    def column_names(self, relation: str) -> tuple[str, ...]:
        """The columns of a relation, as far as they are known: listed, declared, or named by a statement that reads them."""
        known = self.relations.get(relation)
        listed = list(known.columns) if known else []
        return (
            tuple(dict.fromkeys((*listed, *self._named.get(relation, ()), *(self.marks.get(relation) or {}))))
            if listed or known is None
            else ()
        )

    @cached_property
    def _named(self) -> Mapping[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for relation in self.relations.values():
            edges = (edge.source for edges in relation.columns.values() for edge in edges)
            for ref in (*edges, *relation.rows, *(ref for refs in relation.beside.values() for ref in refs)):
                if ref.relation not in self.relations and ref.column not in {ALL, ROWS}:
                    found.setdefault(ref.relation, {})[ref.column] = None
        return {relation: tuple(columns) for relation, columns in found.items()}

    def label(self, relation: str) -> str:
        """A relation as people call it: a port by product and table, a model or step by its name, a raw stream with its schema."""
        if relation in self.ports:
            contract, table = self.ports[relation]
            return f"{contract.product_id}.{table.physical_name}"
        known = self.relations.get(relation)
        return known.name if known and known.kind in {"model", "step"} else relation


def column_lineage(mesh: Mesh, settings: Settings, former: Mapping[tuple[str, str], tuple[str, ...]] | None = None) -> Lineage:
    """The column lineage of every port of the mesh, through models and across domains, down to raw streams.

    What was traced before from the same files comes from ``<home>/lineage``; dbt is started only for projects whose files changed.

    Args:
        mesh: The product files.
        settings: Where the dbt projects lie, and where results are kept.
        former: Schema and table of ports to columns that they had: consumers whose SQL still names one of them are understood.
    """
    return _joined(mesh, settings, compiled(mesh.domains, settings, _told(mesh)), former or {})


def kept_lineage(mesh: Mesh, settings: Settings) -> Lineage | None:
    """The same where no dbt has to be started for it, None where files changed since it was traced."""
    projects = kept(mesh.domains, settings, _told(mesh))
    return None if projects is None else _joined(mesh, settings, projects, {})


def _joined(mesh: Mesh, settings: Settings, projects: Sequence[Compiled], former: Mapping[tuple[str, str], tuple[str, ...]]) -> Lineage:
    ports = {
        f"{naming.port_schema(contract.product_id)}.{table.physical_name}": (contract, table)
        for contract in mesh.contracts.values()
        for table in contract.tables
    }
    known: Known = {_split(name): tuple(column.physical_name for column in table.columns) for name, (_, table) in ports.items()}
    for relation, columns in former.items():
        now = known.get(relation)
        if now is not None:
            known[relation] = tuple(dict.fromkeys((*now, *columns)))
    relations: dict[str, Relation] = {}
    problems: list[Problem] = []
    for project in projects:
        if project.error:
            problems.append(_unusable(project, settings))
            continue
        models = ModelLineage(project, settings)
        relations |= {relation.id: relation for relation in models.relations(known, frozenset(ports))}
        problems += models.problems
        models.keep()
    sources = {f"{source['schema']}.{source['alias']}": source for project in projects for source in project.sources}
    broken = {project.domain for project in projects if project.error}
    for name, (contract, table) in ports.items():
        candidate = f"{naming.build_schema(contract.domain)}.{table.model}"
        if candidate not in relations and contract.domain not in broken:
            asset, wrong = python_asset(mesh, contract, table, candidate, relations, sources)
            relations[candidate] = asset
            problems += wrong
        columns = {column.physical_name: (Edge(Ref(candidate, column.physical_name)),) for column in table.columns}
        relations[name] = Relation(name, table.physical_name, "port", columns, rows=(Ref(candidate, ROWS),), file=str(contract.path))
    seeds = [model for project in projects for model in project.models if model["type"] == "seed"]
    marks = {f"{item['schema']}.{item['alias']}": _marks(item) for item in (*sources.values(), *seeds)}
    return Lineage(
        relations,
        ports,
        {name: found for name, found in marks.items() if found and name not in ports},
        tuple(problems),
        frozenset(project.domain for project in projects if not project.error),
    )


def _told(mesh: Mesh) -> Ports:
    """What dbt is told of the ports' columns."""
    told: dict[str, dict[str, list[str]]] = {}
    for contract in mesh.contracts.values():
        for table in contract.tables:
            columns = [column.physical_name for column in table.columns]
            told.setdefault(naming.port_schema(contract.product_id), {})[table.physical_name] = columns
    return told


def _split(relation: str) -> tuple[str, str]:
    schema, _, name = relation.partition(".")
    return schema, name


def _unusable(project: Compiled, settings: Settings) -> Problem:
    message = f"dbt cannot compile the project, so where the columns of {project.domain} come from is not known: {project.error}"
    at = Location(settings.repo / project.folder / "dbt_project.yml", 1)
    return Problem("lineage-project", message, at, "correct what dbt names; ./mesh prepare shows it too")


def _marks(item: Mapping[str, Any]) -> dict[str, Mark]:
    return {name: mark for name, mark in _each(item) if mark.classification or mark.tags}


def _each(item: Mapping[str, Any]) -> Iterator[tuple[str, Mark]]:
    yield ALL, _mark(item["marks"])
    for name, marks in item["columns"].items():
        yield name, _mark(marks)


def _mark(marks: Mapping[str, Any]) -> Mark:
    return Mark(marks["classification"], tuple(marks["tags"]))
