"""The company in a real Postgres, from a handful of rows: raw tables as the loader makes them, every model built, ports readable."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jinja2
import pytest
from psycopg import Connection, sql

from platform_core.contracts import Mesh, load_mesh, naming
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, prepare_databases

MOMENT = "2026-01-02T03:04:05+00:00"
ADDRESS = {"street_number": "7", "street_name": "Elm Row", "city": "Springfield", "postal_code": "12345", "country_code": "no"}
USERS = [
    # the columns in order: number, name, e-mail, telephone, age
    (1, " Rosa ", "Rosa+1@Example.com", "(543) 127-9764", 16),
    (2, "Ole", "ole+2@example.com", "1-220-684-0776", 24),
    (3, "Ada", "ada+3@example.com", "941.652.2873", 25),
    (4, "Kim", "kim+4@example.com", None, 64),
    (5, "Lee", "lee+5@example.com", "176-365-7633", 65),
    (6, "Sam", "sam+6@example.com", "176-365-7634", None),
]
PRODUCTS = [(1, " Mazda ", "MX-5", 2023, "19999.99"), (2, "GMC", "Jimmy", 2023, "20000"), (3, "Ford", "F-150", 2022, "35000.5")]
PURCHASES = [
    # the columns in order: number, user, product, when purchased, when returned
    (1, 1, 1, "2026-01-31T23:30:00+00:00", None),
    (2, 1, 2, "2026-02-01T00:30:00+00:00", "2026-02-01T10:00:00+00:00"),
    (3, 2, 3, "2026-02-01T08:00:00+00:00", None),
    (4, 3, 1, None, None),
    (5, 4, 2, "2026-02-03T08:00:00+00:00", "2026-02-05T08:00:00+00:00"),
    (6, 5, 3, "2026-02-01T09:00:00+00:00", None),
    (7, 99, 1, "2026-02-01T09:00:00+00:00", None),  # a customer that is not published yet
    (8, 2, 98, "2026-02-01T09:00:00+00:00", None),  # an item that is not published yet
    (9, 5, 1, "2026-02-03T09:00:00+00:00", None),
]
RAW = {
    "customer": ("users", "id bigint, created_at timestamptz, updated_at timestamptz, name text, title text, age bigint, email text,"
                 " telephone text, gender text, language text, academic_degree text, nationality text, occupation text, height text,"
                 " blood_type text, weight bigint, address jsonb"),
    "inventory": ("products", "id bigint, make text, model text, year bigint, price numeric, created_at timestamptz,"
                  " updated_at timestamptz"),
    "sales": ("purchases", "id bigint, user_id bigint, product_id bigint, created_at timestamptz, updated_at timestamptz,"
              " added_to_cart_at timestamptz, purchased_at timestamptz, returned_at timestamptz"),
}  # fmt: skip
"""Columns of each raw table, as the loader makes them from the schema of the stream (airbyte-source-faker 7.2.1)."""

# The marketing domain's own sources, as the loader makes them from airbyte/manifests and from dropped budgets: columns and rows.
CAMPAIGNS = {
    "searchlight_campaigns": ("id text, name text, start_date date, end_date date, geo_targets jsonb", [
        ("SL-1", "Electric", "2026-01-15", "2026-02-02", ["NO", "SE"]),
    ]),
    "searchlight_daily": ("campaign_id text, date date, impressions bigint, clicks bigint, cost_usd numeric", [
        ("SL-1", "2026-01-31", 100, 10, "5.00"), ("SL-1", "2026-02-01", 50, 5, "2.50"),
    ]),
    "searchlight_conversions": ("campaign_id text, date date, conversions bigint, value_usd numeric", [
        ("SL-1", "2026-01-31", 2, "40000.50"), ("SL-1", "2026-02-01", 0, "0.00"),
    ]),
    "plaza_campaigns": ("campaign text, title text, starts_on date, ends_on date, audience jsonb", [
        ("plz_1", "Road trips", "2026-02-01", "2026-02-28", {"countries": ["NO"]}),
        ("plz_2", "Elsewhere", "2026-01-01", "2026-02-28", {"countries": ["DE"]}),
    ]),
    "plaza_insights": ("campaign text, day date, views bigint, taps bigint, spend_cents bigint", [
        ("plz_1", "2026-02-01", 80, 8, 400), ("plz_1", "2026-02-03", 20, 0, 100), ("plz_2", "2026-02-01", 90, 9, 300),
    ]),
    "plaza_purchases": ("campaign text, day date, purchases bigint, value_cents bigint", [
        ("plz_1", "2026-02-01", 3, 7000099), ("plz_1", "2026-02-02", 1, 1),  # a day without a purchase has no row
    ]),
    "campaign_budgets": ("campaign_id text, month date, budget_usd numeric, cost_center text", [
        ("SL-1", "2026-01-01", "10", "00420"), ("SL-1", "2026-02-01", "10", "00420"), ("plz_1", "2026-02-01", "10", "00435"),
        ("plz_2", "2026-02-01", "10", "00435"),
    ]),
}  # fmt: skip

SEGMENTS = """
WITH customers AS (
    SELECT *, CASE WHEN orders > 0 THEN
        greatest(0, floor(extract(epoch FROM {now} - last_purchased_at) / 86400))::integer END AS recency_days
    FROM {customer_orders}
), scores AS (
    SELECT customer_id, least(5, orders)::smallint AS frequency_score,
        ceil(count(*) OVER (ORDER BY recency_days DESC) * 5.0 / count(*) OVER ())::smallint AS recency_score,
        ceil(count(*) OVER (ORDER BY revenue_usd) * 5.0 / count(*) OVER ())::smallint AS monetary_score
    FROM customers WHERE orders > 0
)
SELECT customer_id, country_code, recency_days, orders, returns, revenue_usd, recency_score, frequency_score, monetary_score,
    CASE WHEN orders = 0 THEN 'prospect'
        WHEN recency_score >= 4 AND monetary_score >= 4 THEN 'champions'
        WHEN recency_score >= 3 AND (orders >= 2 OR monetary_score >= 4) THEN 'loyal'
        WHEN recency_score >= 3 THEN 'promising'
        WHEN monetary_score >= 3 THEN 'at_risk'
        ELSE 'dormant' END AS segment,
    {now} AS calculated_at
