"""Points the view that consumers read at one published version."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Table
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.view_definition import ViewDefinition, column_of, define

_log = logging.getLogger(__name__)


def point(connection: Connection, contract: Contract, table: Table, publication: str, version: str, readers: Sequence[str]) -> None:
    """Points the port view of ``table`` at ``version``, in the caller's transaction.

    Columns keep the order that readers know; new ones come last. A column that is gone or has another type needs a new view,
    which Postgres refuses while another domain's view stands on it.

    Args:
        connection: As the domain's owner.
        contract: The port.
        table: One of its tables.
        publication: What is to be shown.
        version: Its relation in the product's data schema.
        readers: Roles that may select; one that does not exist yet gets its grant when it is applied.

    Raises:
        PublishingError: Views of consumers stand in the way of a changed shape, or the domain may not hash yet.
        psycopg.errors.UndefinedColumn: The version lacks a column.
    """
    _may_hash(connection, contract)
    types = _types(connection, sql.Identifier(naming.data_schema(contract.product_id), version))
    position = {
        name: at for at, name in enumerate(_types(connection, sql.Identifier(naming.port_schema(contract.product_id), table.physical_name)))
    }
    # A type that is not known here is a column that is not there: Postgres says so, with its name.
    columns = [column_of(column, types.get(column.physical_name, "text")) for column in table.columns]
    known = sorted(columns, key=lambda column: position.get(column.name, len(position)))
    view = define(contract, table, publication, version, known, types)
    try:
        with connection.transaction():
            connection.execute(view.create())
    except errors.InvalidTableDefinition:
        view = define(contract, table, publication, version, columns, types)
        _replace(connection, view)
    for role in _existing(connection, readers):
        connection.execute(sql.SQL("GRANT SELECT ON {} TO {}").format(view.name, sql.Identifier(role)))
    connection.execute(view.describe())
    connection.execute(view.record())


def _replace(connection: Connection, view: ViewDefinition) -> None:
    name = f"{view.schema}.{view.table.physical_name}"
    try:
        with connection.transaction():
            connection.execute(sql.SQL("DROP VIEW {}").format(view.name))
    except errors.DependentObjectsStillExist as error:
        raise PublishingError(
            f"the shape of {name} changed while views of consumers stand on it: {error.diag.message_detail}",
            where=name,
            remedy="publish the change as a new major version, or have the consumers build tables instead of views",
        ) from error
    connection.execute(view.create())


def _may_hash(connection: Connection, contract: Contract) -> None:
    """Without the right to hash, the view would be an error to every reader."""
    if contract.hashed:
        view = sql.Identifier(naming.PLATFORM_SCHEMA, naming.MASK_PASS).as_string(connection)
        row = connection.execute("SELECT has_table_privilege(%s, 'SELECT')", (view,)).fetchone()
        if row is None or not row[0]:
            raise PublishingError(
                "the port has hashed columns since the last apply", where=contract.id, remedy="run ./mesh apply, then publish"
            )


def _types(connection: Connection, relation: sql.Identifier) -> Mapping[str, str]:
    """Column to type of a relation, in their order; nothing when it does not exist."""
    rows = connection.execute(
        """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        (relation.as_string(connection),),
    )
    return {str(name): str(kind) for name, kind in rows}


def _existing(connection: Connection, roles: Sequence[str]) -> list[str]:
    """The roles that exist: a consumer whose files came before its ``apply`` must not keep the producer from publishing."""
    known = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(roles),))}
    missing = [role for role in roles if role not in known]
    if missing:
        _log.warning("no grant to roles that do not exist yet: %s; run ./mesh apply", ", ".join(missing))
    return [role for role in roles if role in known]
