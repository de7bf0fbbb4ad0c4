"""The assets of a connection whose streams an Airbyte server syncs: the same keys, groups and conditions as the embedded ones."""

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AssetExecutionContext

from platform_core.contracts import naming
from platform_core.orchestration.asset_names import asset_key
from platform_core.orchestration.ingestion_assets import ingestion_assets
from platform_core.settings import AirbyteSettings, Settings

if TYPE_CHECKING:
    from platform_core.ingestion import Connection
    from platform_core.ingestion.server import Outcome


def connection_assets(connection: "Connection") -> dg.AssetsDefinition:
    """The assets of a connection, synced where the environment says: on an Airbyte server, or embedded.

    Raises:
        SettingsError: A server is selected, incompletely.
    """
    return server_assets(connection) if AirbyteSettings.load(os.environ) is not None else ingestion_assets(connection)


def server_assets(connection: "Connection") -> dg.AssetsDefinition:
    """The assets of a connection's streams; any subset of them can be run. Loading them asks nothing of the server."""
    keys = {stream.name: asset_key(naming.raw_key(connection.domain, stream.name)) for stream in connection.streams}
    embedded = ingestion_assets(connection)  # whose specifications are taken over whole, so that nothing downstream can tell

    @dg.multi_asset(name=f"{connection.domain}_ingest_{connection.name}", specs=list(embedded.specs), can_subset=True)
    def ingest(context: AssetExecutionContext) -> Iterator[dg.MaterializeResult[Any]]:
        from platform_core.ingestion.server import ServerError
        from platform_core.orchestration.airbyte_workspace import MeshAirbyteWorkspace

        settings = Settings.load().airbyte
        if settings is None:
            raise ServerError("MESH_AIRBYTE_URL is not set where the run executes", remedy="give runs the environment of the code location")
        wanted = [name for name, key in keys.items() if key in context.selected_asset_keys]
        outcomes = MeshAirbyteWorkspace.of(settings).sync_streams(connection, wanted, context.log)
        for outcome in outcomes:
            if outcome.error is None:
                for name in outcome.target.streams:
                    yield dg.MaterializeResult(asset_key=keys[name], metadata=_metadata(outcome, settings))
        failed = [outcome for outcome in outcomes if outcome.error is not None]
        for outcome in failed:
            context.log.error(f"{outcome.error}\n{_address(outcome, settings)}")
        if failed and failed[0].error is not None:
            raise failed[0].error

    return ingest


def report_outcomes(home: Path, connection: "Connection", outcomes: "Sequence[Outcome]", settings: AirbyteSettings) -> None:
    """Tells the Dagster instance at ``home`` of syncs that ran outside of it, so that what depends on the streams runs."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for outcome in outcomes:
            for name in outcome.target.streams if outcome.error is None else ():
                key = asset_key(naming.raw_key(connection.domain, name))
                instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=_metadata(outcome, settings)))


def _metadata(outcome: "Outcome", settings: AirbyteSettings) -> dict[str, Any]:
    job = outcome.job
    assert job is not None  # a sync that succeeded had one
    # A job of several streams says no rows of each.
    alone = len(outcome.target.streams) == 1
    rows: dict[str, Any] = {} if job.rows is None else {"dagster/row_count" if alone else "rows of all its streams": job.rows}
    size: dict[str, Any] = {} if job.bytes is None else {"bytes" if alone else "bytes of all its streams": job.bytes}
    return {
        **rows,
        **size,
        "seconds": round(outcome.seconds, 3),
        "sync": str(job.id),
        "attached": outcome.attached,
        "airbyte connection": outcome.target.name,
        "airbyte": dg.MetadataValue.url(_address(outcome, settings)),
    }


def _address(outcome: "Outcome", settings: AirbyteSettings) -> str:
    return f"{settings.url}/workspaces/{settings.workspace}/connections/{outcome.target.connection_id}"
