"""Where the columns of a statement come from. What is expected was written by hand, by what Postgres does with each statement.

``s.t`` has the columns a, b, c, d; ``s.u`` has a, x, y, j; the columns of ``r.o`` are not known.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import pytest

from platform_core.transformation.lineage import Lineage, Ref, Relation
from platform_core.transformation.lineage.errors import TracingError
from platform_core.transformation.lineage.queries import trace

KNOWN = {("s", "t"): ("a", "b", "c", "d"), ("s", "u"): ("a", "x", "y", "j"), ("s", "q"): ("Odd Name", "plain")}


def traced(sql: str) -> tuple[Lineage, Relation]:
    relations = trace(sql, Relation("out.m", "m", "model", {}), lambda schema, name: KNOWN.get((schema, name)))
    return Lineage({relation.id: relation for relation in relations}, {}, {}, (), frozenset()), relations[-1]


def leaves(lineage: Lineage, refs: frozenset[Ref]) -> str:
    return " ".join(sorted(str(ref) for ref in refs if ref.relation not in lineage.relations))


def direct(sql: str) -> dict[str, str]:
    lineage, last = traced(sql)
    return {column: leaves(lineage, lineage.upstream(Ref("out.m", column))[0]) for column in last.columns}


def indirect(sql: str, column: str) -> str:
    lineage, _ = traced(sql)
    return leaves(lineage, lineage.upstream(Ref("out.m", column))[1])


VALUES: list[tuple[str, Mapping[str, str]]] = [
    ("select a, b as z from s.t", {"a": "s.t.a", "z": "s.t.b"}),
    ("select A, t.B from S.T", {"a": "s.t.a", "b": "s.t.b"}),
    ('select "Odd Name" as n, plain from s.q', {"n": "s.q.Odd Name", "plain": "s.q.plain"}),
    ('select q."Odd Name" from "s"."q"', {"Odd Name": "s.q.Odd Name"}),
    ('select "db"."s"."t"."a" from "db"."s"."t"', {"a": "s.t.a"}),
    ("select * from s.t", {"a": "s.t.a", "b": "s.t.b", "c": "s.t.c", "d": "s.t.d"}),
    ("table s.t", {"a": "s.t.a", "b": "s.t.b", "c": "s.t.c", "d": "s.t.d"}),
    ("select t.*, 1 as one from s.t", {"a": "s.t.a", "b": "s.t.b", "c": "s.t.c", "d": "s.t.d", "one": ""}),
    ("select k.* from s.t as k(p, q)", {"p": "s.t.a", "q": "s.t.b", "c": "s.t.c", "d": "s.t.d"}),
    ("select u.* from s.t join s.u on t.a = u.a", {"a": "s.u.a", "x": "s.u.x", "y": "s.u.y", "j": "s.u.j"}),
    ("select a + b * 2 as z from s.t", {"z": "s.t.a s.t.b"}),
    ("select a::text, cast(b as int) as i from s.t", {"a": "s.t.a", "i": "s.t.b"}),
    ("select coalesce(a, b, 0) as z, nullif(c, '') as y from s.t", {"z": "s.t.a s.t.b", "y": "s.t.c"}),
    ("select case when a > 1 then b else c end as z from s.t", {"z": "s.t.a s.t.b s.t.c"}),
    ("select case a when 1 then 'x' when b then 'y' end as z from s.t", {"z": "s.t.a s.t.b"}),
    ("select j ->> 'k' as k, j #>> '{a,b}' as p, j -> 'x' -> 0 as q from s.u", {"k": "s.u.j", "p": "s.u.j", "q": "s.u.j"}),
    ("select j @> '{}' as h, j ? 'k' as i from s.u", {"h": "s.u.j", "i": "s.u.j"}),
    ("select a at time zone 'UTC' as z, extract(year from b) as y, b - interval '1 day' as x from s.t", {"z": "s.t.a", "y": "s.t.b", "x": "s.t.b"}),
    ("select substring(a from 1 for 2) || upper(b) as z, position('x' in c) as p from s.t", {"z": "s.t.a s.t.b", "p": "s.t.c"}),
    ("select a between b and c as z, a is distinct from d as y from s.t", {"z": "s.t.a s.t.b s.t.c", "y": "s.t.a s.t.d"}),
    ("select a in (b, 1) as z, a = any(array[c, d]) as y from s.t", {"z": "s.t.a s.t.b", "y": "s.t.a s.t.c s.t.d"}),
    ("select my_function(a, b => c) as z, other.f(d) as y from s.t", {"z": "s.t.a s.t.c", "y": "s.t.d"}),
    ("select t as whole, to_jsonb(t) as js from s.t", {"whole": "s.t.a s.t.b s.t.c s.t.d", "js": "s.t.a s.t.b s.t.c s.t.d"}),
    ("select count(*) as n, count(a) as m, sum(b) as s from s.t", {"n": "", "m": "s.t.a", "s": "s.t.b"}),
    ("select a, max(b) as m, string_agg(c, ',' order by d) as g from s.t group by a", {"a": "s.t.a", "m": "s.t.b", "g": "s.t.c"}),
    ("select count(*) filter (where b > 1) as n, sum(c) filter (where d) as s from s.t", {"n": "s.t.b", "s": "s.t.c s.t.d"}),
    ("select percentile_cont(0.5) within group (order by a) as m from s.t", {"m": "s.t.a"}),
    ("select row_number() over (partition by a order by b) as n, lag(c) over (order by d) as l from s.t", {"n": "", "l": "s.t.c"}),
    ("select rank() over (partition by a order by b desc) as r, ntile(4) over (order by c) as q from s.t", {"r": "s.t.b", "q": "s.t.c"}),
    ("select dense_rank() over w as r, sum(c) over w as s from s.t window w as (partition by a order by b)", {"r": "s.t.b", "s": "s.t.c"}),
    ("select distinct on (a) a, b from s.t order by a, c", {"a": "s.t.a", "b": "s.t.b"}),
    ("with w as (select a as p, b as q from s.t) select p, q || p as z from w", {"p": "s.t.a", "z": "s.t.a s.t.b"}),
    ("with w(p, q) as (select a, b from s.t) select q from w", {"q": "s.t.b"}),
    ("with w as (select * from s.t), v as (select *, a as e from w) select e, d from v", {"e": "s.t.a", "d": "s.t.d"}),
    ("with t as (select x as a from s.u) select a from t", {"a": "s.u.x"}),
    ("with t as (select a, b from s.t) select t.b from t join s.u using (a)", {"b": "s.t.b"}),
    ("select z.p from (select a as p from s.t) as z", {"p": "s.t.a"}),
    ("select p from (select a, b from s.t) as z(p, o)", {"p": "s.t.a"}),
    ("select z.x, z.d from (s.t join s.u on t.b = u.x) as z", {"x": "s.u.x", "d": "s.t.d"}),
    ("select t.a, x from (s.t cross join s.u)", {"a": "s.t.a", "x": "s.u.x"}),
    ("select a, b, x from s.t join s.u using (a)", {"a": "s.t.a s.u.a", "b": "s.t.b", "x": "s.u.x"}),
    ("select * from s.t natural join s.u", {"a": "s.t.a s.u.a", "b": "s.t.b", "c": "s.t.c", "d": "s.t.d", "x": "s.u.x", "y": "s.u.y", "j": "s.u.j"}),
    ("select k.p, k.q, k.r from (select * from s.t join s.u using (a)) as k(p, q, r)", {"p": "s.t.a s.u.a", "q": "s.t.b", "r": "s.t.c"}),
    ("select k.s from (select * from s.t join s.u on t.a = u.x) as k(p, q, r, u, s)", {"s": "s.u.a"}),
    ("select p, q from (select a, a from s.t) as k(p, q)", {"p": "s.t.a", "q": "s.t.a"}),
    ("select n from (select count(b) from s.t) as k(n)", {"n": "s.t.b"}),
    ("select * from s.t union all select 1, x, y, 2 from s.u", {"a": "s.t.a", "b": "s.t.b s.u.x", "c": "s.t.c s.u.y", "d": "s.t.d"}),
    ("select a from s.t union all select x from s.u", {"a": "s.t.a s.u.x"}),
    ("(select a, b from s.t) union (select x, y from s.u) order by 1 limit 3", {"a": "s.t.a s.u.x", "b": "s.t.b s.u.y"}),
    ("select a, b from s.t except select x, y from s.u", {"a": "s.t.a", "b": "s.t.b"}),
    ("select a from s.t intersect select x from s.u", {"a": "s.t.a s.u.x"}),
    ("select (select max(x) from s.u where u.a = t.a) as m from s.t", {"m": "s.u.x"}),
    ("select exists (select 1 from s.u where u.x = t.b) as e, a in (select x from s.u) as i from s.t", {"e": "", "i": "s.t.a s.u.x"}),
    ("select array(select x from s.u) as xs from s.t", {"xs": "s.u.x"}),
    ("select (select t.b) as z from s.t", {"z": "s.t.b"}),
    ("select l.m from s.t cross join lateral (select t.c || u.x as m from s.u) as l", {"m": "s.t.c s.u.x"}),
    ("select l.m from s.t left join lateral (select max(u.x) as m from s.u where u.a = t.a) as l on true", {"m": "s.u.x"}),
    ("select unnest(array[a, b]) as z from s.t", {"z": "s.t.a s.t.b"}),
    ("select e from s.t, unnest(array[b, c]) as e", {"e": "s.t.b s.t.c"}),
    ("select a, n from s.t cross join unnest(array[b]) with ordinality as k(v, n)", {"a": "s.t.a", "n": "s.t.b"}),
    ("select e.value ->> 'k' as z from s.u, jsonb_array_elements(u.j) as e", {"z": "s.u.j"}),
    ("select key, value from s.u, jsonb_each(j)", {"key": "s.u.j", "value": "s.u.j"}),
    ("select r.p from s.u, jsonb_to_recordset(u.j) as r(p int, q text)", {"p": "s.u.j"}),
    ("select g, a from s.t, generate_series(1, t.b) as g", {"g": "s.t.b", "a": "s.t.a"}),
    ("select p, q from (values (1, 'x'), (2, 'y')) as v(p, q)", {"p": "", "q": ""}),
    ("select v.p from s.t cross join lateral (values (t.a), (t.b)) as v(p)", {"p": "s.t.a s.t.b"}),
    ("with recursive w as (select a, b from s.t union all select w.a, u.x from w join s.u on u.a = w.b) select a, b from w", {"a": "s.t.a", "b": "s.t.b s.u.x"}),
    ("with recursive w(n) as (select 1 union select n + 1 from w where n < 9) select n from w", {"n": ""}),
    ("select id, o.mail as m from r.o", {"id": "r.o.id", "m": "r.o.mail"}),
    ("with w as (select * from r.o) select mail from w", {"mail": "r.o.mail"}),
    ("with w as (select o.*, 1 as one from r.o) select one, upper(mail) as u from w", {"one": "", "u": "r.o.mail"}),
    ("select t.a, mail from s.t join r.o on o.id = t.a", {"a": "s.t.a", "mail": "r.o.mail"}),
    ("select mail from (select * from r.o union all select * from r.o) as z", {"mail": "r.o.mail"}),
    ("select length(z.lower) as n from (select lower(a) from s.t) as z", {"n": "s.t.a"}),
    ("select current_date as d, user as w, now() as n, tableoid as o from s.t", {"d": "", "w": "", "n": "", "o": ""}),
    ("select hmac(a, 'k', 'sha256') as h, md5(b) as m from s.t", {"h": "s.t.a", "m": "s.t.b"}),
    ("select grouping(a) as g, sum(b) as s from s.t group by rollup (a, c)", {"g": "s.t.a", "s": "s.t.b"}),
    ("select row(a, b) as z, array[c, d] as y, (t).c as x from s.t", {"z": "s.t.a s.t.b", "y": "s.t.c s.t.d", "x": "s.t.a s.t.b s.t.c s.t.d"}),
    ("select max(case when a = 'x' then b end) as x, sum(case when a = 'y' then c end) as y from s.t", {"x": "s.t.a s.t.b", "y": "s.t.a s.t.c"}),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "expected"), VALUES)
def test_a_columns_values_come_from(sql: str, expected: Mapping[str, str]) -> None:
    assert direct(sql) == expected


ROWS = [
    ("select a from s.t where b = 1", "a", "s.t.b"),
    ("select a from s.t where b in (select x from s.u where y > 0)", "a", "s.t.b s.u.x s.u.y"),
    ("select a from s.t where exists (select 1 from s.u where u.x = t.c)", "a", "s.t.c s.u.x"),
    ("select b from s.t join s.u on t.a = u.a and u.x > 3", "b", "s.t.a s.u.a s.u.x"),
    ("select b from s.t join s.u using (a)", "b", "s.t.a s.u.a"),
    ("select count(*) as n from s.t group by a having sum(b) > 1", "n", "s.t.a s.t.b"),
    ("select b from s.t group by 1", "b", ""),
    ("select a, max(b) as m from s.t group by a", "m", "s.t.a"),
    ("select distinct a, b from s.t", "a", "s.t.b"),
    ("select distinct on (a) b from s.t order by a, c", "b", "s.t.a s.t.c"),
    ("select distinct on (a) a, d from s.t order by a, c", "a", "s.t.c"),
    ("select a, sum(b) over (partition by c) as w from s.t order by 2 limit 1", "a", "s.t.b s.t.c"),
    ("select o.*, u.x from r.o join s.u on true order by 3 limit 1", "x", "r.o.* s.u.a s.u.j s.u.y"),
    ("select a from s.t order by b limit 1", "a", "s.t.b"),
    ("select a, b as z from s.t order by z limit 1", "a", "s.t.b"),
    ("select row_number() over (partition by a order by b) as n, c from s.t", "n", "s.t.a s.t.b"),
    ("select row_number() over (partition by a order by b) as n, c from s.t", "c", ""),
    ("select array_agg(a order by b) as g, c from s.t group by c", "g", "s.t.b s.t.c"),
    ("select a from s.t union select x from s.u where y = 1", "a", "s.u.y"),
    ("select a from s.t except select x from s.u", "a", "s.u.x"),
    ("with w as (select a, b from s.t where c = 1) select a from w where b > 1", "a", "s.t.b s.t.c"),
    ("select a from s.t cross join lateral unnest(array[b]) as e", "a", "s.t.b"),
    ("select (select max(x) from s.u where u.y = t.b) as m from s.t", "m", "s.t.b s.u.y"),
    ("with recursive w as (select a, b from s.t where c = 1 union all select w.a, w.b from w join s.u on u.x = w.b) select a from w", "a", "s.t.b s.t.c s.u.x"),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "column", "expected"), ROWS)
def test_what_decides_a_column_without_being_its_value(sql: str, column: str, expected: str) -> None:
    assert indirect(sql, column) == expected


KINDS = [
    ("select a as z from s.t", "plain", None, 0),
    ("select (a)::int as z from s.t", "plain", None, 0),
    ("select lower(a) as z from s.t", "other", None, 0),
    ("select round(sum(a + 1), 2) as z from s.t", "aggregate", "sum", 0),
    ("select count(distinct a) as z from s.t group by b having count(*) >= 10", "aggregate", "count", 10),
    ("select avg(a) as z from s.t group by b having count(*) > 10 and sum(c) > 0", "aggregate", "avg", 11),
    ("select avg(a) as z from s.t group by b having 7 <= count(distinct c)", "aggregate", "avg", 7),
    ("select avg(a) as z from s.t group by b having count(*) >= 10 or b > 1", "aggregate", "avg", 0),
    ("select sum(a) filter (where b = 1) as z from s.t group by c having count(*) >= 10", "aggregate", "sum", 0),
    ("select sum(case when b = 1 then a end) as z from s.t group by c having count(*) >= 10", "aggregate", "sum", 0),
    ("select max(a) as z from s.t group by b having count(*) >= 10", "other", None, 0),
    ("select array_agg(a) as z from s.t group by b having count(*) >= 10", "other", None, 0),
    ("select sum(a) over (partition by b) as z from s.t", "other", None, 0),
    ("select encode(hmac(a, 'k', 'sha256'), 'hex') as z from s.t", "hash", "hmac", 0),
    ("select md5(a) as z from s.t", "other", None, 0),
    ("select encode(sha256(a::bytea), 'hex') as z from s.t", "other", None, 0),
]  # fmt: skip


@pytest.mark.parametrize(("sql", "kind", "function", "group"), KINDS)
def test_what_happens_to_a_column_on_the_way(sql: str, kind: str, function: str | None, group: int) -> None:
    _, last = traced(sql)
    (edge,) = [edge for edge in last.columns["z"] if edge.source.column == "a"]
    assert (edge.kind, edge.function, edge.group) == (kind, function, group)


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("select nothing from s.t", "no relation that is read has the column 'nothing'"),
        ("select z.a from s.t", "no relation that is read has the column 'z.a'"),
        ("select z.* from s.t", "no relation that is read is called 'z'"),
        ("insert into s.t select 1", "it is not one SELECT"),
        ("select 1; select 2", "it is not one SELECT"),
        ("select a from s.t where (", "(line 1 of the compiled SQL)"),
        ("select a into s.x from s.t", "SELECT INTO builds another relation"),
        ("with d as (delete from s.t returning *) select * from d", "DELETE is not a query"),
    ],
)
def test_what_is_not_understood_is_said(sql: str, said: str) -> None:
    with pytest.raises(TracingError, match=re.escape(said)):
        traced(sql)
