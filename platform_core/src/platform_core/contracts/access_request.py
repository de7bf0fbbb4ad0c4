"""Access by request: who asked to read a port, what the owners decided, and since when until when it holds.

Moments are UTC. ``until`` is a day and belongs to the access: it ends with the first moment of the day after, in UTC.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import Literal

from platform_core.contracts.source import Location

State = Literal["pending", "active", "expired", "revoked", "denied", "replaced"]
STATES: tuple[State, ...] = ("pending", "active", "expired", "revoked", "denied", "replaced")


@dataclass(frozen=True)
class Entry:
    """One thing that happened to a request: when, by whom, where it is written, and the words that were left."""

    at: datetime
    by: str
    location: Location
    reason: str | None = None


@dataclass(frozen=True)
class AccessRequest:
    """One request to read one port, with what became of it.

    Attributes:
        contract_id: The port.
        principal: ``domain:<domain of the mesh>`` or ``role:<Postgres role>``.
        number: Which request of this principal for this port, from 1.
        purpose: What the data is wanted for.
        personal_data: Whether personal data is wanted in clear.
        until: Last day of the access, None for no end.
        requested: The request itself.
        approved: The owner's consent.
        denied: The owner's refusal.
        revoked: The end that somebody set before ``until``.
        replaced: The approval of a later request that took this one's place.
    """

    contract_id: str
    principal: str
    number: int
    purpose: str
    personal_data: bool
    until: date | None
    requested: Entry
    approved: Entry | None = None
    denied: Entry | None = None
    revoked: Entry | None = None
    replaced: Entry | None = None

    @property
    def id(self) -> str:
        """``<port> <principal> #<number>``, for people."""
        return f"{self.contract_id} {self.principal} #{self.number}"

    @property
    def expires_at(self) -> datetime | None:
        """The first moment at which the access no longer holds, by ``until`` alone."""
        return end_of(self.until) if self.until is not None else None

    @property
    def ends_at(self) -> datetime | None:
        """The first moment at which it no longer holds, by whatever comes first; None while no end is known."""
        ends = [self.expires_at, *(entry.at for entry in (self.revoked, self.replaced) if entry)]
        return min((end for end in ends if end is not None), default=None)

    def in_force(self, now: datetime) -> bool:
        """Whether it was approved and has not ended."""
        return self.approved is not None and (self.ends_at is None or now < self.ends_at)

    def state(self, now: datetime) -> State:
        """What the request is at a moment."""
        if self.denied is not None:
            return "denied"
        if self.approved is None:
            return "pending"
        end = self.ends_at
        if end is None or now < end:
            return "active"
        if self.revoked is not None and self.revoked.at == end:
            return "revoked"
        return "replaced" if self.replaced is not None and self.replaced.at == end else "expired"


def end_of(until: date) -> datetime:
    """The first moment after a last day, in UTC."""
    return datetime.combine(until, time(), UTC) + timedelta(days=1)
