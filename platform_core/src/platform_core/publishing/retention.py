"""Old versions go once enough newer ones stand; what a port serves, or a build view or foreign key still needs, always stays."""

from __future__ import annotations

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Contract

KEPT = 5
"""Publications of a port that stay for rollback."""


def prune(connection: Connection, contract: Contract, kept: int = KEPT) -> tuple[str, ...]:
    """Drops the versions that no kept publication refers to, in the caller's transaction.

    A reader that began before the switch holds its version's lock; the drop then waits for it, briefly, and is left to the next
    publication when it takes longer.

    Returns:
        The dropped relations.
    """
    data = naming.data_schema(contract.product_id)
    connection.execute("SET LOCAL lock_timeout = '1s'")
    rows = connection.execute(
        """
        WITH ranked AS (
            SELECT publication, tables, row_number() OVER (PARTITION BY state = 'published' ORDER BY publication DESC) AS age
            FROM mesh.publications WHERE contract_id = %(contract)s
        ), kept AS (
            SELECT tables FROM ranked WHERE age <= %(kept)s
            UNION ALL
            SELECT p.tables FROM mesh.ports AS s JOIN mesh.publications AS p USING (contract_id, publication) WHERE s.contract_id = %(contract)s
        ), known AS (
            SELECT DISTINCT t.value ->> 'version' AS version FROM ranked, jsonb_each(ranked.tables) AS t
        )
        SELECT known.version FROM known JOIN pg_class AS c ON c.relname = known.version AND c.relnamespace = to_regnamespace(%(data)s)
        WHERE NOT EXISTS (SELECT FROM kept, jsonb_each(kept.tables) AS t WHERE t.value ->> 'version' = known.version)
          AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.refobjid = c.oid AND d.classid = 'pg_rewrite'::regclass)
          AND NOT EXISTS (SELECT FROM pg_constraint AS k WHERE k.confrelid = c.oid AND k.conrelid <> c.oid)
        ORDER BY 1
        """,
        {"contract": contract.id, "kept": kept, "data": sql.Identifier(data).as_string(connection)},
    ).fetchall()
    for (version,) in rows:
        connection.execute(sql.SQL("DROP TABLE {}").format(sql.Identifier(data, str(version))))
    return tuple(str(version) for (version,) in rows)
