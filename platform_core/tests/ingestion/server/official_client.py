"""Drives the stand-in with Airbyte's own Python client, which is generated from the official OpenAPI description. No test: it needs
the package index. Run it after a change of the stand-in::

    cd platform_core/tests/ingestion/server && uv run --no-project --with airbyte-api==1.0.1 --with jsonschema python official_client.py

It fails when the client cannot read an answer, or when the stand-in refuses what the client sends.
"""

from __future__ import annotations

from airbyte_api import AirbyteAPI, api, errors, models  # pyright: ignore[reportMissingImports]
from standin import CLIENT_ID, CLIENT_SECRET, StandIn
from standin_state import WORKSPACE, Definition, Stream


def main() -> None:
    """Creates, changes, lists, syncs, cancels."""
    definitions = [
        Definition("airbyte/source-faker", "7.2.1", [Stream("users", rows=10, bytes=1000)]),
        Definition("airbyte/destination-postgres", "3"),
    ]
    with StandIn(definitions) as server:
        token_url = f"{server.url}/api/public/v1/applications/token"
        credentials = models.SchemeClientCredentials(client_id=CLIENT_ID, client_secret=CLIENT_SECRET, token_url=token_url)
        client = AirbyteAPI(server_url=f"{server.url}/api/public/v1", security=models.Security(client_credentials=credentials))
        listed = client.source_definitions.list_source_definitions(request=api.ListSourceDefinitionsRequest(workspace_id=WORKSPACE))
        assert listed.definitions_response.data[0].docker_repository == "airbyte/source-faker"
        source = client.sources.create_source(
            request=models.SourceCreateRequest(
                name="s", workspace_id=WORKSPACE, definition_id=server.definitions[0].id, configuration=models.SourceFaker(count=5)
            )
        ).source_response
        destination = client.destinations.create_destination(
            request=models.DestinationCreateRequest(
                name="d",
                workspace_id=WORKSPACE,
                definition_id=server.definitions[1].id,
                configuration=models.DestinationPostgres(host="h", port=5432, database="d", username="u", password="p"),
            )
        ).destination_response
        stream = models.StreamConfiguration(name="users", sync_mode=models.ConnectionSyncModeEnum.INCREMENTAL_DEDUPED_HISTORY)
        made = client.connections.create_connection(
            request=models.ConnectionCreateRequest(
                name="c",
                source_id=source.source_id,
                destination_id=destination.destination_id,
                configurations=models.StreamConfigurations(streams=[stream]),
            )
        ).connection_response
        changed = models.ConnectionPatchRequest(name="new", configurations=made.configurations)
        request = api.PatchConnectionRequest(connection_id=made.connection_id, connection_patch_request=changed)
        assert client.connections.patch_connection(request=request).connection_response.name == "new"
        listing = api.ListConnectionsRequest(workspace_ids=[WORKSPACE])
        assert len(client.connections.list_connections(request=listing).connections_response.data) == 1
        start = models.JobCreateRequest(connection_id=made.connection_id, job_type=models.JobTypeEnum.SYNC)
        job = client.jobs.create_job(request=start).job_response
        try:
            client.jobs.create_job(request=start)
        except errors.SDKError as conflict:
            assert conflict.raw_response.status_code == 409
        else:
            raise AssertionError("a second job was started")
        for _ in server.course:
            job = client.jobs.get_job(request=api.GetJobRequest(job_id=job.job_id)).job_response
        assert (job.status, job.rows_synced, job.bytes_synced) == (models.JobStatusEnum.SUCCEEDED, 10, 1000)
        assert len(client.jobs.list_jobs(request=api.ListJobsRequest(connection_id=made.connection_id)).jobs_response.data) == 1
        client.jobs.cancel_job(request=api.CancelJobRequest(job_id=job.job_id))
        assert server.faults == []
        assert [refusal.split(": ")[1][:3] for refusal in server.refused] == ["409"]
        print(f"the official client made {len(server.requests)} requests; refused was the second job alone")


if __name__ == "__main__":
    main()
