"""``mesh impact``: who would be hit by a change of a port, a table or a column, asked ahead."""

from __future__ import annotations

from dataclasses import dataclass

from platform_core.contracts import naming
from platform_core.contracts.clauses import physical_name
from platform_core.contracts.compatibility.change import Hit
from platform_core.contracts.compatibility.column_use import ColumnTraces, ColumnUses, Use
from platform_core.contracts.compatibility.consumers import Consumer, Consumers
from platform_core.contracts.compatibility.state import State
from platform_core.contracts.problem import ContractError, did_you_mean
from platform_core.contracts.source import Document


@dataclass(frozen=True)
class Impact:
    """Who reads a port.

    Attributes:
        contract: The contract asked about.
        table: Physical name of the table asked about, None for the port.
        column: Physical name of the column asked about, None for the table or port.
        team: The producer's team.
        owners: The producer's owners.
        hits: Every product that is hit, nearest first, and what it does with the column: all of them where column lineage is known,
            else those that read the port themselves.
    """

    contract: str
    table: str | None
    column: str | None
    team: str | None
    owners: tuple[str, ...]
    hits: tuple[Hit, ...]


def impact(state: State, target: str, traces: ColumnTraces | None = None) -> Impact:
    """Who would be hit.

    Args:
        state: The files of the mesh.
        target: ``domain.product.port``, ``domain.product`` when it has one port; ``.table``, ``.column`` or ``.table.column`` behind.
        traces: Column lineage of the state, where its SQL was compiled; without it, consumers are found by words.

    Raises:
        ContractError: There is no such port, table or column.
    """
    consumers = Consumers(state)
    contract, rest = _port(consumers, target)
    table, column = _part(state, contract, rest, target) if rest else (None, None)
    team, owners = consumers.owner(contract.rpartition(".")[0])
    uses = ColumnUses(state, traces)

    def use(reader: Consumer) -> Use | None:
        if not table or not column:
            return None
        product = contract.rpartition(".")[0]
        return uses.of(reader.product, product, table, column) if not reader.via else uses.reached(reader.product, product, table, column)

    hits = tuple(Hit(reader, use(reader)) for reader in consumers.downstream(contract))
    return Impact(contract, table, column, team, owners, hits)


def targets(state: State) -> list[str]:
    """Everything that ``impact`` can be asked about: ports, tables and columns."""
    found = list(Consumers(state).contracts)
    for document in state.readable(path for path in state.product_files if ".odcs." in path)[0].values():
        for table, columns in _schema(document):
            name = f"{document.data.get('id')}.{table}"
            found += [name, *(f"{name}.{column}" for column in columns)]
    return found


def port_columns(state: State) -> dict[tuple[str, str], tuple[str, ...]]:
    """Schema and table of every port of a state to its columns, physical names throughout."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for document in state.readable(path for path in state.product_files if ".odcs." in path)[0].values():
        product = str(document.data.get("id")).rpartition(".")[0]
        found |= {(naming.port_schema(product), table): tuple(columns) for table, columns in _schema(document)}
    return found


def _port(consumers: Consumers, target: str) -> tuple[str, list[str]]:
    parts = target.split(".")
    known = consumers.contracts
    for length in (3, 2):
        name = ".".join(parts[:length])
        matching = [contract for contract in known if contract == name or (length == 2 and contract.rpartition(".")[0] == name)]
        if len(matching) == 1:
            return matching[0], [part for part in parts[length:] if part]
        if matching:
            raise ContractError(f"{name} has several ports", remedy=f"name one: {', '.join(matching)}")
    hint = did_you_mean(target, known)
    raise ContractError(f"there is no port {target!r}{hint}", remedy=f"name one of: {', '.join(known) or 'none exists'}")


def _part(state: State, contract: str, rest: list[str], target: str) -> tuple[str, str | None]:
    tables = _tables(state, contract)
    columns = {(table, column) for table, names in tables.items() for column in names}
    if len(rest) == 1 and rest[0] in tables and not any(column == rest[0] for _, column in columns):
        return rest[0], None
    if len(rest) == 1:
        found = sorted(table for table, column in columns if column == rest[0])
        if len(found) > 1:
            options = ", ".join(f"{contract}.{table}.{rest[0]}" for table in found)
            raise ContractError(f"{target}: several tables have the column {rest[0]!r}", remedy=f"name one: {options}")
        if found:
            return found[0], rest[0]
    if len(rest) == 2 and (rest[0], rest[1]) in columns:
        return rest[0], rest[1]
    names = [column for _, column in sorted(columns)]
    hint = did_you_mean(rest[-1], [*names, *tables])
    raise ContractError(f"{contract} has no {'.'.join(rest)!r}{hint}", remedy=f"name one of: {', '.join(dict.fromkeys(names))}")


def _tables(state: State, contract: str) -> dict[str, list[str]]:
    for document in state.readable(path for path in state.product_files if ".odcs." in path)[0].values():
        if document.data.get("id") == contract:
            return dict(_schema(document))
    raise ContractError(f"the contract {contract} cannot be read", remedy="run ./mesh lint")


def _schema(document: Document) -> list[tuple[str, list[str]]]:
    found: list[tuple[str, list[str]]] = []
    tables = document.data.get("schema")
    for table in tables if isinstance(tables, list) else ():
        if isinstance(table, dict) and "name" in table:
            columns = table.get("properties")
            names = [
                physical_name(column)
                for column in (columns if isinstance(columns, list) else ())
                if isinstance(column, dict) and "name" in column
            ]
            found.append((physical_name(table), names))
    return found
