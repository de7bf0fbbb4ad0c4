"""The relations that a statement is made of: each CTE and subquery is one, with the columns that it gives."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from platform_core.transformation.lineage.graph import ROWS, Edge, Ref, Relation
from platform_core.transformation.lineage.scope import Item, Source

UNNAMED = "?"
"""How the key of a column begins that only its position tells."""
EPHEMERAL = "__dbt__cte__"
"""What dbt puts before the name of an ephemeral model when it writes it into a statement."""


@dataclass
class Steps:
    """Collects the relations of one statement.

    Attributes:
        relation: What the statement builds.
        suffix: Makes their ids differ from those of another statement of the same relation.
        file: Where what is read now is written: the model's file, or that of an ephemeral model.
        relations: By id.
    """

    relation: Relation
    suffix: str
    file: str | None
    relations: dict[str, Relation] = field(default_factory=dict[str, Relation])

    def add(self, name: str, **parts: Any) -> Source:
        """A step of the statement."""
        number = len(self.relations)
        shown = name.removeprefix(EPHEMERAL)
        step = Relation(f"{self.relation.id}#{shown}{self.suffix}.{number}", shown, "step", file=self.file, **parts)
        self.relations[step.id] = step
        return _source(step, name)

    def renamed(self, source: Source, names: list[str]) -> Source:
        """The relation under the column names of its alias."""
        if not names:
            return source
        if not source.complete or len(names) > len(source.columns):
            edges = tuple(Edge(ref, "other") for ref in source.all)
            step = self.add(source.alias or "(alias)", columns=dict.fromkeys(names, edges), rows=(Ref(source.relation, ROWS),), rest=edges)
            return replace(step, alias=source.alias)
        columns = dict(zip(names, source.columns.values(), strict=False))
        columns.update(list(source.columns.items())[len(names) :])
        return replace(source, columns=columns, closed=source.closed or len(names) == len(source.columns))


def _source(step: Relation, alias: str) -> Source:
    complete = not step.wide and (not step.rest or any(column.startswith(UNNAMED) for column in step.columns))
    return Source(alias, step.id, {column: column for column in step.columns}, step.closed, complete)


def put(columns: dict[str, dict[Edge, None]], name: str, edges: Iterable[Edge]) -> str:
    """Adds a column; of two with one name, which only their position tells apart, the second gets a name that nobody can write."""
    key = name if name not in columns else f"{UNNAMED}{len(columns) + 1}"
    columns[key] = dict.fromkeys(edges)
    return key


def spread(items: Iterable[Item], columns: dict[str, dict[Edge, None]], wide: dict[str, None]) -> None:
    """Adds the columns of ``*``; open relations among them are collected in ``wide``."""
    for item in items:
        if item.name is None:
            wide |= dict.fromkeys(ref.relation for ref in item.refs)
        else:
            put(columns, item.name, (Edge(ref) for ref in item.refs))
