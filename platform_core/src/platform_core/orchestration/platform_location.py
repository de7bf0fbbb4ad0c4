"""The platform's own code location: what no single domain owns."""

from __future__ import annotations

from collections.abc import Iterator

import dagster as dg

from platform_core.settings import Settings
from platform_core.warehouse import Warehouse


def platform_definitions() -> dg.Definitions:
    """Sensors of the platform: delivery of the catalog's outbox, the end of access, and alerts on failed runs of every domain."""
    return dg.Definitions(sensors=[catalog_delivery, access_expiry, run_failure_alert])


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING, target=None)
def catalog_delivery(_context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
    """Sends what waits in the catalog's outbox: publications whose own delivery met a server that was down."""
    from platform_core.catalog import deliver_all

    settings = Settings.load()
    deliveries = deliver_all(Warehouse.from_settings(settings), settings)
    said = "; ".join(f"{item.sink}: {item.sent} sent, {len(item.refused)} refused" for item in deliveries)
    yield dg.SkipReason(said or "no sink is configured")


@dg.sensor(minimum_interval_seconds=30, default_status=dg.DefaultSensorStatus.RUNNING, target=None)
def access_expiry(_context: dg.SensorEvaluationContext) -> Iterator[dg.SkipReason]:
    """Takes back access that has ended, announces what ends within a week, and records who can read what."""
    from datetime import UTC, datetime

    from platform_core.contracts import load_mesh
    from platform_core.orchestration.access_expiry import expire_access

    settings = Settings.load()
    said = expire_access(settings, Warehouse.from_settings(settings), load_mesh(settings.repo), datetime.now(UTC))
    yield dg.SkipReason("; ".join(said) or "nothing has ended")


@dg.run_failure_sensor(minimum_interval_seconds=10, default_status=dg.DefaultSensorStatus.RUNNING, monitor_all_code_locations=True)
def run_failure_alert(context: dg.RunFailureSensorContext) -> None:
    """Alerts on every failed run: stored, and sent to the webhook when one is configured."""
    from platform_core.orchestration.alerts import failed_run, send

    run = context.dagster_run
    settings = Settings.load()
    # The platform's own words where it failed on purpose; any other error may quote data, which an alert must not carry away.
    said = [event.step_failure_data.user_failure_data for event in context.get_step_failure_events()]
    detail = "\n".join(data.description for data in said if data is not None and data.description) or context.failure_event.message or ""
    alert = failed_run((tuple(key.path) for key in run.asset_selection or ()), run.job_name, detail, run.run_id)
    outcome = send(alert, settings, Warehouse.from_settings(settings))
    context.log.info(outcome)
