"""`mesh up` on a bare home: everything is published by events alone, also after a kill."""

from __future__ import annotations

import json

import pytest

from tests.conftest import USERS, Platform

pytestmark = pytest.mark.timeout(600)  # the first test waits for a whole platform


def test_everything_is_published_although_the_first_start_was_killed(published_platform: Platform) -> None:
    document = published_platform.first_up
    assert document["ui"] is None
    assert document["seconds"] > 0
    products = {product["id"]: product for product in document["products"]}
    assert set(products) == {
        *("customer.profiles", "inventory.items", "sales.orders"),
        *("marketing.customer_segments", "marketing.campaign_performance"),
    }
    for product in products.values():
        assert product["version"].count(".") == 2
        for port in product["ports"]:
            assert port["rows"] > 0
            assert port["publication"]
            assert port["published_at"]
            assert port["checks_failed"] == 0
            assert port["checks_passed"] >= 10
    tables = {port["relation"]: port["rows"] for product in products.values() for port in product["ports"]}
    assert tables["customer_profiles.profiles"] == USERS
    assert tables["marketing_customer_segments.customer_segments"] == USERS
    assert set(tables) >= {"sales_orders.orders", "sales_orders.daily_revenue", "inventory_items.items"}
    assert tables["marketing_campaign_performance.campaign_performance"] == 26


def test_no_row_was_lost_or_doubled_by_the_kill(published_platform: Platform) -> None:
    ((rows, ids),) = published_platform.rows("SELECT count(*), count(DISTINCT id) FROM customer_raw.users")
    assert (rows, ids) == (USERS, USERS)
    ((orders, keys, purchases),) = published_platform.rows(
        "SELECT count(*), count(DISTINCT order_id), (SELECT count(*) FROM sales_raw.purchases) FROM sales_orders.orders"
    )
    assert orders == keys == purchases


def test_a_second_up_notices_that_nothing_changed(published_platform: Platform) -> None:
    log = published_platform.home / "logs" / "dagster.log"
    size = log.stat().st_size  # nothing runs that could write to it
    result = published_platform.run("up", "--no-ui", "--json")
    assert json.loads(result.stdout)["products"] == published_platform.first_up["products"]
    assert "nothing changed" in result.stderr
    assert log.stat().st_size == size, "a start without work must not start Dagster"


def test_catalog_files_hold_every_product(published_platform: Platform) -> None:
    from platform_core.catalog import check_file

    files = sorted((published_platform.home / "catalog").glob("*.json"))
    assert len(files) == 5, [file.name for file in files]
    for file in files:
        assert list(check_file(file)) == []
    text = (published_platform.home / "catalog" / next(file.name for file in files if "sales" in file.name)).read_text()
    for relation in ("sales_raw.purchases", "sales_build.orders", "sales_orders.orders", "customer_profiles.profiles"):
        assert f"mesh.{relation}" in text
