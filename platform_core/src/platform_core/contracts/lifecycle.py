"""How long a port is served and what of it is kept: the custom properties of a contract that speak of its life.

| property | value | effect |
|---|---|---|
| ``successor`` | contract id | named to those who still read a deprecated or retired port |
| ``endOfSupport`` | date | the same: until when the port is served |
| ``keepPublications`` | whole number from 1 | that many publications stay for rollback; 5 by default |
| ``keepDays`` | whole number from 0 | publications of the last days stay as well; after retirement, how long versions stay (30 by default) |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import Any

from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Location, Place

KEEP_PUBLICATIONS = 5
LIFECYCLE_PROPERTIES = ("successor", "endOfSupport", "keepPublications", "keepDays")


@dataclass(frozen=True)
class Lifecycle:
    """What a contract says about the life of its port.

    Attributes:
        successor: Contract id of the port that takes its place.
        successor_at: Where that stands.
        end_of_support: Until when it is served.
        keep_publications: How many publications stay for rollback.
        keep_days: Publications of so many last days stay too.
    """

    successor: str | None = None
    successor_at: Location | None = None
    end_of_support: date | None = None
    keep_publications: int = KEEP_PUBLICATIONS
    keep_days: int | None = None

    @property
    def way_on(self) -> str:
        """Where its consumers go, and until when, as part of a sentence."""
        to = f"its successor is {self.successor}" if self.successor else "it names no successor"
        return f"{to}, it is served until {self.end_of_support}" if self.end_of_support else to


def read_lifecycle(place: Place, items: Sequence[Mapping[str, Any]] | None, problems: list[Problem]) -> Lifecycle:
    """The properties above among the contract's ``customProperties``; others are none of its business.

    Args:
        place: The contract's ``customProperties``.
        items: Their value.
        problems: Takes what is wrong with them.
    """
    found: dict[str, Any] = {}
    for index, item in enumerate(items or []):
        name, value, at = item.get("property"), item.get("value"), place.at(index, "value")
        if name == "successor":
            if isinstance(value, str) and value.count(".") == 2:
                found |= {"successor": value, "successor_at": at}
            else:
                problems.append(Problem("successor", f"the successor is {value!r}", at, "name a contract id: <domain>.<product>.<port>"))
        elif name == "endOfSupport":
            end = _date(value)
            if end is None:
                problems.append(Problem("end-of-support", f"endOfSupport is {value!r}", at, "write a date, for example 2027-06-30"))
            found["end_of_support"] = end
        elif name in ("keepPublications", "keepDays"):
            least = 1 if name == "keepPublications" else 0
            if isinstance(value, int) and not isinstance(value, bool) and least <= value <= 100_000:
                found["keep_publications" if least else "keep_days"] = value
            else:
                problems.append(Problem("retention", f"{name} is {value!r}", at, f"write a whole number from {least} to 100000"))
    return Lifecycle(**found)


def _date(value: Any) -> date | None:
    try:
        return date.fromisoformat(str(value))
    except ValueError:
        return None
