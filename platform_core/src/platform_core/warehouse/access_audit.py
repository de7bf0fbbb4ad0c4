"""Who could read which column, when and why: what the files declare beside what was found in force."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal

from platform_core.contracts.access_reasons import Reason, principals, reasons, request_reason
from platform_core.contracts.blame import Written, written
from platform_core.contracts.model import Contract, Mesh
from platform_core.warehouse.access_events import AccessEvent


@dataclass(frozen=True)
class Reading:
    """One principal's reading of one port over a time in which nothing about it changed.

    Attributes:
        basis: ``declared`` by the files, or ``in force`` in the warehouse.
        contract_id: The port.
        principal: Who.
        clear: ``<table>.<column>`` read as they are.
        masked: The same, of which only the mask is seen.
        begins: First moment; None when no commit and no record tells it.
        ends: First moment at which it no longer holds; None while it does.
        why: Purpose, or what was recorded as its ground.
        file: Where it is declared, ``file:line``; None for what was only found in force.
        commit: The commit that wrote this line; None when it is not committed.
        by: Who approved it; None for what a contract's role allows.
    """

    basis: Literal["declared", "in force"]
    contract_id: str
    principal: str
    clear: tuple[str, ...]
    masked: tuple[str, ...]
    begins: datetime | None
    ends: datetime | None
    why: str
    file: str | None = None
    commit: str | None = None
    by: str | None = None

    def overlaps(self, first: datetime, end: datetime) -> bool:
        """Whether it held at any moment from ``first`` on and before ``end``."""
        return (self.begins is None or self.begins < end) and (self.ends is None or self.ends > first)


def readings(mesh: Mesh, events: Sequence[AccessEvent], now: datetime) -> tuple[Reading, ...]:
    """Every reading that is known, past ones included; by port, principal, basis and time.

    Args:
        mesh: The files.
        events: The record of the warehouse, oldest first.
        now: The moment up to which the files are judged, with a timezone.
    """
    found = [*_declared(mesh, now), *_in_force(events)]
    return tuple(sorted(found, key=_order))


def _order(reading: Reading) -> tuple[str, str, str, float]:
    return reading.contract_id, reading.principal, reading.basis, reading.begins.timestamp() if reading.begins else 0.0


def _declared(mesh: Mesh, now: datetime) -> Iterator[Reading]:
    blames: dict[Path, Mapping[int, Written]] = {}
    for _, contract in sorted(mesh.contracts.items()):
        for request in mesh.access:
            if request.contract_id == contract.id and request.approved is not None:
                reason = request_reason(request)
                commit = _written(blames, reason)
                yield _reading(contract, request.principal, reason, request.approved.at, request.ends_at, commit, request.approved.by)
        for principal in principals(mesh, contract):
            for reason in reasons(mesh, contract, principal, now):
                if reason.request is None:
                    commit = _written(blames, reason)
                    yield _reading(contract, principal, reason, commit.at if commit else None, None, commit, None)


def _reading(
    contract: Contract,
    principal: str,
    reason: Reason,
    begins: datetime | None,
    ends: datetime | None,
    commit: Written | None,
    by: str | None,
) -> Reading:
    columns = [(f"{table.physical_name}.{column.physical_name}", column.mask) for table in contract.tables for column in table.columns]
    clear = tuple(sorted(name for name, mask in columns if mask is None or reason.clear))
    masked = tuple(sorted(name for name, mask in columns if mask is not None and not reason.clear))
    return Reading(
        "declared",
        contract.id,
        principal,
        clear,
        masked,
        begins,
        ends,
        f"{reason.reader}: {reason.purpose}" if reason.reader else reason.purpose,
        reason.location.in_repo,
        commit.commit if commit else None,
        by,
    )


def _written(blames: dict[Path, Mapping[int, Written]], reason: Reason) -> Written | None:
    """The commit that completed a ground: the later of those of the line that declares and of the one that allows; None without one."""
    found: list[Written] = []
    for location in (reason.location, reason.allowed_by):
        if location.file not in blames:
            blames[location.file] = written(location.file)
        commit = blames[location.file].get(location.line)
        if commit is None:
            return None
        found.append(commit)
    return max(found, key=lambda commit: commit.at)


def _in_force(events: Sequence[AccessEvent]) -> Iterator[Reading]:
    open_: dict[tuple[str, str], AccessEvent] = {}
    for event in events:
        key = (event.contract_id, event.principal)
        before = open_.pop(key, None)
        if before is not None:
            yield _held(before, event.at)
        if event.event != "ended":
            open_[key] = event
    for event in open_.values():
        yield _held(event, None)


def _held(event: AccessEvent, ends: datetime | None) -> Reading:
    return Reading("in force", event.contract_id, event.principal, tuple(event.clear), tuple(event.masked), event.at, ends, event.ground)
