"""The clean end of a platform. The folder sorts last, because nothing can be tested on the platform afterwards."""

from __future__ import annotations

import urllib.error
import urllib.request

import pytest

from tests.conftest import PATIENCE_SECONDS, Platform

pytestmark = pytest.mark.timeout(600)


def test_down_ends_an_up_that_serves_and_everything_with_it(running_platform: Platform) -> None:
    said = running_platform.run("down").stdout
    assert "./mesh up was ended" in said
    assert running_platform.process is not None
    assert running_platform.process.wait(timeout=PATIENCE_SECONDS) == 0
    assert running_platform.left_running() == []
    log = (running_platform.home / "up.log").read_text()
    assert "stopping" in log
    assert "Traceback" not in log
    assert "error" not in log
    running_platform.start()


def test_ctrl_c_stops_everything(running_platform: Platform) -> None:
    assert running_platform.stop() == 0
    assert running_platform.left_running() == []
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(running_platform.ui, timeout=10)
