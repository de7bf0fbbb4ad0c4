"""Checks a port's candidates against the contract's rules, inside the warehouse, and says what each rule found.

Scans of a table whose data keeps every rule: one with the row count and the measures, one with the official expectations
(Great Expectations resolves them a round later, because their conditions need the column names first), and one for each
foreign key and SQL rule. Only a broken rule is asked again, for a few rows.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import psycopg
from psycopg import sql

from platform_core.contracts import Rule, Table
from platform_core.quality.bounds import exact, share
from platform_core.quality.errors import QualityError
from platform_core.quality.plan import Relation, RulePlan, identifier, plan_rule, told_apart
from platform_core.quality.reason import reason_of
from platform_core.quality.report import AuditReport, RuleResult
from platform_core.quality.run import SuiteRun, Verdict, reading_engine, run_suite
from platform_core.quality.samples import sample_query, sample_rows
from platform_core.quality.shape import relation_columns
from platform_core.warehouse import Warehouse

if TYPE_CHECKING:
    from sqlalchemy import Engine

_log = logging.getLogger(__name__)


def audit(warehouse: Warehouse, domain: str, tables: Sequence[Table], relations: Mapping[str, Relation], samples: int = 5) -> AuditReport:
    """Checks the candidates of a port.

    Connects as the domain's job role, acting as its owner, and only reads. Times without a zone, in bounds and samples, are UTC.

    Args:
        warehouse: Where the candidates are.
        domain: The domain that owns them.
        tables: The contract's tables to check.
        relations: Schema and name of each table's candidate, by the table's physical name. Foreign keys to tables of the same
            contract read these too, so give all of the contract's candidates.
        samples: Most rows to show of those that break a rule.

    Returns:
        One result per rule, in the order of the tables and of their rules. A rule that cannot be evaluated is a failed rule.

    Raises:
        WarehouseError: The warehouse cannot be reached.
    """
    results: list[RuleResult] = []
    rows: dict[str, int] = {}
    with warehouse.connect_domain(domain, autocommit=True) as connection, reading_engine(warehouse, domain) as engine:
        connection.execute("SET default_transaction_read_only = on")
        connection.execute("SET timezone = 'UTC'")
        for table in tables:
            found, count = _audit_table(connection, engine, table, relations, samples)
            results += found
            if count is not None:
                rows[table.physical_name] = count
    return AuditReport(tuple(results), rows)


@dataclass(frozen=True)
class _Planned:
    """A table's rules that can be evaluated, and why the others cannot, by rule name."""

    plans: Mapping[str, RulePlan]
    errors: Mapping[str, str]

    @property
    def sound(self) -> list[RulePlan]:
        """The rules to run."""
        return [plan for name, plan in self.plans.items() if name not in self.errors]


def _audit_table(
    connection: psycopg.Connection, engine: Engine, table: Table, relations: Mapping[str, Relation], samples: int
) -> tuple[list[RuleResult], int | None]:
    relation = relations.get(table.physical_name)
    if relation is None:
        reason = f"the table {table.physical_name!r} has no candidate"
        return [_failed(rule, reason, None, None) for rule in table.rules], None
    planned = _plan(connection, table, relation, relations)
    run = run_suite(engine, relation, planned.sound) if planned.sound else SuiteRun({}, None)
    count = run.rows if run.rows is not None else _count(connection, relation)
    results: list[RuleResult] = []
    for rule in table.rules:
        plan = planned.plans.get(rule.name)
        verdict = run.verdicts.get(rule.name)
        reason = planned.errors.get(rule.name) or (verdict.error if verdict else "Great Expectations gave no result")
        if plan is None or verdict is None or reason:
            results.append(_failed(rule, reason or "", plan, count))
        else:
            result = _judged(plan, verdict, count or 0)
            if not verdict.passed:
                rows = _samples(connection, plan, table, samples)
                result = replace(result, sample_rows=rows, sample_query=sample_query(plan))
            results.append(result)
    return results, count


