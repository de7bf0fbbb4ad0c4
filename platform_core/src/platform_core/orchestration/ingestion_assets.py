"""One multi-asset per connection, one asset per stream."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import dagster as dg
from dagster import AssetExecutionContext
from pydantic import Field

from platform_core.contracts import naming
from platform_core.orchestration.asset_names import asset_key
from platform_core.orchestration.conditions import on_schedule
from platform_core.settings import Settings

if TYPE_CHECKING:
    from platform_core.ingestion import Connection, SyncResult


class IngestOptions(dg.Config):
    """Options of one run, for the launchpad; what runs by itself has none."""

    full_refresh: bool = Field(default=False, description="Forget the state, read everything again and replace the tables.")
    accept_changes: bool = Field(default=False, description="Take what changed in the source's schema, where the connection pauses for it.")


def ingestion_assets(connection: "Connection") -> dg.AssetsDefinition:
    """The assets of a connection's streams; any subset of them can be run."""
    keys = {stream.name: asset_key(naming.raw_key(connection.domain, stream.name)) for stream in connection.streams}
    schedule = connection.schedule
    specs = [
        dg.AssetSpec(
            keys[stream.name],
            group_name=connection.domain,
            kinds={"airbyte", "postgres"},
            description=f"Stream `{stream.name}` of the connection `{connection.name}`, as the source gives it.",
            code_version=connection.declaration(stream.name),
            automation_condition=on_schedule(schedule.cron, schedule.timezone or "UTC", on_change=schedule.on_change),
            skippable=True,
            metadata={
                "connection": dg.MetadataValue.path(str(connection.path)),
                "connector": connection.connector_label,
                "sync mode": stream.sync_mode,
                "dagster/relation_identifier": f"{naming.raw_schema(connection.domain)}.{stream.name}",
            },
        )
        for stream in connection.streams
    ]

    @dg.multi_asset(name=f"{connection.domain}_ingest_{connection.name}", specs=specs, can_subset=True)
    def ingest(context: AssetExecutionContext, config: IngestOptions) -> Iterator[dg.MaterializeResult[Any]]:
        from platform_core.ingestion import SchemaChangeError, run_sync
        from platform_core.warehouse import Warehouse

        settings = Settings.load()
        wanted = [name for name, key in keys.items() if key in context.selected_asset_keys]
        try:
            result = run_sync(
                connection,
                warehouse=Warehouse.from_settings(settings),
                settings=settings,
                streams=wanted,
                full_refresh=config.full_refresh,
                accept_changes=config.accept_changes,
            )
        except SchemaChangeError as error:
            for name, changes in error.changes.items():
                context.log_event(_observation(keys[name], "waiting for somebody's word", changes))
            raise
        for name in wanted:
            for observation in _observations(keys[name], result, name):
                context.log_event(observation)
            yield dg.MaterializeResult(asset_key=keys[name], metadata=_metadata(result, name))

    return ingest


def report_sync(home: Path, domain: str, result: "SyncResult") -> None:
    """Tells the Dagster instance at ``home`` of a sync that ran outside of it, so that what depends on the streams runs."""
    with dg.DagsterInstance.from_config(str(home)) as instance:
        for name in result.streams:
            key = asset_key(naming.raw_key(domain, name))
            for observation in _observations(key, result, name):
                instance.report_runless_asset_event(observation)
            instance.report_runless_asset_event(dg.AssetMaterialization(key, metadata=_metadata(result, name)))


def _observations(key: dg.AssetKey, result: "SyncResult", name: str) -> Iterator[dg.AssetObservation]:
    """What happened to the table's schema, when anything did."""
    stream = result.streams[name]
    for title, changes in (("taken into the table", stream.schema_changes), ("ignored", stream.ignored_changes)):
        if changes:
            yield _observation(key, title, changes)


def _observation(key: dg.AssetKey, title: str, changes: Sequence[str]) -> dg.AssetObservation:
    return dg.AssetObservation(key, description=f"The source's schema changed: {title}.", metadata={"schema changes": _listed(changes)})


def _listed(lines: Sequence[str]) -> dg.MetadataValue[Any]:
    return dg.MetadataValue.md("\n".join(f"- `{line}`" for line in lines))


def _metadata(result: "SyncResult", name: str) -> dict[str, Any]:
    stream = result.streams[name]
    named = {
        "schema changes": stream.schema_changes,
        "ignored schema changes": stream.ignored_changes,
        "columns that the source no longer has": stream.removed,
        "fields that the source does not declare": stream.undeclared,
    }
    return {
        **{title: _listed(lines) for title, lines in named.items() if lines},
        "dagster/column_schema": dg.TableSchema([dg.TableColumn(column, kind) for column, kind in stream.columns.items()]),
        "dagster/row_count": stream.rows,
        "bytes": stream.bytes,
        "seconds": round(stream.seconds, 3),
        "cursor": str(stream.cursor) if stream.cursor is not None else "none",
        "raw copy": dg.MetadataValue.path(result.raw_object or "none"),
        "sync": result.sync_id,
    }
