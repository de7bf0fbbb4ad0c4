"""Types of a seed's columns, as dbt finds them in its file when it loads it.

dbt reads the CSV with its own tester of types (``dbt_common.clients.agate_helper``); the names are those that its Postgres adapter gives
(``SQLAdapter.convert_*_type`` of dbt-adapters), as Postgres prints them. Types that the project declares are not asked for here.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any


def seed_types(path: Path, config: Mapping[str, Any]) -> dict[str, str]:
    """Columns with their types; empty for a file that dbt cannot read, which it says itself when it loads it.

    Args:
        path: The CSV file.
        config: The seed's configuration: ``column_types``, ``delimiter``, ``quote_columns``.
    """
    import agate
    from dbt_common.clients import agate_helper

    declared = {str(name): str(kind) for name, kind in (config.get("column_types") or {}).items()}
    try:
        table: Any = agate_helper.from_csv(str(path), text_columns=declared, delimiter=str(config.get("delimiter") or ","))
    except (ValueError, OSError):
        return {}
    found: dict[str, str] = {}
    for at, column in enumerate(table.columns):
        name = str(column.name)
        found[name if config.get("quote_columns") else name.lower()] = declared.get(name) or _name(agate, agate_helper, table, at)
    return found


def _name(agate: Any, agate_helper: Any, table: Any, at: int) -> str:
    kind = table.column_types[at]
    if isinstance(kind, agate_helper.Integer):
        return "integer"
    if isinstance(kind, agate.Number):
        return "double precision" if table.aggregate(agate.MaxPrecision(at)) else "integer"
    for known, name in (
        (agate.Boolean, "boolean"),
        (agate.DateTime, "timestamp without time zone"),
        (agate.Date, "date"),
        (agate.TimeDelta, "time without time zone"),
    ):
        if isinstance(kind, known):
            return name
    return "text"
