"""From Dagster's partitions to the rows they are made of."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

import dagster as dg

from platform_core.errors import MeshError
from platform_core.warehouse.bulk_conditions import Condition, OneOf, Within

EXPRESSION = "partition_expr"


class PartitionError(MeshError):
    """It is not known which rows a partition is made of."""


def conditions_of(definition: dg.PartitionsDefinition[Any], keys: Sequence[str], expression: object, where: str) -> list[Condition]:
    """The rows of some partitions of an asset, as conditions that all hold.

    Args:
        definition: The asset's partitions.
        keys: Which of them.
        expression: The metadata ``partition_expr``: a column; for multi-partitions a column by dimension.
        where: The asset, for messages.

    Raises:
        PartitionError: The metadata is missing or wrong, or a choice of multi-partitions is not a whole product.
    """
    if not isinstance(definition, dg.MultiPartitionsDefinition):
        return [_condition(definition, keys, _column(expression, None, where))]
    dimensions = {dimension.name: dimension.partitions_def for dimension in definition.partitions_defs}
    parts = [definition.get_partition_key_from_str(key).keys_by_dimension for key in keys]
    chosen = {name: list(dict.fromkeys(part[name] for part in parts)) for name in dimensions}
    expected = 1
    for values in chosen.values():
        expected *= len(values)
    if expected != len(set(keys)):
        raise PartitionError(
            "the chosen partitions are not all combinations of their dimensions",
            where=where,
            remedy="run them one by one, or choose whole ranges",
        )
    return [_condition(dimensions[name], values, _column(expression, name, where)) for name, values in chosen.items()]


def _column(expression: object, dimension: str | None, where: str) -> str:
    column = expression.get(dimension) if dimension is not None and isinstance(expression, Mapping) else expression
    if isinstance(column, str) and column and not (dimension is not None and column is expression):
        return column
    wanted = f"{{'{dimension}': '<column>', ...}}" if dimension is not None else "'<column>'"
    raise PartitionError(
        "has partitions, and no column is named that tells them apart", where=where, remedy=f"set metadata {{'{EXPRESSION}': {wanted}}}"
    )


def _condition(definition: dg.PartitionsDefinition[Any], keys: Iterable[str], column: str) -> Condition:
    if not isinstance(definition, dg.TimeWindowPartitionsDefinition):
        return OneOf(column, tuple(keys))
    windows = sorted((window.start, window.end) for window in map(definition.time_window_for_partition_key, keys))
    return Within(column, tuple(_merged(windows)))


def _merged(windows: Sequence[tuple[datetime, datetime]]) -> list[tuple[datetime, datetime]]:
    """Windows that touch become one."""
    merged: list[tuple[datetime, datetime]] = []
    for start, end in windows:
        if merged and start <= merged[-1][1]:
            merged[-1] = (merged[-1][0], max(end, merged[-1][1]))
        else:
            merged.append((start, end))
    return merged