FROM customers LEFT JOIN scores USING (customer_id)
ORDER BY customer_id
"""
"""The segmentation as the contract describes it, in SQL: the measure for the asset in Python, and data for the contract's rules."""


@dataclass(frozen=True)
class Company:
    """A warehouse with every model of the company built, and the mesh that promises them."""

    warehouse: Warehouse
    mesh: Mesh

    def connect(self, domain: str) -> Connection:
        """As the domain's own role."""
        return self.warehouse.connect_domain(domain)

    def compiled(self, domain: str, model: str) -> str:
        """The query of a dbt model, its ephemeral parents within."""
        return _compiled(Path(__file__).parents[2], domain, model)

    def segments(self, customer_orders: sql.Identifier, now: datetime) -> sql.Composed:
        """The query that segments the customers of a relation."""
        return sql.SQL(SEGMENTS).format(customer_orders=customer_orders, now=sql.Literal(now))


@pytest.fixture(scope="session")
def company(postgres: EmbeddedPostgres) -> Iterator[Company]:
    """Built once; tests that change it roll back."""
    repo = Path(__file__).parents[2]
    name = f"company_{os.getpid()}"
    warehouse = Warehouse({**postgres.conninfo(), "dbname": name}, server=postgres)
    prepare_databases(warehouse)
    mesh = load_mesh(repo)
    apply(warehouse, mesh)
    for domain in ("customer", "inventory", "sales"):
        _load(warehouse, domain)
    for domain, models in {"customer": ["profiles"], "inventory": ["items"], "sales": ["orders", "daily_revenue"]}.items():
        for model in models:
            _build(warehouse, repo, domain, model)
        _publish(warehouse, mesh, domain)
    _load_campaigns(warehouse)
    for model in ("customer_orders", "campaign_performance"):
        _build(warehouse, repo, "marketing", model)
    built = Company(warehouse, mesh)
    with built.connect("marketing") as connection:
        query = built.segments(sql.Identifier("marketing_build", "customer_orders"), datetime(2026, 3, 1, tzinfo=UTC))
        connection.execute(sql.SQL("CREATE TABLE marketing_build.customer_segments AS {}").format(query))
    _publish(warehouse, mesh, "marketing")
    yield built
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def _load(warehouse: Warehouse, domain: str) -> None:
    table, columns = RAW[domain]
    rows: dict[str, list[dict[str, Any]]] = {
        "users": [
            {
                "id": number,
                "name": name,
                "email": email,
                "telephone": phone,
                "age": age,
                "gender": "Fluid",
                "created_at": MOMENT,
                "updated_at": MOMENT,
                "blood_type": "O−",
                "address": ADDRESS,
                "language": "Welsh",
            }
            for number, name, email, phone, age in USERS
        ],
        "products": [
            {"id": number, "make": make, "model": model, "year": year, "price": price, "created_at": MOMENT, "updated_at": MOMENT}
            for number, make, model, year, price in PRODUCTS
        ],
        "purchases": [
            {
                "id": number,
                "user_id": user,
                "product_id": product,
                "created_at": MOMENT,
                "updated_at": MOMENT,
                "added_to_cart_at": "2026-01-30T00:00:00+00:00",
                "purchased_at": purchased,
                "returned_at": returned,
            }
            for number, user, product, purchased, returned in PURCHASES
        ],
    }
    target = sql.Identifier(naming.raw_schema(domain), table)
    with warehouse.connect_domain(domain) as connection:
        connection.execute(sql.SQL("CREATE TABLE {} ({})").format(target, sql.SQL(columns)))
        filled = sql.SQL("INSERT INTO {} SELECT * FROM jsonb_populate_recordset(NULL::{}, %s)").format(target, target)
        connection.execute(filled, [json.dumps(rows[table])])


