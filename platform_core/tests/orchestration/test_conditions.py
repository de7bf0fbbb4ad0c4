"""When assets run by themselves: the platform's conditions, evaluated by Dagster against an instance with real events.

The small mesh: ``a/raw/s`` (on schedule) -> ``a/build/m`` -> ``a/p/t``, where the model also reads ``b/q/u`` and ``b/q/v``, ports of
another code location: keys that this location only knows the names of. A changed model may read ``a/raw/x`` as well, a stream that was
never synced.
"""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Iterator

import dagster as dg
import pytest
from dagster._core.definitions.asset_daemon_cursor import AssetDaemonCursor
from dagster._core.definitions.automation_tick_evaluation_context import build_run_requests
from dagster._core.events import DagsterEvent, DagsterEventType, StepMaterializationData

from platform_core.orchestration import on_news, on_schedule
from platform_core.orchestration.conditions import SENSOR, TICK_SECONDS, automation_sensor, with_its_asset

RAW, MODEL, PORT = dg.AssetKey(["a", "raw", "s"]), dg.AssetKey(["a", "build", "m"]), dg.AssetKey(["a", "p", "t"])
EXTRA = dg.AssetKey(["a", "raw", "x"])
OTHER, SECOND = dg.AssetKey(["b", "q", "u"]), dg.AssetKey(["b", "q", "v"])


@functools.cache
def _definitions(
    *,
    model: str = "1",
    port: str = "1",
    raw: str = "1",
    cron: str | None = None,
    zone: str = "UTC",
    on_change: bool = True,
    extra: bool = False,
) -> dg.Definitions:
    """The location, with these code versions."""

    @dg.asset(key=RAW, code_version=raw, automation_condition=on_schedule(cron, zone, on_change=on_change))
    def s() -> None: ...

    @dg.asset(key=EXTRA)
    def x() -> None: ...

    @dg.asset(key=MODEL, deps=[RAW, OTHER, SECOND, *([EXTRA] if extra else [])], code_version=model, automation_condition=on_news())
    def m() -> None: ...

    @dg.asset(key=PORT, deps=[MODEL], code_version=port, automation_condition=on_news([MODEL]))
    def t() -> None: ...

    return dg.Definitions(assets=[s, *([x] if extra else []), m, t])


def _made(spec: dg.AssetSpec) -> dg.AssetsDefinition:
    @dg.multi_asset(name="_".join(spec.key.path), specs=[spec])
    def made():  # without an annotation: Dagster would judge it
        yield

    return made


class Location:
    """A code location whose automation sensor ticks when told."""

    def __init__(self, instance: dg.DagsterInstance) -> None:
        self.instance = instance
        self.definitions = _definitions()
        self._cursor: AssetDaemonCursor | None = None
        self.now = dt.datetime(2026, 11, 20, 12, 0, tzinfo=dt.UTC)

    def tick(self, *, seconds: float = TICK_SECONDS) -> set[dg.AssetKey]:
        """One evaluation; what it asks for. Its runs are not started."""
        self.now += dt.timedelta(seconds=seconds)
        result = dg.evaluate_automation_conditions(
            self.definitions, self.instance, asset_selection=dg.AssetSelection.all(), cursor=self._cursor, evaluation_time=self.now
        )
        self._cursor = result.cursor
        return {item.key for item in result.results if not item.true_subset.is_empty}

    def restart(self) -> None:
        """The location is new to the daemon: it has no memory of former ticks."""
        self._cursor = None

    def update(self, *keys: dg.AssetKey) -> None:
        """New data, made by runs of other locations or outside of Dagster."""
        for key in keys:
            self.instance.report_runless_asset_event(dg.AssetMaterialization(key))

    def begin(self, *keys: dg.AssetKey) -> str:
        """A run of these assets that works."""
        job = self.definitions.get_repository_def().get_implicit_global_asset_job_def().get_subset(asset_selection=set(keys))
        run = self.instance.create_run_for_job(job, asset_selection=frozenset(keys))
        self._tell(run.run_id, DagsterEventType.RUN_START)
        return run.run_id

    def finish(self, run_id: str, *made: dg.AssetKey) -> None:
        """The run ends; well when it made all that was asked of it."""
        run = self.instance.get_run_by_id(run_id)
        assert run is not None
        for key in made:
            data = StepMaterializationData(dg.AssetMaterialization(key))
            event = DagsterEvent(DagsterEventType.ASSET_MATERIALIZATION.value, run.job_name, step_key="x", event_specific_data=data)
            self.instance.report_dagster_event(event, run_id)
        self._tell(run_id, DagsterEventType.RUN_SUCCESS if set(made) == set(run.asset_selection or ()) else DagsterEventType.RUN_FAILURE)

    def run(self, *keys: dg.AssetKey) -> None:
        """A run of these assets, from begin to end."""
        self.finish(self.begin(*keys), *keys)

    def _tell(self, run_id: str, kind: DagsterEventType) -> None:
        self.instance.report_dagster_event(DagsterEvent(kind.value, "job", message="told"), run_id)


