"""When an asset runs by itself.

The stock ``eager()`` forgets what happened before its first evaluation, so a location that starts after its inputs were
published would wait for ever. Ours starts from what is missing, and holds the wish until the inputs are there. A port whose
audit failed is not materialized, so no condition downstream fires on bad data; that is why blocking checks of inputs are not
asked here: a consumer may go on with the former, good version when another input changes.

It also forgets news that arrives while a run works: the run's end counts as handled, although it had read the input before. Ours
only takes a request as the answer to news, and only to news that came before it.

A port and its model may change together, the model to read a stream that is still to be synced. The port would then be audited with
what the former model made. Ours waits for an input whose changed code has not run yet; not for ever. See docs/decisions.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import dagster as dg

SENSOR = "automation"
TICK_SECONDS = 2
PATIENCE = "0 * * * *"  # in UTC; the wait for an input that was changed and not made again ends at the second tick


def on_news(follows: Iterable[dg.AssetKey] = ()) -> dg.AutomationCondition[dg.AssetKey]:
    """Runs when an input was updated, when its own code changed, or when it is missing, once every input exists and none is in work.

    Args:
        follows: Inputs that run on news of theirs, in the same location: one whose changed code waits for its inputs is waited for.
    """
    news = dg.AutomationCondition.any_deps_updated() | dg.AutomationCondition.code_version_changed()
    ready = ~dg.AutomationCondition.any_deps_missing() & ~dg.AutomationCondition.any_deps_in_progress()
    for key in sorted(set(follows)):
        ready &= ~dg.AutomationCondition.asset_matches(key, _changed_and_waiting())
    return (_wish(news) & ready & ~dg.AutomationCondition.in_progress()).with_label("on news of its inputs")


def on_schedule(cron: str | None, timezone: str = "UTC", *, on_change: bool = True) -> dg.AutomationCondition[dg.AssetKey] | None:
    """Runs at the ticks of ``cron``; with ``on_change`` also when its declaration changed, and at once while it is missing.

    Returns:
        The condition, None when nothing but a person starts it.
    """
    tick = dg.AutomationCondition.cron_tick_passed(cron, timezone) if cron is not None else None
    idle = ~dg.AutomationCondition.in_progress()
    if not on_change:
        return (_held(tick) & idle).with_label("on schedule") if tick is not None else None
    changed = dg.AutomationCondition.code_version_changed()
    return (_wish(changed if tick is None else changed | tick) & idle).with_label("on schedule, on change, or while missing")


def with_its_asset() -> dg.AutomationCondition[Any]:
    """A check runs in each run that makes its asset.

    Without a condition it would be left out where a port is published in the same run: the port's checks are asked for by name, and
    Dagster then takes no others along.
    """
    return dg.AutomationCondition.any_deps_match(dg.AutomationCondition.will_be_requested()).with_label("whenever its asset is made")


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates a location's conditions: on from the start, and often enough that a hop takes seconds."""
    return dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=TICK_SECONDS,
    )


def _wish(news: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """True from the news until a run was asked for, and while the asset is missing until it was asked for or made otherwise.

    Unlike ``since_last_handled`` also for the first evaluation. News of the very tick that sees the former request is new news.
    """
    requested, updated = dg.AutomationCondition.newly_requested(), dg.AutomationCondition.newly_updated()
    missing = dg.AutomationCondition.missing().newly_true()
    return missing.since(requested | updated) | _held(news)


def _held(news: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """True from the news until a run was asked for; news of that very tick is new news."""
    return news.since(dg.AutomationCondition.newly_requested() & ~news)


def _changed_and_waiting() -> dg.AutomationCondition[dg.AssetKey]:
    """Of an input: its code changed and it was neither asked for nor made since, because its own inputs are not there yet.

    Where a run that should have made one of these failed there is nothing to wait for: what follows shows what that leads to. Nor is
    there from the second tick of ``PATIENCE`` on: a stream may be one that only a person starts.
    """
    changed = dg.AutomationCondition.code_version_changed()
    tick = dg.AutomationCondition.cron_tick_passed(PATIENCE, "UTC")
    late = tick & ~tick.since(changed).newly_true()
    over = dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated() | late
    hopeless = dg.AutomationCondition.any_deps_match(dg.AutomationCondition.missing() & dg.AutomationCondition.execution_failed())
    waits = changed.since(over) & ~hopeless & ~dg.AutomationCondition.will_be_requested()
    return waits.with_label("changed, and waits for its inputs")
