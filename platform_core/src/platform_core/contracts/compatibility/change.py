"""A change of the mesh's files, judged, with those whom it hits; and the report over all of them."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import Any, Literal

from platform_core.contracts.compatibility.column_use import Use
from platform_core.contracts.compatibility.consumers import Consumer
from platform_core.contracts.compatibility.ruling import Ruling
from platform_core.contracts.compatibility.state import Unreadable
from platform_core.contracts.compatibility.versions import VersionCheck

Sort = Literal["contract", "product", "model", "policy", "access", "team"]


@dataclass(frozen=True)
class Hit:
    """A consumer that a change reaches, and what it does with the column; None when the change is about no column."""

    consumer: Consumer
    use: Use | None


@dataclass(frozen=True)
class Change:
    """One change.

    Attributes:
        sort: What changed.
        subject: Id of the contract or product; ``<domain>/<model>`` for a model.
        path: The clause, ``schema.orders.properties.status.required``; empty for the whole.
        action: ``added``, ``removed``, ``changed``, ``renamed`` or ``reordered``.
        ruling: What it means.
        before: Old value.
        after: New value.
        state: Whether the place is in the old or in the new state.
        file: Where, from the root of the mesh.
        line: Where.
        contracts: The contracts whose consumers it reaches.
        table: Physical name of the table it is about, None for all.
        column: Physical name of the column it is about, None for all.
        readers: Whom it reaches of those who read the contracts: ``all``, ``masked`` (who did not ask for personal data in clear),
            ``none`` of them, or the products of one domain, by its name.
        owned_by: Who answers for the port, where the change is made by others.
        hits: The consumers, with what they do with the column.
    """

    sort: Sort
    subject: str
    path: str
    action: str
    ruling: Ruling
    before: Any
    after: Any
    state: Literal["old", "new"]
    file: str
    line: int
    contracts: tuple[str, ...] = ()
    table: str | None = None
    column: str | None = None
    readers: str = "all"
    owned_by: str | None = None
    hits: tuple[Hit, ...] = ()


@dataclass(frozen=True)
class Report:
    """Every change between two states.

    Attributes:
        old: Name of the old state.
        new: Name of the new state.
        changes: The changes, breaking ones first.
        versions: One check per contract, product and output port that changed.
        unreadable: Files that could not be compared.
    """

    old: str
    new: str
    changes: tuple[Change, ...]
    versions: tuple[VersionCheck, ...]
    unreadable: tuple[Unreadable, ...]

    @property
    def counts(self) -> dict[str, int]:
        """Number of changes by verdict."""
        counted = Counter(change.ruling.verdict for change in self.changes)
        return {verdict: counted[verdict] for verdict in ("breaking", "additive", "cosmetic")}

    @property
    def missing_steps(self) -> tuple[VersionCheck, ...]:
        """The versions that did not take their step."""
        return tuple(check for check in self.versions if not check.enough)

    def exit_code(self, *, allow_breaking: bool = False) -> int:
        """0, or 1 for a breaking change or a missing version step, else 2 when a file could not be compared.

        Args:
            allow_breaking: Whether breaking changes pass once their versions took the major step.
        """
        if self.missing_steps or (self.counts["breaking"] and not allow_breaking):
            return 1
        return 2 if self.unreadable else 0
