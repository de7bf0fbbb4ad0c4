"""The laptop's run queue: Dagster's own, which also wakes the run launcher when the daemon starts.

Dagster makes the launcher at the first run. By then everything waits for what it imports; woken with the daemon, it imports while the
code locations load.
"""

from __future__ import annotations

import multiprocessing
import sys

from dagster import DagsterInstance
from dagster._core.run_coordinator.queued_run_coordinator import QueuedRunCoordinator

from platform_core.orchestration.run_launcher import WarmRunLauncher


class WarmRunCoordinator(QueuedRunCoordinator):
    """Queues runs as ``QueuedRunCoordinator`` does."""

    def register_instance(self, instance: DagsterInstance) -> None:
        """Called once by each process that uses the instance; only the daemon launches runs.

        A run is forked from the daemon's fork server and has the daemon's arguments, but it has a parent.
        """
        super().register_instance(instance)
        if "daemon" in " ".join(sys.argv) and multiprocessing.parent_process() is None:
            from platform_core.orchestration.daemon_pace import keep_pace

            keep_pace()
            if isinstance(instance.run_launcher, WarmRunLauncher):
                instance.run_launcher.warm_up()
