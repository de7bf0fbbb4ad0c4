"""The FROM clause of a SELECT: tables, CTEs, subqueries, functions, and the joins between them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

from platform_core.transformation.lineage.errors import TracingError
from platform_core.transformation.lineage.expressions import Expressions, name_of
from platform_core.transformation.lineage.graph import ROWS, Edge, Ref
from platform_core.transformation.lineage.scope import Item, Scope, Source, items_of
from platform_core.transformation.lineage.steps import Steps, spread

Columns = Callable[[str, str], tuple[str, ...] | None]
"""Schema and table to the columns of a relation in order; None when they are not known."""

# Functions in FROM that give one column, which bears the alias; and those whose columns have names of their own.
_NAMED = {
    "jsonb_array_elements": ("value",),
    "json_array_elements": ("value",),
    "jsonb_each": ("key", "value"),
    "json_each": ("key", "value"),
}


@dataclass(frozen=True)
class FromClause:
    """Brings the relations of a FROM clause into scope.

    Attributes:
        steps: Where what it reads is collected.
        known: The columns of tables.
        query: Traces a subquery.
    """

    steps: Steps
    known: Columns
    query: Callable[[Any, Scope, str], Source]

    def add(self, node: Any, scope: Scope, rows: dict[Ref, None]) -> None:
        """Adds one item of a FROM clause, with the joins that hang on it."""
        from sqlglot import exp

        if isinstance(node, exp.Subquery) and isinstance(node.this, exp.Table) and not node.alias:
            self.add(node.this, scope, rows)  # brackets around a join: its tables keep their names
        else:
            if isinstance(node, exp.Table) and isinstance(node.this, exp.Identifier):
                source = self._table(node, scope)
            elif isinstance(node, exp.Subquery | exp.Values | exp.Select | exp.SetOperation):
                source = self._derived(node, scope)
            elif isinstance(node, exp.Lateral) and isinstance(node.this, exp.Subquery):
                source = self._derived(node.this, scope, node.args.get("alias"), lateral=True)
            elif isinstance(node, exp.Table | exp.Lateral | exp.UDTF):
                source = self._function(node, scope)
            else:
                raise TracingError(f"FROM {type(node).__name__} is not understood")
            scope.sources.append(source)
            scope.items += items_of(source)
        for join in (*(node.args.get("laterals") or ()), *(node.args.get("joins") or ())):
            self.join(join, scope, rows)

    def join(self, node: Any, scope: Scope, rows: dict[Ref, None]) -> None:
        from sqlglot import exp

        if not isinstance(node, exp.Join):
            self.add(node, scope, rows)
            return
        left = len(scope.sources), len(scope.items)
        self.add(node.this, scope, rows)
        before, after = scope.sources[: left[0]], scope.sources[left[0] :]
        if node.args.get("on") is not None:
            rows |= dict.fromkeys(Expressions(scope, self._nested).refs(node.args["on"]))
        names = [name_of(item if isinstance(item, exp.Identifier) else item.this) or "" for item in node.args.get("using") or ()]
        if node.args.get("method") == "NATURAL":
            if not all(source.complete for source in (*before, *after)):
                rows |= dict.fromkeys(ref for source in (*before, *after) for ref in source.all)
            right = {item.name for item in scope.items[left[1] :]}
            names = [item.name for item in scope.items[: left[1]] if item.name is not None and item.name in right]
        if names:
            keys = {name: tuple(ref for source in (*before, *after) if (ref := source.find(name))) for name in names}
            rows |= dict.fromkeys(ref for refs in keys.values() for ref in refs)
            merged = [Item(name, refs) for name, refs in keys.items()]
            scope.items[:] = [*merged, *(item for item in scope.items if item.name not in keys)]

    def _table(self, node: Any, scope: Scope) -> Source:
        schema, name = name_of(node.args.get("db")), name_of(node.this) or ""
        alias = node.args.get("alias")
        shown = (name_of(alias.this) if alias else None) or name
        cte = scope.cte(name) if schema is None else None
        if cte is not None:
            source = replace(cte, alias=shown)
        else:
            columns = self.known(schema or "public", name)
            relation = f"{schema or 'public'}.{name}"
            source = Source(shown, relation, {column: column for column in columns or ()}, columns is not None, columns is not None)
        return self.steps.renamed(source, [name_of(item) or "" for item in alias.columns] if alias else [])

    def _derived(self, node: Any, scope: Scope, alias: Any = None, *, lateral: bool = False) -> Source:
        """A subquery in FROM. Only with LATERAL it sees the relations before it."""
        alias = alias or node.args.get("alias")
        shown = name_of(alias.this) if alias else None
        source = self.query(node, scope if lateral else Scope(scope.outer, ctes=scope.ctes), shown or "(subquery)")
        names = [name_of(item) or "" for item in alias.columns] if alias else []
        return replace(self.steps.renamed(source, names), alias=shown)

    def joined(self, node: Any, scope: Scope, name: str) -> Source:
        """``(a JOIN b ON ...) AS j``: one relation of all their columns."""
        inner = Scope(scope)
        rows: dict[Ref, None] = {}
        self.add(node.this, inner, rows)
        columns: dict[str, dict[Edge, None]] = {}
        wide: dict[str, None] = {}
        spread(inner.items, columns, wide)
        rows |= dict.fromkeys(Ref(source.relation, ROWS) for source in inner.sources)
        return self.steps.add(name, columns={key: tuple(edges) for key, edges in columns.items()}, rows=tuple(rows), wide=tuple(wide))

    def _function(self, node: Any, scope: Scope) -> Source:
        """A function in FROM: every column that it gives comes from all of its arguments."""
        from sqlglot import exp

        call = node.this if isinstance(node, exp.Table | exp.Lateral) else node
        parts = [*(node.args.get("rows_from") or ()), *([call] if isinstance(call, exp.Expression) else [])]
        expressions = Expressions(scope, self._nested)
        edges: dict[Edge, None] = {}
        rows: dict[Ref, None] = {}
        for part in parts:
            traced = expressions.trace(part)
            edges |= {edge._replace(kind="other"): None for edge in traced.values}
            rows |= traced.beside
        rows |= dict.fromkeys(edge.source for edge in edges)
        alias = node.args.get("alias") or (call.args.get("alias") if isinstance(call, exp.Expression) else None)
        shown = name_of(alias.this) if alias else None
        named = [name_of(item.this if isinstance(item, exp.ColumnDef) else item) or "" for item in alias.columns] if alias else []
        offset = name_of(call.args.get("offset")) if isinstance(call, exp.Expression) else None  # WITH ORDINALITY AS t(x, offset)
        named += [offset] if offset else []
        function = str(call.this).lower() if isinstance(call, exp.Anonymous) else ""
        single = isinstance(call, exp.Unnest | exp.ExplodingGenerateSeries | exp.GenerateSeries) or function in _NAMED
        if single:
            own = _NAMED.get(function, (shown or {"Unnest": "unnest"}.get(type(call).__name__, "generate_series"),))
            named = [*named, *own[len(named) :], *([shown] if shown and function in _NAMED else []), "ordinality"]
        closed = bool(named)
        columns = {name: tuple(edges) for name in named}
        source = self.steps.add(shown or function or "(function)", columns=columns, rows=tuple(rows), rest=() if closed else tuple(edges))
        return replace(source, alias=shown or function or None)

    def _nested(self, node: Any, scope: Scope) -> Source:
        return self.query(node, scope, "(subquery)")
