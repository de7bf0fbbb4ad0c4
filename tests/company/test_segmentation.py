"""The segmentation in Python gives what the contract describes, measured against the same description in SQL."""

from __future__ import annotations

import random
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from psycopg import sql

Company = Any
CONTRACT = "marketing.customer_segments.customer_segments"
NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)
COLUMNS = ("customer_id", "country_code", "orders", "returns", "revenue_usd", "last_purchased_at")


def customers(count: int, seed: int) -> list[tuple[Any, ...]]:
    """Customers with many ties: returned revenue of 0, purchases of one day, purchases dated ahead."""
    draw = random.Random(seed)
    made: list[tuple[Any, ...]] = []
    for number in range(1, count + 1):
        orders = draw.choice([0, 1, 1, 1, 2, 7])
        returns = draw.randint(0, orders)
        revenue = Decimal(0) if returns == orders else Decimal(draw.choice([100, 100, 250, 999])) + Decimal("0.01")
        moment = NOW - timedelta(hours=draw.randint(-48, 24 * 30)) if orders else None
        made.append((number, "NO", orders, returns, revenue, moment))
    return made


@pytest.mark.parametrize(("count", "seed"), [(0, 0), (1, 1), (2, 4), (7, 2), (300, 3)])
def test_python_and_sql_agree(company: Company, count: int, seed: int) -> None:
    import polars as pl

    from marketing.defs.segmentation import score

    rows = customers(count, seed)
    types = (pl.Int64, pl.String, pl.Int32, pl.Int32, pl.Decimal(14, 2), pl.Datetime("us", "UTC"))
    frame = score(pl.DataFrame(rows, schema=dict(zip(COLUMNS, types, strict=True)), orient="row"), NOW)
    with company.connect("marketing") as connection:
        connection.execute("SET LOCAL TIME ZONE 'UTC'")
        connection.execute(
            "CREATE TEMPORARY TABLE given (customer_id bigint, country_code text, orders integer, returns integer,"
            " revenue_usd numeric(14,2), last_purchased_at timestamptz)"
        )
        with connection.cursor() as cursor:
            cursor.executemany("INSERT INTO given VALUES (%s, %s, %s, %s, %s, %s)", rows)
        expected = connection.execute(company.segments(sql.Identifier("given"), NOW))
        names = [column.name for column in expected.description]
        found = expected.fetchall()
        connection.rollback()
    assert frame.columns == names == [column.name for column in company.mesh.contracts[CONTRACT].tables[0].columns]
    assert frame.sort("customer_id").rows() == found
