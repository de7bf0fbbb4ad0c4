"""The view that consumers read: the contract's columns, personal data masked, over one published version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from psycopg import Connection, errors, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Column, Contract, Table
from platform_core.publishing.errors import PublishingError


def point(connection: Connection, contract: Contract, table: Table, version: str, readers: Sequence[str]) -> None:
    """Points the port view of ``table`` at ``version``, in the caller's transaction.

    Columns keep the order that readers know; new ones come last. A column that is gone or has another type needs a new view,
    which Postgres refuses while another domain's view stands on it.

    Args:
        connection: As the domain's owner.
        contract: The port.
        table: One of its tables.
        version: Relation in the product's data schema.
        readers: Roles that may select.

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
    body = _select(contract, columns, version)
    try:
        with connection.transaction():
            connection.execute(sql.SQL("CREATE OR REPLACE VIEW {} AS {}").format(view, body))
    except errors.InvalidTableDefinition:
        _replace(connection, view, _select(contract, table.columns, version), f"{schema}.{table.physical_name}")
    for statement in _surroundings(view, table, readers):
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


def _select(contract: Contract, columns: Sequence[Column], version: str) -> sql.Composed:
    selected = sql.SQL(", ").join(_column(contract, column) for column in columns)
    source = sql.Identifier(naming.data_schema(contract.product_id), version)
    return sql.SQL("SELECT {} FROM {} AS v").format(selected, source)


def _column(contract: Contract, column: Column) -> sql.Composed:
    name = sql.Identifier(column.physical_name)
    if not column.personal:
        return sql.SQL("v.{}").format(name)
    # The role is asked once a query, as an init plan, not once a row.
    return sql.SQL("CASE WHEN (SELECT pg_has_role(current_user, {pii}, 'MEMBER') OR pg_has_role(current_user, {owner}, 'MEMBER')) THEN v.{name} END AS {name}").format(
        pii=sql.Literal(naming.pii_reader_role(contract.product_id)), owner=sql.Literal(naming.owner_role(contract.domain)), name=name
    )


def _surroundings(view: sql.Identifier, table: Table, readers: Sequence[str]) -> Iterator[sql.Composed]:
    for role in readers:
        yield sql.SQL("GRANT SELECT ON {} TO {}").format(view, sql.Identifier(role))
    yield sql.SQL("COMMENT ON VIEW {} IS {}").format(view, sql.Literal(table.description or ""))
    for column in table.columns:
        target = sql.SQL("{}.{}").format(view, sql.Identifier(column.physical_name))
        yield sql.SQL("COMMENT ON COLUMN {} IS {}").format(target, sql.Literal(column.description or ""))
