"""Column lineage for the catalog: the traced edges between columns that exist, and the columns of the models in between.

DataHub draws a column's lineage through tables whose columns it knows. Those of a port are its contract's; those of streams and models
are asked of Postgres, in one query.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from psycopg import Connection

from platform_core.catalog.aspects import compile_product
from platform_core.catalog.graph import CatalogProduct, ColumnEdge, InnerTable, Relation, RelationColumn
from platform_core.catalog.outbox import enqueue
from platform_core.contracts import Column, naming

_COLUMNS = """
    SELECT wanted.schema, wanted.name, a.attname, format_type(a.atttypid, a.atttypmod), NOT a.attnotnull
      FROM unnest(%s::text[], %s::text[]) AS wanted (schema, name)
      JOIN pg_namespace AS n ON n.nspname = wanted.schema
      JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = wanted.name AND c.relkind IN ('r', 'v', 'm', 'p', 'f')
      JOIN pg_attribute AS a ON a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped
     ORDER BY 1, 2, a.attnum"""


def with_columns(connection: Connection, told: CatalogProduct, edges: Sequence[ColumnEdge]) -> CatalogProduct:
    """What is told of a product, with its column lineage.

    Args:
        connection: Any role: names and types of columns are nobody's secret in Postgres.
        told: The product.
        edges: Traced; one between columns of which either does not exist is left out.
    """
    relations = sorted({end[:2] for edge in edges for end in edge})
    columns: dict[Relation, list[RelationColumn]] = {}
    rows = connection.execute(_COLUMNS, ([schema for schema, _ in relations], [table for _, table in relations])).fetchall()
    for schema, table, name, kind, nullable in rows:
        columns.setdefault((schema, table), []).append(RelationColumn(name, kind, nullable))
    for published in told.tables:  # neither is in its place before the switch; the columns of both are the contract's, by the audit
        promised = [_promised(column) for column in published.table.columns]
        columns[naming.build_schema(told.product.domain), published.table.model] = columns[published.relation] = promised
    exist = {(*relation, column.name) for relation, listed in columns.items() for column in listed}
    kept = tuple((source, target) for source, target in edges if source in exist and target in exist)
    tables = dict.fromkeys((*told.edges, *((source[:2], target[:2]) for source, target in kept)))
    inner = tuple(
        InnerTable(*relation, columns=tuple(columns[relation]))
        for relation in relations
        if relation in columns and told.owned(relation) and relation[0] != told.product.schema
    )
    return replace(told, edges=tuple(tables), column_edges=kept, inner=inner)


def _promised(column: Column) -> RelationColumn:
    native = column.physical_type or column.logical_type or "unknown"
    return RelationColumn(column.physical_name, native, not (column.required or column.primary_key), column.description)


def announce_columns(connection: Connection, told: CatalogProduct) -> int:
    """Records the lineage and the inner tables' columns of a product that was announced without them; see ``enqueue``."""
    inner = {naming.dataset_urn(*table.relation) for table in told.inner}
    proposals = [
        item
        for item in compile_product(told)
        if item.aspect_name == "upstreamLineage" or (item.aspect_name == "schemaMetadata" and item.entity_urn in inner)
    ]
    return enqueue(connection, told.product.domain, told.product.id, told.publication, proposals)
