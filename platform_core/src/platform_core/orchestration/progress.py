"""How far a platform has come: what each port serves, what runs now, and whether everything that will happen has happened."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import dagster as dg
from dagster._core.definitions.run_request import InstigatorType
from dagster._core.storage.dagster_run import NOT_FINISHED_STATUSES, RunsFilter

from platform_core.contracts import Mesh, naming
from platform_core.orchestration.conditions import SENSOR
from platform_core.orchestration.port_assets import code_version
from platform_core.orchestration.run_requests import pending_requests, request_run
from platform_core.publishing import Publication, served
from platform_core.warehouse import Warehouse

LOAD_SECONDS = 90.0
"""How long a code location may take until it looks for news for the first time, when nobody else wants the processors."""
FAILED = (dg.DagsterRunStatus.FAILURE, dg.DagsterRunStatus.CANCELED)


@dataclass(frozen=True)
class FailedRun:
    """A run that ended badly since the command began."""

    run_id: str
    assets: tuple[str, ...]
    message: str


@dataclass(frozen=True)
class State:
    """One look at the platform.

    Attributes:
        served: What each port serves, by contract id.
        outdated: Contracts whose port does not serve a publication of the files as they are now.
        running: Product or part of a domain (``sales/raw``) to what is being done.
        failed: Runs that failed since the command began, the newest of each selection.
        settled: Whether nothing runs, and every location has looked for news since the last run ended and found none.
        silent: Domains whose location has never looked for news, although there was time: it does not load.
    """

    served: Mapping[str, Publication]
    outdated: tuple[str, ...]
    running: Mapping[str, str]
    failed: tuple[FailedRun, ...]
    settled: bool
    silent: tuple[str, ...] = ()


class Watch:
    """Looks at the platform again and again.

    Args:
        mesh: The files.
        warehouse: Where publications are.
        instance: Where runs are.
        patience: Seconds until a location that has not looked for news counts as one that does not load, on a machine that is
            not crowded.
    """

    def __init__(self, mesh: Mesh, warehouse: Warehouse, instance: dg.DagsterInstance, patience: float = LOAD_SECONDS) -> None:
        self._mesh = mesh
        self._warehouse = warehouse
        self._instance = instance
        self._began = time.time()
        self._patience = patience
        self._quiet_ticks: dict[str, set[float]] = {}

    def look(self) -> State:
        """The state now."""
        with self._warehouse.connect_platform(autocommit=True) as connection:
            ports = served(connection)
            waiting = pending_requests(connection)
        versions = {
            port.contract_id: code_version(product, port.contract) for product in self._mesh.products.values() for port in product.outputs
        }
        outdated = tuple(sorted(key for key, version in versions.items() if key not in ports or ports[key].code_version != version))
        active = self._instance.get_runs(RunsFilter(statuses=NOT_FINISHED_STATUSES))
        ticks = self._ticks()
        late = time.time() - self._began > self._patience * _crowd()
        silent = tuple(sorted(set(self._mesh.domains) - ticks.keys())) if late else ()
        settled = self._settled(bool(active) or waiting > 0, ticks, silent)
        return State(ports, outdated, _activities(active), self._failed(), settled, silent)

    def retry(self, state: State) -> tuple[str, ...]:
        """Asks again for the runs that failed before this command began and without which a port stays outdated; their domains."""
        wanted: dict[str, tuple[str, ...]] = {}
        fresh = {run.assets for run in state.failed}
        outdated = {key for contract_id in state.outdated for key in _port_assets(self._mesh, contract_id)}
        for run in self._instance.get_runs(RunsFilter(statuses=list(FAILED)), limit=500):  # newest first
            assets = tuple(sorted(_assets(run)))
            if outdated & set(assets) and assets not in fresh:
                wanted.setdefault(assets[0].split("/")[0], assets)
        with self._warehouse.connect_platform() as connection:
            for domain, assets in wanted.items():
                request_run(connection, domain, assets, "mesh up: the former attempt failed")
        self._quiet_ticks.clear()
        return tuple(sorted(wanted))

    def _failed(self) -> tuple[FailedRun, ...]:
        records = self._instance.get_run_records(RunsFilter(updated_after=_utc(self._began)), limit=200)
        newest: dict[frozenset[str], dg.DagsterRun] = {}
        for record in records:  # newest first
            newest.setdefault(frozenset(_assets(record.dagster_run)), record.dagster_run)
        return tuple(
            FailedRun(run.run_id, tuple(sorted(assets)), _reason(self._instance, run.run_id))
            for assets, run in newest.items()
            if run.status in FAILED and run.tags.get("dagster/will_retry") != "true"
        )

    def _settled(self, active: bool, ticks: Mapping[str, float], silent: Collection[str]) -> bool:
        """Two evaluations of every location's conditions must begin while nothing runs: the first may still start something."""
        if active or set(self._mesh.domains) - ticks.keys() - set(silent):
            self._quiet_ticks.clear()
            return False
        for location, began in ticks.items():
            self._quiet_ticks.setdefault(location, set()).add(began)
        # The tick seen first may have begun before the quiet did, so it does not count.
        return all(len(seen) >= 3 for seen in self._quiet_ticks.values())

    def _ticks(self) -> dict[str, float]:
        """When each location's automation sensor began its last evaluation, of those evaluated since the command began."""
        found: dict[str, float] = {}
        for state in self._instance.all_instigator_state(instigator_type=InstigatorType.SENSOR):
            data: Any = state.instigator_data
            if state.instigator_name == SENSOR and data is not None:
                began = float(getattr(data, "last_tick_timestamp", None) or 0)
                if began > self._began:
                    found[state.origin.repository_origin.code_location_origin.location_name] = began
        return found


def _activities(runs: Sequence[dg.DagsterRun]) -> dict[str, str]:
    found: dict[str, str] = {}
    for run in runs:
        for asset in _assets(run):
            domain, part, _ = (*asset.split("/"), "", "")[:3]
            state = "queued" if run.status in {dg.DagsterRunStatus.QUEUED, dg.DagsterRunStatus.NOT_STARTED} else "running"
            found[f"{domain}/{part}"] = state
    return found


def _port_assets(mesh: Mesh, contract_id: str) -> list[str]:
    contract = mesh.contracts[contract_id]
    return ["/".join(naming.port_key(contract.product_id, table.physical_name)) for table in contract.tables]


def _assets(run: dg.DagsterRun) -> list[str]:
    return [key.to_user_string() for key in run.asset_selection or ()]


def _reason(instance: dg.DagsterInstance, run_id: str) -> str:
    """What the failed step said: the platform's own message where there is one."""
    for kind in (dg.DagsterEventType.STEP_FAILURE, dg.DagsterEventType.RUN_FAILURE, dg.DagsterEventType.RUN_CANCELED):
        for entry in instance.all_logs(run_id, of_type=kind):
            event = entry.dagster_event
            data: Any = event.event_specific_data if event else None
            failure = getattr(data, "user_failure_data", None)
            if failure is not None and failure.description:
                return str(failure.description)
            error = getattr(data, "error", None)
            while error is not None and error.cause is not None:
                error = error.cause
            if error is not None:
                return str(error.message).strip()
            if entry.message:
                return str(entry.message)
    return "no message"


def _utc(timestamp: float) -> datetime:
    return datetime.fromtimestamp(timestamp, UTC)


def _crowd() -> float:
    """How many processes want each processor now, one at least: what takes a second alone takes so many then."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
