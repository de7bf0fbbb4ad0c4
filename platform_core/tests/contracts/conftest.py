"""A small, sound mesh in a temporary folder: one product of the domain shop, and one of the domain sales that reads it."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from platform_core.contracts import Mesh, load_mesh

sys.path.append(str(Path(__file__).parent))  # for the gate's table, which stands beside its tests

CUSTOMERS = "domains/shop/src/shop/defs/customers"
ORDERS = "domains/sales/src/sales/defs/orders"

FILES = {
    f"{CUSTOMERS}/product.odps.yaml": """\
apiVersion: v1.1.0
kind: DataProduct
id: shop.customers
name: Customers
version: 1.2.0
status: active
domain: shop
description:
  purpose: Who buys.
inputPorts:
  - name: web
    customProperties:
      - property: connection
        value: web
outputPorts:
  - name: customers
    type: tables
    version: 1.2.0
    contractId: shop.customers.customers
team:
  name: shop-data
  members:
    - username: shop@example.com
      role: owner
support:
  - channel: shop-data
    url: https://example.com/shop
""",
    f"{CUSTOMERS}/contracts/customers.odcs.yaml": """\
apiVersion: v3.1.0
kind: DataContract
id: shop.customers.customers
name: Customers
version: 1.2.0
status: active
domain: shop
dataProduct: shop.customers
schema:
  - name: customers
    logicalType: object
    physicalType: table
    properties:
      - name: customer_id
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        required: true
      - name: email
        logicalType: string
        physicalType: text
        classification: restricted
        tags: [pii]
roles:
  - role: shop_customers_reader
  - role: shop_customers_reader_pii
team:
  name: shop-data
""",
    f"{ORDERS}/product.odps.yaml": """\
apiVersion: v1.1.0
kind: DataProduct
id: sales.orders
name: Orders
version: 1.0.0
status: active
domain: sales
description:
  purpose: What was bought.
inputPorts:
  - name: shop
    customProperties:
      - property: connection
        value: shop
  - name: customers
    contractId: shop.customers.customers
    version: 1.1.0
outputPorts:
  - name: orders
    type: tables
    version: 1.0.0
    contractId: sales.orders.orders
    inputContracts:
      - id: shop.customers.customers
        version: 1.1.0
team:
  name: sales-data
  members:
    - username: sales@example.com
      role: owner
support:
  - channel: sales-data
    url: https://example.com/sales
""",
    f"{ORDERS}/contracts/orders.odcs.yaml": """\
apiVersion: v3.2.0
kind: DataContract
id: sales.orders.orders
name: Orders
version: 1.0.0
status: active
domain: sales
dataProduct: sales.orders
schema:
  - name: orders
    logicalType: object
    physicalType: table
    description: One row per purchase.
    properties:
      - name: order_id
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        required: true
      - name: customer_id
        logicalType: integer
        physicalType: bigint
        relationships:
          - to: shop.customers.customers.customer_id
      - name: country
        logicalType: string
        physicalType: text
        logicalTypeOptions:
          pattern: '^[A-Z]{2}$'
          minLength: 2
          maxLength: 2
        quality:
          - metric: invalidValues
            arguments:
              validValues: ['NO', SE]
            mustBe: 0
            severity: error
      - name: amount_usd
        logicalType: number
        physicalType: numeric(12,2)
        logicalTypeOptions:
          minimum: 0
          maximum: 100
      - name: ordered_at
        logicalType: timestamp
        physicalType: timestamptz
    quality:
      - metric: rowCount
        mustBeGreaterThan: 0
      - metric: duplicateValues
        arguments:
          properties: [customer_id, ordered_at]
        mustBe: 0
      - name: paid
        type: sql
        query: select count(*) from {object} where amount_usd is null
        mustBe: 0
        dimension: completeness
roles:
  - role: sales_orders_reader
slaProperties:
  - property: freshness
    value: 24
    unit: h
    element: orders.ordered_at
    customProperties:
      - property: objective
        value: {ratio: 0.8, window: 20d}
team:
  name: sales-data
""",
    "airbyte/shop/web.yaml": "connector: source-faker\n",
    "airbyte/sales/shop.yaml": "connector: source-faker\n",
    "domains/shop/pyproject.toml": "",
    "domains/sales/pyproject.toml": "",
    "workspace.yaml": "",
}

SHORT = {
    "customers": f"{CUSTOMERS}/product.odps.yaml",
    "customers contract": f"{CUSTOMERS}/contracts/customers.odcs.yaml",
    "orders": f"{ORDERS}/product.odps.yaml",
    "orders contract": f"{ORDERS}/contracts/orders.odcs.yaml",
}


@dataclass(frozen=True)
class Files:
    """The files of the small mesh; the four product files go by short names."""

    root: Path

    def path(self, name: str) -> Path:
        return self.root / SHORT.get(name, name)

    def read(self, name: str) -> str:
        return self.path(name).read_text()

    def write(self, name: str, content: str | bytes) -> None:
        path = self.path(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)

    def replace(self, name: str, old: str, new: str) -> None:
        """Replaces the one place where ``old`` stands."""
        text = self.read(name)
        assert text.count(old) == 1, f"{old!r} stands {text.count(old)} times in {name}"
        self.write(name, text.replace(old, new))

    def line(self, name: str, number: int) -> str:
        lines = self.path(name).read_bytes().decode(errors="replace").splitlines()
        return lines[number - 1] if lines else ""

    def mesh(self) -> Mesh:
        return load_mesh(self.root)


@pytest.fixture
def files(tmp_path: Path) -> Files:
    """The files of the small mesh."""
    written = Files(tmp_path)
    for name, content in FILES.items():
        written.write(name, content)
    return written
