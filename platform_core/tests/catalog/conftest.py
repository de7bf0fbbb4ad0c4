"""A company of two products in real files, and a strict stand-in for DataHub's server on loopback."""

from __future__ import annotations

import contextlib
import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from platform_core.catalog import CatalogProduct, InnerTable, RelationColumn, RuleResult, check_proposals
from platform_core.contracts import Mesh, load_mesh, naming
from platform_core.warehouse import Warehouse

os.environ["DATAHUB_TELEMETRY_ENABLED"] = "false"  # before any test imports datahub
os.environ["NO_PROXY"] = "127.0.0.1"

WHEN = datetime(2026, 11, 20, 12, 30, tzinfo=UTC)

PROFILES_PRODUCT = """
apiVersion: v1.1.0
kind: DataProduct
id: customer.profiles
name: Profiles
version: 1.0.0
status: active
domain: customer
type: source-aligned
description: {purpose: Who buys.}
inputPorts:
  - name: crm
    customProperties: [{property: connection, value: crm}]
outputPorts:
  - {name: profiles, type: tables, version: 1.0.0, contractId: customer.profiles.profiles}
team:
  name: customer-data
  members: [{username: ada@example.com, role: owner}]
support: [{channel: customer-data, url: "https://example.com/slack/customer-data", tool: slack, scope: issues}]
"""
PROFILES_CONTRACT = """
apiVersion: v3.1.0
kind: DataContract
id: customer.profiles.profiles
name: Profiles
version: 1.0.0
status: active
domain: customer
dataProduct: customer.profiles
description: {purpose: The customers of the shop.}
schema:
  - name: profiles
    description: One row per customer.
    properties:
      - {name: customer_id, logicalType: integer, physicalType: bigint, primaryKey: true, primaryKeyPosition: 1, required: true}
      - name: email
        logicalType: string
        physicalType: text
        classification: Restricted
        tags: [pii, "contact, direct"]
        examples: [jane.doe@secret.example]
        logicalTypeOptions: {pattern: "^[^@]+@[^@]+$"}
    quality: [{metric: rowCount, mustBeGreaterThan: 0}]
roles:
  - {role: customer_profiles_reader, access: read}
  - {role: customer_profiles_reader_pii, access: read, firstLevelApprovers: customer-data}
team: {name: customer-data}
"""
ORDERS_PRODUCT = """
apiVersion: v1.1.0
kind: DataProduct
id: sales.orders
name: Orders
version: 1.2.0
status: active
domain: sales
type: aggregate
description: {purpose: One row per purchase., usage: Revenue reporting., limitations: No purchases before the migration.}
tags: [retail]
inputPorts:
  - name: shop
    customProperties: [{property: connection, value: shop}]
  - {name: profiles, contractId: customer.profiles.profiles, version: 1.0.0}
outputPorts:
  - {name: orders, type: tables, version: 1.2.0, contractId: sales.orders.orders}
team:
  name: sales-data
  members: [{username: sales-data@example.com, role: owner}]
support: [{channel: sales-data, url: "https://example.com/slack/sales-data", tool: slack, scope: issues}]
"""
ORDERS_CONTRACT = """
apiVersion: v3.2.0
kind: DataContract
id: sales.orders.orders
name: Orders
version: 1.2.0
status: active
domain: sales
dataProduct: sales.orders
description: {purpose: The purchases of the web shop., limitations: No purchases before the migration.}
tags: [finance]
schema:
  - name: orders
    description: One row per purchase.
    dataGranularityDescription: one purchase
    tags: [core]
    properties:
      - name: order_id
        logicalType: integer
        physicalType: bigint
        primaryKey: true
        primaryKeyPosition: 1
        required: true
        unique: true
        description: Identifier of the purchase.
      - name: customer_id
        logicalType: integer
        physicalType: bigint
        required: true
        relationships: [{to: customer.profiles.profiles.customer_id}]
      - {name: customer_email, logicalType: string, physicalType: text, classification: restricted, tags: [pii]}
      - name: status
        businessName: Status of the order
        logicalType: string
        physicalType: text
        quality: [{metric: invalidValues, arguments: {validValues: [in_cart, purchased]}, mustBe: 0}]
      - {name: amount_usd, logicalType: number, physicalType: "numeric(12,2)", logicalTypeOptions: {minimum: 0, maximum: 9999.5}}
      - {name: discount, logicalType: number, physicalType: "numeric(12,2)", logicalTypeOptions: {exclusiveMinimum: 0, maximum: 1}}
      - {name: ordered_at, logicalType: timestamp, physicalType: timestamptz}
      - {name: note, logicalType: string, physicalType: text, logicalTypeOptions: {maxLength: 80}}
      - name: lines
        logicalType: array
        physicalType: jsonb
        quality:
          - {metric: nullValues, mustBeLessThan: 5, unit: percent, severity: warning}
          - {metric: missingValues, arguments: {missingValues: ["", "?"]}, mustBe: 0}
    quality:
      - {metric: rowCount, mustBeBetween: [1, 1000000], severity: error}
      - {metric: duplicateValues, arguments: {properties: [customer_id, ordered_at]}, mustBeLessOrEqualTo: 1, unit: percent}
      - {name: positive, type: sql, query: "select count(*) from {object} where amount_usd < 0", mustBe: 0, dimension: consistency}
  - name: daily_revenue
    description: One row per day.
    properties:
      - {name: day, logicalType: date, physicalType: date, primaryKey: true, primaryKeyPosition: 1, required: true}
      - {name: revenue_usd, logicalType: number}
roles:
  - {role: sales_orders_reader, access: read}
  - {role: sales_orders_reader_pii, access: read, firstLevelApprovers: sales-data}
team: {name: sales-data}
"""
FILES = {
    "domains/customer/pyproject.toml": "",
    "domains/sales/pyproject.toml": "",
    "airbyte/customer/crm.yaml": "",
    "airbyte/sales/shop.yaml": "",
    "domains/customer/src/customer/defs/profiles/product.odps.yaml": PROFILES_PRODUCT,
    "domains/customer/src/customer/defs/profiles/contracts/profiles.odcs.yaml": PROFILES_CONTRACT,
    "domains/sales/src/sales/defs/orders/product.odps.yaml": ORDERS_PRODUCT,
    "domains/sales/src/sales/defs/orders/contracts/orders.odcs.yaml": ORDERS_CONTRACT,
}


