"""A column's lineage as a tree, for ``mesh lineage``: upstream to raw streams, or downstream to every port that it reaches."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from platform_core.contracts.sensitivity import classified
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref
from platform_core.transformation.lineage.mesh_lineage import Lineage
from platform_core.transformation.lineage.personal import is_step_in_passing, shown


@dataclass
class Branch:
    """A column of the tree.

    Attributes:
        ref: The column.
        label: The column as people call it.
        kind: What happens on the step between it and its parent in the tree, see ``Edge``.
        expression: The SQL of that step, None where the value is handed on.
        declared: Its classification, None where nothing is declared.
        branches: The columns behind it.
    """

    ref: Ref
    label: str
    kind: str | None = None
    expression: str | None = None
    declared: str | None = None
    branches: list[Branch] = field(default_factory=list["Branch"])

    def as_document(self) -> dict[str, Any]:
        """The tree as plain data."""
        return {
            "column": self.label,
            "relation": self.ref.relation,
            "kind": self.kind,
            "expression": self.expression,
            "classification": self.declared,
            "columns": [branch.as_document() for branch in self.branches],
        }


def upstream_tree(lineage: Lineage, ref: Ref) -> Branch:
    """What a column is computed from, step by step."""
    root = _branch(lineage, ref, None)
    _grow(lineage, root, frozenset({ref}))
    return root


def _grow(lineage: Lineage, branch: Branch, above: frozenset[Ref]) -> None:
    for edge in lineage.edges(branch.ref):
        for found in _seen_through(lineage, edge, above):
            child = _branch(lineage, found.source, found)
            branch.branches.append(child)
            if found.source not in above and found.source.column != ROWS:
                _grow(lineage, child, above | {found.source})


def _seen_through(lineage: Lineage, edge: Edge, above: frozenset[Ref]) -> Iterator[Edge]:
    """The edge, or those behind it where it leads to a step of a statement that only hands its columns on."""
    behind = lineage.edges(edge.source)
    if edge.source not in above and behind and all(is_step_in_passing(lineage, edge.source, item) for item in behind):
        for item in behind:
            merged = edge if edge.kind != "plain" else item
            yield from _seen_through(lineage, merged._replace(source=item.source), above | {edge.source})
    else:
        yield edge


def downstream_tree(lineage: Lineage, ref: Ref) -> Branch:
    """The ports' columns whose values come from a column, with the way to them; the paths share their beginnings."""
    root = _branch(lineage, ref, None)
    targets = frozenset({ref, Ref(ref.relation, ALL)})
    for port, (_, table) in lineage.ports.items():
        for column in table.columns:
            start = Ref(port, column.physical_name)
            if start != ref and lineage.upstream(start)[0] & targets:
                _add(lineage, root, shortest(lineage, start, targets, ref))
    return root


def shortest(lineage: Lineage, start: Ref, targets: frozenset[Ref], ref: Ref) -> tuple[tuple[Ref, Edge | None], ...]:
    """A shortest way from ``ref``, which ``targets`` mean, to a column that is computed from it; empty without one."""
    queue: list[tuple[Ref, tuple[tuple[Ref, Edge | None], ...]]] = [(start, ())]
    seen = {start}
    while queue:
        item, after = queue.pop(0)
        for edge in lineage.edges(item):
            if edge.source in targets:
                return ((ref, None), (item, edge), *after)
            if edge.source not in seen:
                seen.add(edge.source)
                queue.append((edge.source, ((item, edge), *after)))
    return ()


def _add(lineage: Lineage, root: Branch, path: tuple[tuple[Ref, Edge | None], ...]) -> None:
    at = root
    for ref, edge in path[1:]:
        if edge is None or is_step_in_passing(lineage, ref, edge):
            continue
        known = next((branch for branch in at.branches if branch.ref == ref), None)
        if known is None:
            known = _branch(lineage, ref, edge)
            at.branches.append(known)
        at = known


def _branch(lineage: Lineage, ref: Ref, edge: Edge | None) -> Branch:
    expression = edge.expression if edge is not None and edge.kind != "plain" else None
    label = shown(lineage, ref) if ref.column != ROWS else f"the rows of {lineage.label(ref.relation)}"
    return Branch(ref, label, edge.kind if edge else None, expression, _declared(lineage, ref))


def _declared(lineage: Lineage, ref: Ref) -> str | None:
    if ref.relation in lineage.ports:
        column = next((item for item in lineage.ports[ref.relation][1].columns if item.physical_name == ref.column), None)
        return classified(column.classification, column.tags) if column else None
    marks = lineage.marks.get(ref.relation, {})
    mark = marks.get(ref.column) or marks.get(ALL)
    return classified(mark.classification, mark.tags) if mark else None
