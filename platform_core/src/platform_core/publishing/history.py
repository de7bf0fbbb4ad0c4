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
    p.run_id, p.sealed_at, p.decided_at, s.publication IS NOT NULL AS served"""


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


def publications(connection: Connection, contract_id: str, limit: int = 50) -> list[Publication]:
    """The port's publications, newest first."""
    query = f"""SELECT {_COLUMNS} FROM mesh.publications AS p LEFT JOIN mesh.ports AS s USING (contract_id, publication)
        WHERE p.contract_id = %s ORDER BY p.publication DESC LIMIT %s"""  # noqa: S608 - constant
    with connection.cursor(row_factory=class_row(Publication)) as cursor:
        return cursor.execute(query.encode(), (contract_id, limit)).fetchall()


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
