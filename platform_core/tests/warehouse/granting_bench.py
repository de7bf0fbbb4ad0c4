"""A small company on the real server: a shop whose products have one port and two, a domain that buys, and people with logins."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psycopg
from psycopg import sql

from platform_core.contracts import AccessRequest, Mesh, load_mesh
from platform_core.contracts.access_file import Ports
from platform_core.contracts.access_history import access_path, add_entry
from platform_core.publishing import publish
from platform_core.quality import AuditReport
from platform_core.warehouse import Warehouse, apply, readers

SHOP, BUYER = "gshop", "gbuyer"
ONE, FIRST, SECOND = f"{SHOP}.people.people", f"{SHOP}.goods.items", f"{SHOP}.goods.stock"
PORTS = (ONE, FIRST, SECOND)
ANA, TEAM = "gr_ana", 'gr "Té" team'
OWNER = "shop@example.com"

PRODUCT = """\
apiVersion: v1.1.0
kind: DataProduct
id: {id}
name: {id}
version: 1.0.0
status: active
domain: {domain}
description: {{purpose: A test.}}
{inputs}
outputPorts:
{outputs}
team:
  name: {domain}-data
  members:
    - {{username: {owner}, role: owner}}
support:
  - {{channel: c, url: 'https://example.com'}}
"""
OUTPUT = "  - {{name: {port}, type: tables, version: 1.0.0, contractId: {id}.{port}}}\n"
CONTRACT = """\
apiVersion: v3.1.0
kind: DataContract
id: {id}.{port}
name: {port}
version: 1.0.0
status: active
domain: {domain}
dataProduct: {id}
schema:
  - name: {port}
    logicalType: object
    physicalType: table
    properties:
      - {{name: id, logicalType: integer, physicalType: bigint, required: true}}
      - {{name: email, logicalType: string, physicalType: text, classification: restricted, tags: [pii]}}
roles:
  - {{role: {schema}_reader}}
  - {{role: {schema}_reader_pii}}
team:
  name: {domain}-data
"""


def relation(contract_id: str) -> str:
    """The port's view."""
    domain, product, port = contract_id.split(".")
    return f"{domain}_{product}.{port}"


def write_company(root: Path) -> None:
    """The files."""
    _product(root, f"{SHOP}.people", ("people",))
    _product(root, f"{SHOP}.goods", ("items", "stock"))
    inputs = f"inputPorts:\n  - {{name: people, contractId: {ONE}, version: 1.0.0}}\n"
    _product(root, f"{BUYER}.lists", ("lists",), inputs)
    (root / "workspace.yaml").touch()


def _product(root: Path, product_id: str, ports: Sequence[str], inputs: str = "") -> None:
    domain, name = product_id.split(".")
    folder = root / "domains" / domain / "src" / domain / "defs" / name
    (folder / "contracts").mkdir(parents=True)
    (root / "domains" / domain / "pyproject.toml").touch()
    outputs = "".join(OUTPUT.format(port=port, id=product_id) for port in ports)
    owner = OWNER if domain == SHOP else f"{domain}@example.com"
    (folder / "product.odps.yaml").write_text(PRODUCT.format(id=product_id, domain=domain, inputs=inputs, outputs=outputs, owner=owner))
    for port in ports:
        text = CONTRACT.format(id=product_id, port=port, domain=domain, schema=product_id.replace(".", "_"))
        (folder / "contracts" / f"{port}.odcs.yaml").write_text(text)


@dataclass(frozen=True)
class Company:
    """The files and the warehouse."""

    root: Path
    warehouse: Warehouse

    def mesh(self) -> Mesh:
        """The files as they are now."""
        return load_mesh(self.root)

    def apply(self, now: datetime) -> list[str]:
        """Applies the files at a moment; the steps."""
        return [str(step) for step in apply(self.warehouse, self.mesh(), now=now)]

    def write(self, contract_id: str, principal: str, action: str, at: datetime, by: str = OWNER, **more: Any) -> AccessRequest:
        """Adds an entry to the history of a principal's access to a port."""
        mesh = self.mesh()
        path = access_path(self.root, contract_id, principal)
        entry = {"action": action, "at": at, "by": by, **more}
        return add_entry(path, contract_id, principal, entry, Ports(mesh.domains, mesh.products, mesh.broken), self.root / "lock")

    def give(self, contract_id: str, principal: str, at: datetime, *, pii: bool = False, until: Any = None) -> AccessRequest:
        """Requested and approved at one moment."""
        more: dict[str, Any] = {"purpose": "A test.", **({"personalData": True} if pii else {}), **({"until": until} if until else {})}
        self.write(contract_id, principal, "requested", at, **more)
        return self.write(contract_id, principal, "approved", at)

    def forget(self) -> None:
        """No access files."""
        for path in (self.root / "domains" / SHOP / "access").glob("*"):
            path.unlink()

    def publish(self) -> None:
        """One row in every port: 1 and an address."""
        mesh = self.mesh()
        for contract in mesh.contracts.values():
            with self.warehouse.connect_domain(contract.domain) as connection:
                statement = "CREATE TABLE {}.{} AS SELECT 1::bigint AS id, 'a@example.com'::text AS email"
                target = sql.SQL(statement).format(sql.Identifier(f"{contract.domain}_build"), sql.Identifier(contract.port))
                connection.execute(target)
            outcome = publish(self.warehouse, contract, readers(mesh, contract), lambda _relations: AuditReport(()), code_version="c0de")
            assert outcome.published

    def sees(self, role: str, contract_id: str) -> str | None:
        """What the role reads in the port's e-mail column: the address, `masked`, or None for nothing at all. Tried, not asked."""
        with self.warehouse.connect_platform() as connection:
            connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(role)))
            try:
                row = connection.execute(f"SELECT email FROM {relation(contract_id)}".encode()).fetchone()
            except psycopg.errors.InsufficientPrivilege:
                connection.rollback()
                return None
            assert row is not None
            return "masked" if row[0] != "a@example.com" else str(row[0])


def day(number: int, hour: int = 12) -> datetime:
    """A day of 2026, from 1."""
    return datetime.fromtimestamp(datetime(2026, 1, 1, tzinfo=UTC).timestamp() + (number - 1) * 86_400 + hour * 3_600, UTC)
