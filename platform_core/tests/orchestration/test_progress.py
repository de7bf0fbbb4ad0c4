"""How far a platform has come, seen from outside."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from platform_core.contracts import load_mesh
from platform_core.orchestration.progress import Watch
from platform_core.warehouse import Warehouse


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
