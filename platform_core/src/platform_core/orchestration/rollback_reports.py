"""Rollbacks in Dagster's own record: an observation on every asset of the port, so that its page shows what it serves, and why.

An observation and no materialization, on purpose. Consumers run when something new was published; a rollback brings nothing new, it
takes something back, and whether what was built from it must be built anew (or corrected, or left) is for people to decide. ``mesh
rollback`` names those who are concerned.
"""

import json
from collections.abc import Iterator

import dagster as dg
from psycopg import Connection

from platform_core.contracts import load_mesh, naming
from platform_core.orchestration.asset_names import asset_key
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

_LOOK_SECONDS = 15


def rollback_sensor(domain: str) -> dg.SensorDefinition:
    """The sensor that reports the domain's rollbacks, once each.

    Its cursor lists those of the last days that were reported, not the newest one: a rollback that waits for a reader is seen after
    one that began later.
    """

    @dg.sensor(
        name="rollbacks",
        minimum_interval_seconds=_LOOK_SECONDS,
        default_status=dg.DefaultSensorStatus.RUNNING,
        description="Shows on the assets of a port that it was rolled back.",
    )
    def rollbacks(context: dg.SensorEvaluationContext) -> dg.SensorResult | dg.SkipReason:
        settings = Settings.load()
        with Warehouse.from_settings(settings).connect_domain(domain) as connection:
            rows = _latest(connection, domain)
        reported = set(json.loads(context.cursor)) if context.cursor else set[int]()
        news = [row for row in rows if row[0] not in reported]
        if not news:
            return dg.SkipReason("no port was rolled back")
        contracts = load_mesh(settings.repo).contracts
        events = [
            event
            for _, contract_id, metadata in news
            if contract_id in contracts
            for event in _observations(contract_id, [table.physical_name for table in contracts[contract_id].tables], metadata)
        ]
        return dg.SensorResult(asset_events=events, cursor=json.dumps([number for number, _, _ in rows]))

    return rollbacks


def _latest(connection: Connection, domain: str) -> list[tuple[int, str, dict[str, str]]]:
    rows = connection.execute(
        """SELECT id, contract_id, to_publication, from_publication, actor, coalesce(reason, ''), happened_at FROM mesh.switches
           WHERE domain = %s AND action = 'rollback' AND happened_at > now() - interval '7 days' ORDER BY id""",
        (domain,),
    ).fetchall()
    return [
        (
            int(number),
            str(contract_id),
            {
                "publication": str(to),
                "rolled back from": str(left),
                "rolled back by": str(actor),
                "reason": str(reason),
                "at": at.isoformat(),
            },
        )
        for number, contract_id, to, left, actor, reason, at in rows
    ]


def _observations(contract_id: str, tables: list[str], metadata: dict[str, str]) -> Iterator[dg.AssetObservation]:
    product_id = contract_id.rpartition(".")[0]
    text = f"serves {metadata['publication']} again, no longer {metadata['rolled back from']}"
    for table in tables:
        yield dg.AssetObservation(asset_key(naming.port_key(product_id, table)), description=text, metadata=dict(metadata))