@pytest.fixture
def location() -> Iterator[Location]:
    with dg.DagsterInstance.ephemeral() as instance:
        yield Location(instance)


@pytest.fixture
def settled(location: Location) -> Location:
    """Everything was made once, and two ticks found nothing more to do."""
    location.update(OTHER, SECOND)
    location.run(RAW, MODEL, PORT)
    location.tick()
    assert location.tick() == set()
    return location


def test_what_is_missing_runs_at_the_first_evaluation(location: Location) -> None:
    location.update(OTHER, SECOND, RAW)
    assert location.tick() == {MODEL, PORT}


def test_a_stream_that_is_missing_runs_at_once_also_without_a_schedule(location: Location) -> None:
    assert location.tick() == {RAW}
    assert location.tick() == set(), "asked for twice"


def test_what_misses_an_input_waits_and_runs_when_the_last_input_is_there(location: Location) -> None:
    assert location.tick() == {RAW}
    location.run(RAW)
    assert location.tick() == set()
    location.update(OTHER)
    assert location.tick() == set()
    assert location.tick() == set()
    location.update(SECOND)
    assert location.tick() == {MODEL, PORT}, "published inputs, and nobody came"
    assert location.tick() == set(), "asked for twice"


def test_a_location_that_starts_after_its_inputs_were_published_does_not_wait_for_ever(location: Location) -> None:
    location.update(OTHER, SECOND, RAW)
    location.restart()
    assert location.tick() == {MODEL, PORT}


def test_a_location_that_restarts_with_everything_there_does_nothing(settled: Location) -> None:
    settled.restart()
    assert settled.tick() == set()
    assert settled.tick() == set()


@pytest.mark.parametrize("key", [OTHER, RAW])
def test_an_update_of_an_input_asks_for_all_that_follows_in_one_run(settled: Location, key: dg.AssetKey) -> None:
    settled.update(key)
    assert settled.tick() == {MODEL, PORT}
    settled.run(MODEL, PORT)
    assert settled.tick() == set()
    assert settled.tick() == set()


def test_several_updates_before_a_tick_are_one_run(settled: Location) -> None:
    settled.update(OTHER, SECOND, OTHER, RAW)
    assert settled.tick() == {MODEL, PORT}
    settled.run(MODEL, PORT)
    assert settled.tick() == set()


def test_no_update_no_run(settled: Location) -> None:
    assert [settled.tick(seconds=3600) for _ in range(8)] == [set()] * 8


@pytest.mark.parametrize(("changed", "asked"), [("model", {MODEL, PORT}), ("port", {PORT}), ("raw", {RAW})])
def test_a_change_of_code_runs_what_changed(settled: Location, changed: str, asked: set[dg.AssetKey]) -> None:
    settled.definitions = _definitions(**{changed: "2"})
    found = settled.tick()
    assert found >= asked
    assert not found - asked - {MODEL, PORT}, "what lies before the change was asked for"
    settled.run(*found)
    assert settled.tick() <= {MODEL, PORT} - found
    assert settled.tick() == set()


def test_a_failed_audit_leads_to_nothing_downstream(settled: Location) -> None:
    """A port whose audit fails has no materialization. The run that tried is no news to anybody, and is not tried again."""
    settled.update(OTHER)
    assert settled.tick() == {MODEL, PORT}
    settled.finish(settled.begin(MODEL, PORT), MODEL)
    assert settled.tick() == set()
    assert [settled.tick() for _ in range(5)] == [set()] * 5


def test_after_a_failed_audit_new_input_is_a_new_chance(settled: Location) -> None:
    settled.update(OTHER)
    settled.tick()
    settled.finish(settled.begin(MODEL, PORT), MODEL)
    settled.tick()
    settled.update(SECOND)
    assert settled.tick() == {MODEL, PORT}


def test_an_input_in_work_is_waited_for(settled: Location) -> None:
    """One run of the whole chain instead of one now and one a moment later."""
    settled.update(OTHER)
    run = settled.begin(RAW)
    assert settled.tick() == set()
    assert settled.tick() == set()
    settled.finish(run, RAW)
    assert settled.tick() == {MODEL, PORT}
    assert settled.tick() == set()


