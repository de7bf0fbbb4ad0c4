"""The two clean ends of a platform. The folder sorts last, because nothing can be tested on the platform afterwards."""

from __future__ import annotations

import re
import shutil
import urllib.error
import urllib.request

import pytest

from tests.conftest import PATIENCE_SECONDS, Platform

pytestmark = pytest.mark.timeout(600)


def test_ctrl_c_stops_everything(running_platform: Platform) -> None:
    assert running_platform.stop() == 0
    assert running_platform.left_running() == []
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(running_platform.ui, timeout=10)


def test_down_ends_an_up_that_serves_and_everything_with_it(running_platform: Platform) -> None:
    """On a platform that has become smaller, which starts sooner: how an end goes does not depend on the number of domains."""
    assert running_platform.process is not None
    if running_platform.process.poll() is None:
        running_platform.stop()
    _keep(running_platform, "inventory")
    running_platform.start()
    said = running_platform.run("down").stdout
    assert "./mesh up was ended" in said
    assert running_platform.process.wait(timeout=PATIENCE_SECONDS) == 0
    assert running_platform.left_running() == []
    log = (running_platform.home / "up.log").read_text()
    assert "stopping" in log
    assert "Traceback" not in log
    assert "error" not in log


def _keep(platform: Platform, domain: str) -> None:
    """Takes all other domains out of the repository; this one must need nothing of theirs."""
    workspace = platform.repo / "workspace.yaml"
    others = [path.parent.name for path in (platform.repo / "domains").glob("*/pyproject.toml") if path.parent.name != domain]
    for other in others:
        for folder in (f"domains/{other}", f"dbt_projects/{other}_dbt", f"airbyte/{other}"):
            shutil.rmtree(platform.repo / folder)
    gone = re.compile(rf"location_name: ({'|'.join(others)}),")
    workspace.write_text("".join(line for line in workspace.read_text().splitlines(keepends=True) if not gone.search(line)))
