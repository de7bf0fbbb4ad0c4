"""Column lineage as plain data: relations, their columns, and for each column the columns that it is made of.

A relation is a raw stream, a dbt model, an output port, or a step inside of a model (a CTE, a derived table). Direct lineage is about
values: what an output column is computed from. Indirect lineage is about rows: filters, join keys, grouping and order, which decide
which values are there without being among them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple

Kind = Literal["plain", "aggregate", "hash", "other"]
ALL = "*"
"""Stands for every column of a relation."""
ROWS = ""
"""Stands for the rows of a relation, whatever their values: what decides whether they are there."""


class Ref(NamedTuple):
    """A column of a relation; ``column`` may be ``ALL`` or ``ROWS``."""

    relation: str
    column: str

    def __str__(self) -> str:
        return f"{self.relation}.{self.column}"


class Edge(NamedTuple):
    """One column that another one is computed from.

    Attributes:
        source: The column.
        kind: What happens to it on this step: ``plain`` keeps the value (a name, a cast), ``aggregate`` sums up many rows (``count``,
            ``sum``, ``avg``; never ``min`` or ``max``, which are somebody's value), ``hash`` is a keyed hash, ``other`` is the rest.
        expression: The SQL of the step, None for a bare column.
        function: Name of the aggregate or hash.
        group: Rows that each group of the aggregate has at least, as ``HAVING count(...)`` says; 0 when nothing says so.
    """

    source: Ref
    kind: Kind = "plain"
    expression: str | None = None
    function: str | None = None
    group: int = 0


@dataclass(frozen=True)
class Relation:
    """A relation and what its columns are made of.

    Attributes:
        id: ``schema.table``; inner steps of a model append ``#`` and a name.
        name: For people.
        kind: ``raw``, ``model``, ``port``, or ``step`` for what exists only inside of a model's SQL.
        columns: Column to its direct lineage, in order.
        beside: Column to what decides it without being its value: the window's partition, the order within an aggregate.
        rows: What decides which rows there are: filters, join keys, grouping; ``Ref(relation, ROWS)`` hands the question on.
        wide: Relations that serve every column that is not listed, under its own name: a ``*`` over columns that nobody declares.
        rest: Direct lineage of every column that is not listed, when it cannot be told apart.
        file: Where it is written, from the root of the repository; None for what no file of the mesh builds.
        understood: Whether its SQL was; if not, every column is said to come from everything it reads.
    """

    id: str
    name: str
    kind: Literal["raw", "model", "port", "step"]
    columns: Mapping[str, tuple[Edge, ...]]
    beside: Mapping[str, tuple[Ref, ...]] = field(default_factory=dict)
    rows: tuple[Ref, ...] = ()
    wide: tuple[str, ...] = ()
    rest: tuple[Edge, ...] = ()
    file: str | None = None
    understood: bool = True

    @property
    def closed(self) -> bool:
        """Whether it has exactly the columns that are listed."""
        return not self.wide and not self.rest

    def edges(self, column: str) -> tuple[Edge, ...]:
        """Direct lineage of a column, of all columns for ``ALL``."""
        if column == ROWS:
            return ()
        if column == ALL:
            named = (edge for edges in self.columns.values() for edge in edges)
            return tuple(dict.fromkeys((*named, *(Edge(Ref(source, ALL)) for source in self.wide), *self.rest)))
        if column in self.columns:
            return self.columns[column]
        return (*(Edge(Ref(source, column)) for source in self.wide), *self.rest)

    def influences(self, column: str) -> tuple[Ref, ...]:
        """Indirect lineage of a column on this step."""
        if column == ALL:
            return tuple(dict.fromkeys((*self.rows, *(ref for refs in self.beside.values() for ref in refs))))
        return (*self.rows, *self.beside.get(column, ()))


def as_plain(relation: Relation) -> dict[str, Any]:
    """The relation as JSON takes it; the inverse of ``from_plain``."""
    return {
        "id": relation.id,
        "name": relation.name,
        "kind": relation.kind,
        "columns": {column: [_edge(edge) for edge in edges] for column, edges in relation.columns.items()},
        "beside": {column: [list(ref) for ref in refs] for column, refs in relation.beside.items()},
        "rows": [list(ref) for ref in relation.rows],
        "wide": list(relation.wide),
        "rest": [_edge(edge) for edge in relation.rest],
        "file": relation.file,
        "understood": relation.understood,
    }


def from_plain(data: Mapping[str, Any]) -> Relation:
    """The relation that ``as_plain`` wrote."""
    return Relation(
        id=data["id"],
        name=data["name"],
        kind=data["kind"],
        columns={column: _edges(edges) for column, edges in data["columns"].items()},
        beside={column: _refs(refs) for column, refs in data["beside"].items()},
        rows=_refs(data["rows"]),
        wide=tuple(data["wide"]),
        rest=_edges(data["rest"]),
        file=data["file"],
        understood=data["understood"],
    )


def _edge(edge: Edge) -> list[Any]:
    return [*edge.source, edge.kind, edge.expression, edge.function, edge.group]


def _edges(items: Iterable[list[Any]]) -> tuple[Edge, ...]:
    return tuple(Edge(Ref(item[0], item[1]), item[2], item[3], item[4], item[5]) for item in items)


def _refs(items: Iterable[list[str]]) -> tuple[Ref, ...]:
    return tuple(Ref(*item) for item in items)
