"""Columns as DataHub's schema fields.

Types follow DataHub's own Postgres source, so that both name a column's type alike; JSON is a record there and here.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

from platform_core.catalog import urns
from platform_core.catalog.clause_texts import CRITICAL_TAG, column_words, critical
from platform_core.catalog.graph import InnerTable, PublishedTable
from platform_core.catalog.proposal import UNSTAMPED, present
from platform_core.contracts import Column, Rule, naming

_TYPES = {
    **dict.fromkeys(("boolean", "bool"), "BooleanType"),
    **dict.fromkeys(
        ("smallint", "integer", "int", "bigint", "int2", "int4", "int8", "numeric", "decimal", "real", "float", "float4", "float8",
         "double precision", "money", "smallserial", "serial", "bigserial", "number"),
        "NumberType",
    ),
    **dict.fromkeys(
        ("text", "character varying", "varchar", "character", "char", "bpchar", "uuid", "citext", "xml", "cidr", "inet", "string"),
        "StringType",
    ),
    **dict.fromkeys(("bytea", "bit", "bit varying", "varbit"), "BytesType"),
    "date": "DateType",
    **dict.fromkeys(("time", "timetz", "timestamp", "timestamptz", "interval"), "TimeType"),
    **dict.fromkeys(("json", "jsonb", "object", "record"), "RecordType"),
    **dict.fromkeys(("vector", "array"), "ArrayType"),
}  # fmt: skip


def type_class(native: str | None, logical: str | None = None) -> str:
    """DataHub's class for a Postgres type, or for an ODCS logical type where the contract names no physical one."""
    text = re.sub(r"\([^)]*\)", "", (native or logical or "").lower())
    text = re.sub(r"\s+with(out)? time zone$", "", " ".join(text.split()))
    if text.endswith("[]"):
        return "ArrayType"
    return _TYPES.get(text) or (_TYPES.get((logical or "").lower()) if native else None) or "NullType"


def port_schema_metadata(published: PublishedTable) -> dict[str, Any]:
    """``schemaMetadata`` of a port, from its contract."""
    schema, name = published.relation
    keys = sorted((column for column in published.table.columns if column.primary_key), key=lambda column: column.primary_key_position)
    metadata = _schema_metadata(schema, name, [_field(published, column) for column in published.table.columns])
    if keys:
        metadata["primaryKeys"] = [column.physical_name for column in keys]
    foreign = [_foreign_key(rule, schema, name) for rule in published.table.rules if rule.kind == "foreign_key"]
    if foreign:
        metadata["foreignKeys"] = foreign
    return metadata


def inner_schema_metadata(table: InnerTable) -> dict[str, Any]:
    """``schemaMetadata`` of a stream or model, from the columns the caller knows."""
    fields = [
        present(
            fieldPath=column.name,
            nullable=column.nullable,
            description=column.description,
            type=_type(type_class(column.type)),
            nativeDataType=column.type,
            recursive=False,
            isPartOfKey=False,
        )
        for column in table.columns
    ]
    return _schema_metadata(table.schema, table.table, fields)


def field_tags(column: Column, *, critical: bool = False) -> tuple[str, ...]:
    """The URNs of a column's tags, its classification last: DataHub's own contract reader would drop that one."""
    tags = (*column.tags, CRITICAL_TAG) if critical else column.tags
    named = [urns.tag(tag) for tag in dict.fromkeys(tags)]
    return (*named, urns.classification_tag(column.classification)) if column.classification else tuple(named)


def _schema_metadata(schema: str, table: str, fields: list[dict[str, Any]]) -> dict[str, Any]:
    return {
        "schemaName": f"{naming.DATABASE}.{schema}.{table}",
        "platform": urns.PLATFORM,
        "version": 0,
        "created": UNSTAMPED,
        "lastModified": UNSTAMPED,
        "hash": "",
        "platformSchema": {"com.linkedin.schema.MySqlDDL": {"tableSchema": ""}},  # what DataHub writes for every SQL platform
        "fields": fields,
    }


def _field(published: PublishedTable, column: Column) -> dict[str, Any]:
    tags = field_tags(column, critical=critical(published.contract, published.table, column))
    return present(
        fieldPath=column.physical_name,
        nullable=not (column.required or column.primary_key),
        description=_described(published, column),
        label=column.business_name,
        type=_type(type_class(column.physical_type, column.logical_type)),
        nativeDataType=column.physical_type or column.logical_type or "unknown",
        recursive=False,
        globalTags={"tags": [{"tag": tag} for tag in tags]} if tags else None,
        isPartOfKey=column.primary_key,
    )


def _described(published: PublishedTable, column: Column) -> str | None:
    """The description, what readers see instead who are not cleared for personal data, and what else the contract says for people."""
    masked = f"Masked by {column.mask} for who does not hold the role of personal data." if column.mask else None
    more = column_words(published.contract, published.table, column)
    return " ".join(part for part in (column.description, masked, more) if part) or None


def _foreign_key(rule: Rule, schema: str, table: str) -> dict[str, Any]:
    own = naming.dataset_urn(schema, table)
    other = naming.dataset_urn(str(rule.arguments["to_schema"]), str(rule.arguments["to_table"]))
    return {
        "name": rule.name,
        "foreignFields": _field_urns(other, rule.arguments["to_columns"]),
        "sourceFields": _field_urns(own, rule.arguments["columns"]),
        "foreignDataset": other,
    }


def _field_urns(dataset: str, columns: Iterable[Any]) -> list[str]:
    return [urns.field(dataset, str(column)) for column in columns]


def _type(name: str) -> dict[str, Any]:
    return {"type": {f"com.linkedin.schema.{name}": {}}}
