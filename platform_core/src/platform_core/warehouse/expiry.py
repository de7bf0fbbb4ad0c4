"""Takes back what requests gave once they have ended: expired, revoked or replaced. Postgres itself ends no membership and no grant."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime

from psycopg import Connection, sql

from platform_core.contracts.model import Mesh
from platform_core.warehouse.access_events import AccessEvent, record
from platform_core.warehouse.apply import APPLY_LOCK
from platform_core.warehouse.connection import Warehouse
from platform_core.warehouse.granted import Granted, ended


@dataclass(frozen=True)
class Ended:
    """What one look at the access of the mesh did.

    Attributes:
        taken: Privileges and memberships that were taken back, for people.
        recorded: What was recorded of who can read what: also of what others granted and took.
    """

    taken: tuple[str, ...]
    recorded: tuple[AccessEvent, ...]


def revoke_ended(warehouse: Warehouse, mesh: Mesh, now: datetime) -> Ended:
    """Takes back what has ended by ``now``, and records who can read what since; in one transaction, never beside an apply.

    Args:
        warehouse: Reached as the platform's role.
        mesh: The files.
        now: The moment, with a timezone.
    """
    with warehouse.connect_platform() as connection:
        connection.execute("SELECT pg_advisory_xact_lock(%s)", (APPLY_LOCK,))
        steps = tuple(_revocations(connection, ended(mesh, now)))
        for _, statement in steps:
            connection.execute(statement)
        return Ended(tuple(shown for shown, _ in steps), record(connection, mesh, now))


def _revocations(connection: Connection, gone: Granted) -> Iterator[tuple[str, sql.Composed]]:
    """The statements for what is really there; asked in four queries, however much has ended."""
    name = sql.Identifier
    pairs = sorted(gone.memberships)
    rows = connection.execute(
        """SELECT r.rolname, m.rolname, g.rolname FROM unnest(%s::text[], %s::text[]) AS p (role, member)
           JOIN pg_roles AS r ON r.rolname = p.role JOIN pg_roles AS m ON m.rolname = p.member
           JOIN pg_auth_members AS a ON a.roleid = r.oid AND a.member = m.oid JOIN pg_roles AS g ON g.oid = a.grantor""",
        ([role for role, _ in pairs], [member for _, member in pairs]),
    ).fetchall()
    for role, member, grantor in rows:
        yield (
            f"role {role} from {member}",
            sql.SQL("REVOKE {} FROM {} GRANTED BY {} CASCADE").format(name(role), name(member), name(grantor)),
        )
    reads = sorted(gone.reads)
    rows = connection.execute(
        """SELECT p.schema, p.relation, p.role FROM unnest(%s::text[], %s::text[], %s::text[]) AS p (schema, relation, role)
           JOIN pg_namespace AS n ON n.nspname = p.schema JOIN pg_class AS c ON c.relnamespace = n.oid AND c.relname = p.relation
           JOIN pg_roles AS r ON r.rolname = p.role
           WHERE EXISTS (SELECT FROM aclexplode(c.relacl) AS a WHERE a.grantee = r.oid AND a.privilege_type = 'SELECT')""",
        ([schema for schema, _, _ in reads], [relation for _, relation, _ in reads], [role for _, _, role in reads]),
    ).fetchall()
    for schema, relation, role in rows:
        yield (
            f"reading {schema}.{relation} from {role}",
            sql.SQL("REVOKE SELECT ON {} FROM {} CASCADE").format(name(schema, relation), name(role)),
        )
    usage = sorted(gone.usage)
    rows = connection.execute(
        """SELECT p.schema, p.role FROM unnest(%s::text[], %s::text[]) AS p (schema, role)
           JOIN pg_namespace AS n ON n.nspname = p.schema JOIN pg_roles AS r ON r.rolname = p.role
           WHERE EXISTS (SELECT FROM aclexplode(n.nspacl) AS a WHERE a.grantee = r.oid AND a.privilege_type = 'USAGE')""",
        ([schema for schema, _ in usage], [role for _, role in usage]),
    ).fetchall()
    for schema, role in rows:
        yield f"schema {schema} from {role}", sql.SQL("REVOKE USAGE ON SCHEMA {} FROM {} CASCADE").format(name(schema), name(role))
    rows = connection.execute(
        """SELECT d.datname, r.rolname FROM pg_database AS d CROSS JOIN LATERAL aclexplode(d.datacl) AS a JOIN pg_roles AS r ON r.oid = a.grantee
           WHERE d.datname = current_database() AND a.privilege_type = 'CONNECT' AND r.rolname = ANY(%s)""",
        (sorted(gone.connects),),
    ).fetchall()
    for database, role in rows:
        yield f"connecting from {role}", sql.SQL("REVOKE CONNECT ON DATABASE {} FROM {}").format(name(database), name(role))
