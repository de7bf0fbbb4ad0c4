"""Columns that no file has filled yet: a header alone says nothing about types, so the first values decide, not the first file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import psycopg
from psycopg import sql

from platform_core.contracts import naming
from platform_core.ingestion.drops.drop import Drop
from platform_core.ingestion.drops.inference import Profile
from platform_core.ingestion.tables import StoredColumn, retype_empty_column
from platform_core.ingestion.types import Column, Kind, identifier


def type_empty_columns(session: psycopg.Connection[Any], drop: Drop, table: Sequence[StoredColumn], found: Profile) -> Mapping[str, Kind]:
    """Gives text columns without a single value the type that a file shows, unless a view uses them.

    Args:
        session: As the domain's owner, holding the drop's lock: nobody else writes the table.
        drop: The declaration; a type that it names is left alone.
        table: The raw table's columns.
        found: What the file shows.

    Returns:
        The changed columns with their new types.
    """
    target = sql.Identifier(naming.raw_schema(drop.domain), drop.model.stream)
    texts = {column.name for column in table if column.type == Kind.TEXT and not column.used_by}
    changed: dict[str, Kind] = {}
    for field, kind in found.kinds.items():
        name = identifier(field)
        if name not in texts or kind in (None, Kind.TEXT) or field in drop.model.options.types:
            continue
        filled = sql.SQL("SELECT FROM {} WHERE {} IS NOT NULL LIMIT 1").format(target, sql.Identifier(name))
        if session.execute(filled).rowcount == 0:
            retype_empty_column(session, target, Column(field, name, kind))
            changed[name] = kind
    return changed
