"""``python -m marketing.ad_platforms --port 8089``: the invented platforms Searchlight and Plaza on the loopback address.

| | Searchlight | Plaza |
|---|---|---|
| campaigns | ``/searchlight/v1/campaigns`` | ``/plaza/campaigns`` |
| what they delivered, by day | ``/searchlight/v1/reports/daily`` | ``/plaza/insights`` |
| what followed from the clicks of a day | ``/searchlight/v1/reports/conversions``, every day | ``/plaza/purchases``, days with one |
| pages | ``page`` from 1 and ``page_size`` | ``cursor``, given with each answer |
| reports from a day on | ``since``, a date | |
| who asks | ``Authorization: Bearer $SEARCHLIGHT_TOKEN`` | ``X-Api-Key: $PLAZA_API_KEY`` |
| money | dollars, as text | cents |

Like their models they refuse a request now and then: 429 with ``Retry-After``.
"""

from __future__ import annotations

import argparse
import json
import os
import threading
from datetime import date
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from marketing.ad_platforms.campaigns import FULL_SIZE_USERS, PLAZA, SEARCHLIGHT, Campaign, Conversions, Delivery, conversions, deliveries

REFUSED_REQUEST = 3  # of every platform's first requests this one is refused, and every twentieth after it
RETRY_AFTER_SECONDS = 1
PLAZA_PAGE = 200
_LARGEST_PAGE = 500

Json = dict[str, Any]


class RefusedError(Exception):
    """An answer other than 200."""

    def __init__(self, status: int, reason: str, **headers: str) -> None:
        super().__init__(reason)
        self.status, self.reason, self.headers = status, reason, headers


class Platforms:
    """What both platforms answer.

    Args:
        users: Size of the company.
        token: What Searchlight takes.
        key: What Plaza takes.
    """

    def __init__(self, users: int, token: str, key: str) -> None:
        self._token, self._key = token, key
        self._searchlight = {
            "/searchlight/v1/campaigns": [_searchlight_campaign(row) for row in SEARCHLIGHT],
            "/searchlight/v1/reports/daily": [_searchlight_delivery(row) for row in deliveries(SEARCHLIGHT, users)],
            "/searchlight/v1/reports/conversions": [_searchlight_conversions(row) for row in conversions(SEARCHLIGHT, users)],
        }
        self._plaza = {
            "/plaza/campaigns": [_plaza_campaign(row) for row in PLAZA],
            "/plaza/insights": [_plaza_delivery(row) for row in deliveries(PLAZA, users)],
            "/plaza/purchases": [_plaza_conversions(row) for row in conversions(PLAZA, users) if row.purchases],
        }
        self._requests = {"searchlight": 0, "plaza": 0}
        self._guard = threading.Lock()

    def answer(self, url: str, headers: Any) -> Json:
        """The body for a GET.

        Raises:
            RefusedError: Unknown path, wrong secret, wrong page, or too many requests.
        """
        parts = urlsplit(url)
        asked = {name: values[-1] for name, values in parse_qs(parts.query).items()}
        if (rows := self._searchlight.get(parts.path)) is not None:
            if headers.get("Authorization") != f"Bearer {self._token}":
                raise RefusedError(401, "the bearer token is missing or wrong")
            self._count("searchlight")
            return _page(_since(rows, asked), asked)
        if (rows := self._plaza.get(parts.path)) is not None:
            if headers.get("X-Api-Key") != self._key:
                raise RefusedError(403, "the key in X-Api-Key is missing or wrong")
            self._count("plaza")
            return _after(rows, asked)
        raise RefusedError(404, f"there is nothing at {parts.path}")

    def _count(self, platform: str) -> None:
        with self._guard:
            self._requests[platform] += 1
            if self._requests[platform] % 20 == REFUSED_REQUEST:
                raise RefusedError(429, "too many requests", **{"Retry-After": str(RETRY_AFTER_SECONDS)})


def _searchlight_campaign(row: Campaign) -> Json:
    days = {"start_date": str(row.starts), "end_date": str(row.ends)}
    return {"id": row.id, "name": row.name, **days, "geo_targets": row.countries.split()}


def _searchlight_delivery(row: Delivery) -> Json:
    counts = {"impressions": row.impressions, "clicks": row.clicks}
    return {"campaign_id": row.campaign, "date": str(row.day), **counts, "cost_usd": _dollars(row.spend_cents)}


def _searchlight_conversions(row: Conversions) -> Json:
    counts = {"conversions": row.purchases, "value_usd": _dollars(row.value_cents)}
    return {"campaign_id": row.campaign, "date": str(row.day), **counts}


def _plaza_campaign(row: Campaign) -> Json:
    flight = {"from": str(row.starts), "until": str(row.ends)}
    return {"campaign": row.id, "title": row.name, "flight": flight, "audience": {"countries": row.countries.split()}}


def _plaza_delivery(row: Delivery) -> Json:
    return {"campaign": row.campaign, "day": str(row.day), "views": row.impressions, "taps": row.clicks, "spend_cents": row.spend_cents}


def _plaza_conversions(row: Conversions) -> Json:
    return {"campaign": row.campaign, "day": str(row.day), "purchases": row.purchases, "value_cents": row.value_cents}


def _dollars(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02}"


def _since(rows: list[Json], asked: dict[str, str]) -> list[Json]:
    if "since" not in asked:
        return rows
    try:
        first = str(date.fromisoformat(asked["since"]))
    except ValueError as error:
        raise RefusedError(400, f"since is {asked['since']!r}, not a date such as 2025-01-31") from error
    return [row for row in rows if row.get("date", first) >= first]


def _page(rows: list[Json], asked: dict[str, str]) -> Json:
    page, size = _number(asked, "page", 1), _number(asked, "page_size", 100)
    if page < 1 or not 1 <= size <= _LARGEST_PAGE:
        raise RefusedError(400, f"page counts from 1, page_size is at most {_LARGEST_PAGE}")
    return {"page": page, "total": len(rows), "results": rows[(page - 1) * size : page * size]}


def _after(rows: list[Json], asked: dict[str, str]) -> Json:
    begin = _number(asked, "cursor", 0)
    rest = begin + PLAZA_PAGE
    return {"data": rows[begin:rest], "paging": {"next_cursor": str(rest) if rest < len(rows) else None}}


def _number(asked: dict[str, str], name: str, default: int) -> int:
    text = asked.get(name, str(default))
    if not text.isdigit():
        raise RefusedError(400, f"{name} is {text!r}, not a number")
    return int(text)


def serve(port: int, platforms: Platforms) -> ThreadingHTTPServer:
    """The server on the loopback address, not started; port 0 takes a free one."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            try:
                status, body, headers = 200, platforms.answer(self.path, self.headers), {}
            except RefusedError as refused:
                status, body, headers = refused.status, {"error": refused.reason}, refused.headers
            content = json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", "Content-Length": str(len(content)), **headers}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(content)

    return ThreadingHTTPServer(("127.0.0.1", port), Handler)


def main() -> None:
    """Serves until it is ended."""
    parser = argparse.ArgumentParser(prog="python -m marketing.ad_platforms")
    parser.add_argument("--port", type=int, required=True)
    users = int(os.environ.get("MESH_DEMO_USERS") or FULL_SIZE_USERS)
    platforms = Platforms(users, os.environ.get("SEARCHLIGHT_TOKEN", ""), os.environ.get("PLAZA_API_KEY", ""))
    serve(parser.parse_args().port, platforms).serve_forever()


if __name__ == "__main__":
    main()
