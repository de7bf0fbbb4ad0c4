"""The end of a port: its contract says ``status: retired``, so it is published no more, and ``apply --prune`` takes its views away.

Its versions stay as long as the contract's retention rule says (30 days by default), those that are pinned for ever; the record of what
was published stays too.
"""

from __future__ import annotations

from collections.abc import Callable

from psycopg import Connection, sql

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, DataProduct, Mesh
from platform_core.publishing import retention
from platform_core.publishing.announcement import announce_retirement
from platform_core.warehouse import Change, made

_SERVED = "SELECT contract_id, publication FROM mesh.ports WHERE contract_id = ANY(%s) ORDER BY 1"
_LEFT = """SELECT c.id, array_agg(v.relation ORDER BY v.relation) FROM unnest(%s::text[]) AS c (id)
    CROSS JOIN LATERAL mesh.superfluous_versions(c.id) AS v (relation) GROUP BY 1 ORDER BY 1"""


def retirement_changes(connection: Connection, mesh: Mesh) -> tuple[Change, ...]:
    """The steps that end the ports whose contracts are retired, and that drop their versions once their time is over.

    Args:
        connection: As the platform's role; nothing is changed.
        mesh: The files.
    """
    retired = {
        port.contract_id: (product, port.contract)
        for product in mesh.products.values()
        for port in product.outputs
        if port.contract.status == "retired"
    }
    if not retired or not made(connection, "ports", "switches"):
        return ()
    found: list[Change] = []
    served = connection.execute(_SERVED, (list(retired),)).fetchall()
    for contract_id, publication in served:
        product, contract = retired[contract_id]
        reader = _still_read(mesh, contract_id)
        if reader is not None:
            detail = f"the contract is retired, but {reader} names it as input: it is served until that has moved"
            found.append(Change("report", f"port {contract_id}", None, contract.domain, contract.product_id, "remove", detail=detail))
            continue
        detail = f"the contract is retired: {contract.lifecycle.way_on}; it served {publication} last, which retention keeps"
        found.append(_step(f"port {contract_id}", contract, detail, _ending(product, contract)))
    over = [contract_id for contract_id in retired if contract_id not in {contract for contract, _ in served}]
    for contract_id, versions in connection.execute(_LEFT, (over,)).fetchall():
        contract = retired[contract_id][1]
        detail = f"the port is retired, and its retention is over: {', '.join(versions)}"
        found.append(_step(f"versions of {contract_id}", contract, detail, _pruning(contract)))
    return tuple(found)


def end(connection: Connection, product: DataProduct, contract: Contract) -> None:
    """Takes the port's views away and records its end, in the caller's transaction; what is not served is left as it is.

    Raises:
        psycopg.errors.DependentObjectsStillExist: A consumer's view stands on one of them.
    """
    row = connection.execute("DELETE FROM mesh.ports WHERE contract_id = %s RETURNING publication", (contract.id,)).fetchone()
    if row is None:
        return
    last = str(row[0])
    for table in contract.tables:
        connection.execute(
            sql.SQL("DROP VIEW IF EXISTS {}").format(sql.Identifier(naming.port_schema(contract.product_id), table.physical_name))
        )
    connection.execute("DELETE FROM mesh.port_views WHERE contract_id = %s", (contract.id,))
    connection.execute(
        """INSERT INTO mesh.switches (contract_id, domain, action, from_publication, to_publication, actor, reason)
           VALUES (%s, %s, 'retirement', %s, NULL, 'mesh apply', %s)""",
        (contract.id, contract.domain, last, contract.lifecycle.way_on),
    )
    retention.remember_rule(connection, contract)
    announce_retirement(connection, product, contract, last)


def _still_read(mesh: Mesh, contract_id: str) -> str | None:
    """Where a consumer's file names the port. Such a product has an error, so it is not among the products of the mesh."""
    said = f"the input contract {contract_id!r} is retired"
    return next((problem.location.in_repo for problem in mesh.problems if problem.message.startswith(said)), None)


def _step(shown: str, contract: Contract, detail: str, act: Callable[[Connection], object]) -> Change:
    return Change("drop", shown, None, contract.domain, contract.product_id, "remove", prune=True, detail=detail, act=act)


def _ending(product: DataProduct, contract: Contract) -> Callable[[Connection], None]:
    return lambda connection: end(connection, product, contract)


def _pruning(contract: Contract) -> Callable[[Connection], tuple[str, ...]]:
    return lambda connection: retention.prune(connection, contract)
