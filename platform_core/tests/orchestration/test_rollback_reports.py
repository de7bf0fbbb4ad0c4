"""A rollback in Dagster: shown on the port's assets once, and no reason for a consumer to run."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import dagster as dg
import pytest

from platform_core.contracts import Contract, load_mesh
from platform_core.orchestration.conditions import on_news
from platform_core.orchestration.rollback_reports import rollback_sensor
from platform_core.publishing import publish, rollback
from platform_core.quality import AuditReport
from platform_core.warehouse import Warehouse, apply

PORT = dg.AssetKey(["inventory", "items", "items"])


@pytest.fixture
def warehouse(empty_database: Warehouse, repo: Path, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None]) -> Warehouse:
    select(empty_database, repo, tmp_path / "home")
    apply(empty_database, load_mesh(repo))
    return empty_database


@pytest.fixture
def contract(warehouse: Warehouse, repo: Path) -> Contract:
    """``inventory.items.items``, published twice."""
    found = load_mesh(repo).contracts["inventory.items.items"]
    columns = ", ".join(f"NULL::{column.physical_type} AS {column.physical_name}" for column in found.tables[0].columns)
    for _ in range(2):
        with warehouse.connect_domain("inventory") as connection:
            connection.execute("DROP VIEW IF EXISTS inventory_build.items")
            connection.execute(f"CREATE TABLE inventory_build.items AS SELECT {columns}".encode())
        publish(warehouse, found, (), lambda _: AuditReport((), {"items": 1}), code_version="c0de")
    return found


def _tick(instance: dg.DagsterInstance, cursor: str | None) -> tuple[list[Any], str | None]:
    result = rollback_sensor("inventory").evaluate_tick(dg.build_sensor_context(instance=instance, cursor=cursor))
    return list(result.asset_events), result.cursor or cursor


def test_a_rollback_is_observed_once_with_who_and_why(warehouse: Warehouse, contract: Contract) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        nothing, cursor = _tick(instance, None)
        done = rollback(warehouse, contract, (), actor="ada", reason="prices in euros")
        (event,), cursor = _tick(instance, cursor)
        again, cursor = _tick(instance, cursor)
        rollback(warehouse, contract, (), done.left, actor="ada")
        (second,), _ = _tick(instance, cursor)
    assert (nothing, again) == ([], [])
    assert isinstance(event, dg.AssetObservation)
    assert event.asset_key == PORT
    found = {name: value.value for name, value in event.metadata.items()}
    assert found.pop("at").endswith("+00:00")
    assert found == {
        "publication": done.publication,
        "rolled back from": done.left,
        "rolled back by": "ada",
        "reason": "prices in euros",
    }
    assert second.metadata["publication"].value == done.left


def test_a_rollback_of_another_domain_is_not_reported_here(warehouse: Warehouse, contract: Contract) -> None:
    rollback(warehouse, contract, (), actor="ada")
    with dg.DagsterInstance.ephemeral() as instance:
        result = rollback_sensor("sales").evaluate_tick(dg.build_sensor_context(instance=instance))
    assert list(result.asset_events) == []


def test_consumers_do_not_run_on_a_rollback(warehouse: Warehouse, contract: Contract) -> None:
    @dg.asset(key=PORT)
    def items() -> None: ...

    @dg.asset(key=["sales", "build", "orders"], deps=[PORT], automation_condition=on_news())
    def orders() -> None: ...

    defs = dg.Definitions(assets=[items, orders])
    with dg.DagsterInstance.ephemeral() as instance:

        def asked(cursor: Any) -> tuple[int, Any]:
            result = dg.evaluate_automation_conditions(defs, instance, cursor=cursor)
            return result.total_requested, result.cursor

        for key in (PORT, dg.AssetKey(["sales", "build", "orders"])):
            instance.report_runless_asset_event(dg.AssetMaterialization(key))
        _, cursor = asked(None)
        rollback(warehouse, contract, (), actor="ada")
        for event in _tick(instance, None)[0]:
            instance.report_runless_asset_event(event)
        requested, cursor = asked(cursor)
        assert requested == 0, "a consumer ran because its source was rolled back"
        instance.report_runless_asset_event(dg.AssetMaterialization(PORT))
        requested, _ = asked(cursor)
        assert requested == 1, "the condition of this test listens to nothing"
