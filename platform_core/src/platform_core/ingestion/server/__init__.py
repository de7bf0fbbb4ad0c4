"""The server runner: the connection files on an Airbyte server, applied and synced through its API."""

from platform_core.ingestion.server.api import AirbyteApi, Job
from platform_core.ingestion.server.apply import ServerPlan, apply_server, plan_server
from platform_core.ingestion.server.desired import connection_names
from platform_core.ingestion.server.errors import (
    ApiError,
    ConflictError,
    ServerError,
    ServerSyncError,
    ServerTimeoutError,
    UnreachableError,
)
from platform_core.ingestion.server.job_role import RoleStep
from platform_core.ingestion.server.plan import ServerStep
from platform_core.ingestion.server.run import run_on_server
from platform_core.ingestion.server.sync import Outcome, Pace, Target, pace_of, sync_targets, targets
from platform_core.ingestion.server.transport import Patience, Transport

__all__ = [
    "AirbyteApi",
    "ApiError",
    "ConflictError",
    "Job",
    "Outcome",
    "Pace",
    "Patience",
    "RoleStep",
    "ServerError",
    "ServerPlan",
    "ServerStep",
    "ServerSyncError",
    "ServerTimeoutError",
    "Target",
    "Transport",
    "UnreachableError",
    "apply_server",
    "connection_names",
    "pace_of",
    "plan_server",
    "run_on_server",
    "sync_targets",
    "targets",
]