def test_an_input_whose_work_failed_is_not_waited_for_any_longer(settled: Location) -> None:
    settled.update(OTHER)
    run = settled.begin(RAW)
    assert settled.tick() == set()
    settled.finish(run)
    assert settled.tick() == {MODEL, PORT}


def test_a_port_that_changed_with_its_model_waits_until_the_model_has_its_new_stream(settled: Location) -> None:
    """Else it is audited with the former model's rows, which lack what the changed contract promises."""
    settled.definitions = _definitions(model="2", port="2", extra=True)
    assert settled.tick() == set()
    run = settled.begin(EXTRA)
    assert [settled.tick() for _ in range(3)] == [set()] * 3
    settled.finish(run, EXTRA)
    assert settled.tick() == {MODEL, PORT}, "one run of both, at once"
    settled.run(MODEL, PORT)
    assert [settled.tick() for _ in range(2)] == [set()] * 2


def test_the_wait_reaches_through_models_that_changed_together(settled: Location) -> None:
    mart = dg.AssetKey(["a", "build", "mart"])

    def chain(version: str) -> dg.Definitions:
        inputs = [RAW] if version == "1" else [RAW, EXTRA]
        specs = [
            dg.AssetSpec(MODEL, deps=inputs, code_version=version, automation_condition=on_news()),
            dg.AssetSpec(mart, deps=[MODEL], code_version=version, automation_condition=on_news([MODEL])),
            dg.AssetSpec(PORT, deps=[mart], code_version=version, automation_condition=on_news([mart])),
        ]
        made = [_made(spec) for spec in specs]
        return dg.Definitions(assets=made)

    settled.definitions = chain("1")
    settled.update(MODEL, mart, PORT)
    settled.tick()
    settled.tick()
    settled.definitions = chain("2")
    assert [settled.tick() for _ in range(3)] == [set()] * 3
    settled.update(EXTRA)
    assert settled.tick() == {MODEL, mart, PORT}


def test_a_port_that_changed_with_its_model_waits_also_for_a_stream_in_work(settled: Location) -> None:
    run = settled.begin(RAW)
    settled.definitions = _definitions(model="2", port="2")
    assert [settled.tick() for _ in range(3)] == [set()] * 3
    settled.finish(run, RAW)
    assert settled.tick() == {MODEL, PORT}


def test_a_port_does_not_wait_for_a_stream_whose_sync_failed(settled: Location) -> None:
    settled.definitions = _definitions(model="2", port="2", extra=True)
    assert settled.tick() == set()
    run = settled.begin(EXTRA)
    assert settled.tick() == set()
    settled.finish(run)
    assert settled.tick() == {PORT}, "its audit says what is not there"
    settled.finish(settled.begin(PORT))
    assert settled.tick() == set()
    settled.run(EXTRA)
    assert settled.tick() == {MODEL, PORT}, "the sync that went well heals it"


def test_a_port_does_not_wait_for_ever_for_a_stream_that_nobody_syncs(settled: Location) -> None:
    settled.definitions = _definitions(model="2", port="2", extra=True)
    assert [settled.tick(seconds=1200) for _ in range(5)] == [set()] * 5, "one hour and forty minutes"
    assert settled.tick(seconds=1200) == {PORT}
    assert settled.tick(seconds=7200) == set(), "asked for once"


def test_a_model_that_waits_keeps_no_port_that_follows_a_run_of_it_by_hand(settled: Location) -> None:
    settled.definitions = _definitions(model="2", extra=True)
    assert settled.tick() == set()
    settled.run(MODEL)
    assert settled.tick() == {PORT}


def test_nothing_is_asked_for_while_it_runs(settled: Location) -> None:
    run = settled.begin(MODEL, PORT)
    settled.update(OTHER)
    assert settled.tick() == set()
    settled.finish(run, MODEL, PORT)
    assert settled.tick() == {MODEL, PORT}, "the run had read the input before its update: the update is lost"
    settled.run(MODEL, PORT)
    assert settled.tick() == set()
    assert settled.tick() == set()


def test_an_update_while_the_run_that_was_asked_for_works_is_not_lost(settled: Location) -> None:
    settled.update(OTHER)
    assert settled.tick() == {MODEL, PORT}
    run = settled.begin(MODEL, PORT)
    settled.update(SECOND)  # the run may have read the former rows already
    assert settled.tick() == set()
    settled.finish(run, MODEL, PORT)
    assert settled.tick() == {MODEL, PORT}
    settled.run(MODEL, PORT)
    assert settled.tick() == set()