def _plan(connection: psycopg.Connection, table: Table, relation: Relation, relations: Mapping[str, Relation]) -> _Planned:
    columns = {column.name for column in relation_columns(connection, relation)}
    plans: dict[str, RulePlan] = {}
    errors: dict[str, str] = {}
    for rule in table.rules:
        try:
            plan = plan_rule(rule, table, relation, relations)
        except QualityError as error:
            errors[rule.name] = error.what + (f" ({error.remedy})" if error.remedy else "")
            continue
        except (KeyError, TypeError, ValueError) as error:  # arguments that no contract file yields
            errors[rule.name] = f"the arguments of the kind {rule.kind!r} are wrong: {error!r}"
            continue
        plans[rule.name] = told_apart(plan, columns)
        missing = [name for name in plan.columns if name not in columns]
        if not columns:
            errors[rule.name] = f"the relation {'.'.join(relation)} does not exist"
        elif missing:
            errors[rule.name] = f"{'.'.join(relation)} has no column {', '.join(map(repr, missing))}"
    shared = [plan for name, plan in plans.items() if name not in errors and plan.measure is not None]
    return _Planned(plans, errors | _refused(connection, relation, shared))


def _refused(connection: psycopg.Connection, relation: Relation, plans: Sequence[RulePlan]) -> dict[str, str]:
    """Lets Postgres plan, not run, all that shares a scan: one wrong rule would make Great Expectations run each alone, thrice."""
    if not plans or _explain(connection, relation, plans) is None:
        return {}
    reasons = {plan.rule.name: _explain(connection, relation, [plan]) for plan in plans}
    return {name: reason for name, reason in reasons.items() if reason is not None}


def _explain(connection: psycopg.Connection, relation: Relation, plans: Sequence[RulePlan]) -> str | None:
    measures = sql.SQL(", ").join([plan.measure for plan in plans if plan.measure is not None])
    try:
        connection.execute(sql.SQL("EXPLAIN SELECT {} FROM {}").format(measures, identifier(*relation)))
    except psycopg.Error as error:
        return reason_of(error)
    return None


def _count(connection: psycopg.Connection, relation: Relation) -> int | None:
    """Rows of a relation that no rule could be run against; None when it cannot be read."""
    try:
        row = connection.execute(sql.SQL("SELECT count(*) FROM {}").format(identifier(*relation))).fetchone()
    except psycopg.Error as error:
        _log.warning("%s: the rows could not be counted: %s", ".".join(relation), reason_of(error))
        return None
    return int(row[0]) if row else None


def _samples(connection: psycopg.Connection, plan: RulePlan, table: Table, limit: int) -> tuple[Mapping[str, str | None], ...]:
    try:
        return sample_rows(connection, plan, table, limit)
    except psycopg.Error as error:
        _log.warning("%s: no sample rows of %s: %s", plan.rule.location, plan.rule.name, reason_of(error))
        return ()


def _judged(plan: RulePlan, verdict: Verdict, rows: int) -> RuleResult:
    return RuleResult(
        rule=plan.rule,
        passed=verdict.passed,
        observed=_observed(plan, verdict.value, rows),
        promised=_promised(plan),
        unexpected_count=int(verdict.value) if plan.counts_rows else None,
        checked_rows=rows,
    )


def _failed(rule: Rule, reason: str, plan: RulePlan | None, rows: int | None) -> RuleResult:
    return RuleResult(
        rule=rule,
        passed=False,
        observed="not evaluated",
        promised=_promised(plan) if plan else "",
        checked_rows=rows,
        sample_query=sample_query(plan) if plan else None,
        error=f"{rule.location.in_repo}: {reason}",
    )


def _promised(plan: RulePlan) -> str:
    rows = plan.rule.kind != "sql" and not plan.bounds.percent
    return f"{plan.bounds} rows" if rows else str(plan.bounds)


def _observed(plan: RulePlan, value: Any, rows: int) -> str:
    if plan.rule.kind == "row_count":
        return f"{value} rows"
    if plan.rule.kind == "sql":
        # Text may be personal data; the number that a rule's own aggregate gives is what the rule is about.
        shown = "NULL" if value is None else str(value) if exact(value) is not None else f"a {type(value).__name__}"
        return f"the query gave {shown}"
    percent = f" ({float(share(int(value), rows)):.4g} percent)" if plan.bounds.percent else ""
    return f"{value} of {rows} rows{percent}"
