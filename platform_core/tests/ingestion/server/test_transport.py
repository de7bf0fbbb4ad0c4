"""One request: authorisation, what is repeated and what never is, pages, and that no secret shows."""

from __future__ import annotations

import logging
import threading
from typing import Any

import pytest
from shop import API_KEY, SHOP_SPEC
from standin import CLIENT_SECRET, PASSWORD, USER, Misbehaviour, StandIn
from standin_state import WORKSPACE, Definition

from platform_core.ingestion.server import AirbyteApi, ApiError, ConflictError, Patience, Transport, UnreachableError
from platform_core.settings import AirbyteSettings


def _source(api: AirbyteApi, server: StandIn, name: str) -> str:
    body = {
        "name": name,
        "workspaceId": WORKSPACE,
        "definitionId": server.definitions[0].id,
        "configuration": {"count": 1, "api_key": API_KEY},
    }
    return api.create("source", body)


def test_one_token_serves_many_requests(api: AirbyteApi, server: StandIn) -> None:
    for _ in range(3):
        api.observe("source")
    assert (server.calls("createAccessToken"), server.calls("listSources")) == (1, 3)


def test_a_token_is_renewed_before_it_expires(airbyte: AirbyteSettings, server: StandIn) -> None:
    now = [0.0]
    api = AirbyteApi(airbyte, Transport(airbyte, clock=lambda: now[0]))
    server.token_seconds = 180
    for moment, tokens in ((0.0, 1), (149.0, 1), (151.0, 2)):
        now[0] = moment
        api.observe("source")
        assert server.calls("createAccessToken") == tokens


def test_a_token_that_the_server_forgot_is_replaced_and_the_request_repeated_once(api: AirbyteApi, server: StandIn) -> None:
    api.observe("source")
    server.tokens.clear()
    api.observe("source")
    assert server.calls("createAccessToken") == 2


def test_a_server_that_refuses_every_token_is_not_asked_for_ever(api: AirbyteApi, server: StandIn) -> None:
    server.misbehave("listSources", *[Misbehaviour(401)] * 9)
    with pytest.raises(ApiError, match="invalid"):
        api.observe("source")
    assert server.calls("listSources") == 2


def test_wrong_credentials_say_which_variables_to_look_at(airbyte: AirbyteSettings, server: StandIn) -> None:
    wrong = AirbyteSettings(airbyte.url, airbyte.workspace, "someone", "wrong-secret")
    with pytest.raises(ApiError) as caught:
        AirbyteApi(wrong).observe("source")
    assert caught.value.status == 401
    assert "MESH_AIRBYTE_CLIENT_SECRET" in str(caught.value)
    assert "wrong-secret" not in str(caught.value)
    assert server.calls("createAccessToken") == 1, "a refusal is not repeated"


def test_basic_authentication_takes_no_token() -> None:
    with StandIn([], basic=True) as server:
        AirbyteApi(AirbyteSettings(server.url, WORKSPACE, username=USER, password=PASSWORD)).observe("source")
        assert server.calls("createAccessToken") == 0
        with pytest.raises(ApiError, match="invalid"):
            AirbyteApi(AirbyteSettings(server.url, WORKSPACE, username=USER, password="wrong")).observe("source")


@pytest.mark.parametrize(
    "bad", [Misbehaviour(500), Misbehaviour(503), Misbehaviour(429), Misbehaviour(drop="before"), Misbehaviour(drop="after")]
)
def test_reading_is_repeated_until_the_server_answers(api: AirbyteApi, server: StandIn, pauses: list[float], bad: Misbehaviour) -> None:
    server.misbehave("listSources", bad, bad)
    assert api.observe("source") == []
    assert server.calls("listSources") == 3
    assert len(pauses) == 2
    assert pauses[0] <= 0.5 < 1.0 * 2 >= pauses[1] > 0, "the pauses grow, spread at random"


def test_a_server_that_stays_down_is_given_up_with_its_reason(api: AirbyteApi, server: StandIn) -> None:
    server.misbehave("listSources", *[Misbehaviour(503)] * 9)
    with pytest.raises(UnreachableError, match=r"after 4 tries: 503") as caught:
        api.observe("source")
    assert server.calls("listSources") == 4
    assert "MESH_AIRBYTE_URL" in str(caught.value)


def test_an_address_where_nobody_listens_is_said_so(pauses: list[float]) -> None:
    settings = AirbyteSettings("http://127.0.0.1:9", WORKSPACE, "id", "secret")
    with pytest.raises(UnreachableError, match="after 2 tries"):
        AirbyteApi(settings, Transport(settings, patience=Patience(tries=2), sleep=pauses.append)).observe("source")


@pytest.mark.parametrize(("asked", "taken"), [("7", 7.0), ("86400", 300.0), ("Thu, 01 Jan 1970 00:00:00 GMT", 0.0)])
def test_the_pause_that_the_server_asks_for_is_taken_within_reason(
    api: AirbyteApi, server: StandIn, pauses: list[float], asked: str, taken: float
) -> None:
    server.misbehave("listSources", Misbehaviour(429, {"Retry-After": asked}))
    api.observe("source")
    assert pauses == [taken]


