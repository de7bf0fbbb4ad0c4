"""What the HTTP sink puts on the wire, against a strict server, and how it takes a server's moods."""

from __future__ import annotations

import logging
import threading
from pathlib import Path
from typing import Any

import orjson
import pytest

from platform_core.catalog import CatalogError, CatalogProduct, HttpSink, Outgoing, Proposal, compile_product

TOKEN = "secret-token-0123456789"


def outgoing(proposal: Proposal, attempts: int = 0) -> Outgoing:
    text = proposal.value().decode()
    return Outgoing("p", proposal.entity_type, proposal.entity_urn, proposal.aspect_name, proposal.event, text, attempts)


def tags(count: int, attempts: int = 0, size: int = 0) -> list[Outgoing]:
    value = [{"name": f"t{n}", "description": "x" * size} for n in range(count)]
    return [outgoing(Proposal("tag", f"urn:li:tag:t{n:03}", "tagProperties", value[n]), attempts) for n in range(count)]


def test_the_server_holds_what_the_official_emitter_would_have_given_it(gms: Any, orders: CatalogProduct) -> None:
    from datahub.emitter.mcp import MetadataChangeProposalWrapper
    from datahub.emitter.rest_emitter import DatahubRestEmitter, EmitMode

    proposals = compile_product(orders)
    taken = HttpSink(gms.url).send([outgoing(item) for item in proposals])
    assert taken.failure is None and len(taken.accepted) == len(proposals)
    ours, order = dict(gms.held), list(gms.log)
    gms.held.clear()
    gms.log.clear()
    emitter = DatahubRestEmitter(gms.url, openapi_ingestion=False)
    emitter.test_connection()
    objects = [orjson.loads(orjson.dumps(item.to_obj())) for item in proposals]
    emitter.emit_mcps([MetadataChangeProposalWrapper.from_obj(item) for item in objects], emit_mode=EmitMode.SYNC_PRIMARY)
    assert ours == gms.held and order == gms.log
    assert len(ours) == len(proposals)


def test_batches_keep_the_servers_limits(gms: Any) -> None:
    taken = HttpSink(gms.url).send(tags(450))
    assert gms.batches == [200, 200, 50]
    assert taken.accepted == frozenset(range(450))
    assert [urn for urn, _ in gms.log] == sorted(urn for urn, _ in gms.log), "the order is kept"


def test_large_proposals_are_spread_and_a_giant_is_refused_unsent(gms: Any) -> None:
    batch = [*tags(4, size=6 * 1024 * 1024), *tags(1, size=16 * 1024 * 1024)]
    taken = HttpSink(gms.url).send(batch)
    assert gms.batches == [2, 2] and taken.accepted == frozenset(range(4))
    assert "bytes" in taken.refused[4]


@pytest.mark.parametrize("position", [0, 77, 199])
def test_one_poisonous_proposal_of_a_batch_is_found_and_the_others_go(gms: Any, position: int) -> None:
    gms.poison[f"t{position:03}"] = 400
    taken = HttpSink(gms.url).send(tags(200))
    assert taken.refused == {position: f"HTTP 400: cannot take t{position:03}"}
    assert taken.accepted == frozenset(range(200)) - {position} and taken.failure is None
    assert gms.posts < 20


def test_a_server_error_waits_and_only_later_points_at_a_culprit(gms: Any) -> None:
    gms.poison["t001"] = 500
    first = HttpSink(gms.url).send(tags(8))
    assert not first.accepted and not first.refused and first.failure is not None and gms.posts == 1
    later = HttpSink(gms.url).send(tags(8, attempts=3))
    assert later.refused == {1: "HTTP 500: cannot take t001"} and later.failure is None
    assert later.accepted == frozenset(range(8)) - {1}


def test_a_server_that_is_broken_altogether_condemns_nobody(gms: Any) -> None:
    gms.answers = [500] * 1000
    taken = HttpSink(gms.url).send(tags(200, attempts=9))
    assert not taken.refused and not taken.accepted and taken.failure is not None
    assert gms.posts < 15


@pytest.mark.parametrize("status", [301, 401, 403, 404, 429, 502, 503, 504])
def test_these_answers_are_the_servers_trouble_not_the_proposals(gms: Any, status: int) -> None:
    gms.answers = [status]
    gms.headers = {"Retry-After": "120", "Location": "http://127.0.0.1:9/"}
    taken = HttpSink(gms.url).send(tags(3))
    assert not taken.refused and not taken.accepted and gms.posts == 1
    assert taken.failure is not None and str(status) in taken.failure.what
    assert taken.failure.retry_after == 120


def test_no_server_and_a_silent_server_are_failures_in_bounded_time(gms: Any) -> None:
    refused = HttpSink("http://127.0.0.1:9").send(tags(1))
    assert refused.failure is not None and "ConnectionError" in refused.failure.what
    gms.hang = threading.Event()
    silent = HttpSink(gms.url, read_seconds=0.3).send(tags(1))
    assert silent.failure is not None and "ReadTimeout" in silent.failure.what


@pytest.mark.parametrize("config", [{}, {"noCode": True}, []])
def test_the_web_frontend_is_not_taken_for_the_server(gms: Any, config: object) -> None:
    gms.config = config
    taken = HttpSink(gms.url).send(tags(1))
    assert taken.failure is not None and "no DataHub GMS" in taken.failure.what and gms.posts == 0


def test_the_token_is_sent_and_shown_nowhere(
    gms: Any, caplog: pytest.LogCaptureFixture, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login somebody password else")
    monkeypatch.setenv("NETRC", str(netrc))
    caplog.set_level(logging.DEBUG)
    gms.token = TOKEN
    assert HttpSink(gms.url, TOKEN).send(tags(1)).failure is None
    gms.token = "another"  # the stand-in repeats the header in its answer
    sink = HttpSink(gms.url, TOKEN)
    failure = sink.send(tags(1)).failure
    assert failure is not None and "401" in failure.what
    assert TOKEN not in f"{failure} {sink!r} {sink.name} {caplog.text}"


@pytest.mark.parametrize("url", ["datahub:8080", "ftp://x", "http://", "http://user:pass@datahub:8080"])
def test_a_wrong_address_is_an_error_with_a_remedy(url: str) -> None:
    with pytest.raises(CatalogError, match="remedy") as caught:
        HttpSink(url)
    assert "pass@" not in str(caught.value)
