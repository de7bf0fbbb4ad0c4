"""What a port view should be: its columns with their masks, the row filter, the comments. Postgres makes it of this (``port_views.sql``)."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from psycopg import sql
from psycopg.types.json import Jsonb

from platform_core.contracts import naming
from platform_core.contracts.masking import NULL, Mask, hiding, misfit
from platform_core.contracts.model import Column, Contract, Table

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
        columns: Its columns, in their order.
    """

    contract: Contract
    table: Table
    columns: tuple[ViewColumn, ...]

    @property
    def schema(self) -> str:
        """Schema of the view."""
        return naming.port_schema(self.contract.product_id)

    @property
    def comment(self) -> str:
        """The table's description."""
        return self.table.description or ""

    @property
    def row_filter(self) -> Mapping[str, str] | None:
        """The column and the reader's attribute that are compared; None when everybody sees all rows."""
        wanted = self.table.row_filter
        return {"column": wanted.column, "attribute": wanted.attribute} if wanted else None

    @property
    def comments(self) -> Mapping[str | None, str]:
        """Column to its description, None to that of the view; those that are not empty."""
        found: dict[str | None, str] = {None: self.comment, **{column.name: column.comment for column in self.columns}}
        return {name: text for name, text in found.items() if text}

    @property
    def options(self) -> tuple[str, ...]:
        """The view's options, as ``pg_class.reloptions`` holds them: nothing of a reader's may be evaluated before a row filter."""
        return ("security_barrier=true",) if self.row_filter else ()

    @property
    def document(self) -> Mapping[str, Any]:
        """The definition as the functions of ``port_views.sql`` take it."""
        columns = [
            {"name": column.name, "mask": asdict(column.mask) if column.mask else None, "comment": column.comment}
            for column in self.columns
        ]
        return {"columns": columns, "filter": self.row_filter, "comment": self.comment}

    def call(self, function: str, readers: Sequence[str], *, anew: bool) -> sql.Composed:
        """The statement that makes the view.

        Args:
            function: ``show_version`` for who publishes, ``make_view`` for the platform.
            readers: Roles that may select.
            anew: Whether a view that stands is dropped first, because the new one has another shape.
        """
        return sql.SQL("SELECT {}({}, {}, {}, {}::text[], {})").format(
            sql.Identifier(naming.PLATFORM_SCHEMA, function),
            sql.Literal(self.contract.id),
            sql.Literal(self.table.physical_name),
            sql.Literal(Jsonb(self.document)),
            sql.Literal(list(readers)),
            sql.Literal(anew),
        )


def column_of(column: Column, kind: str) -> ViewColumn:
    """A contract's column, of the type that the published version has. Personal data that no policy speaks of is null."""
    mask = hiding(column.mask, personal=column.personal)
    return ViewColumn(column.physical_name, kind, _fitting(mask, column.physical_name, kind), column.description or "")


def _fitting(mask: Mask | None, name: str, kind: str) -> Mask | None:
    """The mask, or null where it does not fit the type that was published: the audit of the shape says so too."""
    reason = misfit(mask, kind) if mask else None
    if reason is None:
        return mask
    _log.warning("the mask %s does not fit %s, which is %s: it %s; readers see null", mask, name, kind, reason)
    return NULL
