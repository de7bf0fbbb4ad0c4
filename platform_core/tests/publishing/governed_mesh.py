"""Small meshes for the tests of plan and apply, published with one row a table."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

from port_bench import contract, product, table
from psycopg import sql

from platform_core.contracts import DataProduct, InputPort, Mesh
from platform_core.contracts.model import Role
from platform_core.publishing import governance, publish
from platform_core.quality import AuditReport
from platform_core.warehouse import Warehouse, readers


def make_product(name: str, *inputs: InputPort, tables: tuple[str, ...] = ("t",)) -> DataProduct:
    """A product of one port with personal data; the domains ga and gb may read it."""
    promise = contract(*(table(each, {"number": "integer", "email": "text"}) for each in tables), product=name)
    domain = name.partition(".")[0]
    roles = tuple(Role(f"{name.replace('.', '_')}_reader{end}", "read", None, None, domains=("ga", "gb")) for end in ("", "_pii"))
    return replace(product(replace(promise, roles=roles), *inputs), domain=domain)


def make_mesh(domains: tuple[str, ...], *products: DataProduct, broken: frozenset[str] = frozenset()) -> Mesh:
    """A mesh of these domains and products."""
    contracts = {port.contract_id: port.contract for item in products for port in item.outputs}
    return Mesh(domains, {item.id: item for item in products}, contracts, (), broken)


def publish_all(warehouse: Warehouse, mesh: Mesh, *products: DataProduct) -> None:
    """Publishes one row in every table of the products."""
    for item in products:
        promise = item.outputs[0].contract
        with warehouse.connect_domain(item.domain) as connection:
            for each in promise.tables:
                connection.execute(
                    sql.SQL("CREATE TABLE {} AS SELECT 1 AS number, 'a'::text AS email").format(
                        sql.Identifier(f"{item.domain}_build", each.model)
                    )
                )
        outcome = publish(warehouse, promise, readers(mesh, promise), lambda _: AuditReport(()), code_version="c")
        assert outcome.published


def left_to_do(warehouse: Warehouse, mesh: Mesh) -> list[str]:
    """What a plan would do now."""
    return [str(step) for step in governance.plan(warehouse, mesh, Path("/nowhere")).steps]


def names_on_server(warehouse: Warehouse) -> set[str]:
    """Every schema of the database and every role of the server."""
    with warehouse.connect_platform(autocommit=True) as admin:
        return {str(name) for (name,) in admin.execute("SELECT nspname FROM pg_namespace UNION SELECT rolname FROM pg_roles").fetchall()}
