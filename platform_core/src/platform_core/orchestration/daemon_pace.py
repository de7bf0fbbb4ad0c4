"""How often the laptop's daemon looks at its automation sensors.

Dagster pauses at least five seconds between two rounds, whatever interval the sensors ask for, so a hop from one domain to the next
waits for half of that on average. The pause is a constant of a pinned version; a test notices when it is gone.
"""

from __future__ import annotations

from dagster._daemon import asset_daemon

from platform_core.orchestration.conditions import TICK_SECONDS


def keep_pace() -> None:
    """Lets the automation sensors' own interval decide."""
    asset_daemon.MIN_INTERVAL_LOOP_SECONDS = TICK_SECONDS
