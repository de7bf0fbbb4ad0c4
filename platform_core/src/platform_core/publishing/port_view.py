"""The view that consumers read: the contract's columns, personal data masked, over one published version."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Column, Contract, Table
from platform_core.publishing.errors import PublishingError

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
        PublishingError: Views of consumers stand in the way of a changed shape.
    """
    schema = naming.port_schema(contract.product_id)
    view = sql.Identifier(schema, table.physical_name)
    existing = [
        str(row[0])
        for row in connection.execute(
            """SELECT a.attname FROM pg_attribute AS a WHERE a.attrelid = to_regclass(%s) AND a.attnum > 0 AND NOT a.attisdropped
               ORDER BY a.attnum""",
            (view.as_string(connection),),
        )
    ]
    position = {name: at for at, name in enumerate(existing)}
    columns = sorted(table.columns, key=lambda column: position.get(column.physical_name, len(position)))
    types = _types(connection, contract, version)
    body = _select(contract, columns, publication, version, types)
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(view, body))
    except errors.InvalidTableDefinition:
        _replace(connection, view, _select(contract, table.columns, publication, version, types), f"{schema}.{table.physical_name}")
    for statement in _surroundings(view, table, _existing(connection, readers)):
        connection.execute(statement)


def _replace(connection: Connection, view: sql.Identifier, body: sql.Composed, name: str) -> None:
    try:
        with connection.transaction():
            connection.execute(sql.SQL("DROP VIEW {}").format(view))
    except errors.DependentObjectsStillExist as error:
        raise PublishingError(
            f"the shape of {name} changed while views of consumers stand on it: {error.diag.message_detail}",
            where=name,
            remedy="publish the change as a new major version, or have the consumers build tables instead of views",
        ) from error
    connection.execute(sql.SQL("CREATE VIEW {} AS {}").format(view, body))


def _types(connection: Connection, contract: Contract, version: str) -> dict[str, str]:
    """Column to type, as the version holds it."""
    source = sql.Identifier(naming.data_schema(contract.product_id), version).as_string(connection)
    rows = connection.execute(
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = to_regclass(%s) AND attnum > 0", (source,)
    )
    return {str(name): str(kind) for name, kind in rows}


def _existing(connection: Connection, roles: Sequence[str]) -> list[str]:
    """The roles that exist: a consumer whose files came before its ``apply`` must not keep the producer from publishing."""
    known = {str(row[0]) for row in connection.execute("SELECT rolname FROM pg_roles WHERE rolname = ANY(%s)", (list(roles),))}
    missing = [role for role in roles if role not in known]
    if missing:
        _log.warning("no grant to roles that do not exist yet: %s; run ./mesh apply", ", ".join(missing))
    return [role for role in roles if role in known]


def _select(contract: Contract, columns: Sequence[Column], publication: str, version: str, types: Mapping[str, str]) -> sql.Composed:
    # A transaction in REPEATABLE READ keeps its first snapshot, but Postgres shows it the newest view: a version that was sealed
    # later would look empty. It gets a serialization failure instead. Asked once a query, as an init plan.
    return sql.SQL(
        """SELECT {columns} FROM {source} AS v WHERE (SELECT CASE WHEN EXISTS (
               SELECT FROM mesh.publications AS p WHERE p.contract_id = {contract} AND p.publication = {publication}
           ) THEN true ELSE mesh.published_later() END)"""
    ).format(
        columns=sql.SQL(", ").join(_column(contract, column, types.get(column.physical_name)) for column in columns),
        source=sql.Identifier(naming.data_schema(contract.product_id), version),
        contract=sql.Literal(contract.id),
        publication=sql.Literal(publication),
    )


def _column(contract: Contract, column: Column, kind: str | None) -> sql.Composed:
    name = sql.Identifier(column.physical_name)
    if not column.personal:
        return sql.SQL("v.{}").format(name)
    # The role is asked once a query, as an init plan, not once a row.
    masked = sql.SQL(
        "CASE WHEN (SELECT pg_has_role(current_user, {pii}, 'MEMBER') OR pg_has_role(current_user, {owner}, 'MEMBER')) THEN v.{name} END"
    ).format(pii=sql.Literal(naming.pii_reader_role(contract.product_id)), owner=sql.Literal(naming.owner_role(contract.domain)), name=name)
    if kind is not None:  # CASE forgets lengths and scales, and a view's column must keep its type when it becomes personal
        masked = sql.SQL("CAST({} AS {})").format(masked, sql.SQL(kind))  # pyright: ignore[reportArgumentType]  # Postgres' own text
    return sql.SQL("{} AS {}").format(masked, name)


def _surroundings(view: sql.Identifier, table: Table, readers: Sequence[str]) -> Iterator[sql.Composed]:
    for role in readers:
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(view, sql.Identifier(role))
    yield sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(table.description or ""))
    for column in table.columns:
        target = sql.SQL("{}.{}").format(view, sql.Identifier(column.physical_name))
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(target, sql.Literal(column.description or ""))
