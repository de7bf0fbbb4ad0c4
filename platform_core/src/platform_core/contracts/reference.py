"""What a relationship refers to, in the notations of the contract standard.

https://bitol-io.github.io/open-data-contract-standard/latest/references/: the shorthand names tables and columns
(``orders.order_id``), the fully qualified notation goes by their ``id`` and may lead into the file of another contract
(``customer.profiles.profiles.odcs.yaml#/schema/profiles/properties/customer_id``). The shorthand of v3.1 has two names; since v3.2
it may have more, and what stands before the last two is the contract or the product here.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from platform_core.contracts import naming

_QUALIFIED = re.compile(r"(?:(?P<file>[^#]+\.ya?ml)#)?/?schema/(?P<table>[^/]+)(?:/properties/(?P<column>[^/]+))?")
_NAME = naming.NAME.pattern
_BY_ID = re.compile(rf"(?:.*/)?(?P<id>{_NAME}\.{_NAME}\.{_NAME})(?:\.odcs)?\.ya?ml")
_BY_FOLDER = re.compile(
    rf"(?:.*/)?(?P<domain>{_NAME})/src/(?P=domain)/defs/(?:.+/)?(?P<product>{_NAME})/contracts/(?P<port>{_NAME})\.odcs\.yaml"
)


@dataclass(frozen=True)
class Reference:
    """What one side of a relationship names.

    Attributes:
        owner: Id of a contract or product, empty for the contract that holds the relationship.
        table: Name or ``id`` of the table, None when only a column is named.
        column: Name or ``id`` of the column.
    """

    owner: str
    table: str | None
    column: str


def read_reference(text: str, file: Path) -> Reference:
    """Reads a reference of the contract in ``file``.

    A file that is referred to is known by its name, when that is the id of a contract (wherever it lies, also by URL), or by its
    folder in the mesh. One that is neither is the owner itself, which no contract of the mesh is.
    """
    qualified = _QUALIFIED.fullmatch(text)
    if qualified is None:
        *owner, table, column = ["", *text.split(".")] if "." not in text else text.split(".")
        return Reference(".".join(owner), table or None, column)
    owner = _contract_id(qualified["file"], file) if qualified["file"] else ""
    return Reference(owner, qualified["table"], qualified["column"] or "")


def renamed(text: str, contract_id: str, new_id: str, tables: Mapping[str, str]) -> str:
    """A fully qualified reference to a table of a contract, after the contract and its tables got other names; others stay."""
    qualified = _QUALIFIED.fullmatch(text)
    table = tables.get(qualified["table"]) if qualified else None
    if qualified is None or table is None:
        return text
    start, end = qualified.span("table")
    head, tail = text[:start], text[end:]
    by_id = _BY_ID.fullmatch(qualified["file"] or "")
    if by_id is not None and by_id["id"] == contract_id:
        at, until = by_id.span("id")
        return f"{head[:at]}{new_id}{head[until:]}{table}{tail}"
    return text if qualified["file"] else f"{head}{table}{tail}"


def _contract_id(target: str, file: Path) -> str:
    by_id = _BY_ID.fullmatch(target)
    if by_id is not None:
        return by_id["id"]
    by_folder = _BY_FOLDER.fullmatch(target if "://" in target else os.path.normpath(file.parent / target))
    return f"{by_folder['domain']}.{by_folder['product']}.{by_folder['port']}" if by_folder else target
