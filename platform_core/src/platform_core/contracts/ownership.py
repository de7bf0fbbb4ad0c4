"""Who owns a product, and since when until when: the team members with the role ``owner`` (ODCS and ODPS ``team.members[]``)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import Any

from platform_core.contracts.access_request import end_of


@dataclass(frozen=True)
class OwnerTerm:
    """The days on which somebody is an owner; a bound that the file does not give is open.

    Attributes:
        username: The member.
        first: ``dateIn``.
        last: ``dateOut``; that day still counts.
    """

    username: str
    first: date | None
    last: date | None

    def holds(self, at: datetime) -> bool:
        """Whether the member is an owner at a moment; days are those of UTC."""
        began = self.first is None or at >= datetime.combine(self.first, datetime.min.time(), UTC)
        return began and (self.last is None or at < end_of(self.last))


def owner_terms(team: Any) -> tuple[OwnerTerm, ...]:
    """The owners of a team, former ones included, in the form of ODCS v3.1 (a mapping) or of v3.0 (a list of members)."""
    members = team if isinstance(team, list) else team.get("members") if isinstance(team, dict) else None
    return tuple(
        OwnerTerm(member["username"], _day(member.get("dateIn")), _day(member.get("dateOut")))
        for member in members or []
        if isinstance(member, dict) and isinstance(member.get("username"), str) and str(member.get("role", "")).lower() == "owner"
    )


def _day(value: Any) -> date | None:
    """A date of the file; the official schemas have checked its form where they ask for one."""
    try:
        return date.fromisoformat(str(value)[:10]) if value else None
    except ValueError:
        return None
