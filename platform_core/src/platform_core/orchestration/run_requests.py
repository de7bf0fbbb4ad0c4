"""Runs on request: the command line writes a wish into the warehouse, the domain's own location takes it.

This works the same with a web server or without, on a laptop and in a cluster, and needs no right but to write the domain's rows.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import dagster as dg
from psycopg import Connection

from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_LOOK_SECONDS = 5


def request_run(connection: Connection, domain: str, assets: Iterable[str], reason: str) -> None:
    """Asks for a run of assets of one domain, in the caller's transaction.

    Args:
        connection: As the domain or as the platform.
        domain: The domain.
        assets: Asset keys, their parts joined by ``/``.
        reason: For the record and the run's tags.
    """
    connection.execute("INSERT INTO mesh.run_requests (domain, assets, reason) VALUES (%s, %s, %s)", (domain, sorted(assets), reason))


def pending_requests(connection: Connection) -> int:
    """How many requests nobody has taken yet."""
    row = connection.execute("SELECT count(*) FROM mesh.run_requests WHERE taken_at IS NULL").fetchone()
    return int(row[0]) if row else 0


def run_request_sensor(domain: str) -> dg.SensorDefinition:
    """The sensor that takes the domain's requests. A request becomes one run, also when the sensor is killed in between."""

    @dg.sensor(
        name="run_requests",
        target=dg.AssetSelection.all(),
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Starts the runs that were asked for with the mesh command.",
    )
    def run_requests(context: dg.SensorEvaluationContext) -> Iterator[dg.RunRequest | dg.SkipReason]:
        known = (
            {key.to_user_string(): key for key in context.repository_def.asset_graph.get_all_asset_keys()} if context.repository_def else {}
        )
        with Warehouse.from_settings(Settings.load()).connect_domain(domain) as connection:
            rows = connection.execute(
                "SELECT id, assets, reason FROM mesh.run_requests WHERE domain = %s AND requested_at > now() - interval '1 day' ORDER BY id",
                (domain,),
            ).fetchall()
            connection.execute("UPDATE mesh.run_requests SET taken_at = now() WHERE domain = %s AND taken_at IS NULL", (domain,))
        # Every request of the day is offered again each time; Dagster drops those whose run key it has seen.
        for number, assets, reason in rows:
            keys = [known[name] for name in assets if name in known]
            if keys:
                yield dg.RunRequest(run_key=f"request-{number}", asset_selection=keys, tags={"mesh/reason": str(reason)})
        if not rows:
            yield dg.SkipReason("nothing was asked for")

    return run_requests
