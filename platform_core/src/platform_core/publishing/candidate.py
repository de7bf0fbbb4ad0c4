"""The audit of a sealed candidate: its shape against the contract, then the contract's rules."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from platform_core import quality
from platform_core.contracts import Contract, Rule, Table
from platform_core.contracts.findings import check_name
from platform_core.quality import AuditReport, RuleResult
from platform_core.warehouse import Warehouse


def rules_of(table: Table) -> tuple[Rule, ...]:
    """Every promise about a table: that its columns are there with their types, and the contract's rules."""
    return (_shape_rule(table), *table.rules)


def audit_candidate(warehouse: Warehouse, contract: Contract, relations: Mapping[str, tuple[str, str]]) -> AuditReport:
    """Checks a candidate.

    Args:
        warehouse: Reached as the contract's domain.
        contract: The port.
        relations: Port table to the relation that holds the candidate.

    Returns:
        A result per rule of ``rules_of``; nothing raises for what the data holds.
    """
    shapes: list[RuleResult] = []
    with warehouse.connect_domain(contract.domain, autocommit=True) as connection:
        for table in contract.tables:
            found = quality.check_shape(connection, table, relations[table.physical_name])
            observed = "; ".join(f"{problem.message} (line {problem.location.line})" for problem in found)
            rule = replace(_shape_rule(table), location=found[0].location) if found else _shape_rule(table)
            promised = f"{len(table.columns)} columns as promised"
            shapes.append(RuleResult(rule, not found, observed or promised, "every column of the contract, with its type"))
    report = quality.audit(warehouse, contract.domain, contract.tables, relations)
    return AuditReport((*shapes, *report.results), report.rows)


def _shape_rule(table: Table) -> Rule:
    return Rule(
        name=f"{check_name(table.physical_name)}__schema",
        kind="schema",
        table=table.physical_name,
        column=None,
        arguments={},
        severity="error",
        dimension="conformity",
        description="Every column of the contract is there with its type.",
        location=table.location,
    )