@pytest.fixture(scope="session")
def mesh(tmp_path_factory: pytest.TempPathFactory) -> Mesh:
    """Two products, read from files by the contracts plane."""
    root = tmp_path_factory.mktemp("company")
    for name, text in FILES.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    loaded = load_mesh(root)
    assert not [problem for problem in loaded.problems if problem.severity == "error"], loaded.problems
    return loaded


@pytest.fixture
def profiles(mesh: Mesh) -> CatalogProduct:
    """customer.profiles after its first publication."""
    product = mesh.products["customer.profiles"]
    contract = product.outputs[0].contract
    edges = [
        (("customer_raw", "users"), ("customer_build", "profiles")),
        (("customer_build", "profiles"), ("customer_profiles", "profiles")),
    ]
    rules = {rule.name: rule for rule in contract.tables[0].rules}
    results = [
        RuleResult(rules["profiles__email__pattern"], False, WHEN, rows=3, unexpected=1, observed="1 row, e.g. jane.doe@secret.example"),
        RuleResult(rules["profiles__row_count"], True, WHEN, rows=3, observed="3"),
    ]
    return CatalogProduct.of_port(product, contract, "p1", published_at=WHEN, rows={"profiles": 3}, edges=edges, results=results)


@pytest.fixture
def orders(mesh: Mesh) -> CatalogProduct:
    """sales.orders after its first publication, with column lineage and a described model."""
    product = mesh.products["sales.orders"]
    contract = product.outputs[0].contract
    edges = [
        (("sales_raw", "purchases"), ("sales_build", "orders")),
        (("customer_profiles", "profiles"), ("sales_build", "orders")),
        (("customer_build", "profiles"), ("customer_profiles", "profiles")),  # another product's business
        (("sales_build", "orders"), ("sales_orders", "orders")),
        (("sales_build", "orders"), ("sales_build", "daily_revenue")),
        (("sales_build", "daily_revenue"), ("sales_orders", "daily_revenue")),
    ]
    results = [RuleResult(rule, True, WHEN, rows=10, unexpected=0) for table in contract.tables for rule in table.rules[:-1]]
    results += [
        RuleResult(table.rules[-1], False, WHEN, failed_to_run=True, observed="syntax error near 'bob'") for table in contract.tables
    ]
    told = CatalogProduct.of_port(product, contract, "p1", published_at=WHEN, rows={"orders": 10}, edges=edges, results=results)
    columns = (RelationColumn("order_id", "bigint", nullable=False), RelationColumn("tags", "text[]", description="Labels."))
    column_edges = (
        (("customer_profiles", "profiles", "email"), ("sales_build", "orders", "customer_email")),
        (("sales_raw", "purchases", "user_email"), ("sales_build", "orders", "customer_email")),
    )
    return replace(told, inner=(InnerTable("sales_build", "orders", "Purchases.", columns),), column_edges=column_edges)


