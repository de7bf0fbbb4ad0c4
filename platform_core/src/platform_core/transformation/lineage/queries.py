"""Column lineage of one statement: every CTE and subquery becomes a relation of its own, and the statement the last one."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from functools import cached_property
from types import MappingProxyType
from typing import Any

from platform_core.transformation.lineage.errors import TracingError
from platform_core.transformation.lineage.expressions import Expressions, group_size, name_of
from platform_core.transformation.lineage.from_clause import Columns, FromClause
from platform_core.transformation.lineage.graph import ALL, ROWS, Edge, Ref, Relation
from platform_core.transformation.lineage.scope import Scope, Source
from platform_core.transformation.lineage.steps import EPHEMERAL, UNNAMED, Steps, put, spread


def trace(
    sql: str, relation: Relation, columns: Columns, suffix: str = "", files: Mapping[str, str] = MappingProxyType({})
) -> tuple[Relation, ...]:
    """Traces a SELECT of Postgres.

    Args:
        sql: One statement.
        relation: What it builds; its lineage is filled in.
        columns: The columns of the relations that it reads.
        suffix: Makes the ids of its steps differ from those of another statement of the same relation.
        files: Ephemeral models, which dbt writes into the statement as CTEs, to the files they stand in.

    Returns:
        The steps inside of it, and last the relation itself.

    Raises:
        TracingError: It is no SELECT, cannot be parsed, or uses a name that means nothing.
    """
    import sqlglot
    from sqlglot import errors, exp

    try:
        parsed = [statement for statement in sqlglot.parse(sql, dialect="postgres") if statement is not None]
    except (errors.SqlglotError, RecursionError) as error:
        told = error.errors[0] if isinstance(error, errors.ParseError) and error.errors else {}
        message = str(told.get("description") or error)
        place = f" (line {told['line']} of the compiled SQL)" if told.get("line") else ""
        raise TracingError(" ".join(message.split())[:200] + place) from error
    if len(parsed) != 1 or not isinstance(parsed[0], exp.Select | exp.SetOperation | exp.Subquery | exp.Values):
        raise TracingError("it is not one SELECT")
    steps = Steps(relation, suffix, relation.file)
    tracer = _Tracer(steps, columns, files)
    try:
        last = tracer.query(parsed[0], Scope(), relation.name)
    except RecursionError as error:
        raise TracingError("it is nested too deeply") from error
    built = steps.relations.pop(last.relation)
    whole = replace(built, id=relation.id, name=relation.name, kind=relation.kind, file=relation.file)
    return (*steps.relations.values(), whole)


@dataclass
class _Tracer:
    """Traces the queries of one statement, each with those inside of it."""

    steps: Steps
    known: Columns
    files: Mapping[str, str]

    @cached_property
    def from_clause(self) -> FromClause:
        """What reads FROM clauses, with the same steps."""
        return FromClause(self.steps, self.known, self.query)

    def query(self, node: Any, outer: Scope, name: str) -> Source:
        """A query as a relation.

        Raises:
            TracingError: See ``trace``.
        """
        from sqlglot import exp

        scope = Scope(outer)
        self._ctes(node, scope)
        if isinstance(node, exp.Subquery):
            inner = (
                self.query(node.this, scope, name) if not isinstance(node.this, exp.Table) else self.from_clause.joined(node, scope, name)
            )
            return self._ordered(node, inner, scope, name)
        if isinstance(node, exp.SetOperation):
            return self._ordered(node, self._union(node, scope, name), scope, name)
        if isinstance(node, exp.Values):
            return self._values(node, scope, name)
        if isinstance(node, exp.Select):
            return self._select(node, scope, name)
        raise TracingError(f"{type(node).__name__.upper()} is not a query")

    def _ctes(self, node: Any, scope: Scope) -> None:
        clause = node.args.get("with_")
        for cte in clause.expressions if clause else ():
            alias = name_of(cte.args["alias"].this) or ""
            outside = self.steps.file
            self.steps.file = self.files.get(alias.removeprefix(EPHEMERAL), outside) if alias.startswith(EPHEMERAL) else outside
            names = [name_of(item) or "" for item in cte.args["alias"].columns]
            if clause.recursive and self._reads_itself(cte.this, alias):
                scope.ctes[alias] = self._recursive(cte.this, scope, alias, names)
            else:
                scope.ctes[alias] = self.steps.renamed(self.query(cte.this, scope, alias), names)
            self.steps.file = outside

    @staticmethod
    def _reads_itself(node: Any, alias: str) -> bool:
        from sqlglot import exp

        return isinstance(node, exp.SetOperation) and any(name_of(table.this) == alias for table in node.find_all(exp.Table))

    def _recursive(self, node: Any, scope: Scope, alias: str, names: list[str]) -> Source:
        """``base UNION ALL step``: the step reads the relation that it builds, so that one is there before its lineage is."""
        base = self.steps.renamed(self.query(node.this, scope, alias), names)
        clauses = [clause for key in ("search", "cycle") if (clause := node.parent.args.get(key)) is not None]
        if not base.complete or clauses:
            raise TracingError(f"the recursion of {alias!r} has columns that are not declared")
        itself = self.steps.add(alias, columns=dict.fromkeys(base.columns, ()))
        scope.ctes[alias] = itself
        step = self.query(node.expression, scope, alias)
        columns = self._by_position([base, step])
        rows = (Ref(base.relation, ROWS), Ref(step.relation, ROWS), *(() if not node.args.get("distinct") else (*base.all, *step.all)))
        self.steps.relations[itself.relation] = replace(self.steps.relations[itself.relation], columns=columns, rows=rows)
        return itself

    def _by_position(self, branches: list[Source]) -> dict[str, tuple[Edge, ...]]:
        first = list(branches[0].columns)
        edges: dict[str, tuple[Edge, ...]] = {}
        for at, name in enumerate(first):
            found: list[Edge] = []
            for branch in branches:
                columns = list(branch.columns.values())
                if not branch.complete or len(columns) != len(first):
                    found += [Edge(ref) for ref in branch.all]
                else:
                    found.append(Edge(Ref(branch.relation, columns[at])))
            edges[name] = tuple(dict.fromkeys(found))
        return edges

    def _union(self, node: Any, scope: Scope, name: str) -> Source:
        from sqlglot import exp

        left, right = self.query(node.this, scope, name), self.query(node.expression, scope, name)
        rows = [Ref(left.relation, ROWS), Ref(right.relation, ROWS)]
        if node.args.get("distinct") or not isinstance(node, exp.Union):
            rows += [*left.all, *right.all]
        valued = [left] if isinstance(node, exp.Except) else [left, right]
        if left.complete:
            return self.steps.add(name, columns=self._by_position(valued), rows=tuple(rows))
        if all(not branch.columns for branch in valued) and not any(self.steps.relations[branch.relation].rest for branch in valued):
            # Two stars over relations whose columns nobody declares: they match by position, so by name only if both are the same.
            wide = {source for branch in valued for source in self.steps.relations[branch.relation].wide}
            if len(wide) == 1:
                return self.steps.add(name, columns={}, rows=tuple(rows), wide=tuple(wide))
        return self.steps.add(name, columns={}, rows=tuple(rows), rest=tuple(Edge(ref, "other") for branch in valued for ref in branch.all))

    def _values(self, node: Any, scope: Scope, name: str) -> Source:
        from sqlglot import exp

        expressions = Expressions(scope, self._nested)
        columns: dict[str, dict[Edge, None]] = {}
        rows: dict[Ref, None] = {}
        for row in node.expressions:
            for at, cell in enumerate(row.expressions if isinstance(row, exp.Tuple) else [row], 1):
                traced = expressions.trace(cell)
                columns.setdefault(f"column{at}", {}).update(traced.values)
                rows |= traced.beside
        source = self.steps.add(name, columns={key: tuple(edges) for key, edges in columns.items()}, rows=tuple(rows))
        alias = node.args.get("alias")
        return self.steps.renamed(source, [name_of(item) or "" for item in alias.columns] if alias else [])

    def _nested(self, node: Any, scope: Scope) -> Source:
        return self.query(node, scope, "(subquery)")

    def _ordered(self, node: Any, inner: Source, scope: Scope, name: str) -> Source:
        """ORDER BY and LIMIT of a union or of a query in brackets: which rows come through can hang on every column of it."""
        if not any(node.args.get(key) for key in ("order", "limit", "offset")):
            return inner
        columns = {column: (Edge(Ref(inner.relation, of)),) for column, of in inner.columns.items()}
        wide = () if inner.complete else (inner.relation,)
        return self.steps.add(name, columns=columns, rows=(Ref(inner.relation, ROWS), *inner.all), wide=wide)

    def _select(self, node: Any, scope: Scope, name: str) -> Source:
        from sqlglot import exp

        rows: dict[Ref, None] = {}
        clause = node.args.get("from_")
        if clause is not None:
            self.from_clause.add(clause.this, scope, rows)
        for join in (*(node.args.get("laterals") or ()), *(node.args.get("joins") or ())):
            self.from_clause.join(join, scope, rows)
        windows = {name_of(window.this) or "": window for window in node.args.get("windows") or ()}
        expressions = Expressions(scope, self._nested, group_size(node.args.get("having")), windows)
        columns: dict[str, dict[Edge, None]] = {}
        beside: dict[str, dict[Ref, None]] = {}
        wide: dict[str, None] = {}
        rest: dict[Edge, None] = {}
        for item in node.expressions:
            inner = item.unalias()
            star = inner if isinstance(inner, exp.Star) else inner.this if isinstance(inner, exp.Column) else None
            if isinstance(star, exp.Star):
                table = name_of(inner.args.get("table")) if isinstance(inner, exp.Column) else None
                spread(scope.star(table), columns, wide)
                continue
            traced = expressions.trace(item)
            column = _output_name(item)
            if column is None:  # Postgres names it by rules of its own: a later name that is not listed may mean it
                rest |= traced.values
                column = f"{UNNAMED}{len(columns) + 1}"
            column = put(columns, column, traced.values)
            beside[column] = traced.beside
            if isinstance(inner, exp.Explode | exp.Unnest | exp.ExplodingGenerateSeries) or not _scalar(inner):
                rows |= dict.fromkeys((*(edge.source for edge in traced.values), *traced.beside))
        behind = {column: (*(edge.source for edge in edges), *beside.get(column, ())) for column, edges in columns.items()}
        self._clauses(node, scope, expressions, behind, rows)
        distinct = node.args.get("distinct")
        if distinct is not None and distinct.args.get("on") is None:  # what it is ON decides otherwise, see _clauses
            rows |= dict.fromkeys((*(edge.source for edges in columns.values() for edge in edges), *(Ref(source, ALL) for source in wide)))
            rows |= dict.fromkeys(ref for refs in beside.values() for ref in refs)
        rows |= dict.fromkeys(Ref(source.relation, ROWS) for source in scope.sources)
        return self.steps.add(
            name,
            columns={column: tuple(edges) for column, edges in columns.items()},
            beside={column: tuple(refs) for column, refs in beside.items() if refs},
            rows=tuple(rows),
            wide=tuple(wide),
            rest=tuple(rest),
        )

    def _clauses(
        self, node: Any, scope: Scope, expressions: Expressions, columns: Mapping[str, tuple[Ref, ...]], rows: dict[Ref, None]
    ) -> None:
        """Everything beside the projections and the sources decides about rows: each clause, also one that is not known here.

        ``columns`` are those of the output, with all that is behind them: ORDER BY and GROUP BY may name them, or count them.
        """
        from sqlglot import exp

        handled = {"expressions", "from_", "joins", "laterals", "with_", "windows", "hint", "kind", "locks", "into"}
        uncounted = any(item.is_star for item in node.expressions) and not all(source.complete for source in scope.sources)
        if node.args.get("into") is not None:
            raise TracingError("SELECT INTO builds another relation")
        for key, clause in node.args.items():
            parts = clause if isinstance(clause, list) else [clause]
            for part in parts if key not in handled else ():
                if not isinstance(part, exp.Expression):
                    continue
                for column in _bare_columns(part) if key in {"group", "order", "distinct"} else ():
                    if column in columns:  # the name of an output column, which Postgres prefers in ORDER BY
                        rows |= dict.fromkeys(columns[column])
                rows |= dict.fromkeys(_tolerant(expressions, part, columns))
                for literal in part.find_all(exp.Literal) if key in {"group", "order", "distinct"} else ():
                    at = int(literal.this) if not literal.is_string and str(literal.this).isdigit() else 0
                    if 0 < at <= len(columns):
                        rows |= dict.fromkeys(list(columns.values())[at - 1])
                    if at and uncounted:
                        rows |= dict.fromkeys(ref for source in scope.sources for ref in source.all)


def _output_name(item: Any) -> str | None:
    """Name of an output column where it is plain to see."""
    from sqlglot import exp

    if isinstance(item, exp.Alias):
        return name_of(item.args["alias"])
    inner = item
    while isinstance(inner, exp.Cast | exp.Paren):
        inner = inner.this
    if isinstance(inner, exp.Column):
        return name_of(inner.this)
    return None


def _scalar(node: Any) -> bool:
    """Whether an expression gives one value a row. A function that is not known here may give any number of rows."""
    from sqlglot import exp

    return not any(node.find_all(exp.Anonymous, exp.Explode, exp.Unnest, exp.ExplodingGenerateSeries, exp.GenerateSeries))


def _bare_columns(node: Any) -> list[str]:
    from sqlglot import exp

    return [name_of(column.this) or "" for column in node.find_all(exp.Column) if not column.args.get("table")]


def _tolerant(expressions: Expressions, part: Any, columns: Mapping[str, Any]) -> Iterable[Ref]:
    """What a clause depends on; a name that only the output has is answered by the caller."""
    from sqlglot import exp

    if isinstance(part, exp.Order | exp.Group | exp.Distinct):
        for inner in part.iter_expressions():
            if isinstance(inner, exp.Literal):
                continue
            bare = inner.this if isinstance(inner, exp.Ordered) else inner
            if isinstance(bare, exp.Column) and not bare.args.get("table") and (name_of(bare.this) or "") in columns:
                try:
                    yield from list(expressions.refs(bare))
                except TracingError:
                    continue  # the name of an output column
            else:
                yield from expressions.refs(inner)
        return
    yield from expressions.refs(part)
