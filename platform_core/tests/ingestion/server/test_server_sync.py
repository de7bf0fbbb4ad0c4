"""Syncs on the server: started or joined, only what is asked for, watched with patience, ended in time."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

import pytest
from shop import SHOP_FILE
from standin import Misbehaviour, StandIn

from platform_core.ingestion import Connection
from platform_core.ingestion.server import (
    AirbyteApi,
    ApiError,
    ConflictError,
    Outcome,
    Pace,
    ServerError,
    ServerSyncError,
    ServerTimeoutError,
    Target,
    UnreachableError,
    apply_server,
    connection_names,
    pace_of,
    sync_targets,
    targets,
)
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


class Clock:
    """Time that passes only by waiting."""

    def __init__(self) -> None:
        self.now = 0.0
        self.waited: list[float] = []

    def sleep(self, seconds: float) -> None:
        self.now += seconds
        self.waited.append(seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def pace(clock: Clock) -> Pace:
    return Pace(timeout=3600, longest_poll=15, sleep=clock.sleep, clock=lambda: clock.now)


@pytest.fixture
def shop(
    write: Callable[..., Connection], settings: Settings, database: Warehouse, environ: dict[str, str], api: AirbyteApi, server: StandIn
) -> Connection:
    """The example, applied."""
    connection = write()
    apply_server([connection], settings, database, environ=environ, api=api)
    server.requests.clear()
    return connection


@pytest.fixture
def find(shop: Connection, api: AirbyteApi) -> Callable[..., list[Target]]:
    """The connections on the server that bring the named streams."""
    ids = {str(item["name"]): str(item["connectionId"]) for item in api.observe("connection")}
    return lambda *names: targets(shop, names, ids)


Find = Callable[..., list[Target]]


def _only(outcomes: list[Outcome]) -> Outcome:
    assert len(outcomes) == 1
    return outcomes[0]


def test_a_sync_gives_the_rows_and_bytes_of_the_stream(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    outcome = _only(sync_targets(api, find("purchases"), pace))
    assert outcome.error is None
    assert outcome.job is not None
    assert (outcome.job.status, outcome.job.rows, outcome.job.bytes, outcome.attached) == ("succeeded", 100, 5000, False)


def test_a_subset_syncs_only_those_streams(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    sync_targets(api, find("users", "events"), pace)
    assert {name for job in server.jobs.values() for name in job.streams} == {"users", "events"}
    assert {stream for _, stream in server.state} == {"users", "events"}


def test_a_subset_takes_no_state_from_the_others(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    """Taking streams out of a connection for a moment would: the stand-in wipes their state, as servers may."""
    sync_targets(api, find("users", "purchases", "events"), pace)
    before = dict(server.state)
    sync_targets(api, find("users"), pace)
    assert {key: server.state[key] for key in before if key[1] != "users"} == {
        key: rows for key, rows in before.items() if key[1] != "users"
    }
    assert server.calls("patchConnection") == 0


def test_a_stream_that_does_not_exist_is_asked_for_in_vain(find: Find) -> None:
    assert find("nothing") == []


def test_a_connection_that_was_not_applied_says_what_to_run(shop: Connection) -> None:
    with pytest.raises(ServerError, match=r"(?s)no connection 'mesh sales/shop/users'.*mesh apply"):
        targets(shop, ["users"], {})


def test_a_subset_of_a_database_log_is_refused(write: Callable[..., Connection]) -> None:
    log = write({**SHOP_FILE, "config": {"replication_method": {"method": "CDC"}}})
    assert list(connection_names(log)) == ["mesh sales/shop"]
    with pytest.raises(ServerError, match="select all of them"):
        targets(log, ["users"], {"mesh sales/shop": "id"})
    assert targets(log, ["users", "purchases", "events"], {"mesh sales/shop": "id"})[0].streams == ("users", "purchases", "events")


def test_a_sync_that_runs_already_is_joined(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    target = find("users")[0]
    running = server.begin(target.connection_id)
    outcome = _only(sync_targets(api, [target], pace))
    assert outcome.error is None
    assert outcome.job is not None
    assert (outcome.job.id, outcome.attached, len(server.jobs)) == (running.id, True, 1)
    assert server.calls("createJob") == 0


def test_a_sync_that_someone_starts_at_the_same_moment_is_joined(
    api: AirbyteApi, server: StandIn, find: Find, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between our look and our start: the server answers 409."""
    target = find("users")[0]
    start = api.start_sync

    def later(connection_id: str) -> Any:
        if not server.jobs:
            server.begin(connection_id)
        return start(connection_id)

    monkeypatch.setattr(api, "start_sync", later)
    outcome = _only(sync_targets(api, [target], pace))
    assert (outcome.error, outcome.attached, len(server.jobs)) == (None, True, 1)
    assert server.calls("createJob") == 1


