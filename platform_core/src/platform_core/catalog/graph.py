"""What the catalog is told about one product after a publication: plain data, free of DataHub and of the orchestrator."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Literal

from platform_core.contracts import Contract, DataProduct, Rule, Table, naming

Relation = tuple[str, str]
"""``(schema, table)``: the one identity of a table in the catalog."""
Edge = tuple[Relation, Relation]
"""``(from, to)``."""
ColumnEdge = tuple[naming.ColumnName, naming.ColumnName]
"""``(from, to)``."""


@dataclass(frozen=True)
class RelationColumn:
    """A column of a table that no contract describes; ``type`` as Postgres writes it."""

    name: str
    type: str
    nullable: bool = True
    description: str | None = None


@dataclass(frozen=True)
class InnerTable:
    """What is known of a raw stream or a model beyond its name. Not needed for lineage."""

    schema: str
    table: str
    description: str | None = None
    columns: tuple[RelationColumn, ...] = ()

    @property
    def relation(self) -> Relation:
        """Schema and table."""
        return self.schema, self.table


@dataclass(frozen=True)
class RuleResult:
    """What an audit found for one rule.

    Attributes:
        rule: The rule.
        passed: Whether it held.
        checked_at: When.
        failed_to_run: The check itself broke, so it says nothing about the data.
        rows: Rows that were looked at.
        unexpected: Rows that break the rule.
        observed: One short text for people. It is left out of the catalog where it could hold a value of personal data.
    """

    rule: Rule
    passed: bool
    checked_at: datetime
    failed_to_run: bool = False
    rows: int | None = None
    unexpected: int | None = None
    observed: str | None = None


@dataclass(frozen=True)
class PublishedTable:
    """A port's table as consumers read it now. ``published_at`` is timezone-aware; ``rows`` None when not counted."""

    contract: Contract
    table: Table
    publication: str
    published_at: datetime
    rows: int | None = None

    @property
    def relation(self) -> Relation:
        """The port view."""
        return naming.port_schema(self.contract.product_id), self.table.physical_name


@dataclass(frozen=True)
class Operation:
    """How the port's tables came to show what they show.

    Attributes:
        kind: ``publication`` or ``rollback``.
        at: When.
        actor: Who, or which run.
        reason: Why, in people's words.
        instead_of: The publication that was served before.
    """

    kind: Literal["publication", "rollback"]
    at: datetime
    actor: str
    reason: str | None = None
    instead_of: str | None = None


@dataclass(frozen=True)
class CatalogProduct:
    """One product, with what the publication showed.

    Attributes:
        product: The files.
        tables: The tables that this publication put into service; others of the product keep what the catalog has.
        edges: Table lineage, as far up as the caller knows it. An edge into another product's port is left to that product.
        column_edges: Column lineage, same rules.
        inner: More about raw streams and models.
        results: Rules' results.
        publication: The publication or audit that all this comes from.
        operation: What put the tables into service; None for a rejected candidate.
    """

    product: DataProduct
    tables: tuple[PublishedTable, ...]
    publication: str
    edges: tuple[Edge, ...] = ()
    column_edges: tuple[ColumnEdge, ...] = ()
    inner: tuple[InnerTable, ...] = ()
    results: tuple[RuleResult, ...] = ()
    operation: Operation | None = None

    @classmethod
    def of_port(
        cls,
        product: DataProduct,
        contract: Contract,
        publication: str,
        published_at: datetime,
        rows: Mapping[str, int],
        edges: Iterable[Edge] = (),
        results: Iterable[RuleResult] = (),
        operation: Operation | None = None,
    ) -> CatalogProduct:
        """The usual case: one port was published; ``rows`` by the tables' physical names."""
        tables = tuple(
            PublishedTable(contract, table, publication, published_at, rows.get(table.physical_name)) for table in contract.tables
        )
        return cls(product, tables, publication, tuple(edges), results=tuple(results), operation=operation)

    def owned(self, relation: Relation) -> bool:
        """Whether the product's files may speak of the relation: the ports they declare, and their domain's streams and models."""
        domain = self.product.domain
        return relation in self._ports or relation[0] in {naming.raw_schema(domain), naming.build_schema(domain)}

    @cached_property
    def _ports(self) -> frozenset[Relation]:
        tables = (table for port in self.product.outputs for table in port.contract.tables)
        return frozenset((self.product.schema, table.physical_name) for table in tables)

    def upstreams(self) -> dict[Relation, tuple[Relation, ...]]:
        """Every owned table that has parents, with its parents, both sorted; a table is no parent of itself."""
        found: dict[Relation, set[Relation]] = {}
        for source, target in self.edges:
            if self.owned(target) and source != target:
                found.setdefault(target, set()).add(source)
        return {target: tuple(sorted(found[target])) for target in sorted(found)}

    def inner_tables(self) -> tuple[InnerTable, ...]:
        """The owned raw streams and models that the lineage names or the caller describes, one entry a relation."""
        described = {table.relation: table for table in self.inner}
        named = {relation for edge in self.edges for relation in edge} | set(described)
        inner = sorted(relation for relation in named if self.owned(relation) and relation[0] != self.product.schema)
        return tuple(described.get(relation) or InnerTable(*relation) for relation in inner)
