"""What a port view should be: its columns with their masks, the row filter, the comments. Publishing and repair build it here alike."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass

from psycopg import sql

from platform_core.contracts import naming
from platform_core.contracts.masking import NULL, Mask, misfit
from platform_core.contracts.model import Column, Contract, Table
from platform_core.publishing.mask_sql import masked, type_name, unmasked_for
from platform_core.publishing.row_filter_sql import row_condition

_log = logging.getLogger(__name__)


@dataclass(frozen=True)
class ViewColumn:
    """A column of a port view.

    Attributes:
        name: Its name.
        kind: Its type, as ``format_type`` prints it.
        mask: What readers without the personal-data role see; None for the value.
        comment: Its description.
    """

    name: str
    kind: str
    mask: Mask | None
    comment: str = ""


@dataclass(frozen=True)
class ViewDefinition:
    """A port view as the files declare it.

    Attributes:
        contract: The port.
        table: The table that it shows.
        query: Its ``SELECT``.
        barrier: Whether nothing of a reader's may be evaluated before the row filter.
        columns: Its columns, in their order.
    """

    contract: Contract
    table: Table
    query: sql.Composed
    barrier: bool
    columns: tuple[ViewColumn, ...]

    @property
    def schema(self) -> str:
        """Schema of the view."""
        return naming.port_schema(self.contract.product_id)

    @property
    def name(self) -> sql.Identifier:
        """The view."""
        return sql.Identifier(self.schema, self.table.physical_name)

    @property
    def comment(self) -> str:
        """The table's description."""
        return self.table.description or ""

    @property
    def comments(self) -> str:
        """Hash of all comments, computed alike by ``view_changes`` from what Postgres holds."""
        lines = sorted(f"{column.name}\x1f{column.comment}" for column in self.columns if column.comment)
        return hashlib.md5("\x1e".join([self.comment, *lines]).encode(), usedforsecurity=False).hexdigest()

    @property
    def fingerprint(self) -> str:
        """Hash of all that is declared."""
        text = f"{self.query.as_string(None)}\x1e{self.barrier}\x1e{self.comments}"
        return hashlib.sha256(text.encode()).hexdigest()

    @property
    def options(self) -> tuple[str, ...]:
        """The view's options, as ``pg_class.reloptions`` holds them."""
        return ("security_barrier=true",) if self.barrier else ()

    def create(self) -> sql.Composed:
        """The statement that makes the view, or changes it in place."""
        options = sql.SQL(" WITH (security_barrier = true)" if self.barrier else "")
        return sql.SQL("CREATE OR REPLACE VIEW {}{} AS {}").format(self.name, options, self.query)

    def describe(self) -> sql.Composed:
        """The statements that put its comments."""
        parts = [sql.SQL("COMMENT ON VIEW {} IS {}").format(self.name, sql.Literal(self.comment))]
        for column in self.columns:
            target = sql.SQL("{}.{}").format(self.name, sql.Identifier(column.name))
            parts.append(sql.SQL("COMMENT ON COLUMN {} IS {}").format(target, sql.Literal(column.comment)))
        return sql.SQL("; ").join(parts)

    def record(self) -> sql.Composed:
        """The statement that records what was made, to find changes of the files and of the view apart."""
        held = json.dumps([[column.name, asdict(column.mask) if column.mask else None, column.comment] for column in self.columns])
        return sql.SQL(
            """INSERT INTO mesh.port_views AS held (contract_id, table_name, domain, declared, made, columns)
               SELECT {contract}, {table}, {domain}, {declared}, md5(r.ev_action::text), {columns}
               FROM pg_catalog.pg_rewrite AS r WHERE r.ev_class = {view}::regclass AND r.rulename = '_RETURN'
               ON CONFLICT (contract_id, table_name) DO UPDATE
               SET declared = excluded.declared, made = excluded.made, columns = excluded.columns, domain = excluded.domain"""
        ).format(
            contract=sql.Literal(self.contract.id),
            table=sql.Literal(self.table.physical_name),
            domain=sql.Literal(self.contract.domain),
            declared=sql.Literal(self.fingerprint),
            columns=sql.Literal(held),
            view=sql.Literal(self.name.as_string(None)),
        )


def column_of(column: Column, kind: str) -> ViewColumn:
    """A contract's column, of the type that the published version has. Personal data that no policy speaks of is null."""
    mask = column.mask or (NULL if column.personal else None)
    return ViewColumn(column.physical_name, kind, _fitting(mask, column.physical_name, kind), column.description or "")


def define(
    contract: Contract, table: Table, publication: str, version: str, columns: Sequence[ViewColumn], types: Mapping[str, str]
) -> ViewDefinition:
    """The view that shows a version.

    Args:
        contract: The port.
        table: One of its tables.
        publication: What is to be shown.
        version: Its relation in the product's data schema.
        columns: The view's columns, in their order.
        types: Column of the version to its type; the row filter's column need not be shown.
    """
    # A transaction in REPEATABLE READ keeps its first snapshot, but Postgres shows it the newest view: a version that was sealed
    # later would look empty. It gets a serialization failure instead, asked for when a query is planned, at no cost when it runs.
    query = sql.SQL("SELECT {columns} FROM {source} AS v WHERE mesh.shows({contract}, {publication}){rows}").format(
        columns=sql.SQL(", ").join(_expression(contract, column) for column in columns),
        source=sql.Identifier(naming.data_schema(contract.product_id), version),
        contract=sql.Literal(contract.id),
        publication=sql.Literal(publication),
        rows=_rows(contract, table, types),
    )
    return ViewDefinition(contract, table, query, table.row_filter is not None, tuple(columns))


def _expression(contract: Contract, column: ViewColumn) -> sql.Composed:
    name = sql.Identifier(column.name)
    if column.mask is None:
        return sql.SQL("v.{}").format(name)
    # The role is asked once a query, as an init plan, not once a row. CASE forgets lengths and scales, and a view's column must keep
    # its type when it becomes personal.
    return sql.SQL("CAST(CASE WHEN {} THEN v.{} ELSE {} END AS {}) AS {}").format(
        unmasked_for(contract.product_id, contract.domain),
        name,
        masked(column.mask, column.name, column.kind),
        type_name(column.kind),
        name,
    )


def _rows(contract: Contract, table: Table, types: Mapping[str, str]) -> sql.Composable:
    if table.row_filter is None:
        return sql.SQL("")
    kind = types.get(table.row_filter.column)
    if kind is None:
        return sql.SQL(" AND pg_has_role(current_user, {}, 'MEMBER')").format(sql.Literal(naming.owner_role(contract.domain)))
    return sql.SQL(" AND {}").format(row_condition(table.row_filter, kind, contract.domain))


def _fitting(mask: Mask | None, name: str, kind: str) -> Mask | None:
    """The mask, or null where it does not fit the type that was published: the audit of the shape says so too."""
    reason = misfit(mask, kind) if mask else None
    if reason is None:
        return mask
    _log.warning("the mask %s does not fit %s, which is %s: it %s; readers see null", mask, name, kind, reason)
    return NULL
