"""Staged rows into a deduplicated table: one row a key, the newest by cursor, then by arrival."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg
from psycopg import sql

from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.tables import column_list, ensure_key, newest_first
from platform_core.ingestion.types import META_COLUMNS, Column

Newer = Callable[[str | None], sql.Composable]
"""From the cursor's column (None without one) to the WHERE of an upsert: when an arriving row replaces the stored one of its
key. Both ``t``, the stored row, and ``excluded``, the arriving one, are in scope."""


def newer_by_cursor(cursor: str | None) -> sql.Composable:
    """An arriving row wins unless its cursor is older."""
    return sql.SQL(" WHERE t.{0} IS NULL OR excluded.{0} >= t.{0}").format(sql.Identifier(cursor)) if cursor else sql.SQL("")


class KeyMerge:
    """Merges the rows of one stream.

    Attributes:
        newer: When an arriving row replaces a stored one.
    """

    def __init__(
        self,
        session: psycopg.Connection[Any],
        task: StreamTask,
        columns: tuple[Column, ...],
        *,
        schema: str,
        staging: sql.Composable,
    ) -> None:
        """Prepares the statements.

        Args:
            session: A session as the domain's owner.
            task: The stream, with its primary key.
            columns: Its columns.
            schema: The raw schema.
            staging: Table of the arriving rows.
        """
        names = {column.field: column.name for column in columns}
        self.newer: Newer = newer_by_cursor
        self._session, self._schema, self._table = session, schema, task.table
        self._key = [names[field] for field in task.primary_key]
        # A nested cursor has no column of its own; then the order of arrival decides.
        self._cursor = task.column_name(task.cursor_field[0]) if len(task.cursor_field) == 1 else None
        self._columns = [name for name, _ in META_COLUMNS] + [column.name for column in columns]
        self._indexed = False
        self._names = {
            "target": sql.Identifier(schema, task.table),
            "staging": staging,
            "columns": column_list(columns),
            "key": sql.SQL(", ").join(map(sql.Identifier, self._key)),
            "order": newest_first(self._cursor),
        }

    def ensure_key(self) -> None:
        """Makes the index over the key of a table that was there before, reducing its rows where it has to."""
        ensure_key(self._session, self._schema, self._table, self._key, self._cursor)
        self._indexed = True

    def bring(self, where: sql.Composable) -> None:
        """Merges the staged rows that fulfil ``where``."""
        if self._indexed:
            self._execute(self._newest(where) + self._on_conflict())
            return
        # A table that this transaction made. Most sources send a key once, and an index tells so for a fifth of what a sort costs.
        self._execute(sql.SQL("INSERT INTO {target} ({columns}) SELECT {columns} FROM {staging} ").format(**self._names) + where)
        try:
            with self._session.transaction():
                self._index()
        except psycopg.errors.UniqueViolation:
            self._execute(sql.SQL("TRUNCATE {target}").format(**self._names))
            self._execute(self._newest(where))
            self._index()
        self._indexed = True

    def index_own(self) -> None:
        """Makes the index over the key of a table that this transaction made and filled, reducing its rows where it has to."""
        if self._indexed:
            return
        try:
            with self._session.transaction():
                self._index()
        except psycopg.errors.UniqueViolation:
            # Through a copy, so that the table does not keep the space of the rows that go.
            names = {**self._names, "reduced": sql.Identifier("pg_temp", "reduced")}
            for statement in (
                "CREATE TEMPORARY TABLE {reduced} ON COMMIT DROP AS SELECT DISTINCT ON ({key}) {columns} FROM {target} ORDER BY {key}, {order}",
                "TRUNCATE {target}",
                "INSERT INTO {target} ({columns}) SELECT {columns} FROM {reduced}",
                "DROP TABLE {reduced}",
            ):
                self._execute(sql.SQL(statement).format(**names))
            self._index()
        self._indexed = True

    def _index(self) -> None:
        ensure_key(self._session, self._schema, self._table, self._key, self._cursor, unique=True)

    def _newest(self, where: sql.Composable) -> sql.Composed:
        """Brings one row a key, the newest, without looking at what the table has."""
        return sql.SQL(
            "INSERT INTO {target} AS t ({columns}) SELECT DISTINCT ON ({key}) {columns} FROM {staging} {where} ORDER BY {key}, {order}"
        ).format(**self._names, where=where)

    def _on_conflict(self) -> sql.Composed:
        sets = sql.SQL(", ").join(
            sql.SQL("{0} = excluded.{0}").format(sql.Identifier(name)) for name in self._columns if name not in self._key
        )
        return sql.SQL(" ON CONFLICT ({key}) DO UPDATE SET {sets}{newer}").format(
            key=self._names["key"], sets=sets, newer=self.newer(self._cursor)
        )

    def _execute(self, statement: sql.Composed) -> None:
        self._session.execute(statement)
