"""The clean end of a platform. The folder sorts last, because nothing can be tested on the platform afterwards."""

from __future__ import annotations

import urllib.error
import urllib.request

import psutil
import pytest

from tests.conftest import Platform


def test_ctrl_c_stops_everything(running_platform: Platform) -> None:
    assert running_platform.stop() == 0
    with pytest.raises(urllib.error.URLError):
        urllib.request.urlopen(running_platform.ui, timeout=2)
    assert [process for process in psutil.process_iter() if running_platform.owns(process)] == []