@dataclass
class StandInGms:
    """Answers like DataHub's GMS, refuses what GMS or a careful reader would refuse, and misbehaves when told to.

    ``answers`` are statuses for the coming POSTs, before anything is looked at; ``poison`` maps a part of a URN or aspect name to
    the status of any batch that holds it; ``held`` is what it keeps.
    """

    url: str = ""
    token: str | None = None
    config: dict[str, Any] = field(default_factory=lambda: {"noCode": "true", "versions": {}})
    answers: list[int] = field(default_factory=list)
    poison: dict[str, int] = field(default_factory=dict)
    headers: dict[str, str] = field(default_factory=dict)
    hang: threading.Event | None = None
    batches: list[int] = field(default_factory=list)
    posts: int = 0
    held: dict[tuple[str, str], Any] = field(default_factory=dict)
    log: list[tuple[str, str]] = field(default_factory=list)

    def post(self, path: str, headers: Any, body: bytes) -> tuple[int, str]:
        """Status and message of a POST."""
        self.posts += 1
        if self.hang is not None:
            self.hang.wait(20)
        if self.answers:
            return self.answers.pop(0), "told to"
        if self.token and headers["Authorization"] != f"Bearer {self.token}":
            return 401, f"bad token {headers['Authorization']}"
        if path != "/aspects?action=ingestProposalBatch":
            return 404, path
        if headers["X-RestLi-Protocol-Version"] != "2.0.0" or headers["Content-Type"] != "application/json":
            return 400, "protocol header"
        if len(body) > 15 * 1024 * 1024:
            return 413, "too large"
        document = json.loads(body)
        if set(document) != {"proposals", "async"} or document["async"] != "false" or not 1 <= len(document["proposals"]) <= 200:
            return 400, "body"
        proposals = []
        for proposal in document["proposals"]:
            if set(proposal.get("aspect", ())) != {"value", "contentType"} or proposal["aspect"]["contentType"] != "application/json":
                return 400, "aspect"
            proposals.append({**proposal, "aspect": {"json": json.loads(proposal["aspect"]["value"])}})
        findings = [finding for finding in check_proposals(proposals) if "stands at" not in finding.message]
        if findings:
            return 400, str(findings[0])
        for part, status in self.poison.items():
            if any(part in proposal["entityUrn"] + " " + proposal["aspectName"] for proposal in proposals):
                return status, f"cannot take {part}"
        self.batches.append(len(proposals))
        for proposal in proposals:
            key = (proposal["entityUrn"], proposal["aspectName"])
            self.held[key] = proposal["aspect"]["json"]
            self.log.append(key)
        return 200, "ok"


@pytest.fixture
def gms() -> Iterator[StandInGms]:
    """A stand-in server on a free port of the loopback interface."""
    server = StandInGms()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200 if self.path == "/config" else 404, server.config)

        def do_POST(self) -> None:
            status, message = server.post(self.path, self.headers, self.rfile.read(int(self.headers["Content-Length"])))
            self._answer(status, {"status": status, "message": message})

        def _answer(self, status: int, document: dict[str, Any]) -> None:
            body = json.dumps(document).encode()
            self.send_response(status)
            for name, value in server.headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):  # a client whose patience has ended
                self.end_headers()
                self.wfile.write(body)

        def log_message(self, *args: Any) -> None:
            """Quiet."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        http.daemon_threads = True
        server.url = f"http://127.0.0.1:{http.server_port}"
        thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield server
        if server.hang is not None:
            server.hang.set()
        http.shutdown()
        thread.join()


@pytest.fixture
def database(database: Warehouse) -> Warehouse:
    """The products' schemas count as applied: a domain tells of no other."""
    with database.connect_platform(autocommit=True) as admin:
        for product in ("customer.profiles", "sales.orders"):
            item = f'["schema", "{naming.port_schema(product)}"]'
            admin.execute(
                "INSERT INTO mesh.declared (domain, product_id, item) VALUES (%s, %s, %s)", (product.partition(".")[0], product, item)
            )
    return database
