"""The models on a handful of rows in a real Postgres: types as the contracts say, results as the descriptions say, rules that bite."""

from __future__ import annotations

from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from platform_core.contracts import Rule, load_mesh, naming

REPO = Path(__file__).parents[2]
MESH = load_mesh(REPO)
TABLES = [
    pytest.param(product.domain, table, id=table.physical_name)
    for product in MESH.products.values()
    for port in product.outputs
    for table in port.contract.tables
]
SQL_RULES = {
    rule.name: (product.domain, rule)
    for product in MESH.products.values()
    for port in product.outputs
    for table in port.contract.tables
    for rule in table.rules
    if rule.kind == "sql"
}
Company = Any


def rows(company: Company, domain: str, query: str) -> list[tuple[Any, ...]]:
    with company.connect(domain) as connection:
        return connection.execute(query.encode()).fetchall()


@pytest.mark.parametrize(("domain", "table"), TABLES)
def test_a_model_gives_the_columns_and_types_of_its_contract(company: Company, domain: str, table: Any) -> None:
    query = """SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute
               WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum"""
    with company.connect(domain) as connection:
        found = connection.execute(query, [f"{naming.build_schema(domain)}.{table.physical_name}"]).fetchall()
        wanted = []
        for column in table.columns:
            cast = sql.SQL("SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'probe'::regclass AND attnum = 1")
            connection.execute(f"CREATE TEMPORARY TABLE probe (x {column.physical_type})".encode())
            wanted.append((column.physical_name, connection.execute(cast).fetchone()[0]))
            connection.execute("DROP TABLE probe")
    assert found == wanted


def test_profiles_are_clean_and_banded(company: Company) -> None:
    query = "SELECT given_name, email, phone, age_band, gender, street, country_code FROM customer_build.profiles ORDER BY customer_id"
    found = rows(company, "customer", query)
    assert found[0] == ("Rosa", "rosa+1@example.com", "5431279764", "16-24", "fluid", "7 Elm Row", "NO")
    assert [row[3] for row in found] == ["16-24", "16-24", "25-34", "55-64", "65+", None]
    assert found[3][2] is None


def test_items_are_named_and_banded(company: Company) -> None:
    assert rows(company, "inventory", "SELECT item_name, list_price_usd, price_band FROM inventory_build.items ORDER BY item_id") == [
        ("2023 Mazda MX-5", Decimal("19999.99"), "entry"),
        ("2023 GMC Jimmy", Decimal("20000.00"), "standard"),
        ("2022 Ford F-150", Decimal("35000.50"), "premium"),
    ]


def test_an_order_waits_for_its_customer_and_its_item(company: Company) -> None:
    found = rows(company, "sales", "SELECT order_id, status, amount_usd, revenue_usd FROM sales_build.orders ORDER BY order_id")
    assert found == [
        (1, "purchased", Decimal("19999.99"), Decimal("19999.99")),
        (2, "returned", Decimal("20000.00"), Decimal("0.00")),
        (3, "purchased", Decimal("35000.50"), Decimal("35000.50")),
        (4, "in_cart", Decimal("19999.99"), Decimal("0.00")),
        (5, "returned", Decimal("20000.00"), Decimal("0.00")),
        (6, "purchased", Decimal("35000.50"), Decimal("35000.50")),
        (9, "purchased", Decimal("19999.99"), Decimal("19999.99")),
    ]


def test_revenue_is_counted_on_the_day_it_happened_in_utc(company: Company) -> None:
    columns = "day, orders, returns, customers, gross_revenue_usd, refunds_usd, revenue_usd"
    assert rows(company, "sales", f"SELECT {columns} FROM sales_build.daily_revenue ORDER BY day") == [
        (date(2026, 1, 31), 1, 0, 1, Decimal("19999.99"), Decimal("0.00"), Decimal("19999.99")),
        (date(2026, 2, 1), 3, 1, 3, Decimal("90001.00"), Decimal("20000.00"), Decimal("70001.00")),
        (date(2026, 2, 3), 2, 0, 2, Decimal("39999.99"), Decimal("0.00"), Decimal("39999.99")),
        (date(2026, 2, 5), 0, 1, 0, Decimal("0.00"), Decimal("20000.00"), Decimal("-20000.00")),
    ]


def test_every_customer_has_a_row_to_be_segmented(company: Company) -> None:
    columns = "customer_id, orders, returns, revenue_usd, last_purchased_at::date"
    with company.connect("marketing") as connection:
        connection.execute("SET LOCAL TIME ZONE 'UTC'")
        found = connection.execute(f"SELECT {columns} FROM marketing_build.customer_orders ORDER BY 1".encode()).fetchall()
    assert found == [
        (1, 2, 1, Decimal("19999.99"), date(2026, 2, 1)),
        (2, 1, 0, Decimal("35000.50"), date(2026, 2, 1)),
        (3, 0, 0, Decimal("0.00"), None),
        (4, 1, 1, Decimal("0.00"), date(2026, 2, 3)),
        (5, 2, 0, Decimal("55000.49"), date(2026, 2, 3)),
        (6, 0, 0, Decimal("0.00"), None),
    ]


