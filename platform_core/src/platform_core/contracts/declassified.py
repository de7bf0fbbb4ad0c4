"""What a contract's column says about where it comes from: a declared breaker, and the sources of a table that no SQL builds.

Both stand on the column. ``customProperties: [{property: declassified, value: {reason: ..., owner: ...}}]`` says that the column is less
sensitive than what it is derived from, why, and who answers for that. ``transformSourceObjects`` (a clause of the standard) names the
columns that a Python asset computes it from.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from platform_core.contracts.clauses import physical_name
from platform_core.contracts.model import Column, Contract, Mesh, Table
from platform_core.contracts.problem import Problem, did_you_mean

DECLASSIFIED_PROPERTY = "declassified"
_FORM = "write value: {reason: why nobody can be told from it, owner: a member of a product's team}"
_RULE = "declassified"


@dataclass(frozen=True)
class Declassified:
    """A declared breaker.

    Attributes:
        reason: Why the column is less sensitive than its origin.
        owner: Who answers for it.
    """

    reason: str
    owner: str


def read_declassified(mesh: Mesh, contract: Contract, table: Table, column: Column) -> tuple[Declassified | None, tuple[Problem, ...]]:
    """The breaker that a column declares, None when it declares none or a wrong one; and what is wrong with it."""
    entries: Any = _raw(contract, table, column).get("customProperties")
    values = [entry.get("value") for entry in entries or () if isinstance(entry, dict) and entry.get("property") == DECLASSIFIED_PROPERTY]
    if not values:
        return None, ()
    name = f"{table.physical_name}.{column.physical_name}"
    if len(values) > 1:
        return None, (Problem(_RULE, f"{name} is declassified twice", column.location, "keep one of the two"),)
    value: Any = values[0]
    if not isinstance(value, dict):
        return None, (Problem(_RULE, f"the declassification of {name} is {value!r}, not a mapping", column.location, _FORM),)
    texts = {key: value.get(key) for key in ("reason", "owner")}
    problems = [
        Problem(_RULE, f"the declassification of {name} has no {key}", column.location, _FORM)
        for key, text in texts.items()
        if not isinstance(text, str) or not text.strip()
    ]
    problems += [
        Problem(_RULE, f"the declassification of {name} has the unknown key {key!r}{did_you_mean(str(key), texts)}", column.location, _FORM)
        for key in value
        if key not in texts
    ]
    owner = str(texts["owner"])
    known = owners(mesh)
    if not problems and owner not in known:
        message = (
            f"{owner!r}, who answers for the declassification of {name}, is no team and no owner in the mesh{did_you_mean(owner, known)}"
        )
        problems.append(
            Problem(_RULE, message, column.location, f"name a team or an owner, for example {contract.team_name or 'the product team'}")
        )
    return (None if problems else Declassified(str(texts["reason"]).strip(), owner)), tuple(problems)


def owners(mesh: Mesh) -> tuple[str, ...]:
    """Everybody who can answer for something: the teams and their owners, of all products and contracts."""
    found: dict[str, None] = {}
    for item in (*mesh.products.values(), *mesh.contracts.values()):
        found |= dict.fromkeys([*([item.team_name] if item.team_name else []), *item.owners])
    return tuple(found)


def declared_sources(contract: Contract, table: Table, column: Column) -> tuple[str, ...] | None:
    """The columns that a column is said to come from (``transformSourceObjects``); None when it says nothing, empty for none."""
    listed: Any = _raw(contract, table, column).get("transformSourceObjects")
    return tuple(str(item) for item in listed) if isinstance(listed, list) else None


def _raw(contract: Contract, table: Table, column: Column) -> Mapping[str, Any]:
    """The column as the file has it."""
    for item in contract.raw.get("schema") or ():
        if isinstance(item, dict) and physical_name(item) == table.physical_name:
            for inner in item.get("properties") or ():
                if isinstance(inner, dict) and physical_name(inner) == column.physical_name:
                    return inner
    return {}
