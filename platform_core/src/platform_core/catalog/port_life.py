"""A port's life in the catalog: what put its tables into service, and that they are not to be built on any longer."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from platform_core.catalog import urns
from platform_core.catalog.graph import CatalogProduct
from platform_core.catalog.proposal import Proposal, present
from platform_core.contracts import Contract, DataProduct, Table, naming


def operations(told: CatalogProduct) -> Iterator[Proposal]:
    """An ``operation`` event for every table that was put into service: the publication, or the rollback with who and why."""
    done = told.operation
    if done is None:
        return
    millis = int(done.at.timestamp() * 1000)
    for published in told.tables:
        facts = present(
            publication=published.publication,
            instead_of=done.instead_of,
            by=done.actor,
            reason=done.reason,
            contract_version=published.contract.version,
        )
        event: dict[str, Any] = {
            "timestampMillis": millis,
            "lastUpdatedTimestamp": millis,
            "operationType": "CUSTOM",
            "customOperationType": done.kind.upper(),
            "sourceType": "DATA_PROCESS",
            "customProperties": facts,
            "partitionSpec": {"type": "FULL_TABLE", "partition": "FULL_TABLE_SNAPSHOT"},
        }
        yield Proposal("dataset", naming.dataset_urn(*published.relation), "operation", event, f"{millis:015d}")


def deprecations(product: DataProduct) -> Iterator[Proposal]:
    """The ``deprecation`` of every table of a deprecated or retired port: until when, why, and what takes its place."""
    for port in product.outputs:
        contract = port.contract
        if contract.status not in {"deprecated", "retired"}:
            continue
        life = contract.lifecycle
        end = life.end_of_support
        ends = int(datetime(end.year, end.month, end.day, tzinfo=UTC).timestamp() * 1000) if end else None
        for number, table in enumerate(contract.tables):
            value = present(
                deprecated=True,
                note=f"The port {contract.id} is {contract.status}: {life.way_on}.",
                decommissionTime=ends,
                replacement=_replacement(product, contract, number),
                actor=urns.group(product.team_name),
            )
            yield _deprecation(naming.dataset_urn(product.schema, table.physical_name), value)


def supported(product: DataProduct, urn: str) -> Proposal:
    """A dataset is deprecated no longer."""
    return _deprecation(urn, {"deprecated": False, "note": "", "actor": urns.group(product.team_name)})


def _deprecation(urn: str, value: dict[str, Any]) -> Proposal:
    return Proposal("dataset", urn, "deprecation", value)


def _replacement(product: DataProduct, contract: Contract, number: int) -> str | None:
    """The table of the successor that stands where this one stands; None for a successor in another product."""
    tables: tuple[Table, ...] = next(
        (port.contract.tables for port in product.outputs if port.contract_id == contract.lifecycle.successor), ()
    )
    return naming.dataset_urn(product.schema, tables[number].physical_name) if number < len(tables) else None
