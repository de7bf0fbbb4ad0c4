"""The port of ``port_bench`` with masks and row filters, read as each kind of role."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from port_bench import LINES, Port, column, table
from psycopg import Connection, sql

from platform_core.contracts.masking import Mask
from platform_core.contracts.row_filter import RowFilter
from platform_core.publishing.view_changes import view_changes

READER, PII, OWNER = "sales_orders_reader", "sales_orders_reader_pii", "sales_owner"


def mask_table(port: Port, columns: Mapping[str, tuple[str, Mask | None]], row_filter: RowFilter | None = None) -> None:
    """Gives ``orders`` these columns: name to type and mask."""
    made = table("orders", {name: kind for name, (kind, _) in columns.items()}, personal=())
    masked = tuple(replace(column(name, kind), mask=mask) for name, (kind, mask) in columns.items())
    port.change(replace(made, columns=masked, row_filter=row_filter), table("lines", LINES))


def fill(port: Port, columns: Mapping[str, tuple[str, Sequence[str | None]]]) -> None:
    """Builds ``orders`` with these values: name to type and texts, one a row."""
    rows = max(len(values) for _, values in columns.values())
    cells = [
        sql.SQL("(({}::text[])[g])::{} AS {}")
        .format(sql.Literal([*values, *[None] * (rows - len(values))]), sql.SQL(kind), sql.Identifier(name))  # type: ignore[arg-type]
        .as_string(None)
        for name, (kind, values) in columns.items()
    ]
    port.build(1, rows=rows, tables={"orders": ", ".join(["g AS row_number", *cells])})


def settle(port: Port) -> list[str]:
    """Does what ``view_changes`` says, as the platform, and says what it was."""
    with port.warehouse.connect_platform() as connection:
        steps = view_changes(connection, port.mesh)
        for step in steps:
            if step.statement is not None:
                connection.execute(step.statement)
    return [str(step) for step in steps]


def pending(port: Port) -> list[str]:
    """What ``view_changes`` would do, with its kind and detail."""
    with port.warehouse.connect_platform() as connection:
        return [f"{step.kind}: {step}{f' ({step.detail})' if step.detail else ''}" for step in view_changes(connection, port.mesh)]


@contextmanager
def acting_as(port: Port, role: str) -> Any:
    """A connection in which ``role`` is the current user."""
    with port.warehouse.connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("SET ROLE {}").format(sql.Identifier(role)))
        yield connection


def rows(port: Port, role: str, query: str) -> list[tuple[Any, ...]]:
    """What ``role`` gets."""
    with acting_as(port, role) as connection:
        return connection.execute(query.encode()).fetchall()


@contextmanager
def person(port: Port, *roles: str, name: str = "someone") -> Any:
    """A role of a person, who is a member of these roles; it ends with the block (roles belong to the whole server)."""
    with port.warehouse.connect_platform(autocommit=True) as admin:
        _drop(admin, name)
        admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(name)))
        for role in roles:
            admin.execute(sql.SQL("GRANT {} TO {}").format(sql.Identifier(role), sql.Identifier(name)))
        try:
            yield name
        finally:
            _drop(admin, name)


@contextmanager
def clear_reader(port: Port) -> Any:
    """A person who reads the port with personal data in clear."""
    with person(port, READER, PII, name="someone_cleared") as name:
        yield name


def _drop(admin: Connection, name: str) -> None:
    if admin.execute("SELECT FROM pg_roles WHERE rolname = %s", (name,)).fetchone() is not None:
        admin.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
        admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
