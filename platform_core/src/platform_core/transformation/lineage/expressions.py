"""What one SQL expression does to the columns in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from platform_core.transformation.lineage.graph import ROWS, Edge, Kind, Ref
from platform_core.transformation.lineage.scope import Scope, Source

if TYPE_CHECKING:
    from sqlglot import exp

KEYED_HASHES = frozenset({"hmac", "keyed_hash"})
"""Functions whose result nobody can compute without the key. ``md5``, ``sha256`` and the like are none: whoever has a list of addresses
hashes it and compares."""

# Aggregates that tell about the group and give no member's value away; `min`, `max`, `array_agg`, `mode` and the rest hand one out.
_SUMS = frozenset(
    [
        *(
            "Count",
            "CountIf",
            "Sum",
            "Avg",
            "Variance",
            "VariancePop",
            "Stddev",
            "StddevPop",
            "StddevSamp",
            "Corr",
            "CovarPop",
            "CovarSamp",
        ),
        *("RegrSlope", "RegrIntercept", "RegrR2", "RegrCount", "RegrAvgx", "RegrAvgy", "RegrSxx", "RegrSyy", "RegrSxy"),
    ]
)
# Windows that say where a row stands in the order: their value comes from what they are ordered by.
_RANKS = frozenset(("Rank", "DenseRank", "PercentRank", "CumeDist", "Ntile"))
_LONGEST = 100


@dataclass
class Traced:
    """What an expression is made of: ``values`` are computed with, ``beside`` only decides."""

    values: dict[Edge, None] = field(default_factory=dict[Edge, None])
    beside: dict[Ref, None] = field(default_factory=dict[Ref, None])


@dataclass(frozen=True)
class _How:
    """What has happened to a column between the whole expression and here."""

    kind: Kind = "plain"
    function: str | None = None
    group: int = 0

    def then(self, kind: Kind, function: str | None = None, group: int = 0) -> _How:
        """One step further in. What protects stays: a sum of a product is a sum of its factors."""
        return self if self.kind in {"aggregate", "hash"} else _How(kind, function, group)


@dataclass
class Expressions:
    """Traces the expressions of one SELECT.

    Attributes:
        scope: What its names mean.
        nested: Traces a query inside of an expression.
        group: Rows that each of its groups has at least.
        windows: The windows that it names.
    """

    scope: Scope
    nested: Callable[[exp.Expression, Scope], Source]
    group: int = 0
    windows: Mapping[str, exp.Expression] = field(default_factory=dict[str, "exp.Expression"])

    def trace(self, expression: exp.Expression) -> Traced:
        """What the expression is made of.

        Raises:
            TracingError: A name in it means nothing.
        """
        traced = Traced()
        self._walk(expression, _How(), _shown(expression), traced)
        return traced

    def refs(self, expression: exp.Expression) -> Iterator[Ref]:
        """Everything that the expression depends on, for those that only filter, join or order."""
        traced = self.trace(expression)
        yield from (edge.source for edge in traced.values)
        yield from traced.beside

    def _walk(self, node: exp.Expression, how: _How, text: str | None, traced: Traced) -> None:
        from sqlglot import exp

        if isinstance(node, exp.Column):
            for ref in self._column(node):
                traced.values[Edge(ref, how.kind, None if how.kind == "plain" and text is None else text, how.function, how.group)] = None
            return
        if isinstance(node, exp.Exists):
            source = self.nested(node.this, self.scope)
            traced.beside |= dict.fromkeys((*source.all, Ref(source.relation, ROWS)))
            return
        if isinstance(node, exp.Select | exp.SetOperation | exp.Subquery | exp.Values):
            source = self.nested(node, self.scope)
            for ref in source.all:
                traced.values[Edge(ref, how.kind, text, how.function, how.group)] = None
            traced.beside[Ref(source.relation, ROWS)] = None
            return
        if isinstance(node, exp.Window):
            self._window(node, how, text, traced)
            return
        if isinstance(node, exp.Filter):
            inner = self._inside(node.this, how)
            for part in (*node.this.iter_expressions(), node.expression):
                self._walk(part, _How(inner.kind, inner.function, 0), text, traced)  # who the filter leaves over may be one
            return
        if isinstance(node, exp.Order) and node.this is not None:  # the order within an aggregate
            self._walk(node.this, how, text, traced)
            for part in node.expressions:
                traced.beside |= dict.fromkeys(self.refs(part))
            return
        inner = self._inside(node, how)
        if isinstance(node, exp.Count) and isinstance(node.this, exp.Star):
            for source in self.scope.sources:  # of no column, but a number of rows
                traced.values[Edge(Ref(source.relation, ROWS), inner.kind, text, inner.function, inner.group)] = None
        for part in node.iter_expressions():
            self._walk(part, inner, text, traced)

    def _column(self, node: exp.Column) -> tuple[Ref, ...]:
        from sqlglot import exp

        table = name_of(node.args.get("table"))
        if isinstance(node.this, exp.Star):
            return tuple(ref for item in self.scope.star(table) for ref in item.refs)
        return self.scope.column(table, name_of(node.this) or "")

    def _window(self, node: exp.Window, how: _How, text: str | None, traced: Traced) -> None:
        ranked = type(node.this).__name__ in _RANKS
        self._walk(node.this, how.then("other"), text, traced) if not self._sums(node.this) else self._parts(node.this, how, text, traced)
        parts: list[exp.Expression] = [node]
        named = self.windows.get(name_of(node.args.get("alias")) or "")
        while named is not None and named not in parts:
            parts.append(named)
            named = self.windows.get(name_of(named.args.get("alias")) or "")
        for window in parts:
            for part in window.args.get("partition_by") or ():
                traced.beside |= dict.fromkeys(self.refs(part))
            for part in (window.args.get("order"), window.args.get("spec")):
                if part is None:
                    continue
                if ranked:
                    self._walk(part, how.then("other"), text, traced)
                else:
                    traced.beside |= dict.fromkeys(self.refs(part))

    def _parts(self, node: exp.Expression, how: _How, text: str | None, traced: Traced) -> None:
        """An aggregate over a window: each row has its own, so it protects nobody."""
        from sqlglot import exp

        whole = node.this if isinstance(node, exp.Filter) else node
        for part in (*whole.iter_expressions(), *([node.expression] if isinstance(node, exp.Filter) else ())):
            self._walk(part, how.then("other"), text, traced)

    def _sums(self, node: exp.Expression) -> bool:
        from sqlglot import exp

        return type(node.this if isinstance(node, exp.Filter) else node).__name__ in _SUMS

    def _inside(self, node: exp.Expression, how: _How) -> _How:
        """What the columns below a node have been through."""
        from sqlglot import exp

        name = type(node).__name__
        if isinstance(node, exp.Alias | exp.Paren | exp.Cast | exp.DataType):
            return how
        if name in _SUMS:
            # A condition inside of a sum may leave one member over, however many rows the group has.
            one = name != "Count" and any(node.find_all(exp.Case, exp.Filter))
            return how.then("aggregate", name.lower(), 0 if one else self.group)
        if isinstance(node, exp.Anonymous) and str(node.this).lower() in KEYED_HASHES:
            return how.then("hash", str(node.this).lower())
        return how.then("other")


def name_of(node: exp.Expression | None) -> str | None:
    """A name as Postgres takes it: in lower case unless it is quoted."""
    from sqlglot import exp

    if not isinstance(node, exp.Identifier):
        return None
    return str(node.this) if node.args.get("quoted") else str(node.this).lower()


def _shown(expression: exp.Expression) -> str | None:
    """The SQL of an expression that is more than a name, in one short line."""
    from sqlglot import exp

    inner = expression.unalias()
    if isinstance(inner, exp.Column):
        return None
    text = " ".join(inner.sql("postgres", comments=False).split())
    return text if len(text) <= _LONGEST else f"{text[: _LONGEST - 3]}..."


def group_size(having: exp.Expression | None) -> int:
    """Rows that every group has at least, by ``HAVING count(...) >= k`` among conditions that must all hold; 0 without one."""
    from sqlglot import exp

    if having is None:
        return 0
    found = [0]
    for condition in having.this.flatten() if isinstance(having.this, exp.And) else [having.this]:
        left, right = condition.unnest(), None
        if isinstance(left, exp.GTE | exp.GT | exp.LTE | exp.LT):
            small = left.right if isinstance(left, exp.GTE | exp.GT) else left.left
            counted = left.left if isinstance(left, exp.GTE | exp.GT) else left.right
            right = small if isinstance(counted.unnest(), exp.Count) else None
        if isinstance(right, exp.Literal) and not right.is_string and str(right.this).isdigit():
            found.append(int(right.this) + (1 if isinstance(left, exp.GT | exp.LT) else 0))
    return max(found)
