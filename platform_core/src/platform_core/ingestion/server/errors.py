"""Errors of the server runner."""

from __future__ import annotations

from platform_core.ingestion.errors import IngestionError


class ServerError(IngestionError):
    """The Airbyte server, or how it is set up, keeps a connection from being applied or synced."""


class ApiError(ServerError):
    """The server refused a request; ``status`` is its HTTP status."""

    status: int = 0


class ConflictError(ApiError):
    """The server is busy with the object (409), most often with a sync of it."""


class UnreachableError(ServerError):
    """No usable answer came, however often it was asked for; what the server did with the request is unknown."""


class ServerSyncError(ServerError):
    """A sync on the server failed or was cancelled there."""


class ServerTimeoutError(ServerSyncError):
    """A sync on the server took longer than allowed."""
