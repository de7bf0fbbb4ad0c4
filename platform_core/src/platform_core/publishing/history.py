"""What was published, when, and what each port serves now."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from psycopg import Connection
from psycopg.rows import class_row


@dataclass(frozen=True)
class Publication:
    """One row of ``mesh.publications``.

    Attributes:
        tables: Port table to ``{"version": relation, "rows": count}``.
        served: Whether the port shows it now.
        pinned: Whether retention leaves it alone.
        kept: Whether its data is still there.
    """

    publication: str
    contract_id: str
    contract_version: str
    code_version: str
    state: str
    tables: dict[str, dict[str, Any]]
    checks_passed: int
    checks_failed: int
    run_id: str | None
    sealed_at: datetime
    decided_at: datetime | None
    served: bool
    pinned: bool
    kept: bool

    @property
    def versions(self) -> dict[str, str]:
        """Port table to the relation that holds its rows."""
        return {table: str(info["version"]) for table, info in self.tables.items()}


@dataclass(frozen=True)
class Switch:
    """One change of what a port serves: a publication, a rollback, or its retirement (``to_publication`` is None)."""

    contract_id: str
    action: str
    from_publication: str | None
    to_publication: str | None
    actor: str
    reason: str | None
    happened_at: datetime


@dataclass(frozen=True)
class FailedCheck:
    """A rule that did not hold at the latest audit of a port."""

    contract_id: str
    publication: str
    rule: str
    severity: str
    observed: str
    sample_query: str | None
    location: str


_COLUMNS = """p.publication, p.contract_id, p.contract_version, p.code_version, p.state, p.tables, p.checks_passed, p.checks_failed,
    p.run_id, p.sealed_at, p.decided_at, s.publication IS NOT NULL AS served,
    EXISTS (SELECT FROM mesh.pins AS n WHERE (n.contract_id, n.publication) = (p.contract_id, p.publication)) AS pinned,
    NOT EXISTS (SELECT FROM jsonb_each(p.tables) AS t WHERE NOT EXISTS (
        SELECT FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = c.relnamespace
        WHERE n.nspname = mesh.data_schema(p.contract_id) AND c.relname = t.value ->> 'version')) AS kept"""


def served(connection: Connection) -> dict[str, Publication]:
    """The publication that each port serves, by contract id."""
    with connection.cursor(row_factory=class_row(Publication)) as cursor:
        query = f"SELECT {_COLUMNS} FROM mesh.publications AS p JOIN mesh.ports AS s USING (contract_id, publication)"  # noqa: S608 - constant
        return {row.contract_id: row for row in cursor.execute(query.encode())}


def rejected(connection: Connection) -> dict[str, Publication]:
    """The candidate that was rejected at a port's latest audit, by contract id; ports whose latest audit held are left out."""
    query = f"""SELECT * FROM (
            SELECT DISTINCT ON (p.contract_id) {_COLUMNS} FROM mesh.publications AS p
            LEFT JOIN mesh.ports AS s USING (contract_id, publication)
            WHERE p.state <> 'sealed' ORDER BY p.contract_id, p.publication DESC) AS latest
        WHERE state = 'rejected'"""  # noqa: S608 - constant
    with connection.cursor(row_factory=class_row(Publication)) as cursor:
        return {row.contract_id: row for row in cursor.execute(query.encode())}


def publications(connection: Connection, contract_id: str, limit: int | None = 50) -> list[Publication]:
    """The port's publications, newest first; all of them without a limit."""
    query = f"""SELECT {_COLUMNS} FROM mesh.publications AS p LEFT JOIN mesh.ports AS s USING (contract_id, publication)
        WHERE p.contract_id = %s ORDER BY p.publication DESC LIMIT %s"""  # noqa: S608 - constant
    with connection.cursor(row_factory=class_row(Publication)) as cursor:
        return cursor.execute(query.encode(), (contract_id, limit)).fetchall()


def switches(connection: Connection, contract_id: str, limit: int = 50) -> list[Switch]:
    """Every change of what the port serves, newest first."""
    with connection.cursor(row_factory=class_row(Switch)) as cursor:
        return cursor.execute(
            """SELECT contract_id, action, from_publication, to_publication, actor, reason, happened_at FROM mesh.switches
               WHERE contract_id = %s ORDER BY id DESC LIMIT %s""",
            (contract_id, limit),
        ).fetchall()


def rollbacks(connection: Connection) -> dict[str, Switch]:
    """The rollback that stands at each port, by contract id: what it serves was put there by hand, not by its latest publication."""
    with connection.cursor(row_factory=class_row(Switch)) as cursor:
        rows = cursor.execute(
            """SELECT contract_id, action, from_publication, to_publication, actor, reason, happened_at FROM (
                   SELECT DISTINCT ON (contract_id) * FROM mesh.switches ORDER BY contract_id, id DESC) AS latest WHERE action = 'rollback'"""
        )
        return {row.contract_id: row for row in rows}


def left(connection: Connection, contract_id: str) -> frozenset[str]:
    """The publications that a rollback has left and nobody has asked for since."""
    rows = connection.execute(
        """SELECT s.from_publication FROM mesh.switches AS s WHERE s.contract_id = %s AND s.action = 'rollback' AND NOT EXISTS (
               SELECT FROM mesh.switches AS later
               WHERE later.contract_id = s.contract_id AND later.id > s.id AND later.to_publication = s.from_publication)""",
        (contract_id,),
    )
    return frozenset(str(row[0]) for row in rows)


def audited(connection: Connection, contract_id: str) -> str | None:
    """The publication that was audited last, whatever came of it; None before the first audit."""
    row = connection.execute("SELECT max(publication) FROM mesh.publications WHERE contract_id = %s AND state <> 'sealed'", (contract_id,))
    found = row.fetchone()
    return found[0] if found else None


def served_checks(connection: Connection) -> dict[tuple[str, str], tuple[int, int]]:
    """How many rules held and did not hold for what each port serves, by contract id and table."""
    counted = connection.execute(
        """SELECT r.contract_id, r.table_name, count(*) FILTER (WHERE r.passed), count(*) FILTER (WHERE NOT r.passed)
           FROM mesh.check_results AS r JOIN mesh.ports AS s USING (contract_id, publication) GROUP BY 1, 2"""
    )
    return {(str(contract), str(table)): (int(passed), int(failed)) for contract, table, passed, failed in counted}


def failed_checks(connection: Connection, contract_id: str) -> list[FailedCheck]:
    """The rules that failed at the port's latest audit, blocking ones first."""
    with connection.cursor(row_factory=class_row(FailedCheck)) as cursor:
        return cursor.execute(
            """SELECT contract_id, publication, rule, severity, observed, sample_query, location FROM mesh.check_results
               WHERE contract_id = %(contract)s AND NOT passed AND publication = (
                   SELECT max(publication) FROM mesh.publications WHERE contract_id = %(contract)s AND state <> 'sealed')
               ORDER BY severity, rule""",
            {"contract": contract_id},
        ).fetchall()
