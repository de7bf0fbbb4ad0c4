"""Points the view that consumers read at one published version."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Table
from platform_core.publishing.errors import PublishingError
from platform_core.publishing.view_definition import ViewDefinition, column_of

_log = logging.getLogger(__name__)


def point(connection: Connection, contract: Contract, table: Table, version: str, readers: Sequence[str]) -> None:
    """Points the port view of ``table`` at the publication that the port's record names, in the caller's transaction.

    Columns keep the order that readers know; new ones come last. A column that is gone or has another type needs a new view,
    which Postgres refuses while another domain's view stands on it.

    Args:
        connection: As the domain's owner, who may ask for the view and not make it: see ``port_views.sql``.
        contract: The port.
        table: One of its tables.
        version: The relation in the product's data schema that the publication holds for the table.
        readers: Roles that may select; one that was not applied yet gets its grant when it is.

    Raises:
        PublishingError: Views of consumers stand in the way of a changed shape, or the warehouse was not applied for the port.
        psycopg.errors.UndefinedColumn: The version lacks a column.
    """
    types = _types(connection, sql.Identifier(naming.data_schema(contract.product_id), version))
    position = {
        name: at for at, name in enumerate(_types(connection, sql.Identifier(naming.port_schema(contract.product_id), table.physical_name)))
    }
    # A type that is not known here is a column that is not there: Postgres says so, with its name.
    columns = [column_of(column, types.get(column.physical_name, "text")) for column in table.columns]
    known = sorted(columns, key=lambda column: position.get(column.name, len(position)))
    try:
        with connection.transaction():
            connection.execute(ViewDefinition(contract, table, tuple(known)).call("show_version", readers, anew=False))
    except errors.InvalidTableDefinition:
        _replace(connection, ViewDefinition(contract, table, tuple(columns)), readers)
    except (errors.UndefinedFunction, errors.InsufficientPrivilege, errors.InvalidObjectDefinition) as error:
        raise PublishingError(
            error.diag.message_primary or str(error), where=contract.id, remedy=error.diag.message_hint or "run ./mesh apply, then publish"
        ) from error
    _without(connection, contract, table, readers)


def _replace(connection: Connection, view: ViewDefinition, readers: Sequence[str]) -> None:
    name = f"{view.schema}.{view.table.physical_name}"
    try:
        with connection.transaction():
            connection.execute(view.call("show_version", readers, anew=True))
    except errors.DependentObjectsStillExist as error:
        raise PublishingError(
            f"the shape of {name} changed while views of consumers stand on it: {error.diag.message_detail}",
            where=name,
            remedy="publish the change as a new major version, or have the consumers build tables instead of views",
        ) from error


def _types(connection: Connection, relation: sql.Identifier) -> Mapping[str, str]:
    """Column to type of a relation, in their order; nothing when it does not exist."""
    rows = connection.execute(
        """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
           WHERE attrelid = to_regclass(%s) AND attnum > 0 AND NOT attisdropped ORDER BY attnum""",
        (relation.as_string(connection),),
    )
    return {str(name): str(kind) for name, kind in rows}


def _without(connection: Connection, contract: Contract, table: Table, readers: Sequence[str]) -> None:
    """Says which readers have no grant: a consumer whose files came before its ``apply`` must not keep the producer from publishing."""
    view = sql.Identifier(naming.port_schema(contract.product_id), table.physical_name).as_string(connection)
    rows = connection.execute(
        """SELECT r.name FROM unnest(%s::text[]) AS r (name) WHERE NOT EXISTS (
               SELECT FROM pg_roles AS k WHERE k.rolname = r.name AND has_table_privilege(k.oid, %s, 'SELECT')) ORDER BY 1""",
        (list(readers), view),
    ).fetchall()
    if rows:
        _log.warning("no grant on %s to %s yet; run ./mesh apply", view, ", ".join(str(name) for (name,) in rows))
