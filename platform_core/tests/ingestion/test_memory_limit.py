"""``memory_limit``: a connector that needs more is ended at once, with an error that names the limit; one that does not is left alone."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import pytest
from scripted_source import complete, record, stream

from platform_core.ingestion import ConnectorError
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.conversation import request

MB = 1 << 20


@pytest.mark.parametrize(
    ("bytes_", "processes", "held"),
    [(400 * MB, 1, r" \(it held [\d,]+ MB\)"), (60 * MB, 4, r" \(it held [\d,]+ MB\)"), (8 << 30, 1, "")],
    ids=["one process", "many small ones together", "faster than anybody looks"],
)
def test_a_connector_over_its_limit_is_ended(make_source, bytes_, processes, held):
    script = [record("orders", {"id": 1}), {"hold": {"bytes": bytes_, "processes": processes}}, *complete("orders")]
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], script=script, keys={"memory_limit": "150MB"})
    began = time.monotonic()
    with pytest.raises(ConnectorError, match=rf"needed more memory than its limit of 150 MB{held} in read and was ended") as caught:
        source.sync()
    assert time.monotonic() - began < 120, "it was not ended: it holds the memory for ten minutes"
    assert "raise memory_limit:" in str(caught.value)
    assert source.query("SELECT status FROM mesh.syncs") == [("failed",)]
    assert source.query("SELECT to_regclass('sales_raw.orders')") == [(None,)]


def test_a_connector_under_its_limit_is_left_alone(make_source):
    script = [record("orders", {"id": 1}), {"hold": {"bytes": 60 * MB, "processes": 1, "seconds": 0.4}}, *complete("orders")]
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], script=script, keys={"memory_limit": "150MB"})
    assert source.sync().streams["orders"].rows == 1


def test_many_threads_are_no_memory(tmp_path: Path):
    """What RLIMIT_AS and RLIMIT_DATA refuse: 100 stacks are 800 MB of addresses, and hardly any memory."""
    script = tmp_path / "threads.py"
    script.write_text(
        f"#!{sys.executable}\nimport threading, time\n"
        "threads = [threading.Thread(target=time.sleep, args=(0.3,)) for _ in range(100)]\n"
        "[thread.start() for thread in threads]\n[thread.join() for thread in threads]\n"
        """print('{"type":"SPEC","spec":{"connectionSpecification":{"type":"object"}}}')\n"""
    )
    script.chmod(0o755)
    assert os.access(script, os.X_OK)
    assert request(ConnectorCommand((str(script),), "threads", "1"), "spec", memory_bytes=150 * MB)
