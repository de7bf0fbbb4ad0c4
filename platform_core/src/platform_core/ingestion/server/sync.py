"""Syncs streams on the server: starts a job for each, or joins the one that runs, and watches until all have ended."""

from __future__ import annotations

import logging
import time
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from platform_core.ingestion.connection import Connection
from platform_core.ingestion.server.api import Job
from platform_core.ingestion.server.desired import connection_names
from platform_core.ingestion.server.errors import (
    ConflictError,
    ServerError,
    ServerSyncError,
    ServerTimeoutError,
    UnreachableError,
)
from platform_core.settings import AirbyteSettings

ACTIVE = {"pending", "running", "incomplete"}  # incomplete: an attempt failed, the server makes another
FAILED = {"failed", "cancelled", "error"}
_FIRST_POLL = 1.0
_GROWTH = 1.5
_START_TRIES = 5
_log = logging.getLogger(__name__)


class Jobs(Protocol):
    """What a sync needs of the API."""

    def recent_jobs(self, connection_id: str) -> list[Job]:
        """The newest jobs, the newest first."""
        ...

    def start_sync(self, connection_id: str) -> Job:
        """Starts a sync; ``ConflictError`` when a job runs, ``UnreachableError`` when the answer was lost."""
        ...

    def job(self, job_id: int) -> Job:
        """A job as it stands."""
        ...

    def cancel(self, job_id: int) -> None:
        """Ends a job."""
        ...


@dataclass(frozen=True)
class Target:
    """A connection on the server that is to be synced, with the streams that it brings."""

    name: str
    connection_id: str
    streams: tuple[str, ...]


@dataclass(frozen=True)
class Outcome:
    """How the sync of one connection on the server ended.

    Attributes:
        target: What was synced.
        job: Its last state, None when no job could be started.
        attached: The job had been started by someone else.
        seconds: From our first request to its end.
        error: Why it failed, None when it succeeded.
    """

    target: Target
    job: Job | None
    attached: bool
    seconds: float
    error: ServerError | None = None


@dataclass(frozen=True)
class Pace:
    """Limits of a sync.

    Attributes:
        timeout: Longest sync of one connection on the server, seconds.
        longest_poll: Longest pause between two looks, seconds.
        parallel: Most jobs at once.
        unknown: How long a status that we do not know is waited out, seconds.
        sleep: Waits.
        clock: Seconds that only grow.
    """

    timeout: float = 86_400.0
    longest_poll: float = 15.0
    parallel: int = 4
    unknown: float = 600.0
    sleep: Callable[[float], None] = time.sleep
    clock: Callable[[], float] = time.monotonic


def pace_of(connection: Connection, settings: AirbyteSettings) -> Pace:
    """The limits of a connection's syncs: its file's own, else those of the environment."""
    return Pace(timeout=connection.timeouts.total or settings.timeout, longest_poll=settings.poll, parallel=settings.parallel)


def targets(connection: Connection, wanted: Iterable[str], ids: Mapping[str, str]) -> list[Target]:
    """The connections on the server that bring the wanted streams and no others.

    Args:
        connection: The file.
        wanted: Names of streams.
        ids: Ids of the connections on the server by name.

    Raises:
        ServerError: One is missing, or brings streams that are not wanted.
    """
    names, found = set(wanted), list[Target]()
    for name, selections in connection_names(connection).items():
        streams = tuple(selection.name for selection in selections)
        if not names & set(streams):
            continue
        if not names >= set(streams):
            raise ServerError(
                f"the streams {', '.join(streams)} share one position in the source's log: a part of them cannot be synced alone",
                where=str(connection.path),
                remedy="select all of them",
            )
        if name not in ids:
            raise ServerError(f"the Airbyte server has no connection {name!r}", where=str(connection.path), remedy="run ./mesh apply")
        found.append(Target(name, ids[name], streams))
    return found


def sync_targets(jobs: Jobs, wanted: Sequence[Target], pace: Pace, log: logging.Logger = _log) -> list[Outcome]:
    """Syncs connections on the server, ``pace.parallel`` at once; one that fails does not hold the others back.

    A job that takes too long is cancelled when we started it. A job that someone else started is never cancelled. When this is
    interrupted, the jobs that we started are cancelled; a job that was left behind by a killed process is joined by the next sync.

    Returns:
        One outcome each, in the order in which they ended.
    """
    waiting, running, ended = deque(wanted), list[_Running](), list[Outcome]()
    try:
        while waiting or running:
            while waiting and len(running) < pace.parallel:
                running.append(_Running(waiting.popleft(), pace, log))
            for one in [one for one in running if one.next_look <= pace.clock()]:
                outcome = one.look(jobs)
                if outcome is not None:
                    running.remove(one)
                    ended.append(outcome)
            if running and not (waiting and len(running) < pace.parallel):
                pace.sleep(max(0.0, min(one.next_look for one in running) - pace.clock()))
    except BaseException:
        for one in running:
            one.cancel(jobs)
        raise
    return ended


