"""Row filters: a reader sees the rows whose column equals (one of) the reader's attribute.

Declared by the custom property ``rowFilter`` of a contract's table: ``{column: country_code, readerAttribute: country}``.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform_core.contracts.masking import base_type, family
from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import Location

EVERY = "*"
"""The value of an attribute that stands for every value: who has it sees all rows."""
_ATTRIBUTE = re.compile(r"[a-z][a-z0-9_]{0,62}")
_KEYS = ("column", "readerAttribute")


@dataclass(frozen=True)
class RowFilter:
    """Which rows of a port a reader sees.

    Attributes:
        column: Physical name of the column that is compared.
        attribute: The reader's attribute that it is compared with.
        location: The clause.
    """

    column: str
    attribute: str
    location: Location


def filterable(physical_type: str | None) -> bool:
    """Whether a column of the type can be compared with an attribute: text, whole numbers and UUIDs."""
    return family(physical_type) in {"text", "integer", "uuid"} and base_type(physical_type or "")[0] != "citext"


def read_row_filter(value: Any, at: Location, columns: Mapping[str, tuple[str, str | None]], problems: list[Problem]) -> RowFilter | None:
    """A row filter as a contract writes it.

    Args:
        value: The custom property's value.
        at: Its place.
        columns: Logical and physical names to physical name and type.
        problems: Gets what is wrong.
    """
    wrong = _wrong(value, columns)
    if wrong is not None:
        problems.append(Problem("row-filter", wrong[0], at, wrong[1]))
        return None
    return RowFilter(columns[value["column"]][0], value["readerAttribute"], at)


def _wrong(value: Any, columns: Mapping[str, tuple[str, str | None]]) -> tuple[str, str] | None:
    example = "write {column: country_code, readerAttribute: country}"
    if not isinstance(value, dict) or set(value) != set(_KEYS):
        return f"the row filter is {value!r}", example
    column, attribute = value["column"], value["readerAttribute"]
    if not isinstance(column, str) or column not in columns:
        return f"the column {column!r} of the row filter does not exist{did_you_mean(str(column), columns)}", "name a column of this table"
    if not isinstance(attribute, str) or not _ATTRIBUTE.fullmatch(attribute):
        return f"the reader attribute {attribute!r} is no name in lower case", example
    physical, kind = columns[column]
    if not filterable(kind):
        remedy = "filter by a column of text, a whole number or a uuid"
        return f"the row filter compares {physical!r}, which is {kind or 'of no declared physical type'}", remedy
    return None
