"""``mesh env`` and ``mesh exec``: a shell of this checkout has an instance of Dagster from the first minute."""

from __future__ import annotations

from pathlib import Path

import dagster as dg
import pytest

from platform_core.cli.develop import variables
from platform_core.orchestration.local_instance import instance_home
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres


@pytest.fixture
def settings(repo: Path, tmp_path: Path) -> Settings:
    return Settings.load({"MESH_REPO": str(repo), "MESH_HOME": str(tmp_path / "home")})


def test_before_the_first_up_programs_have_an_instance_of_their_own_without_telemetry(settings: Settings) -> None:
    home = Path(variables(settings)["DAGSTER_HOME"])
    with dg.DagsterInstance.from_config(str(home)) as instance:
        assert not instance.telemetry_enabled and not instance.nux_enabled
        assert instance.get_runs_count() == 0
    assert home != instance_home(settings) and not instance_home(settings).exists(), "the platform would take it for its own"


def test_they_share_the_platforms_instance_while_its_server_runs(settings: Settings, monkeypatch: pytest.MonkeyPatch) -> None:
    platform = instance_home(settings)
    platform.mkdir(parents=True)
    assert variables(settings)["DAGSTER_HOME"] != str(platform)
    (platform / "dagster.yaml").write_text("telemetry: {enabled: false}\n")
    assert variables(settings)["DAGSTER_HOME"] != str(platform), "its storage does not answer"
    monkeypatch.setattr(EmbeddedPostgres, "running", lambda _server: True)
    assert variables(settings)["DAGSTER_HOME"] == str(platform)
