"""Whether the recorded publications and the relations that exist tell the same story."""

from __future__ import annotations

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Mesh
from platform_core.warehouse import Change, made

_UNKNOWN = """
    WITH known AS (
        SELECT DISTINCT p.product_id, t.value ->> 'version' AS version
        FROM mesh.publications AS p CROSS JOIN LATERAL jsonb_each(p.tables) AS t
    ), product AS (
        SELECT * FROM unnest(%(products)s::text[], %(schemas)s::text[]) AS p (id, schema)
    )
    SELECT product.id, product.schema, c.relname, c.relkind::text
    FROM product JOIN pg_namespace AS n ON n.nspname = product.schema JOIN pg_class AS c ON c.relnamespace = n.oid
    LEFT JOIN known ON known.product_id = product.id AND known.version = c.relname
    WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND known.version IS NULL
    ORDER BY 2, 3"""
_SERVED = """
    SELECT s.contract_id, s.publication, p.state FROM mesh.ports AS s JOIN mesh.publications AS p USING (contract_id, publication)
    WHERE s.contract_id = ANY(%(contracts)s) AND p.state <> 'published' ORDER BY 1"""
_GONE = """
    SELECT s.contract_id, p.product_id, s.domain FROM mesh.ports AS s JOIN mesh.publications AS p USING (contract_id, publication)
    WHERE NOT s.contract_id = ANY(%(contracts)s) AND NOT p.product_id = ANY(%(broken)s) ORDER BY 1"""
_DROP = {"r": "TABLE", "p": "TABLE", "v": "VIEW", "m": "MATERIALIZED VIEW", "f": "FOREIGN TABLE"}


def version_changes(connection: Connection, mesh: Mesh) -> tuple[Change, ...]:
    """Relations among the versions that no publication made, ports that serve what was not published, and ports that no file declares.

    Args:
        connection: As the platform's role; nothing is changed.
        mesh: The files.
    """
    if not made(connection, "ports"):  # before the first apply: nothing is published
        return ()
    products = sorted(mesh.products)
    schemas = [naming.data_schema(product_id) for product_id in products]
    contracts = list(mesh.contracts)
    found: list[Change] = []
    for product_id, schema, name, kind in connection.execute(_UNKNOWN, {"products": products, "schemas": schemas}).fetchall():
        statement = sql.SQL("DROP {} IF EXISTS {}").format(sql.SQL(_DROP[kind]), sql.Identifier(schema, name))  # pyright: ignore[reportArgumentType]
        detail = "no publication made it"
        shown = f"{_DROP[kind].lower()} {schema}.{name}"
        found.append(Change("drop", shown, statement, product_id.partition(".")[0], product_id, "drift", prune=True, detail=detail))
    for contract_id, publication, state in connection.execute(_SERVED, {"contracts": contracts}).fetchall():
        contract = mesh.contracts[contract_id]
        detail = f"it serves {publication}, which is {state}: ./mesh rollback {contract_id}, or publish it anew"
        found.append(Change("report", f"port {contract_id}", None, contract.domain, contract.product_id, "drift", detail=detail))
    gone = connection.execute(_GONE, {"contracts": contracts, "broken": sorted(mesh.broken)}).fetchall()
    for contract_id, product_id, domain in gone:
        statement = sql.SQL("DELETE FROM mesh.ports WHERE contract_id = {}").format(sql.Literal(contract_id))
        detail = "no file declares it any more; its publications stay on record"
        found.append(Change("drop", f"port {contract_id}", statement, str(domain), str(product_id), "remove", prune=True, detail=detail))
    return tuple(found)