def test_a_409_without_a_job_ends_with_the_servers_words(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.misbehave("createJob", *[Misbehaviour(409, message="the connection is locked")] * 9)
    outcome = _only(sync_targets(api, find("users"), pace))
    assert isinstance(outcome.error, ConflictError)
    assert "the connection is locked" in str(outcome.error)
    assert server.calls("createJob") == 5


def test_a_clearing_of_the_connection_is_waited_for(api: AirbyteApi, server: StandIn, find: Find, pace: Pace, clock: Clock) -> None:
    target = find("users")[0]
    clearing = server.begin(target.connection_id, "clear", ["running"])

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 60:
            clearing.status = "succeeded"

    outcome = _only(sync_targets(api, [target], Pace(timeout=3600, sleep=sleep, clock=lambda: clock.now)))
    assert (outcome.error, outcome.attached) == (None, False)
    assert outcome.job is not None
    assert outcome.job.id == clearing.id + 1
    assert clock.now > 60


def test_a_start_whose_answer_is_lost_is_found_again_and_not_doubled(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.misbehave("createJob", Misbehaviour(drop="after"))
    outcome = _only(sync_targets(api, find("users"), pace))
    assert (outcome.error, outcome.attached, len(server.jobs)) == (None, False, 1)


def test_a_start_that_was_lost_and_has_already_ended_is_found_too(
    api: AirbyteApi, server: StandIn, find: Find, pace: Pace, monkeypatch: pytest.MonkeyPatch
) -> None:
    start = api.start_sync

    def lost(connection_id: str) -> Any:
        job = start(connection_id)
        server.jobs[job.id].status = "succeeded"
        raise UnreachableError("the answer is lost")

    monkeypatch.setattr(api, "start_sync", lost)
    assert _only(sync_targets(api, find("users"), pace)).error is None
    assert len(server.jobs) == 1


@pytest.mark.parametrize("bad", [Misbehaviour(500), Misbehaviour(drop="before"), Misbehaviour(429, {"Retry-After": "3"})])
def test_a_start_that_never_reached_the_server_is_made_again(
    api: AirbyteApi, server: StandIn, find: Find, pace: Pace, bad: Misbehaviour
) -> None:
    server.misbehave("createJob", bad)
    assert _only(sync_targets(api, find("users"), pace)).error is None
    assert len(server.jobs) == 1


def test_a_refused_start_is_not_made_again(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.misbehave("createJob", Misbehaviour(403, message="not allowed to run"))
    outcome = _only(sync_targets(api, find("users"), pace))
    assert isinstance(outcome.error, ApiError)
    assert (outcome.job, server.calls("createJob")) == (None, 1)


def test_looks_at_a_job_grow_apart_up_to_the_limit(api: AirbyteApi, server: StandIn, find: Find, pace: Pace, clock: Clock) -> None:
    server.course = ["running"] * 12 + ["succeeded"]
    sync_targets(api, find("users"), pace)
    assert [round(seconds, 2) for seconds in clock.waited[:5]] == [1.0, 1.5, 2.25, 3.38, 5.06]
    assert max(clock.waited) == 15


def test_a_look_that_fails_for_a_while_does_not_end_the_sync(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.misbehave("getJob", Misbehaviour(503), Misbehaviour(drop="before"), Misbehaviour(429))
    assert _only(sync_targets(api, find("users"), pace)).error is None


def test_a_server_that_goes_away_leaves_the_job_running_and_the_next_sync_joins_it(
    api: AirbyteApi, server: StandIn, find: Find, pace: Pace
) -> None:
    server.misbehave("getJob", *[Misbehaviour(503)] * 4)
    lost = _only(sync_targets(api, find("users"), pace))
    assert isinstance(lost.error, UnreachableError)
    assert server.calls("cancelJob") == 0
    again = _only(sync_targets(api, find("users"), pace))
    assert (again.error, again.attached, len(server.jobs)) == (None, True, 1)


@pytest.mark.parametrize(("status", "word"), [("failed", "failed"), ("cancelled", "was cancelled")])
def test_a_job_that_fails_says_so(api: AirbyteApi, server: StandIn, find: Find, pace: Pace, status: str, word: str) -> None:
    server.course = ["running", status]
    with_error = _only(sync_targets(api, find("users"), pace))
    assert isinstance(with_error.error, ServerSyncError)
    assert f"job 1 {word}" in str(with_error.error)


def test_an_attempt_that_failed_is_followed_by_the_servers_next_one(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.course = ["running", "incomplete", "running", "succeeded"]
    assert _only(sync_targets(api, find("users"), pace)).error is None


def test_one_stream_that_fails_does_not_hold_the_others_back(api: AirbyteApi, server: StandIn, find: Find, pace: Pace) -> None:
    server.misbehave("createJob", Misbehaviour(403))
    outcomes = sync_targets(api, find("users", "purchases", "events"), pace)
    assert {outcome.target.streams[0]: outcome.error is None for outcome in outcomes} == {"users": False, "purchases": True, "events": True}


def test_an_unknown_status_is_watched_with_a_warning_until_it_is_known(
    api: AirbyteApi, server: StandIn, find: Find, pace: Pace, caplog: pytest.LogCaptureFixture
) -> None:
    server.course = ["running", "succeeded"]
    strange = {"jobId": 1, "status": "hibernating", "jobType": "sync", "startTime": "x", "connectionId": "x"}
    server.misbehave("getJob", *[Misbehaviour(answer=strange)] * 3)
    with caplog.at_level(logging.WARNING):
        assert _only(sync_targets(api, find("users"), pace)).error is None
    assert [record.message for record in caplog.records if "hibernating" in record.message] == [
        "mesh sales/shop/users: job 1 has the unknown status 'hibernating'; watching on"
    ]


def test_an_unknown_status_that_stays_fails_clearly(api: AirbyteApi, server: StandIn, find: Find, pace: Pace, clock: Clock) -> None:
    strange = {"jobId": 1, "status": "hibernating", "jobType": "sync", "startTime": "x", "connectionId": "x"}
    server.misbehave("getJob", *[Misbehaviour(answer=strange)] * 200)
    outcome = _only(sync_targets(api, find("users"), pace))
    assert "'hibernating', which this platform does not know, for 600 s" in str(outcome.error)
    assert 600 <= clock.now < 660


def test_a_sync_that_takes_too_long_is_cancelled(api: AirbyteApi, server: StandIn, find: Find, clock: Clock) -> None:
    server.course = ["running"]
    outcome = _only(sync_targets(api, find("users"), Pace(timeout=100, sleep=clock.sleep, clock=lambda: clock.now)))
    assert isinstance(outcome.error, ServerTimeoutError)
    assert "not done after 100 s, and was cancelled" in str(outcome.error)
    assert 100 <= clock.now <= 115
    assert server.jobs[1].status == "cancelled"


def test_the_limit_is_the_files_own_or_that_of_the_environment(write: Callable[..., Connection], settings: Settings) -> None:
    assert settings.airbyte is not None
    assert pace_of(write({**SHOP_FILE, "timeouts": {"total": 5}}), settings.airbyte).timeout == 5
    assert pace_of(write(), settings.airbyte).timeout == settings.airbyte.timeout != 5


def test_a_sync_of_someone_else_that_takes_too_long_is_left_to_them(api: AirbyteApi, server: StandIn, find: Find, clock: Clock) -> None:
    target = find("users")[0]
    server.begin(target.connection_id, "sync", ["running"])
    outcome = _only(sync_targets(api, [target], Pace(timeout=100, sleep=clock.sleep, clock=lambda: clock.now)))
    assert "left to whoever started it" in str(outcome.error)
    assert server.jobs[1].status == "running"


def test_a_run_that_is_stopped_cancels_the_jobs_it_started_and_no_others(
    api: AirbyteApi, server: StandIn, find: Find, clock: Clock
) -> None:
    server.course = ["running"]
    users, purchases = find("users", "purchases")
    server.begin(users.connection_id)

    def stopped(seconds: float) -> None:
        clock.sleep(seconds)
        if clock.now > 5:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sync_targets(api, [users, purchases], Pace(sleep=stopped, clock=lambda: clock.now))
    assert {job.connection: job.status for job in server.jobs.values()} == {
        users.connection_id: "running",
        purchases.connection_id: "cancelled",
    }


def test_a_cancel_that_fails_hides_no_reason(
    api: AirbyteApi, server: StandIn, find: Find, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.course = ["running"]
    server.misbehave("cancelJob", Misbehaviour(403))
    outcome = _only(sync_targets(api, find("users"), Pace(timeout=10, sleep=clock.sleep, clock=lambda: clock.now)))
    assert isinstance(outcome.error, ServerTimeoutError)
    assert "could not be cancelled" in caplog.text


def test_no_more_streams_than_allowed_sync_at_once(api: AirbyteApi, server: StandIn, find: Find, clock: Clock) -> None:
    most: list[int] = []

    def sleep(seconds: float) -> None:
        clock.sleep(seconds)
        most.append(sum(job.status in {"pending", "running"} for job in server.jobs.values()))

    sync_targets(api, find("users", "purchases", "events"), Pace(parallel=2, sleep=sleep, clock=lambda: clock.now))
    assert (max(most), len(server.jobs)) == (2, 3)