def test_an_order_is_credited_once_by_day_and_country(company: Company) -> None:
    """Order 1 was paid in January, while one campaign ran; of two in February the more clicked one has it; nobody clicked on the 3rd."""
    columns = "campaign_id, month, cost_center, impressions, clicks, spend_usd, orders, revenue_usd, cost_per_order_usd, return_on_ad_spend"
    january, february = date(2026, 1, 1), date(2026, 2, 1)
    assert rows(company, "marketing", f"SELECT {columns} FROM marketing_build.campaign_performance ORDER BY campaign_id, month") == [
        ("SL-1", january, "00420", 100, 10, Decimal("5.00"), 1, Decimal("19999.99"), Decimal("5.00"), Decimal("4000.00")),
        ("SL-1", february, "00420", 50, 5, Decimal("2.50"), 0, Decimal("0.00"), None, Decimal("0.00")),
        ("plz_1", february, "00435", 100, 8, Decimal("5.00"), 3, Decimal("70001.00"), Decimal("1.67"), Decimal("14000.20")),
        ("plz_2", february, "00435", 90, 9, Decimal("3.00"), 0, Decimal("0.00"), None, Decimal("0.00")),
    ]


def test_what_the_platforms_claim_stands_beside_what_is_credited(company: Company) -> None:
    """Searchlight reports days without a conversion too, Plaza leaves them out; both add up by month, in dollars."""
    columns = "campaign_id, month, conversions, conversion_value_usd"
    january, february = date(2026, 1, 1), date(2026, 2, 1)
    assert rows(company, "marketing", f"SELECT {columns} FROM marketing_build.campaign_performance ORDER BY campaign_id, month") == [
        ("SL-1", january, 2, Decimal("40000.50")),
        ("SL-1", february, 0, Decimal("0.00")),
        ("plz_1", february, 4, Decimal("70001.00")),
        ("plz_2", february, 0, Decimal("0.00")),
    ]


def test_a_month_is_as_fresh_as_the_older_of_its_reports(company: Company) -> None:
    """Otherwise a report of conversions that no longer comes would go unnoticed as long as the other one does."""
    with company.connect("marketing") as connection:
        connection.execute("UPDATE marketing_raw.searchlight_conversions SET _airbyte_extracted_at = '2026-01-01T00:00:00+00:00'")
        query = company.compiled("marketing", "campaign_performance")
        query = (
            f"SELECT campaign_id, min(loaded_at), max(loaded_at) FROM ({query}) AS built WHERE campaign_id <> 'plz_2' GROUP BY 1 ORDER BY 1"
        )
        found = connection.execute(query.encode()).fetchall()
        connection.rollback()
    older, newer = datetime(2026, 1, 1, tzinfo=UTC), datetime.fromisoformat("2026-01-02T03:04:05+00:00")
    assert found == [("SL-1", older, older), ("plz_1", newer, newer)]


def holds(connection: Any, domain: str, rule: Rule) -> bool:
    relation = sql.Identifier(naming.build_schema(domain), rule.table).as_string(connection)
    value = connection.execute(rule.arguments["query"].replace("{object}", relation).encode()).fetchone()[0]
    compare = {
        "must_be": lambda bound: value == bound,
        "less_than": lambda bound: value < bound,
        "less_or_equal": lambda bound: value <= bound,
    }
    return all(compare[name](bound) for name, bound in rule.arguments.items() if name in compare)


@pytest.mark.parametrize("name", sorted(SQL_RULES))
def test_a_rule_of_sql_holds_on_sound_data(company: Company, name: str) -> None:
    domain, rule = SQL_RULES[name]
    with company.connect(domain) as connection:
        assert holds(connection, domain, rule)