def _load_campaigns(warehouse: Warehouse) -> None:
    with warehouse.connect_domain("marketing") as connection:
        for table, (columns, rows) in CAMPAIGNS.items():
            target = sql.Identifier("marketing_raw", table)
            connection.execute(sql.SQL("CREATE TABLE {} (_airbyte_extracted_at timestamptz, {})").format(target, sql.SQL(columns)))
            names = [column.split()[0] for column in columns.split(",")]
            objects = [{"_airbyte_extracted_at": MOMENT, **dict(zip(names, row, strict=True))} for row in rows]
            filled = sql.SQL("INSERT INTO {} SELECT * FROM jsonb_populate_recordset(NULL::{}, %s)").format(target, target)
            connection.execute(filled, [json.dumps(objects)])


def _build(warehouse: Warehouse, repo: Path, domain: str, model: str) -> None:
    """What `dbt build` does with a model that is a table, without the ten seconds of a dbt process."""
    target = sql.Identifier(naming.build_schema(domain), model)
    with warehouse.connect_domain(domain) as connection:
        connection.execute("SET LOCAL TIME ZONE 'Asia/Tokyo'")  # the session's time zone must not decide about a day
        connection.execute(sql.SQL("CREATE TABLE {} AS {}").format(target, sql.SQL(_compiled(repo, domain, model))))


def _compiled(repo: Path, domain: str, model: str) -> str:
    files = {path.stem: path.read_text() for path in (repo / "dbt_projects" / f"{domain}_dbt" / "models").glob("**/*.sql")}
    ephemeral = {path.stem for path in (repo / "dbt_projects" / f"{domain}_dbt" / "models" / "staging").glob("*.sql")}

    def ref(name: str) -> str:
        return f"(\n{render(name)}\n)" if name in ephemeral else f'"{domain}_build"."{name}"'

    def render(name: str) -> str:
        environment = jinja2.Environment(undefined=jinja2.StrictUndefined, autoescape=False)
        return environment.from_string(files[name]).render(ref=ref, source=lambda schema, table: f'"{schema}"."{table}"')

    return render(model)


def _publish(warehouse: Warehouse, mesh: Mesh, domain: str) -> None:
    """What consumers read, without masks; apply gives it to who owns ports, and to its readers."""
    with warehouse.connect_platform() as connection:
        for product in mesh.of_domain(domain):
            for port in product.outputs:
                for table in port.contract.tables:
                    target = sql.Identifier(product.schema, table.physical_name)
                    source = sql.Identifier(naming.build_schema(domain), table.physical_name)
                    connection.execute(sql.SQL("CREATE TABLE {} AS SELECT * FROM {}").format(target, source))
    apply(warehouse, mesh)
