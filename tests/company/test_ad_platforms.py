"""The invented advertising platforms behave like real ones: pages, secrets, refusals; and say the same on every machine."""

from __future__ import annotations

import json
import threading
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

Get = Callable[..., Any]
KNOWN = {"Authorization": "Bearer token", "X-Api-Key": "key"}


@pytest.fixture
def get() -> Iterator[Get]:
    from marketing.ad_platforms.__main__ import Platforms, serve

    server = serve(0, Platforms(400, "token", "key"))
    server.RequestHandlerClass.log_message = lambda *_arguments: None
    thread = threading.Thread(target=server.serve_forever)
    thread.start()

    def ask(path: str, headers: dict[str, str] = KNOWN) -> Any:
        request = urllib.request.Request(f"http://127.0.0.1:{server.server_port}{path}", headers=headers)
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, error.headers.get("Retry-After"), json.load(error)["error"]

    yield ask
    server.shutdown()
    server.server_close()
    thread.join()


def patiently(get: Get, path: str) -> Any:
    """Asks again when it was refused for asking too often."""
    answer = get(path)
    return get(path) if isinstance(answer, tuple) and answer[0] == 429 else answer


def all_pages(get: Get, path: str, more: str = "") -> list[dict[str, Any]]:
    """All rows of a report of Searchlight."""
    pages = [patiently(get, f"{path}?page={page}&page_size=500{more}")["results"] for page in (1, 2)]
    return [row for page in pages for row in page]


def all_after(get: Get, path: str) -> list[dict[str, Any]]:
    """All rows of a report of Plaza."""
    rows, cursor = [], ""
    while cursor is not None:
        answer = patiently(get, f"{path}?{'cursor=' + cursor if cursor else ''}")
        rows += answer["data"]
        cursor = answer["paging"]["next_cursor"]
    return rows


def test_searchlight_gives_pages_by_number(get: Get) -> None:
    first = patiently(get, "/searchlight/v1/reports/daily?page=1&page_size=200")
    rows, page = list(first["results"]), 1
    while len(first["results"]) == 200:
        page += 1
        first = patiently(get, f"/searchlight/v1/reports/daily?page={page}&page_size=200")
        rows += first["results"]
    assert len(rows) == first["total"] == len({(row["campaign_id"], row["date"]) for row in rows}) > 200
    assert all(row["clicks"] <= row["impressions"] and float(row["cost_usd"]) > 0 for row in rows)


def test_plaza_gives_pages_by_cursor(get: Get) -> None:
    rows = all_after(get, "/plaza/insights")
    assert len(rows) == len({(row["campaign"], row["day"]) for row in rows}) > 200
    assert patiently(get, "/plaza/insights?cursor=200")["data"][0] == rows[200], "a page does not depend on the ones before it"


def test_conversions_follow_from_clicks(get: Get) -> None:
    """Searchlight reports every day, Plaza those with a purchase; nobody buys without a click, and every purchase is worth something."""
    clicks = {(row["campaign_id"], row["date"]): row["clicks"] for row in all_pages(get, "/searchlight/v1/reports/daily")}
    claimed = all_pages(get, "/searchlight/v1/reports/conversions")
    assert [(row["campaign_id"], row["date"]) for row in claimed] == list(clicks)
    assert all(row["conversions"] <= clicks[row["campaign_id"], row["date"]] for row in claimed)
    assert {(row["conversions"] > 0, float(row["value_usd"]) > 0) for row in claimed} == {(False, False), (True, True)}
    taps = {(row["campaign"], row["day"]): row["taps"] for row in all_after(get, "/plaza/insights")}
    bought = all_after(get, "/plaza/purchases")
    assert bought and all(0 < row["purchases"] <= taps[row["campaign"], row["day"]] and row["value_cents"] > 0 for row in bought)


def test_searchlight_reports_from_a_day_on(get: Get) -> None:
    every = all_pages(get, "/searchlight/v1/reports/conversions")
    later = all_pages(get, "/searchlight/v1/reports/conversions", "&since=2025-12-30")
    assert later == [row for row in every if row["date"] >= "2025-12-30"] and len(later) == 2
    assert len(patiently(get, "/searchlight/v1/campaigns?since=2025-12-30")["results"]) == 3


def test_every_campaign_that_delivers_is_listed_once(get: Get) -> None:
    listed = [row["id"] for row in patiently(get, "/searchlight/v1/campaigns")["results"]]
    delivered = {row["campaign_id"] for row in all_pages(get, "/searchlight/v1/reports/daily")}
    assert sorted(listed) == sorted(delivered)


@pytest.mark.parametrize(
    ("path", "headers", "status"),
    [
        ("/searchlight/v1/campaigns", {}, 401), ("/searchlight/v1/campaigns", {"Authorization": "Bearer other"}, 401),
        ("/plaza/campaigns", {}, 403), ("/plaza/campaigns?cursor=x", KNOWN, 400), ("/searchlight/v1/campaigns?page=0", KNOWN, 400),
        ("/searchlight/v1/campaigns?page_size=501", KNOWN, 400), ("/searchlight/v1/reports/conversions?since=today", KNOWN, 400),
        ("/nothing", KNOWN, 404),
    ],
)  # fmt: skip
def test_what_is_wrong_is_refused(get: Get, path: str, headers: dict[str, str], status: int) -> None:
    assert get(path, headers)[0] == status


def test_a_caller_that_asks_too_often_is_told_when_to_come_back(get: Get) -> None:
    answers = [get("/plaza/campaigns") for _ in range(5)]
    refused = [answer for answer in answers if isinstance(answer, tuple)]
    assert refused == [(429, "1", "too many requests")]


def test_volume_follows_the_company() -> None:
    from marketing.ad_platforms.campaigns import PLAZA, deliveries

    small, full = (sum(row.spend_cents for row in deliveries(PLAZA, users)) for users in (400, 10_000))
    assert full / small == pytest.approx(25, rel=0.01)
    assert deliveries(PLAZA, 400) == deliveries(PLAZA, 400)
