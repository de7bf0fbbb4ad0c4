"""The source's catalog is asked for once and remembered."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

from scripted_source import stream

from platform_core.ingestion.config import ResolvedConfig
from platform_core.ingestion.discovery import Discovery


def test_equal_configurations_that_start_together_ask_once(make_source):
    source = make_source({"orders": "full_refresh_overwrite"}, [stream("orders")], keys={"timeouts": {"discover_cache": 60}})
    declared = ResolvedConfig({"count": 5}, {}, ())
    kept = SimpleNamespace(declared=declared, config=declared, redact=str, keep=None)
    discovery, connection = Discovery(source.command, source.settings.home), source.connection
    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: discovery.catalog(connection, kept), range(4)))
    assert [[each["name"] for each in catalog["streams"]] for catalog in found] == [["orders"]] * 4
    assert [call.split()[0] for call in source.calls()] == ["discover"]
    discovery.catalog(connection, kept, refresh=True)
    assert len(source.calls()) == 2
