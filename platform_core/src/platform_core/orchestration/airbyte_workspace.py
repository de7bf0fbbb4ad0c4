"""dagster-airbyte's own workspace and client, with our manners.

The stock client repeats every error, a POST and a 4xx too, never gives up on a job, fails when a sync runs already, and syncs the
whole connection. Ours sends its requests through the one transport of the server runner, and syncs only what is asked for. Import
this only where a sync runs: dagster-airbyte costs CPU, and a code location must load without it.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

from dagster import DagsterInvariantViolationError
from dagster_airbyte import AirbyteWorkspace
from dagster_airbyte.resources import AirbyteClient
from pydantic import PrivateAttr

from platform_core.ingestion import Connection
from platform_core.ingestion.server import AirbyteApi, Job, Outcome, pace_of, sync_targets, targets
from platform_core.settings import AirbyteSettings


class MeshAirbyteClient(AirbyteClient):
    """The stock client over the server runner's transport: authorisation, time limits, and what may be repeated, in one place."""

    _api: AirbyteApi = PrivateAttr()

    @classmethod
    def of(cls, settings: AirbyteSettings, api: AirbyteApi | None = None) -> "MeshAirbyteClient":
        """A client of the server."""
        client = cls(
            rest_api_base_url=settings.public_api,
            configuration_api_base_url=settings.configuration_api,
            workspace_id=settings.workspace,
            request_max_retries=0,
            request_retry_delay=0,
            request_timeout=30,
        )
        client._api = api or AirbyteApi(settings)
        return client

    @property
    def authorization_request_headers(self) -> Mapping[str, Any]:
        """The transport signs each request; this client holds no credentials."""
        return {}

    def _single_request(
        self,
        method: str,
        url: str,
        data: Mapping[str, Any] | None = None,
        params: Mapping[str, Any] | None = None,
        include_additional_request_headers: bool = True,
    ) -> Mapping[str, Any]:
        # The configuration API reads by POST.
        reads = url.startswith(self.configuration_api_base_url) and url.endswith(("/get", "/list"))
        return self._api.transport.request(method, url, body=data, params=params, repeatable=True if reads else None)

    def recent_jobs(self, connection_id: str) -> list[Job]:
        """The newest jobs of a connection."""
        return self._api.recent_jobs(connection_id)

    def start_sync(self, connection_id: str) -> Job:
        """Starts a sync, by the stock call."""
        return Job.read(self.start_sync_job(connection_id))

    def job(self, job_id: int) -> Job:
        """A job as it stands, by the stock call."""
        return Job.read(self.get_job_details(job_id))

    def cancel(self, job_id: int) -> None:
        """Ends a job, by the stock call."""
        self.cancel_job(job_id)

    def connection_ids(self) -> dict[str, str]:
        """Ids of the workspace's connections by name, by the stock call."""
        return {str(item["name"]): str(item["connectionId"]) for item in self.get_connections()}


class MeshAirbyteWorkspace(AirbyteWorkspace):
    """The workspace of the environment's Airbyte server, usable wherever an ``AirbyteWorkspace`` is."""

    _settings: AirbyteSettings = PrivateAttr()
    _mesh_client: MeshAirbyteClient = PrivateAttr()

    @classmethod
    def of(cls, settings: AirbyteSettings, api: AirbyteApi | None = None) -> "MeshAirbyteWorkspace":
        """The workspace; nothing is asked of the server yet. Credentials stay out of the resource's configuration."""
        workspace = cls(
            rest_api_base_url=settings.public_api, configuration_api_base_url=settings.configuration_api, workspace_id=settings.workspace
        )
        workspace._settings = settings
        workspace._mesh_client = MeshAirbyteClient.of(settings, api)
        return workspace

    def get_client(self) -> MeshAirbyteClient:
        """The client of this workspace."""
        return self._mesh_client

    def sync_and_poll(self, context: Any) -> Any:
        """Not this way: the stock one knows neither subsets nor a time limit."""
        raise DagsterInvariantViolationError("use sync_streams, which syncs only what is selected")

    def sync_streams(self, connection: Connection, streams: Sequence[str], log: logging.Logger) -> list[Outcome]:
        """Syncs the given streams of a connection and no others.

        Raises:
            ServerError: The connection was not applied to the server, or the server cannot be used.
        """
        client = self.get_client()
        return sync_targets(client, targets(connection, streams, client.connection_ids()), pace_of(connection, self._settings), log)
