"""Column lineage between the relations that the warehouse has: the steps inside of a model's SQL are passed over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from platform_core.contracts import naming
from platform_core.contracts.naming import ColumnName
from platform_core.transformation.lineage.graph import ALL, ROWS, Ref
from platform_core.transformation.lineage.mesh_lineage import Lineage


def column_edges(lineage: Lineage, domain: str, tables: Iterable[tuple[str, str]]) -> tuple[tuple[ColumnName, ColumnName], ...]:
    """What each column of some tables of a domain, and of the models behind them, is computed from, up to streams and other domains' ports.

    Only what was traced: of SQL that is not understood, and of columns that nobody lists, nothing is said.

    Args:
        lineage: The graph.
        domain: The domain.
        tables: Schema and name of its ports' tables or models.

    Returns:
        Column to column, from and to; sorted.
    """
    own = naming.build_schema(domain)
    found: set[tuple[ColumnName, ColumnName]] = set()
    queue = [f"{schema}.{table}" for schema, table in tables]
    seen = set(queue)
    while queue:
        relation = lineage.relations.get(queue.pop())
        if relation is None or not relation.understood:
            continue
        for column in relation.columns:
            for source in _sources(lineage, Ref(relation.id, column), frozenset()):
                found.add((_named(source), _named(Ref(relation.id, column))))
                if source.relation.partition(".")[0] == own and source.relation not in seen:
                    seen.add(source.relation)
                    queue.append(source.relation)
    return tuple(sorted(found))


def _sources(lineage: Lineage, ref: Ref, passed: frozenset[Ref]) -> Iterator[Ref]:
    """The columns of relations one step up; a recursive step is gone through once."""
    for edge in lineage.edges(ref):
        source = edge.source
        relation = lineage.relations.get(source.relation)
        if relation is not None and relation.kind == "step":
            if source not in passed and relation.understood:
                yield from _sources(lineage, source, passed | {source})
        elif source.column not in {ALL, ROWS} and source != ref:
            yield source


def _named(ref: Ref) -> ColumnName:
    schema, _, table = ref.relation.partition(".")
    return schema, table, ref.column
