"""Seal, audit, then switch: a port shows a candidate only after the candidate has kept every blocking promise.

The steps are transactions of their own, so a publisher killed at any instruction leaves a port that serves its former version
and a candidate that the next attempt picks up.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace

from psycopg import Connection, errors, sql
from psycopg.types.json import Jsonb

from platform_core.contracts import naming
from platform_core.contracts.model import Contract
from platform_core.publishing import retention
from platform_core.publishing.seal import keep, seal
from platform_core.publishing.switch import serve, switch
from platform_core.quality import AuditReport, RuleResult
from platform_core.warehouse import Warehouse

Relations = Mapping[str, tuple[str, str]]
Audit = Callable[[Relations], AuditReport]
Announce = Callable[[Connection, "Outcome"], None]


@dataclass(frozen=True)
class Outcome:
    """What became of a candidate.

    Attributes:
        publication: Its identifier.
        published: Whether the port serves it now.
        rows: Rows by table.
        results: Every rule's result.
        versions: Port table to the relation that holds its rows.
        seconds: How long each step took: ``seal``, ``statistics``, ``audit``, ``switch``, ``retention``.
    """

    publication: str
    published: bool
    rows: Mapping[str, int]
    results: tuple[RuleResult, ...]
    versions: Mapping[str, str]
    seconds: Mapping[str, float] = field(default_factory=dict[str, float])

    @property
    def broken(self) -> tuple[RuleResult, ...]:
        """The blocking rules that did not hold."""
        return tuple(result for result in self.results if result.blocks)


def publish(
    warehouse: Warehouse,
    contract: Contract,
    readers: tuple[str, ...],
    audit: Audit,
    *,
    code_version: str,
    run_id: str | None = None,
    copied: frozenset[str] = frozenset(),
    announce: Announce | None = None,
) -> Outcome:
    """Publishes the candidate of a port, or says why not.

    Args:
        warehouse: Reached as the contract's domain.
        contract: The port.
        readers: Roles that may read it.
        audit: Checks the sealed relations, given by table as ``(schema, relation)``.
        code_version: Hash of the files that made the candidate.
        run_id: The run that publishes, for the record.
        copied: Models whose candidate is copied rather than moved.
        announce: Called in the transaction that switches the port or records the rejection, to record what follows from it (the
            catalog's outbox).

    Returns:
        The outcome; a rejected candidate is no error here.

    Raises:
        PublishingError: There is no candidate, or the port cannot be switched.
    """
    data = naming.data_schema(contract.product_id)
    with warehouse.connect_domain(contract.domain, autocommit=True) as connection, _alone(connection, contract.id):
        clock = _Clock()
        with connection.transaction():
            sealed = seal(connection, contract, code_version=code_version, run_id=run_id, copied=copied)
        clock.lap("seal")
        for version in sealed.versions.values():  # fresh tables carry no statistics for consumers' plans
            connection.execute(sql.SQL("ANALYZE {}").format(sql.Identifier(data, version)))
        clock.lap("statistics")
        # From here on nobody can change the rows: what is audited is what readers will get.
        keep(connection, contract, sealed.versions.values())
        clock.lap("seal")
        report = audit({table: (data, version) for table, version in sealed.versions.items()})
        clock.lap("audit")
        outcome = Outcome(
            sealed.publication,
            report.passed,
            report.rows,
            tuple(report.results),
            sealed.versions,
        )

        def decide() -> None:
            _record(connection, contract, outcome)
            if outcome.published:
                serve(connection, contract, sealed.publication, action="publication", actor=f"run {run_id}" if run_id else "publisher")
            if announce is not None:
                announce(connection, outcome)

        if outcome.published:
            switch(connection, contract, readers, sealed.versions, decide)
        else:
            with connection.transaction():
                decide()
        clock.lap("switch")
        with contextlib.suppress(errors.LockNotAvailable), connection.transaction():
            retention.prune(connection, contract)  # a reader is in the way: the next publication tries again
        clock.lap("retention")
    return replace(outcome, seconds=clock.seconds)


class _Clock:
    """How long each step took."""

    def __init__(self) -> None:
        self.seconds: dict[str, float] = {}
        self._began = time.monotonic()

    def lap(self, step: str) -> None:
        """Ends a step; time of the same name adds up."""
        now = time.monotonic()
        self.seconds[step] = self.seconds.get(step, 0.0) + now - self._began
        self._began = now


@contextlib.contextmanager
def _alone(connection: Connection, contract_id: str) -> Generator[None]:
    """One publisher a port; the lock ends with the connection, so a killed publisher frees it."""
    connection.execute("SELECT pg_advisory_lock(hashtextextended(%s, 0))", (f"mesh port {contract_id}",))
    try:
        yield
    finally:
        if not connection.broken:
            connection.execute("SELECT pg_advisory_unlock(hashtextextended(%s, 0))", (f"mesh port {contract_id}",))


def _record(connection: Connection, contract: Contract, outcome: Outcome) -> None:
    passed = sum(result.passed for result in outcome.results)
    tables = {table: {"version": version, "rows": outcome.rows.get(table)} for table, version in outcome.versions.items()}
    connection.execute(
        """UPDATE mesh.publications SET state = %s, tables = %s, checks_passed = %s, checks_failed = %s, decided_at = clock_timestamp()
           WHERE contract_id = %s AND publication = %s""",
        (
            "published" if outcome.published else "rejected",
            Jsonb(tables),
            passed,
            len(outcome.results) - passed,
            contract.id,
            outcome.publication,
        ),
    )
    with connection.cursor() as cursor:
        cursor.executemany(
            """INSERT INTO mesh.check_results
               (contract_id, publication, rule, domain, table_name, column_name, severity, passed, observed, sample_query, location)
               VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)""",
            [
                (
                    contract.id,
                    outcome.publication,
                    result.rule.name,
                    contract.domain,
                    result.rule.table,
                    result.rule.column,
                    result.rule.severity,
                    result.passed,
                    result.observed,
                    result.sample_query,
                    result.rule.location.in_repo,
                )
                for result in outcome.results
            ],
        )
