"""The marketing domain's own sources as they are declared: both APIs through Airbyte's CDK, and the budgets that people drop."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from platform_core.ingestion import SyncResult, load_connection, run_sync
from platform_core.ingestion.drops import load_drop, run_drop
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


@pytest.fixture
def settings(repo: Path, tmp_path: Path) -> Settings:
    """This repository with a home of its own; installed connectors are shared."""
    shared = Path(os.environ.get("MESH_TEST_HOME") or repo / ".mesh") / "connectors"
    shared.mkdir(parents=True, exist_ok=True)
    (tmp_path / "connectors").symlink_to(shared)
    return Settings.load({"MESH_REPO": str(repo), "MESH_HOME": str(tmp_path)})


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[str]]:
    """The stand-in of the platforms; what it was asked and how it answered."""
    from marketing.ad_platforms.__main__ import Platforms, serve

    found: list[str] = []
    server = serve(0, Platforms(400, "t0ken", "k3y"))
    server.RequestHandlerClass.log_message = lambda _handler, _form, request, status, *_more: found.append(f"{status} {request.split()[1]}")
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    monkeypatch.setenv("AD_PLATFORMS_URL", f"http://127.0.0.1:{server.server_port}")
    monkeypatch.setenv("SEARCHLIGHT_TOKEN", "t0ken")
    monkeypatch.setenv("PLAZA_API_KEY", "k3y")
    yield found
    server.shutdown()
    server.server_close()
    thread.join()


def query(database: Warehouse, text: str) -> list[tuple[Any, ...]]:
    with database.connect_domain("marketing") as connection:
        return connection.execute(text.encode()).fetchall()


TOTALS = {
    "searchlight_daily": "SELECT count(*), count(DISTINCT (campaign_id, date)), sum(cost_usd) FROM marketing_raw.searchlight_daily",
    "searchlight_conversions": "SELECT sum(conversions), count(DISTINCT (campaign_id, date)), sum(value_usd) FROM marketing_raw.searchlight_conversions",
    "plaza_insights": "SELECT count(*), count(DISTINCT (campaign, day)), sum(spend_cents) / 100.0 FROM marketing_raw.plaza_insights",
    "plaza_purchases": "SELECT sum(purchases), count(DISTINCT (campaign, day)), sum(value_cents) / 100.0 FROM marketing_raw.plaza_purchases",
}  # fmt: skip


@pytest.mark.parametrize(
    ("name", "page", "delivery", "conversions"),
    [
        ("searchlight", "page=2&page_size=200", "searchlight_daily", "searchlight_conversions"),
        ("plaza", "cursor=200", "plaza_insights", "plaza_purchases"),
    ],
)
def test_both_sets_of_metrics_are_read_to_their_last_page(
    settings: Settings, database: Warehouse, asked: list[str], name: str, page: str, delivery: str, conversions: str
) -> None:
    """Two connections of one platform by one manifest, at once, as `mesh up` runs them."""
    from marketing.ad_platforms import campaigns

    def sync(what: str) -> SyncResult:
        return run_sync(load_connection(folder / f"{name}_{what}.yaml"), warehouse=database, settings=settings)

    folder = settings.repo / "airbyte" / "marketing"
    with ThreadPoolExecutor(2) as pool:
        delivered, converted = pool.map(sync, ("delivery", "conversions"))
    known = getattr(campaigns, name.upper())
    expected = campaigns.deliveries(known, 400)
    dollars = Decimal(sum(row.spend_cents for row in expected)) / 100
    assert query(database, TOTALS[delivery]) == [(len(expected), len(expected), dollars)]
    claimed = campaigns.conversions(known, 400)
    days = len([row for row in claimed if row.purchases or name == "searchlight"])
    purchases, dollars = sum(row.purchases for row in claimed), Decimal(sum(row.value_cents for row in claimed)) / 100
    assert query(database, TOTALS[conversions]) == [(purchases, days, dollars)] and purchases > 0
    assert delivered.streams.keys() == {f"{name}_campaigns", delivery} and delivered.streams[f"{name}_campaigns"].rows == 3
    assert converted.streams.keys() == {conversions}
    assert any(said.startswith("200") and page in said for said in asked), asked
    assert [said for said in asked if said.startswith("429")], "it was refused once, waited, and asked again"
    assert not [said for said in asked if said[:3] not in ("200", "429")]
    if name == "searchlight":  # its conversions are counted for four weeks: those days are read again, and no others
        asked.clear()
        assert sync("conversions").streams[conversions].rows == 29
        assert all(said.endswith("since=2025-12-03") for said in asked), asked
        assert query(database, TOTALS[conversions]) == [(purchases, days, dollars)]


def test_the_budgets_of_the_repository_are_loaded(settings: Settings, database: Warehouse) -> None:
    drop = load_drop(settings.repo / "airbyte" / "marketing" / "drops" / "budgets.yaml")
    result = run_drop(drop, warehouse=database, settings=settings)
    assert (result.rows, result.quarantined) == (26, [])
    assert query(database, "SELECT DISTINCT cost_center FROM marketing_raw.campaign_budgets ORDER BY 1") == [("00420",), ("00435",)]
    ((total, months),) = query(database, "SELECT sum(budget_usd), count(DISTINCT month) FROM marketing_raw.campaign_budgets")
    assert total > Decimal(100_000) and months == 12
