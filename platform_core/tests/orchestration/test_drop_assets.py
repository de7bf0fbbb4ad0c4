"""Drops under Dagster: a run only for news, told once, alerts for what cannot be read."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import dagster as dg
import pytest

from platform_core.ingestion.drops import Drop, SeenFile, load_drop, run_drop
from platform_core.orchestration import drop_assets
from platform_core.orchestration.drop_assets import Decision, Memory, decide, drop_asset, drop_key, drop_sensor
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

KEY = dg.AssetKey(["sales", "raw", "by_hand"])


@pytest.fixture
def drop(database: Warehouse, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None]) -> Drop:
    """A drop in a repository of its own, the environment set as in production."""
    select(database, tmp_path, tmp_path / "home")
    path = tmp_path / "airbyte" / "sales" / "drops" / "by_hand.yaml"
    path.parent.mkdir(parents=True)
    path.write_text('{"location": "inbox", "pattern": "*.csv", "stream": "by_hand", "settle_seconds": 0}')
    (tmp_path / "inbox").mkdir()
    return load_drop(path)


def put(drop: Drop, name: str, content: str, age: float = 3600) -> None:
    path = drop.path.parents[3] / "inbox" / name
    path.write_text(content)
    os.utime(path, (time.time() - age, time.time() - age))


@pytest.fixture
def tick(drop: Drop) -> Callable[[dg.DagsterInstance], dg.SensorResult]:
    """Evaluates the sensor once; the cursor is kept from tick to tick."""
    sensor = drop_sensor(drop)
    repository = dg.Definitions(assets=[drop_asset(drop)], sensors=[sensor]).get_repository_def()
    cursor: list[str | None] = [None]

    def evaluate(instance: dg.DagsterInstance) -> dg.SensorResult:
        context = dg.build_sensor_context(instance=instance, repository_def=repository, cursor=cursor[0])
        found = sensor.evaluate_tick(context)
        cursor[0] = found.cursor
        return dg.SensorResult(list(found.run_requests or []), skip_reason=found.skip_message, cursor=found.cursor)

    return evaluate


def run(drop: Drop, instance: dg.DagsterInstance) -> list[dg.AssetMaterialization]:
    result = dg.materialize([drop_asset(drop)], instance=instance)
    assert result.success
    return [event.materialization for event in result.get_asset_materialization_events()]


def test_a_run_for_news_and_none_without(drop: Drop, tick: Callable[..., dg.SensorResult]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        assert not tick(instance).run_requests
        put(drop, "a.csv", "id\n1\n")
        (request,) = tick(instance).run_requests or ()
        assert (request.asset_selection, request.tags["mesh/drop"]) == ([KEY], "sales/by_hand")
        (told,) = run(drop, instance)
        assert told.metadata["dagster/row_count"].value == 1
        assert "a.csv" in str(told.metadata["files"].value)
        assert not tick(instance).run_requests
        put(drop, "a.csv", "id\n1\n2\n")
        assert len(tick(instance).run_requests or ()) == 1
        assert run(drop, instance)[0].metadata["dagster/row_count"].value == 2
        assert run(drop, instance) == [], "nothing new: nothing is told"


def test_a_quiet_look_asks_no_database(drop: Drop, tick: Callable[..., dg.SensorResult], monkeypatch: pytest.MonkeyPatch) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        put(drop, "a.csv", "id\n1\n")
        run(drop, instance)
        tick(instance)
        monkeypatch.setattr(Warehouse, "connect", lambda *_arguments, **_options: pytest.fail("asked"))
        assert not tick(instance).run_requests
        put(drop, "b.csv", "id\n1\n")
        with pytest.raises(BaseException, match="asked"):
            tick(instance)


def test_while_a_run_is_on_its_way_no_second_one_is_asked_for(drop: Drop, tick: Callable[..., dg.SensorResult]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        put(drop, "a.csv", "id\n1\n")
        instance.create_run_for_job(
            dg.Definitions(assets=[drop_asset(drop)]).resolve_implicit_global_asset_job_def(), tags={"mesh/drop": drop.id}
        )
        assert not tick(instance).run_requests


def test_a_broken_file_raises_an_alert_and_the_others_are_told(drop: Drop, database: Warehouse) -> None:
    put(drop, "a.csv", "id\n1\n")
    put(drop, "bad.csv", "id\n1,2\n")
    with dg.DagsterInstance.ephemeral() as instance:
        (told,) = run(drop, instance)
        assert "bad.csv" in str(told.metadata["in quarantine"].value)
    with database.connect_platform() as connection:
        ((domain, title, detail, state),) = connection.execute("SELECT domain, title, detail, state FROM mesh.alerts").fetchall()
    assert (domain, title, state) == ("sales", "the dropped file bad.csv cannot be read", "stored")
    assert "Line 2 has 2 values, but line 1 names 1 column. " in detail


def test_what_a_killed_run_loaded_is_told_by_the_next(drop: Drop, database: Warehouse) -> None:
    put(drop, "a.csv", "id\n1\n")
    with dg.DagsterInstance.ephemeral() as instance:
        run_drop(drop, warehouse=database, settings=Settings.load())  # as a run that dies before it yields
        (told,) = run(drop, instance)
        assert told.asset_key == drop_key(drop)
        assert run(drop, instance) == []


def seen(name: str, mark: str = "1", *, age: float = 0, whole: bool = False) -> SeenFile:
    return SeenFile(name, mark, 1, (1000 - age, name), whole)


def chain(*looks: tuple[list[SeenFile], float]) -> list[Decision]:
    memory, decisions = Memory(), []
    for new, now in looks:
        decisions.append(decide(memory, "listing", new, busy=False, now=now))
        memory = Memory.read(decisions[-1].memory.text())
    return decisions


def test_a_fresh_file_is_looked_at_twice() -> None:
    decisions = chain(([seen("a", "1")], 1000), ([seen("a", "2")], 1005), ([seen("a", "2")], 1010))
    assert [decision.run for decision in decisions] == [False, False, True]


@pytest.mark.parametrize("file", [seen("a", age=60), seen("a", whole=True)], ids=["rests", "object"])
def test_a_file_that_rests_is_taken_at_once(file: SeenFile) -> None:
    assert chain(([file], 1000))[0].run


def test_a_file_that_no_run_takes_is_asked_for_ever_more_rarely() -> None:
    file = seen("a", whole=True)
    asked = list(range(1000, 20_000, 5))
    decisions = chain(*(([file], float(now)) for now in asked))
    moments = [now - 1000 for now, decision in zip(asked, decisions, strict=True) if decision.run]
    assert moments[:5] == [0, 60, 360, 1260, 4860]
    assert all(later - earlier == 3600 for earlier, later in pairwise(moments[4:]))
    other = decide(decisions[-1].memory, "listing", [seen("b", whole=True)], busy=False, now=20_000.0)
    assert other.run, "another file is asked for at once"


def test_a_cursor_of_another_version_is_forgotten() -> None:
    assert Memory.read('{"other": 1}') == Memory.read("no json") == Memory()


def test_the_sensor_is_on_and_quick(drop: Drop) -> None:
    sensor = drop_sensor(drop)
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert (sensor.minimum_interval_seconds or 99) <= 10
    assert sensor.minimum_interval_seconds == drop_assets.LOOK_SECONDS
