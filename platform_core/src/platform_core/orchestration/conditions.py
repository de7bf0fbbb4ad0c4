"""When an asset runs by itself.

The stock ``eager()`` forgets what happened before its first evaluation, so a location that starts after its inputs were
published would wait for ever. Ours starts from what is missing, and holds the wish until the inputs are there. A port whose
audit failed is not materialized, so no condition downstream fires on bad data; that is why blocking checks of inputs are not
asked here: a consumer may go on with the former, good version when another input changes. See docs/decisions.
"""

from __future__ import annotations

import dagster as dg

SENSOR = "automation"
TICK_SECONDS = 2


def on_news() -> dg.AutomationCondition[dg.AssetKey]:
    """Runs when an input was updated, when its own code changed, or when it is missing, once every input exists and none is in work."""
    wish = _missing() | dg.AutomationCondition.any_deps_updated() | dg.AutomationCondition.code_version_changed()
    ready = ~dg.AutomationCondition.any_deps_missing() & ~dg.AutomationCondition.any_deps_in_progress()
    return (_pending(wish) & ready & ~dg.AutomationCondition.in_progress()).with_label("on news of its inputs")


def on_schedule(cron: str | None) -> dg.AutomationCondition[dg.AssetKey]:
    """Runs at the ticks of ``cron`` (UTC), when its connection file changed, and at once while it is missing."""
    wish = _missing() | dg.AutomationCondition.code_version_changed()
    if cron is not None:
        wish = wish | dg.AutomationCondition.cron_tick_passed(cron)
    return (_pending(wish) & ~dg.AutomationCondition.in_progress()).with_label("on schedule, or while missing")


def automation_sensor() -> dg.AutomationConditionSensorDefinition:
    """The sensor that evaluates a location's conditions: on from the start, and often enough that a hop takes seconds."""
    return dg.AutomationConditionSensorDefinition(
        SENSOR,
        target=dg.AssetSelection.all(),
        default_status=dg.DefaultSensorStatus.RUNNING,
        minimum_interval_seconds=TICK_SECONDS,
    )


def _missing() -> dg.AutomationCondition[dg.AssetKey]:
    return dg.AutomationCondition.missing().newly_true()


def _pending(wish: dg.AutomationCondition[dg.AssetKey]) -> dg.AutomationCondition[dg.AssetKey]:
    """True from the wish until the asset was requested or updated; unlike ``since_last_handled`` also for the first evaluation."""
    return wish.since(dg.AutomationCondition.newly_requested() | dg.AutomationCondition.newly_updated())
