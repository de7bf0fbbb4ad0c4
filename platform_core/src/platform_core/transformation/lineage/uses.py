"""What the products of the mesh do with a column of a port: the answer to the gate and to ``mesh impact``, from the lineage."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache, cached_property

from platform_core.contracts import Mesh, naming
from platform_core.contracts.compatibility import Use
from platform_core.transformation.lineage.graph import ALL, Ref
from platform_core.transformation.lineage.mesh_lineage import Lineage
from platform_core.transformation.lineage.model_lineage import NOT_TRACED
from platform_core.transformation.lineage.personal import path_text
from platform_core.transformation.lineage.python_assets import UNDECLARED
from platform_core.transformation.lineage.tree import shortest

_SHOWN = 8


class LineageUses:
    """Implements ``contracts.compatibility.ColumnTraces``."""

    def __init__(self, mesh: Mesh, load: Callable[[], Lineage]) -> None:
        """``load`` is called when the first question comes: many comparisons are about no column."""
        self._mesh = mesh
        self._load = load

    @cached_property
    def _lineage(self) -> Lineage:
        return self._load()

    @cached_property
    def _upstream(self) -> Callable[[Ref], tuple[frozenset[Ref], frozenset[Ref]]]:
        return cache(self._lineage.upstream)

    def use(self, consumer: str, product: str, table: str, column: str) -> Use | None:
        """What a product does with a column of another product's port; None when the SQL of its domain is not known."""
        domain = consumer.partition(".")[0]
        if domain not in self._lineage.domains:
            return None
        relation = f"{naming.port_schema(product)}.{table}"
        targets = frozenset({Ref(relation, column), Ref(relation, ALL)})
        direct, indirect = dict[Ref, None](), dict[Ref, None]()
        for start in self._starts(consumer):
            values, rows = self._upstream(start)
            if values & targets:
                direct[start] = None
            elif rows & targets:
                indirect[start] = None
        if not direct and not indirect:
            return Use("does not read", traced=True)
        paths = [shortest(self._lineage, start, targets, Ref(relation, column)) for start in direct]
        doubtful = bool(paths) and all(
            any(edge is not None and edge.expression in {UNDECLARED, NOT_TRACED} for _, edge in path) for path in paths
        )
        reading = "may read" if doubtful else "reads" if direct else "filters by"
        told = [path_text(self._lineage, path) for path in paths]
        if indirect:
            told.append(f"{self._shown(relation, column)} decides about {', '.join(self._columns(indirect))}")
        return Use(reading, tuple(self._files(domain, [*direct, *indirect], targets)), tuple(told), traced=True)

    def feeds(self, file: str) -> tuple[str, ...] | None:
        """The contracts whose ports are made of what stands in a file of a dbt project; None when its domain's SQL is not known."""
        domain = next((name for name in self._lineage.domains if file.startswith(f"dbt_projects/{name}_dbt/")), None)
        if domain is None:
            return None
        written = {relation.id for relation in self._lineage.relations.values() if relation.file == file}
        found: dict[str, None] = {}
        for port, (contract, table) in self._lineage.ports.items():
            if contract.domain != domain or contract.id in found:
                continue
            starts = (Ref(port, column.physical_name) for column in table.columns)
            if any(written & self._lineage.relations_behind(start) for start in starts):
                found[contract.id] = None
        return tuple(found)

    def _starts(self, consumer: str) -> Iterator[Ref]:
        """The columns of the product's ports, and those of models that feed no port: somebody may read them all the same."""
        domain, found = consumer.partition(".")[0], self._mesh.products.get(consumer)
        for relation in self._lineage.relations.values():
            if relation.kind == "port":
                contract, _ = self._lineage.ports[relation.id]
                mine = contract.product_id == consumer
            else:
                mine = relation.kind == "model" and relation.id.partition(".")[0] == naming.build_schema(domain)
                mine = mine and (found is None or relation.id not in self._feeding)
            for column in relation.columns if mine else ():
                yield Ref(relation.id, column)
            if mine and not relation.columns:
                yield Ref(relation.id, ALL)

    @cached_property
    def _feeding(self) -> frozenset[str]:
        """The models behind any port."""
        starts = [Ref(port, column.physical_name) for port, (_, table) in self._lineage.ports.items() for column in table.columns]
        return frozenset(name.partition("#")[0] for start in starts for name in self._lineage.relations_behind(start))

    def _files(self, domain: str, starts: list[Ref], targets: frozenset[Ref]) -> Iterator[str]:
        """The files of the domain in which the column itself is named."""
        found: dict[str, None] = {}
        for start in starts:
            for ref in (start, *sorted(frozenset().union(*self._upstream(start)))):
                relation = self._lineage.relations.get(ref.relation)
                if (
                    relation is None
                    or relation.file is None
                    or relation.kind == "port"
                    or not relation.file.startswith(f"dbt_projects/{domain}_dbt/")
                ):
                    continue
                if {edge.source for edge in relation.edges(ref.column)} & targets or set(relation.influences(ref.column)) & targets:
                    found[relation.file] = None
        yield from found

    def _shown(self, relation: str, column: str) -> str:
        return f"{self._lineage.label(relation)}.{column}"

    def _columns(self, refs: dict[Ref, None]) -> list[str]:
        """Columns in few words: those of one relation together."""
        grouped: dict[str, list[str]] = {}
        for ref in refs:
            grouped.setdefault(ref.relation, []).append(ref.column)
        shown: list[str] = []
        for relation, columns in grouped.items():
            known = self._lineage.relations[relation]
            whole = len(columns) > 1 and len(columns) == len(known.columns)
            listed = columns[:_SHOWN] + (["..."] if len(columns) > _SHOWN else [])
            shown.append(
                f"the rows of {self._lineage.label(relation)}" if whole else f"{self._lineage.label(relation)} ({', '.join(listed)})"
            )
        return shown
