"""What an audit finds, as plain data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from platform_core.contracts import Rule


@dataclass(frozen=True)
class RuleResult:
    """The outcome of one rule against one candidate relation. It never holds personal data.

    Attributes:
        rule: The rule.
        passed: Whether the data keeps it. A rule that could not be evaluated did not pass.
        observed: For people: ``17 of 10000 rows``, ``10000 rows``, ``the query gave 3``.
        promised: What the rule allows, in the same words.
        unexpected_count: Rows that break it (for keys: rows without a key, and rows that repeat an earlier one); None where
            rows are not what is counted (row counts, most SQL rules) or nothing could be evaluated.
        checked_rows: Rows of the relation; None when they could not be counted.
        sample_rows: A few of the rows that break it: primary key and the rule's columns, each as text. Columns with personal
            data show ``***``; their values never leave the database.
        sample_query: A statement that shows the rows, to run with rights of one's own; None where there is none.
        error: Why the rule could not be evaluated, with the clause's location; None when it was.
    """

    rule: Rule
    passed: bool
    observed: str
    promised: str
    unexpected_count: int | None = None
    checked_rows: int | None = None
    sample_rows: tuple[Mapping[str, str | None], ...] = ()
    sample_query: str | None = None
    error: str | None = None

    @property
    def blocks(self) -> bool:
        """Whether this result keeps the candidate from being published."""
        return not self.passed and self.rule.blocking

    def __str__(self) -> str:
        verdict = "kept" if self.passed else "broken" if self.error is None else "not evaluated"
        found = self.error or f"{self.observed}, promised: {self.promised}"
        return f"{self.rule.location}: {self.rule.name} {verdict}: {found}"


@dataclass(frozen=True)
class AuditReport:
    """The outcome of every rule of the audited tables, in the order of the contract.

    Attributes:
        results: One per rule.
        rows: Rows of each audited relation, by the table's physical name; a relation that cannot be read is missing.
    """

    results: tuple[RuleResult, ...]
    rows: Mapping[str, int] = field(default_factory=dict[str, int])

    @property
    def passed(self) -> bool:
        """Whether every blocking rule holds."""
        return not self.blocking

    @property
    def blocking(self) -> tuple[RuleResult, ...]:
        """The results that keep the candidates from being published."""
        return tuple(result for result in self.results if result.blocks)

    @property
    def failures(self) -> tuple[RuleResult, ...]:
        """Every result that did not pass, warnings included."""
        return tuple(result for result in self.results if not result.passed)
