"""How far a platform has come, seen from outside."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from platform_core.contracts import load_mesh
from platform_core.orchestration.progress import Watch
from platform_core.warehouse import Warehouse


def test_a_crowded_machine_has_more_time(database: Warehouse, repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.cpu_count", lambda: 2)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        watch = Watch(load_mesh(repo), database, instance, 60.0)
        watch._began -= 90
        monkeypatch.setattr("os.getloadavg", lambda: (4.0, 0.0, 0.0))
        assert watch.look().silent == (), "two processes a processor: 120 seconds"
        monkeypatch.setattr("os.getloadavg", lambda: (0.5, 0.0, 0.0))
        assert watch.look().silent


@pytest.mark.parametrize("patience", [60.0, 0.0])
def test_a_location_that_never_looks_for_news_is_named_when_there_was_time(
    database: Warehouse, repo: Path, tmp_path: Path, patience: float
) -> None:
    mesh = load_mesh(repo)
    with dg.DagsterInstance.local_temp(str(tmp_path)) as instance:
        state = Watch(mesh, database, instance, patience).look()
    assert set(state.outdated) == set(mesh.contracts)
    assert state.silent == (() if patience else tuple(sorted(mesh.domains)))
    assert state.settled == (not patience), "a location that does not load must not be waited for"
