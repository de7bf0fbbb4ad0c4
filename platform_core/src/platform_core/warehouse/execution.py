"""Takes the steps of a plan: the platform's own first, then each domain's in one transaction. One domain's failure leaves the others applied."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import psycopg
from psycopg import Connection

from platform_core.errors import MeshError
from platform_core.warehouse.change import Change
from platform_core.warehouse.declared import Declared

Finish = Callable[[Connection, str, Sequence[Change]], None]
"""Called at the end of a domain's transaction with the domain and the steps that were taken."""


@dataclass(frozen=True)
class Failure:
    """A domain whose transaction was rolled back; its ``object`` is that of the step that failed."""

    domain: str
    object: str
    reason: str
    remedy: str


@dataclass(frozen=True)
class Applied:
    """What became of a plan.

    Attributes:
        taken: Steps that stand.
        left: Steps that were not taken: findings without a statement, and removals without ``--prune``.
        failures: Domains that were left as they were.
    """

    taken: tuple[Change, ...]
    left: tuple[Change, ...]
    failures: tuple[Failure, ...]


def execute(
    connection: Connection, declared: Declared, steps: Sequence[Change], *, prune: bool, finish: Finish, begin: Callable[[Connection], None]
) -> Applied:
    """Takes the steps, a domain at a time.

    Args:
        connection: In autocommit, holding the lock of applies.
        declared: Says where roles belong: a grant to a role that another domain's transaction makes waits for that one.
        steps: Of one plan, in order.
        prune: Whether removals are taken too.
        finish: Called in each domain's transaction, after its steps.
        begin: Called first in each transaction.
    """
    dropped = {step.drops for step in steps if step.drops and prune}  # what they have goes with them
    steps = [step for step in steps if step.action != "revoke" or not dropped & set(step.roles)]
    doable = [step for step in steps if step.doable and (prune or not step.prune)]
    left = [step for step in steps if not step.doable or (step.prune and not prune)]
    domains = sorted({*(step.domain for step in doable), *(place[0] for place in declared.items.values()),
                      *(place[0] for place in declared.recorded.values())} | {""})  # fmt: skip
    order = {domain: number for number, domain in enumerate(domains)}
    batches: dict[str, list[Change]] = {domain: [] for domain in domains}
    for step in doable:
        batches[max(_needed(declared, step), key=lambda domain: order.get(domain, 0))].append(step)
    for domain, batch in batches.items():
        batch.sort(key=lambda step: step.domain != domain)  # what waited for this domain's roles comes after them
    taken: list[Change] = []
    failures: list[Failure] = []
    failed: set[str] = set()
    for domain in domains:
        batch = [step for step in batches[domain] if not failed & _needed(declared, step)]
        waiting = [step for step in batches[domain] if step not in batch]
        failure = _transaction(connection, domain, batch, finish, begin)
        if failure is None:
            taken += batch
            left += waiting
        else:
            failures.append(failure)
            failed.add(domain)
            if not domain:  # without the platform's own tables nothing else can be
                return Applied(tuple(taken), (*left, *(step for of in domains[1:] for step in batches[of])), tuple(failures))
    return Applied(tuple(taken), tuple(left), tuple(failures))


def _needed(declared: Declared, step: Change) -> set[str]:
    """The domains whose transactions must have been: the step's own, and those that make the roles to which it gives something."""
    return {step.domain, *(declared.place(role)[0] for role in step.roles if step.action != "revoke")}


def _transaction(
    connection: Connection, domain: str, steps: Sequence[Change], finish: Finish, begin: Callable[[Connection], None]
) -> Failure | None:
    current = "the record of what is applied"
    try:
        with connection.transaction():
            begin(connection)
            for step in steps:
                current = str(step)
                step.take(connection)
            current = "the record of what is applied"
            finish(connection, domain, steps)
    except (psycopg.Error, MeshError) as error:
        if connection.broken:
            raise
        return Failure(domain, current, _reason(error), _remedy(error))
    return None


def _reason(error: psycopg.Error | MeshError) -> str:
    if isinstance(error, MeshError):
        return error.what
    parts = (error.diag.message_primary or str(error).strip(), error.diag.message_detail)
    return "; ".join(part.replace("\n", "; ") for part in parts if part)


def _remedy(error: psycopg.Error | MeshError) -> str:
    if isinstance(error, MeshError):
        return error.remedy or "correct it, then run ./mesh apply again"
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return "give the platform's role this right, or have a superuser do it; then run ./mesh apply again"
    if isinstance(error, psycopg.errors.DependentObjectsStillExist):
        return "remove what depends on it, or have its owner rebuild it; then run ./mesh apply again"
    if isinstance(error, psycopg.errors.LockNotAvailable):
        return "somebody holds it: look for a long transaction in pg_stat_activity, then run ./mesh apply again"
    return error.diag.message_hint or "correct it, then run ./mesh apply again; what the other domains got stays"