@dataclass
class _Running:
    """A connection on the server while it is synced: without a job at first, then with the one that is watched."""

    target: Target
    pace: Pace
    log: logging.Logger
    job: Job | None = None
    attached: bool = False
    tries: int = 0
    began: float = field(init=False)
    pause: float = field(init=False)
    next_look: float = field(init=False)
    unknown_since: float | None = None

    def __post_init__(self) -> None:
        self.began = self.next_look = self.pace.clock()
        self.pause = min(_FIRST_POLL, self.pace.longest_poll)

    def look(self, jobs: Jobs) -> Outcome | None:
        """Goes one step further; the outcome when it has ended."""
        try:
            if self.job is None:
                self._start(jobs)
            else:
                self.job = jobs.job(self.job.id)
            error = self._verdict()
        except ServerError as failure:
            return self.outcome(failure)  # a job that is known goes on; the next sync joins it
        if error is not None or (self.job is not None and self.job.status == "succeeded"):
            return self.outcome(error)
        if self.pace.clock() - self.began >= self.pace.timeout:
            return self._too_long(jobs)
        self.next_look = self.pace.clock() + self.pause
        self.pause = min(self.pause * _GROWTH, self.pace.longest_poll)
        return None

    def _start(self, jobs: Jobs) -> None:
        """Starts a job or joins the sync that runs; without either when another kind of job is in the way.

        Raises:
            ServerError: The server cannot be used, or contradicts itself for too long.
        """
        known = jobs.recent_jobs(self.target.connection_id)
        active = next((job for job in known if job.status in ACTIVE), None)
        if active is not None and active.type == "sync":
            self._follow(active, attached=True)
            return
        if active is not None:
            self.log.info("%s: waits for the %s of job %d", self.target.name, active.type, active.id)
            return
        self.tries += 1
        try:
            self._follow(jobs.start_sync(self.target.connection_id), attached=False)
        except ConflictError:
            if self.tries >= _START_TRIES:
                raise
            self.log.info("%s: the server is busy with it, and shows no job yet", self.target.name)
        except UnreachableError:
            # The answer is lost, the job perhaps not: a job that is newer than what we knew is taken for it.
            newest = known[0].id if known else 0
            ours = next((job for job in jobs.recent_jobs(self.target.connection_id) if job.id > newest and job.type == "sync"), None)
            if ours is not None:
                self._follow(ours, attached=False)
            elif self.tries >= _START_TRIES:
                raise

    def _follow(self, job: Job, *, attached: bool) -> None:
        self.job, self.attached = job, attached
        self.log.info("%s: %s job %d", self.target.name, "joins the running" if attached else "started", job.id)

    def _verdict(self) -> ServerSyncError | None:
        """Why the job has failed, if it has."""
        if self.job is None:
            return None
        status = self.job.status
        if status in FAILED:
            return ServerSyncError(
                f"job {self.job.id} {'was cancelled' if status == 'cancelled' else 'failed'} on the Airbyte server",
                where=self.target.name,
                remedy="read the job's log on the server (the run's metadata and log have its address)",
            )
        if status in ACTIVE or status == "succeeded":
            self.unknown_since = None
            return None
        if self.unknown_since is None:
            self.unknown_since = self.pace.clock()
            self.log.warning("%s: job %d has the unknown status %r; watching on", self.target.name, self.job.id, status)
        if self.pace.clock() - self.unknown_since < self.pace.unknown:
            return None
        return ServerSyncError(
            f"job {self.job.id} has had the status {status!r}, which this platform does not know, for {self.pace.unknown:g} s",
            where=self.target.name,
            remedy="look at the job on the server; a newer platform_core may know the status",
        )

    def _too_long(self, jobs: Jobs) -> Outcome:
        self.cancel(jobs)
        if self.job is None:
            said = f"another job has kept the connection busy for {self.pace.timeout:g} s"
        else:
            fate = "left to whoever started it" if self.attached else "cancelled"
            said = f"job {self.job.id} was not done after {self.pace.timeout:g} s, and was {fate}"
        remedy = "look at the connection on the server; raise timeouts.total in its file (or MESH_AIRBYTE_TIMEOUT) if it needs longer"
        return self.outcome(ServerTimeoutError(said, where=self.target.name, remedy=remedy))

    def cancel(self, jobs: Jobs) -> None:
        """Ends the job if it is ours; what keeps it from ending is logged, as something else is the reason already."""
        if self.job is None or self.attached:
            return
        try:
            jobs.cancel(self.job.id)
        except ServerError as error:
            self.log.warning("%s: job %d could not be cancelled: %s", self.target.name, self.job.id, error)

    def outcome(self, error: ServerError | None = None) -> Outcome:
        """How it ended."""
        return Outcome(self.target, self.job, self.attached, self.pace.clock() - self.began, error)
