"""A few of the rows that break a rule, without personal data."""

from __future__ import annotations

import re
from collections.abc import Mapping

import psycopg
from psycopg import sql

from platform_core.contracts import Column, Table
from platform_core.quality.plan import RulePlan, identifier

MASK = "***"
_SHOWN_QUERY_ROWS = 100
_SHOWN_CHARACTERS = 200
_COLUMNS_WITHOUT_KEY = 5


def sample_query(plan: RulePlan) -> str | None:
    """A statement that shows whole rows that break the rule, for a person with rights of their own."""
    if plan.rows is not None:
        return _limited(sql.SQL("SELECT * {}").format(plan.rows), plan, _SHOWN_QUERY_ROWS).as_string(None)
    return plan.query.as_string(None) if plan.query is not None else None


def sample_rows(connection: psycopg.Connection, plan: RulePlan, table: Table, limit: int) -> tuple[Mapping[str, str | None], ...]:
    """Rows that break the rule: the key and the rule's columns as text, personal data masked inside the database.

    Args:
        connection: Of the domain, autocommitting.
        plan: A rule that the data breaks.
        table: Its table.
        limit: Most rows to fetch.

    Returns:
        The rows; none where the rule blames no rows.

    Raises:
        psycopg.Error: The statement fails.
    """
    if plan.rows is None or limit <= 0:
        return ()
    columns = _shown(plan, table)
    shown = sql.SQL(", ").join([_as_text(column) for column in columns])
    query = _limited(sql.SQL("SELECT {} {}").format(shown, plan.rows), plan, limit)
    names = [column.physical_name for column in columns]
    return tuple(dict(zip(names, row, strict=True)) for row in connection.execute(query))


def _limited(query: sql.Composable, plan: RulePlan, limit: int) -> sql.Composed:
    parts: list[sql.Composable] = [query]
    if plan.order:
        parts.append(sql.SQL("ORDER BY {}").format(sql.SQL(", ").join([identifier("c", name) for name in plan.order])))
    parts.append(sql.SQL("LIMIT {}").format(sql.Literal(limit)))
    # A line break first: a contract's own SQL may end with a comment.
    return sql.SQL("\n").join(parts)


def _shown(plan: RulePlan, table: Table) -> list[Column]:
    keys = [column for column in table.columns if column.primary_key] or list(table.columns[:_COLUMNS_WITHOUT_KEY])
    own = set(plan.columns) | ({plan.rule.column} if plan.rule.column else set())
    text = str(plan.rule.arguments.get("query", ""))
    touched = [
        column
        for column in table.columns
        if column.physical_name in own or re.search(rf"(?<!\w){re.escape(column.physical_name)}(?!\w)", text)
    ]
    return list({column.physical_name: column for column in [*keys, *touched]}.values())


def _as_text(column: Column) -> sql.Composed:
    name = identifier(column.physical_name)
    if column.personal:
        return sql.SQL("{} AS {}").format(sql.Literal(MASK), name)
    return sql.SQL("left({}::text, {}) AS {}").format(name, sql.Literal(_SHOWN_CHARACTERS), name)