@pytest.mark.parametrize("status", [400, 403, 404, 409, 422])
def test_no_4xx_is_repeated(api: AirbyteApi, server: StandIn, pauses: list[float], status: int) -> None:
    server.misbehave("listSources", Misbehaviour(status, message="the reason"))
    with pytest.raises(ConflictError if status == 409 else ApiError, match="the reason") as caught:
        api.observe("source")
    assert (caught.value.status, server.calls("listSources"), pauses) == (status, 1, [])


@pytest.mark.parametrize("bad", [Misbehaviour(500), Misbehaviour(503), Misbehaviour(drop="before"), Misbehaviour(drop="after")])
def test_a_creation_is_never_sent_twice_when_the_server_may_have_made_it(api: AirbyteApi, server: StandIn, bad: Misbehaviour) -> None:
    server.misbehave("createSource", bad)
    with pytest.raises(UnreachableError, match="nothing is doubled"):
        _source(api, server, "one")
    assert server.calls("createSource") == 1


def test_a_creation_that_the_server_put_off_is_sent_again(api: AirbyteApi, server: StandIn) -> None:
    server.misbehave("createSource", Misbehaviour(429, {"Retry-After": "1"}))
    _source(api, server, "one")
    assert len(server.objects["source"]) == 1


def test_a_server_that_never_answers_is_not_waited_for(airbyte: AirbyteSettings, server: StandIn) -> None:
    server.misbehave("listSources", *[Misbehaviour(seconds=1.0)] * 2)
    quick = Patience(tries=2, timeout=0.1)
    with pytest.raises(UnreachableError, match=r"(?i)timed? ?out"):
        AirbyteApi(airbyte, Transport(airbyte, patience=quick, sleep=lambda _: None)).observe("source")


def test_a_write_may_take_as_long_as_the_server_needs_to_run_a_connector(airbyte: AirbyteSettings, server: StandIn) -> None:
    server.misbehave("createSource", Misbehaviour(seconds=0.8))
    _source(AirbyteApi(airbyte, Transport(airbyte, patience=Patience(timeout=0.5, slow_timeout=60.0))), server, "slow")
    assert len(server.objects["source"]) == 1


def test_all_pages_are_read_from_the_server_that_was_asked(api: AirbyteApi, server: StandIn) -> None:
    """``next`` names a host that nobody can reach: only its query is followed."""
    for number in range(205):
        _source(api, server, f"source {number}")
    assert [item["name"] for item in api.observe("source")] == [f"source {number}" for number in range(205)]
    assert server.calls("listSources") == 3


def test_pages_without_an_end_are_an_error(api: AirbyteApi, server: StandIn) -> None:
    endless: dict[str, Any] = {"data": [], "next": "https://x/sources?offset=100"}
    server.misbehave("listSources", *[Misbehaviour(answer=endless)] * 3)
    with pytest.raises(ApiError, match="no end"):
        api.observe("source")


@pytest.mark.parametrize("answer", [b"<html>a proxy's login page</html>", [1, 2]])
def test_an_answer_that_is_none_of_the_api_names_the_address_to_check(api: AirbyteApi, server: StandIn, answer: Any) -> None:
    server.misbehave("listSources", Misbehaviour(answer=answer))
    with pytest.raises(ApiError, match="MESH_AIRBYTE_URL"):
        api.observe("source")


def test_a_redirect_is_not_followed(api: AirbyteApi, server: StandIn) -> None:
    server.misbehave("listSources", Misbehaviour(302, {"Location": "https://elsewhere.example/"}))
    with pytest.raises(ApiError, match="without a redirect"):
        api.observe("source")


def test_secrets_that_a_server_repeats_are_hidden_in_errors_and_logs(
    api: AirbyteApi, server: StandIn, caplog: pytest.LogCaptureFixture
) -> None:
    api.transport.hide((API_KEY,))
    said = f"bad key {API_KEY}, secret {CLIENT_SECRET}"
    server.misbehave("listSources", Misbehaviour(500, message=said), Misbehaviour(422, message=said))
    with caplog.at_level(logging.DEBUG), pytest.raises(ApiError) as caught:
        api.observe("source")
    everything = f"{caught.value} {caught.value!r} {caplog.text} {api.transport!r} {api.settings!r}"
    assert "bad key ***, secret ***" in everything
    assert not [secret for secret in (API_KEY, CLIENT_SECRET, *server.tokens) if secret in everything]


def test_threads_share_one_token(api: AirbyteApi, server: StandIn) -> None:
    threads = [threading.Thread(target=api.observe, args=("source",)) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert (server.calls("createAccessToken"), server.calls("listSources")) == (1, 8)


def test_the_specification_of_a_connector_is_read_and_may_be_asked_for_again(api: AirbyteApi, server: StandIn) -> None:
    definition: Definition = server.definitions[0]
    server.misbehave("config.getSourceDefinitionSpecification", Misbehaviour(500))
    assert api.source_spec(definition.id) == SHOP_SPEC