SEGMENTS = "marketing_build.customer_segments"
CAMPAIGNS = "marketing_build.campaign_performance"
BREAKS = {
    "profiles__email_is_lower_case": "UPDATE customer_build.profiles SET email = upper(email) WHERE customer_id = 1",
    "profiles__age_band_follows_age": "UPDATE customer_build.profiles SET age_band = '65+' WHERE customer_id = 1",
    "profiles__few_registrations_lie_ahead": "UPDATE customer_build.profiles SET registered_at = now() + interval '1 day'",
    "items__names_carry_no_stray_blanks": "UPDATE inventory_build.items SET model = model || ' ' WHERE item_id = 1",
    "items__price_band_follows_price": "UPDATE inventory_build.items SET list_price_usd = 1 WHERE item_id = 3",
    "items__listed_before_the_last_change": "UPDATE inventory_build.items SET listed_at = updated_at + interval '1 s'",
    "orders__purchased_after_the_cart": "UPDATE sales_build.orders SET purchased_at = '2020-01-01' WHERE order_id = 1",
    "orders__returned_after_purchase": "UPDATE sales_build.orders SET returned_at = '2020-01-01' WHERE order_id = 4",
    "orders__status_follows_the_dates": "UPDATE sales_build.orders SET status = 'in_cart' WHERE order_id = 1",
    "orders__revenue_only_for_kept_purchases": "UPDATE sales_build.orders SET revenue_usd = 1 WHERE order_id = 4",
    "orders__few_returns": "UPDATE sales_build.orders SET status = 'returned'",
    "daily_revenue__something_happened": "UPDATE sales_build.daily_revenue SET orders = 0, returns = 0 WHERE day = '2026-02-01'",
    "daily_revenue__revenue_adds_up": "UPDATE sales_build.daily_revenue SET revenue_usd = revenue_usd + 0.01 WHERE day = '2026-02-01'",
    "daily_revenue__money_needs_a_purchase": "UPDATE sales_build.daily_revenue SET orders = 0 WHERE day = '2026-02-01'",
    "daily_revenue__at_most_one_buyer_per_order": "UPDATE sales_build.daily_revenue SET customers = 9 WHERE day = '2026-02-01'",
    "daily_revenue__day_in_the_life_of_the_shop": "UPDATE sales_build.daily_revenue SET day = '1999-12-31' WHERE day = '2026-02-01'",
    "customer_segments__scores_exactly_for_buyers": f"UPDATE {SEGMENTS} SET monetary_score = NULL WHERE customer_id = 1",
    "customer_segments__prospects_never_bought": f"UPDATE {SEGMENTS} SET segment = 'prospect' WHERE customer_id = 1",
    "customer_segments__champions_are_recent_and_valuable": f"UPDATE {SEGMENTS} SET segment = 'champions'",
    "customer_segments__no_more_returns_than_orders": f"UPDATE {SEGMENTS} SET returns = 9 WHERE customer_id = 1",
    "customer_segments__one_moment_of_calculation": f"UPDATE {SEGMENTS} SET calculated_at = now() WHERE customer_id = 1",
    "customer_segments__every_customer_has_a_segment": f"DELETE FROM {SEGMENTS} WHERE customer_id = 1",
    "campaign_performance__months_begin_on_their_first_day": f"UPDATE {CAMPAIGNS} SET month = month + 1",
    "campaign_performance__no_more_clicks_than_impressions": f"UPDATE {CAMPAIGNS} SET clicks = impressions + 1",
    "campaign_performance__money_needs_impressions": f"UPDATE {CAMPAIGNS} SET impressions = 0",
    "campaign_performance__orders_need_clicks": f"UPDATE {CAMPAIGNS} SET clicks = 0",
    "campaign_performance__revenue_needs_an_order": f"UPDATE {CAMPAIGNS} SET orders = 0",
    "campaign_performance__ratios_follow_from_their_parts": f"UPDATE {CAMPAIGNS} SET cost_per_order_usd = 1",
    "campaign_performance__no_order_is_credited_twice": f"UPDATE {CAMPAIGNS} SET revenue_usd = revenue_usd * 2",
    "campaign_performance__no_more_conversions_than_clicks": f"UPDATE {CAMPAIGNS} SET conversions = clicks + 1",
    "campaign_performance__value_needs_a_conversion": f"UPDATE {CAMPAIGNS} SET conversions = 0",
    "campaign_performance__every_platform_reports_conversions": f"UPDATE {CAMPAIGNS} SET clicks = 2000, conversions = 0",
    "campaign_performance__every_campaign_has_a_budget": f"UPDATE {CAMPAIGNS} SET budget_usd = NULL",
    "campaign_performance__budgets_are_kept": f"UPDATE {CAMPAIGNS} SET budget_usd = 1",
}


def test_every_rule_of_sql_is_broken_once() -> None:
    assert BREAKS.keys() == SQL_RULES.keys()


@pytest.mark.parametrize("name", sorted(BREAKS))
def test_a_rule_of_sql_bites(company: Company, name: str) -> None:
    domain, rule = SQL_RULES[name]
    with company.connect(domain) as connection:
        connection.execute(BREAKS[name].encode())
        assert not holds(connection, domain, rule)
        connection.rollback()


def test_a_domain_reads_its_inputs_only(company: Company) -> None:
    from psycopg.errors import InsufficientPrivilege

    assert rows(company, "marketing", "SELECT count(*) FROM sales_orders.orders") == [(7,)]
    for relation in ("sales_build.orders", "customer_raw.users", "inventory_items.items"):
        with company.connect("marketing") as connection, pytest.raises(InsufficientPrivilege):
            connection.execute(f"SELECT 1 FROM {relation}".encode())
