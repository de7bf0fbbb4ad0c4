"""From a rule to SQL: which rows break it, how to count them in the table's one scan, or which statement to ask.

Pure: nothing here connects. Meanings that are fixed here:

- NULL is judged by ``not_null``, ``primary_key`` and ``null_count`` only; every other rule passes over it. The empty string
  is a value, not NULL.
- ``unique`` and ``duplicate_count`` count the rows that repeat an earlier row's values; rows with a NULL among the columns
  repeat nothing. ``primary_key`` counts those, and the rows in which a key column is NULL.
- ``foreign_key`` over several columns passes over rows in which one of them is NULL (SQL's MATCH SIMPLE).
- Lengths are in characters (code points), as JSON Schema counts them.
- ``missing_values`` of ``null_count`` are compared with the column's text; NULL itself is always missing.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, LiteralString, cast

from psycopg import sql

from platform_core.contracts import Column, Rule, Table
from platform_core.quality.bounds import NONE_ALLOWED, Bounds, read_bounds
from platform_core.quality.errors import QualityError
from platform_core.quality.pattern import to_postgres

Relation = tuple[str, str]
"""Schema and name of a table or view."""

_TEXT_TYPES = ("text", "varchar", "character varying", "char", "character", "bpchar", "citext")
_COUNTED_ROWS = re.compile(
    r"(?is)^\s*select\s+count\(\s*(?:\*|1)\s*\)\s+(?:as\s+\w+\s+)?(?P<rows>from\s+\{object\}(?:\s+(?:as\s+)?(?!where\b)\w+)?\s+where\b.+)$"
)
_NO_PLAIN_FILTER = re.compile(r"(?i)\b(union|intersect|except|group|having|order|limit|offset|fetch|window|for|into)\b")


@dataclass(frozen=True)
class RulePlan:
    """How one rule is evaluated.

    Attributes:
        rule: The rule.
        columns: Columns of the candidate that it reads.
        bounds: What the measured number must satisfy.
        offending: Condition of the rows that break it, over the relation named ``c``; None where no row can be blamed.
        measure: Aggregate whose value is compared with the bounds, evaluated in the table's shared scan.
        query: Statement that gives the one value to compare, when the rule needs a scan of its own.
        values: The accepted values in the column's type, for ``accepted_values``.
        regex: Postgres' form of the pattern, for ``pattern``.
        rows: ``FROM ... WHERE ...`` of the rows that break it.
        order: Columns that bring the rows that belong together side by side.
        twins: Whether a column bears another one's name but for case (``a`` and ``A``): Great Expectations takes one for the other.
    """

    rule: Rule
    columns: tuple[str, ...]
    bounds: Bounds = NONE_ALLOWED
    offending: sql.Composable | None = None
    measure: sql.Composable | None = None
    query: sql.Composable | None = None
    values: tuple[Any, ...] = ()
    regex: str | None = None
    rows: sql.Composable | None = None
    order: tuple[str, ...] = ()
    twins: bool = False

    @property
    def counts_rows(self) -> bool:
        """Whether the measured number is a number of rows that break the rule."""
        return self.rule.kind not in {"row_count", "sql"}


def told_apart(plan: RulePlan, names: Iterable[str]) -> RulePlan:
    """The plan, knowing whether among the relation's columns ``names`` is a twin of one of its own."""
    others = Counter(name.casefold() for name in set(names))
    return replace(plan, twins=any(others[column.casefold()] > 1 for column in plan.columns))


def plan_rule(rule: Rule, table: Table, relation: Relation, candidates: Mapping[str, Relation]) -> RulePlan:
    """Compiles one rule.

    Args:
        rule: A rule of the table.
        table: The table.
        relation: The candidate relation that is audited.
        candidates: Candidate relations of the contract's tables by physical name; foreign keys inside the contract read them.

    Raises:
        QualityError: The kind is unknown, or an argument makes no sense; ``where`` is the clause.
    """
    planner = _PLANNERS.get(rule.kind)
    if planner is None:
        raise QualityError(
            f"the rule {rule.name!r} is of the unknown kind {rule.kind!r}",
            where=str(rule.location),
            remedy=f"the platform compiles {', '.join(sorted(_PLANNERS))}",
        )
    try:
        plan = planner(rule, table, relation, candidates)
    except QualityError as error:
        raise QualityError(f"{rule.name}: {error.what}", where=str(rule.location), remedy=error.remedy) from error
    if plan.offending is not None:
        rows = sql.SQL("FROM {} AS c WHERE {}").format(identifier(*relation), plan.offending)
        plan = replace(plan, rows=rows)
    return plan


def identifier(*parts: str) -> sql.Identifier:
    """A quoted name."""
    return sql.Identifier(*parts)