def test_an_update_between_the_request_and_the_end_of_a_quick_run_is_not_lost(settled: Location) -> None:
    """All within one tick: requested, started, input updated, run ended."""
    settled.update(OTHER)
    assert settled.tick() == {MODEL, PORT}
    run = settled.begin(MODEL, PORT)
    settled.update(SECOND)
    settled.finish(run, MODEL, PORT)
    assert settled.tick() == {MODEL, PORT}
    settled.run(MODEL, PORT)
    assert settled.tick() == set()


def test_a_run_by_hand_is_not_repeated(settled: Location) -> None:
    settled.run(RAW, MODEL, PORT)
    assert settled.tick() == set()
    assert settled.tick() == set()


def test_a_first_run_by_hand_is_not_repeated(location: Location) -> None:
    location.update(OTHER, SECOND)
    run = location.begin(RAW, MODEL, PORT)
    assert location.tick() == set()
    location.finish(run, RAW, MODEL, PORT)
    assert location.tick() == set()
    assert location.tick() == set()


def test_a_stream_runs_at_the_ticks_of_its_schedule(location: Location) -> None:
    location.definitions = _definitions(cron="0 * * * *")
    location.update(RAW)
    assert location.tick() == set()
    assert location.tick(seconds=1800) == set()
    assert location.tick(seconds=1800) == {RAW}
    location.run(RAW)
    assert RAW not in location.tick()
    assert location.tick(seconds=3600) >= {RAW}


def test_a_missed_schedule_is_made_up_for_once(location: Location) -> None:
    location.definitions = _definitions(cron="0 * * * *")
    location.update(RAW)
    location.tick()
    assert RAW in location.tick(seconds=5 * 3600)
    location.run(RAW)
    assert RAW not in location.tick()


def test_the_sensor_is_on_and_quick() -> None:
    """Dagster's default is off, and a tick every 30 s: each hop between domains would wait for it."""
    sensor = automation_sensor()
    assert sensor.name == SENSOR
    assert sensor.default_status is dg.DefaultSensorStatus.RUNNING
    assert sensor.minimum_interval_seconds is not None
    assert sensor.minimum_interval_seconds <= 5


def test_a_cron_line_is_read_in_its_time_zone(settled: Location) -> None:
    settled.definitions = _definitions(cron="30 14 * * *", zone="Europe/Berlin")  # in November 13:30 UTC
    settled.tick()
    assert [RAW in settled.tick(seconds=1800) for _ in range(4)] == [False, False, True, False]


def test_without_on_change_only_the_clock_starts_a_stream(location: Location) -> None:
    location.definitions = _definitions(cron="0 13 * * *", on_change=False)
    location.update(OTHER, SECOND)
    assert location.tick() == set(), "it is missing, and nobody asked for that to count"
    location.definitions = _definitions(cron="0 13 * * *", on_change=False, raw="2")
    assert location.tick() == set()
    assert [RAW in location.tick(seconds=1800) for _ in range(3)] == [False, True, False]


def test_without_clock_and_on_change_nothing_starts_a_stream() -> None:
    assert on_schedule(None, on_change=False) is None


@dg.multi_asset(
    specs=[dg.AssetSpec(MODEL, automation_condition=on_news()), dg.AssetSpec(["a", "build", "n"], automation_condition=on_news())],
    check_specs=[
        dg.AssetCheckSpec("tested", asset=MODEL, automation_condition=with_its_asset()),
        dg.AssetCheckSpec("tested", asset=["a", "build", "n"], automation_condition=with_its_asset()),
    ],
    can_subset=True,
)
def _models():  # without an annotation: Dagster would judge it
    yield


@dg.multi_asset(
    specs=[dg.AssetSpec(PORT, deps=[MODEL], automation_condition=on_news())], check_specs=[dg.AssetCheckSpec("promised", asset=PORT)]
)
def _port():  # without an annotation: Dagster would judge it
    yield


def test_the_tests_of_a_model_run_with_it_also_where_a_port_asks_for_its_own_checks_by_name() -> None:
    """Dagster takes no check along that has no condition, once another one of the run is asked for by name."""
    definitions = dg.Definitions(assets=[_models, _port])
    with dg.DagsterInstance.ephemeral() as instance:
        instance.report_runless_asset_event(dg.AssetMaterialization(["a", "build", "n"]))  # nothing to do here, nor for its test
        result = dg.evaluate_automation_conditions(definitions, instance, asset_selection=automation_sensor().asset_selection)
    (asked,) = build_run_requests(result._requested_subsets, definitions.resolve_asset_graph(), {}, emit_backfills=False)
    assert set(asked.asset_selection or ()) == {MODEL, PORT}
    assert set(asked.asset_check_keys or ()) == {dg.AssetCheckKey(MODEL, "tested"), dg.AssetCheckKey(PORT, "promised")}
