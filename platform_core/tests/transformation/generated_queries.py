"""Random SELECT statements that Postgres accepts, over ``p.one(a, b, c, t)`` and ``p.two(a, x, y, j)``; every output is an integer.

Where the order of rows decides (LIMIT, ``lag``, ``row_number``) the order is total: among rows that tie, Postgres is free to choose, and
chooses by whatever sort a plan happened to need.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

TABLES = {"one": ("a", "b", "c", "t"), "two": ("a", "x", "y", "j")}
Draw = Callable[[st.SearchStrategy[Any]], Any]


@dataclass
class Source:
    """Something in a FROM clause, with the integers that it offers."""

    alias: str
    columns: tuple[str, ...]
    table: str | None = None

    def values(self) -> list[str]:
        found = [f"{self.alias}.{column}" for column in self.columns if column not in {"t", "j"}]
        if self.table == "one":
            found += [f"length({self.alias}.t)", f"ascii(substring({self.alias}.t from 1 for 1))"]
        if self.table == "two":
            found += [f"({self.alias}.j ->> 'k')::int", f"jsonb_array_length({self.alias}.j -> 'l')"]
        return found


@dataclass
class Statement:
    """Grows one statement; aliases are unique in it."""

    draw: Draw
    number: int = 0
    ctes: list[Source] = field(default_factory=list[Source])

    def pick(self, items: Sequence[Any]) -> Any:
        return self.draw(st.sampled_from(list(items)))

    def maybe(self, times: int = 2) -> bool:
        return self.draw(st.integers(0, times)) == 0

    def name(self, prefix: str) -> str:
        self.number += 1
        return f"{prefix}{self.number}"

    def query(self, depth: int, outer: Sequence[Source] = (), columns: int | None = None) -> tuple[str, tuple[str, ...]]:
        """A query and the names of its columns; ``columns`` says how many it must have."""
        if depth > 0 and columns is None and self.maybe(6):
            left, names = self.select(0, outer, 2)
            right, _ = self.select(0, outer, 2)
            operator = self.pick(["union all", "union", "except", "intersect", "except all"])
            tail = self.pick(["", f" order by {names[0]}, {names[1]} limit 3"])
            return f"({left}) {operator} ({right}){tail}", names
        return self.select(depth, outer, columns)

    def select(self, depth: int, outer: Sequence[Source], columns: int | None) -> tuple[str, tuple[str, ...]]:
        clause, sources = self.sources(depth)
        values = [value for source in sources for value in source.values()]
        seen = values + [value for source in outer for value in source.values()]
        grouped = self.maybe(2)
        distinct = "" if grouped else self.pick(["", "", "", "distinct "])
        keys = [self.pick(values)] if grouped and self.maybe(1) else []
        items: list[str] = [*keys]
        wanted = columns or self.draw(st.integers(1, 3))
        while len(items) < wanted:
            items.append(self.aggregate(values) if grouped else self.expression(seen, depth, sources))
        items = items[:wanted]
        names = tuple(self.name("o") for _ in items)
        listed = ", ".join(f"{item} as {name}" for item, name in zip(items, names, strict=True))
        if columns is None and not grouped and self.maybe(5):
            starred = sources[0]
            listed, names = f"{listed}, {starred.alias}.*", (*names, *starred.columns)
        sql = f"select {distinct}{listed} from {clause}"
        if self.maybe(1):
            sql += f" where {self.condition(seen, depth, sources)}"
        if keys:
            sql += f" group by {self.pick(['1', keys[0]])}"
            if self.maybe(2):
                sql += f" having {self.aggregate(values)} > 1"
        if self.maybe(4):
            sql += f" order by {', '.join(str(at) for at in range(1, len(names) + 1))}" + self.pick(["", " limit 2", " limit 3 offset 1"])
        return sql, names

    def sources(self, depth: int) -> tuple[str, list[Source]]:
        sql, first = self.source(depth)
        sources = [first]
        for _ in range(self.draw(st.integers(0, 2 if depth > 0 else 1))):
            kind = self.pick(["on", "left", "full", "using", "natural", "lateral", "series", "unnest", "values", "json"])
            if kind == "lateral":
                inner, names = self.select(0, sources, None)
                source = Source(self.name("l"), names)
                sql += f" cross join lateral ({inner}) as {source.alias}"
            elif kind == "series":
                source = Source(self.name("g"), ("n",))
                sql += f" cross join generate_series(1, abs({self.pick(sources[-1].values())} % 3)) as {source.alias}(n)"
            elif kind == "unnest":
                source = Source(self.name("u"), ("e", "k"))
                arguments = f"{self.pick(sources[0].values())}, {self.pick(sources[-1].values())}"
                sql += f" cross join unnest(array[{arguments}]) with ordinality as {source.alias}(e, k)"
            elif kind == "values":
                source = Source(self.name("v"), ("m",))
                sql += f" cross join lateral (values ({self.pick(sources[0].values())}), (7)) as {source.alias}(m)"
            elif kind == "json" and sources[0].table == "two":
                source = Source(self.name("e"), ("w",))
                sql += f" cross join lateral (select w.value::int as w from jsonb_array_elements({sources[0].alias}.j -> 'l') as w) as {source.alias}"
            else:
                text, source = self.source(depth)
                shared = [column for column in source.columns if sum(column in other.columns for other in sources) == 1]
                if kind == "using" and "a" in shared:
                    sql += f" join {text} using (a)"
                elif kind == "natural" and shared == ["a"]:
                    sql += f" natural join {text}"
                else:
                    side = {"left": "left join", "full": "full join"}.get(kind, "join")
                    sql += f" {side} {text} on {self.pick(sources[0].values())} = {self.pick(source.values())}"
            sources.append(source)
        return sql, sources

    def source(self, depth: int) -> tuple[str, Source]:
        kinds = ["table", "table", *(["derived"] if depth > 0 else []), *(["cte", "cte"] if self.ctes else [])]
        kind = self.pick(kinds)
        if kind == "cte":
            cte = self.pick(self.ctes)
            alias = self.name("c")
            return f"{cte.alias} as {alias}", Source(alias, cte.columns)
        if kind == "derived":
            inner, names = self.query(depth - 1)
            source = Source(self.name("d"), names)
            return f"({inner}) as {source.alias}", source
        table = self.pick(sorted(TABLES))
        source = Source(self.name(table[0]), TABLES[table], table)
        return f"p.{table} as {source.alias}", source

    def expression(self, values: Sequence[str], depth: int, sources: Sequence[Source]) -> str:
        one, two, three = (self.pick(values) for _ in range(3))
        kind = self.draw(st.integers(0, 11))
        total = ", ".join(value for source in sources for value in source.values())
        if kind == 0:
            return f"{one} + {two}"
        if kind == 1:
            return f"case when {one} > {two} then {three} else 0 end"
        if kind == 2:
            return f"coalesce({one}, {two})"
        if kind == 3:
            return f"({one} between {two} and {three})::int"
        if kind == 4:
            return f"row_number() over (partition by {one} order by {two}, {total})"
        if kind == 5:
            return f"sum({one}) over (partition by {two})"
        if kind == 6:
            return f"rank() over (order by {one} desc)"
        if kind == 7:
            return f"lag({one}) over (order by {two}, {total})"
        if kind == 8 and depth > 0:
            inner, _ = self.select(0, sources, 1)
            return f"(select max(q.v) from ({inner}) as q(v))"
        if kind == 9 and depth > 0:
            inner, _ = self.select(0, sources, 1)
            return f"(exists ({inner}))::int"
        if kind == 10 and depth > 0:
            inner, _ = self.select(0, sources, 1)
            return f"cardinality(array({inner}))"
        return one

    def aggregate(self, values: Sequence[str]) -> str:
        one, two = self.pick(values), self.pick(values)
        return self.pick(
            [
                "count(*)",
                f"sum({one})",
                f"max({one} + {two})",
                f"count(distinct {one})",
                f"sum({one}) filter (where {two} > 2)",
                f"(array_agg({one} order by {two}, {one}))[1]",
                f"sum(case when {one} > 2 then {two} end)",
            ]
        )

    def condition(self, values: Sequence[str], depth: int, sources: Sequence[Source]) -> str:
        one, two = self.pick(values), self.pick(values)
        options = [f"{one} > 2", f"{one} <> {two}", f"({one} < 5 or {two} is null)"]
        if depth > 0:
            inner, _ = self.select(0, sources, 1)
            options += [f"exists ({inner})", f"{one} in ({inner})", f"not exists ({inner})"]
        return self.pick(options)


@st.composite
def statements(draw: Draw) -> str:
    """A statement, with CTEs (one may be recursive) or without."""
    statement = Statement(draw)
    clauses: list[str] = []
    for _ in range(draw(st.integers(0, 2))):
        inner, names = statement.query(1)
        cte = Source(statement.name("w"), names)
        clauses.append(f"{cte.alias} as ({inner})")
        statement.ctes.append(cte)
    recursive = ""
    if statement.maybe(6):
        first, second = (statement.pick(["o.a", "o.b", "o.c", "length(o.t)"]) for _ in range(2))
        clauses.append(
            f"r(k, v) as (select {first}, {second} from p.one as o union select r.k + 1, s.x from r join p.two as s on s.y = r.v where r.k < 6)"
        )
        statement.ctes.append(Source("r", ("k", "v")))
        recursive = "recursive "
    body, _ = statement.query(2)
    return f"with {recursive}{', '.join(clauses)} {body}" if clauses else body