def raw(text: str) -> sql.SQL:
    """Text of a contract's own SQL, or an operator."""
    return sql.SQL(cast(LiteralString, text))


def _columns(rule: Rule) -> tuple[str, ...]:
    names = tuple(rule.arguments.get("columns") or ([rule.column] if rule.column else []))
    if not names:
        raise QualityError(f"a rule of the kind {rule.kind!r} names no column", remedy="name the columns")
    return names


def _joined(parts: Sequence[sql.Composable], by: LiteralString) -> sql.Composed:
    return sql.SQL(by).join(parts)


def _filled(columns: Sequence[str]) -> sql.Composed:
    return _joined([sql.SQL("{} IS NOT NULL").format(identifier(name)) for name in columns], " AND ")


def _counted(condition: sql.Composable) -> sql.Composed:
    return sql.SQL("count(*) FILTER (WHERE {})").format(condition)


def _broken_by(rule: Rule, condition: sql.Composable, bounds: Bounds = NONE_ALLOWED) -> RulePlan:
    """A rule whose breaches are rows of the shared scan."""
    return RulePlan(rule, _columns(rule), bounds, offending=condition, measure=_counted(condition))


def _not_null(rule: Rule, *_: Any) -> RulePlan:
    return _broken_by(rule, sql.SQL("{} IS NULL").format(identifier(_columns(rule)[0])))


def _null_count(rule: Rule, *_: Any) -> RulePlan:
    column = identifier(_columns(rule)[0])
    condition: sql.Composable = sql.SQL("{} IS NULL").format(column)
    missing = [str(value) for value in rule.arguments.get("missing_values") or () if value is not None]
    if missing:
        condition = sql.SQL("({} OR {}::text IN ({}))").format(condition, column, _joined([*map(sql.Literal, missing)], ", "))
    return _broken_by(rule, condition, read_bounds(rule.arguments))


def _distinct(columns: Sequence[str]) -> sql.Composed:
    if len(columns) == 1:
        return sql.SQL("count(DISTINCT {})").format(identifier(columns[0]))
    names = _joined([identifier(name) for name in columns], ", ")
    return sql.SQL("count(DISTINCT ({})) FILTER (WHERE {})").format(names, _filled(columns))


def _repeated(columns: Sequence[str], relation: Relation) -> sql.Composed:
    names = _joined([identifier(name) for name in columns], ", ")
    return sql.SQL("({names}) IN (SELECT {names} FROM {relation} WHERE {filled} GROUP BY {names} HAVING count(*) > 1)").format(
        names=names, relation=identifier(*relation), filled=_filled(columns)
    )


def _unique(rule: Rule, _table: Table, relation: Relation, _candidates: Any) -> RulePlan:
    columns = _columns(rule)
    bounds = NONE_ALLOWED if rule.kind == "unique" else read_bounds(rule.arguments)
    measure = sql.SQL("{} - {}").format(_counted(_filled(columns)), _distinct(columns))
    return RulePlan(rule, columns, bounds, offending=_repeated(columns, relation), measure=measure, order=columns)


def _primary_key(rule: Rule, _table: Table, relation: Relation, _candidates: Any) -> RulePlan:
    columns = _columns(rule)
    empty = _joined([sql.SQL("{} IS NULL").format(identifier(name)) for name in columns], " OR ")
    offending = sql.SQL("({} OR {})").format(empty, _repeated(columns, relation))
    measure = sql.SQL("count(*) - {}").format(_distinct(columns))
    return RulePlan(rule, columns, offending=offending, measure=measure, order=columns)


def _accepted_values(rule: Rule, table: Table, *_: Any) -> RulePlan:
    name = _columns(rule)[0]
    values = _typed(rule.arguments["values"], name, table)
    return replace(_broken_by(rule, _outside(name, values)), values=values)


def _pattern(rule: Rule, *_: Any) -> RulePlan:
    name, regex = _columns(rule)[0], to_postgres(rule.arguments["regex"])
    return replace(_broken_by(rule, _unmatched(name, regex)), regex=regex)


def _invalid_count(rule: Rule, table: Table, *_: Any) -> RulePlan:
    name, bounds = _columns(rule)[0], read_bounds(rule.arguments)
    conditions: list[sql.Composable] = []
    if "values" in rule.arguments:
        conditions.append(_outside(name, _typed(rule.arguments["values"], name, table)))
    if "regex" in rule.arguments:
        conditions.append(_unmatched(name, to_postgres(rule.arguments["regex"])))
    return _broken_by(rule, sql.SQL("({})").format(_joined(conditions, " OR ")), bounds)


def _outside(name: str, values: Sequence[Any]) -> sql.Composed:
    if not values:
        return sql.SQL("{} IS NOT NULL").format(identifier(name))
    return sql.SQL("{} NOT IN ({})").format(identifier(name), _joined([*map(sql.Literal, values)], ", "))


