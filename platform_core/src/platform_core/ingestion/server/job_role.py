"""Who owns what the Airbyte server writes.

The server logs in as ``<domain>_job`` and cannot be told to act as ``<domain>_owner``, as our own connections do; its tables would
belong to the login, and the domain's transformations could not read them. So the login acts as the owner by itself.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from psycopg import Connection, sql

from platform_core.contracts import naming


@dataclass(frozen=True)
class RoleStep:
    """One change of a login role's defaults in the warehouse's database."""

    domain: str
    database: str
    action: str = "alter"
    changes: tuple[str, ...] = ()

    @property
    def object(self) -> str:
        """The change, for people."""
        return f"role {naming.job_role(self.domain)} to act as {naming.owner_role(self.domain)} in {self.database}"

    def __str__(self) -> str:
        return f"{self.action} {self.object}"

    def take(self, connection: Connection) -> None:
        """Makes the change."""
        job, owner = sql.Identifier(naming.job_role(self.domain)), sql.Literal(naming.owner_role(self.domain))
        connection.execute(sql.SQL("ALTER ROLE {} IN DATABASE {} SET role = {}").format(job, sql.Identifier(self.database), owner))


def plan_roles(connection: Connection, domains: Iterable[str]) -> list[RoleStep]:
    """The logins that do not act as their domain's owner yet."""
    database = connection.info.dbname
    rows = connection.execute(
        """SELECT r.rolname, unnest(s.setconfig) FROM pg_db_role_setting AS s JOIN pg_roles AS r ON r.oid = s.setrole
           JOIN pg_database AS d ON d.oid = s.setdatabase WHERE d.datname = current_database()"""
    ).fetchall()
    acting = {(str(role), str(setting)) for role, setting in rows}
    return [
        RoleStep(domain, database)
        for domain in sorted(set(domains))
        if (naming.job_role(domain), f"role={naming.owner_role(domain)}") not in acting
    ]
