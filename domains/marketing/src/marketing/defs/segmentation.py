"""Customer segments by recency, frequency and monetary value.

The heavy sums are a dbt model (``customer_orders``); what is left is one row per customer, scored here with Polars. The IO manager
loads the input from the warehouse and writes the result to ``marketing_build.customer_segments``, from where the contract's audit
takes it.
"""

from __future__ import annotations

from datetime import UTC, datetime

import dagster as dg
import polars as pl

from platform_core.orchestration import on_news

SCORES = 5


@dg.asset(
    key=["marketing", "build", "customer_segments"],
    ins={"customer_orders": dg.AssetIn(key=["marketing", "build", "customer_orders"])},
    group_name="marketing",
    kinds={"polars", "postgres"},
    code_version="1",
    automation_condition=on_news(),
)
def customer_segments(customer_orders: pl.DataFrame) -> pl.DataFrame:
    """One row per customer with scores from 1 to 5 and the segment that follows from them; see the contract for every column."""
    return score(customer_orders, datetime.now(UTC))


def score(customers: pl.DataFrame, now: datetime) -> pl.DataFrame:
    """Scores customers.

    Args:
        customers: ``customer_id``, ``country_code``, ``orders``, ``returns``, ``revenue_usd``, ``last_purchased_at`` (null for
            customers who never bought).
        now: The moment of calculation; recency counts back from it.

    Returns:
        The contract's columns, one row per customer.
    """
    recency = (pl.lit(now) - pl.col("last_purchased_at")).dt.total_days().clip(lower_bound=0).cast(pl.Int32)
    buyers = pl.col("orders") > 0
    scored = customers.with_columns(pl.when(buyers).then(recency).alias("recency_days")).with_columns(
        pl.when(buyers).then(_fifths(pl.col("recency_days"), best_is_low=True)).alias("recency_score"),
        pl.when(buyers).then(pl.col("orders").clip(1, SCORES).cast(pl.Int16)).alias("frequency_score"),
        pl.when(buyers).then(_fifths(pl.when(buyers).then(pl.col("revenue_usd")), best_is_low=False)).alias("monetary_score"),
    )
    recent, valuable = pl.col("recency_score"), pl.col("monetary_score")
    segment = (
        pl.when(~buyers)
        .then(pl.lit("prospect"))
        .when((recent >= 4) & (valuable >= 4))
        .then(pl.lit("champions"))
        .when((recent >= 3) & ((pl.col("orders") >= 2) | (valuable >= 4)))
        .then(pl.lit("loyal"))
        .when(recent >= 3)
        .then(pl.lit("promising"))
        .when(valuable >= 3)
        .then(pl.lit("at_risk"))
        .otherwise(pl.lit("dormant"))
    )
    return scored.with_columns(segment.alias("segment"), pl.lit(now).alias("calculated_at")).select(
        "customer_id",
        "country_code",
        "recency_days",
        pl.col("orders").cast(pl.Int32),
        pl.col("returns").cast(pl.Int32),
        "revenue_usd",
        "recency_score",
        "frequency_score",
        "monetary_score",
        "segment",
        "calculated_at",
    )


def _fifths(values: pl.Expr, *, best_is_low: bool) -> pl.Expr:
    """Fifth of each value among those that are not null, 5 for the best; equal values share a score."""
    rank = values.rank("max", descending=best_is_low)
    return (rank * SCORES / values.count()).ceil().cast(pl.Int16)
