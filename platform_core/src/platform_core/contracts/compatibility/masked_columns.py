"""The columns of a state's ports as the attribute policy sees them: from contracts of any form, also such as lint refuses."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from platform_core.contracts.compatibility.models import named
from platform_core.contracts.compatibility.state import State, text_of
from platform_core.contracts.masking_clauses import read_own_mask
from platform_core.contracts.model import Column
from platform_core.contracts.source import Document, Place

ColumnKey = tuple[str, str, str]
"""Contract, table and column, the latter two by their physical names."""


def masked_columns(state: State, paths: Iterable[str]) -> dict[ColumnKey, Column]:
    """Every column of the contracts among ``paths``."""
    found: dict[ColumnKey, Column] = {}
    for document in state.readable(path for path in paths if ".odcs." in path and path in state.files)[0].values():
        contract = text_of(document.data.get("id"))
        if contract is not None:
            for index, table in _items(document.data, "schema"):
                name = named(table)
                if name is not None:
                    place = Place(document, ("schema", index, "properties"))
                    found |= {(contract, name, column.physical_name): column for column in _columns(place, table)}
    return found


def row_filters(state: State) -> Iterator[tuple[str, str, str]]:
    """Contract, table and reader attribute of every row filter."""
    for document in state.readable(path for path in state.product_files if ".odcs." in path)[0].values():
        contract = text_of(document.data.get("id"))
        for _, table in _items(document.data, "schema"):
            for _, entry in _items(table, "customProperties"):
                value = entry.get("value")
                attribute = text_of(value.get("readerAttribute")) if isinstance(value, dict) else None
                name = named(table)
                if entry.get("property") == "rowFilter" and contract and attribute and name:
                    yield contract, name, attribute


def line_of(document: Document | None, *steps: str | int) -> int:
    """Line of a value in a document that may be missing."""
    return document.line(steps) if document is not None else 1


def _columns(place: Place, table: Mapping[str, Any]) -> Iterator[Column]:
    for index, item in _items(table, "properties"):
        name = named(item)
        if name is not None:
            tags: Any = item.get("tags")
            custom = [entry for _, entry in _items(item, "customProperties") if "property" in entry]
            yield Column(
                name=str(item.get("name")),
                physical_name=name,
                logical_type=text_of(item.get("logicalType")),
                physical_type=text_of(item.get("physicalType")),
                description=None,
                required=False,
                unique=False,
                primary_key=False,
                primary_key_position=-1,
                classification=text_of(item.get("classification")),
                tags=tuple(tag for tag in (tags if isinstance(tags, list) else ()) if isinstance(tag, str)),
                business_name=None,
                examples=(),
                location=place.at(index),
                own_mask=read_own_mask(place.below(index), {"customProperties": custom}, []),
            )


def _items(data: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    items: Any = data.get(key)
    listed: list[Any] = items if isinstance(items, list) else []
    yield from ((index, item) for index, item in enumerate(listed) if isinstance(item, dict))