def _unmatched(name: str, regex: str) -> sql.Composed:
    return sql.SQL("{} !~ {}").format(identifier(name), sql.Literal(regex))


def _typed(values: Sequence[Any], name: str, table: Table) -> tuple[Any, ...]:
    """The values as the column holds them: ``[1, 2]`` of a text column means ``['1', '2']``; NULL needs no permission."""
    column = next((item for item in table.columns if item.physical_name == name), None)
    given = tuple(value for value in values if value is not None)
    return tuple(map(_text, given)) if column is not None and _is_text(column) else given


def _is_text(column: Column) -> bool:
    physical = (column.physical_type or "").lower().partition("(")[0].strip()
    return physical in _TEXT_TYPES if physical else column.logical_type == "string"


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)


_RANGE = {"minimum": ">=", "exclusive_minimum": ">", "maximum": "<=", "exclusive_maximum": "<"}


def _range(rule: Rule, *_: Any) -> RulePlan:
    name = _columns(rule)[0]
    limits = [
        sql.SQL("{} {} {}").format(identifier(name), raw(operator), sql.Literal(rule.arguments[key]))
        for key, operator in _RANGE.items()
        if rule.arguments.get(key) is not None
    ]
    if not limits:
        raise QualityError("the range has neither minimum nor maximum", remedy="name one")
    return _broken_by(rule, sql.SQL("NOT ({})").format(_joined(limits, " AND ")))


def _length(rule: Rule, *_: Any) -> RulePlan:
    name = _columns(rule)[0]
    limits = [
        sql.SQL("char_length({}) {} {}").format(identifier(name), raw(operator), sql.Literal(int(rule.arguments[key])))
        for key, operator in (("minimum", "<"), ("maximum", ">"))
        if rule.arguments.get(key) is not None
    ]
    if not limits:
        raise QualityError("the length has neither minimum nor maximum", remedy="name one")
    return _broken_by(rule, sql.SQL("({})").format(_joined(limits, " OR ")))


def _row_count(rule: Rule, *_: Any) -> RulePlan:
    return RulePlan(rule, (), read_bounds(rule.arguments), measure=sql.SQL("count(*)"))


def _foreign_key(rule: Rule, _table: Table, relation: Relation, candidates: Mapping[str, Relation]) -> RulePlan:
    columns, given = _columns(rule), rule.arguments
    target = (str(given.get("to_schema")), str(given["to_table"]))
    if given.get("to_candidate"):
        if given["to_table"] not in candidates:
            raise QualityError(
                f"the candidate of the table {given['to_table']!r} is no part of this audit", remedy="audit the port's tables together"
            )
        target = candidates[given["to_table"]]
    matches = [
        sql.SQL("t.{} = c.{}").format(identifier(theirs), identifier(ours))
        for ours, theirs in zip(columns, given["to_columns"], strict=True)
    ]
    filled = _joined([sql.SQL("c.{} IS NOT NULL").format(identifier(name)) for name in columns], " AND ")
    offending = sql.SQL("{} AND NOT EXISTS (SELECT FROM {} AS t WHERE {})").format(filled, identifier(*target), _joined(matches, " AND "))
    # A statement of its own: as an anti join Postgres may hash, sort or spill; inside the shared scan's aggregates it could not.
    query = sql.SQL("SELECT count(*) FROM {} AS c WHERE {}").format(identifier(*relation), offending)
    return RulePlan(rule, columns, offending=offending, query=query)


def _sql(rule: Rule, _table: Table, relation: Relation, _candidates: Any) -> RulePlan:
    written = str(rule.arguments["query"]).strip().rstrip(";")
    here = identifier(*relation).as_string(None)
    rows = None
    counted = _COUNTED_ROWS.match(written)
    if counted and not _NO_PLAIN_FILTER.search(counted["rows"]):
        rows = raw(counted["rows"].replace("{object}", here))
    bounds = replace(read_bounds(rule.arguments), percent=False)  # the query's own value, in whatever unit it computes
    return RulePlan(rule, (), bounds, query=raw(written.replace("{object}", here)), rows=rows)


_PLANNERS: Mapping[str, Callable[..., RulePlan]] = {
    "not_null": _not_null,
    "null_count": _null_count,
    "unique": _unique,
    "duplicate_count": _unique,
    "primary_key": _primary_key,
    "accepted_values": _accepted_values,
    "invalid_count": _invalid_count,
    "pattern": _pattern,
    "range": _range,
    "length": _length,
    "row_count": _row_count,
    "foreign_key": _foreign_key,
    "sql": _sql,
}
KINDS = frozenset(_PLANNERS)
"""Every kind of rule that the platform compiles."""
