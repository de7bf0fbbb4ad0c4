"""The commands of a running platform, and its clean end."""

from __future__ import annotations

import contextlib
import json
import os
from pathlib import Path

import psutil
import pytest

from tests.conftest import Platform, wait_for

pytestmark = pytest.mark.timeout(600)  # the first test waits for a whole platform


def test_doctor_finds_a_healthy_platform(running_platform: Platform) -> None:
    result = running_platform.run("doctor", "--json")
    findings = {finding["name"]: finding for finding in json.loads(result.stdout)["findings"]}
    assert {"python", "versions", "disk", "memory", "product files", "database", "schemas and roles", "dagster", "code locations"} <= set(
        findings
    )
    assert findings["dagster"]["found"] == f"serves {running_platform.ui}"
    assert {finding["state"] for finding in findings.values()} == {"ok"}, findings


def test_a_second_up_in_the_same_checkout_is_refused(running_platform: Platform) -> None:
    result = running_platform.run("up", "--no-ui", check=False)
    assert result.returncode == 1
    assert "already runs in this checkout" in result.stderr
    assert "Traceback" not in result.stderr


def test_query_as_a_domain_sees_masked_personal_data(running_platform: Platform) -> None:
    query = "select count(*), count(*) filter (where customer_email not like '%***@%') from sales_orders.orders"
    as_owner = json.loads(running_platform.run("query", "--as", "sales", "--json", query).stdout)["rows"][0]
    as_consumer = json.loads(running_platform.run("query", "--as", "marketing", "--json", query).stdout)["rows"][0]
    assert as_owner[0] == as_owner[1] == as_consumer[0] > 0
    assert as_consumer[1] == 0
    refused = running_platform.run("query", "--as", "marketing", "select * from sales_raw.purchases", check=False)
    assert refused.returncode == 1
    assert "permission denied" in refused.stderr


def test_reload_takes_changed_files_into_the_platform_that_serves(quiet_platform: Platform) -> None:
    """On a port without consumers, so that the platform is soon quiet again; the files stay as they are then."""
    folder = quiet_platform.repo / "domains/marketing/src/marketing/defs/customer_segments"
    published = "SELECT count(*) FROM mesh.publications WHERE contract_version = '1.0.1' AND state = 'published'"
    assert quiet_platform.rows(published) == [(0,)]
    contract, product = folder / "contracts/customer_segments.odcs.yaml", folder / "product.odps.yaml"
    contract.write_text(contract.read_text().replace("\nversion: 1.0.0\n", "\nversion: 1.0.1\n"))
    old = "    version: 1.0.0\n    contractId: marketing.customer_segments.customer_segments\n"
    product.write_text(product.read_text().replace(old, old.replace("1.0.0", "1.0.1")))
    answer = json.loads(quiet_platform.run("reload", "marketing", "--json").stdout)
    assert answer["locations"] == [{"location": "marketing", "error": None}]
    metadata = quiet_platform.graphql(
        """query { assetNodeOrError(assetKey: {path: ["marketing", "customer_segments", "customer_segments"]}) {
           ... on AssetNode { metadataEntries { label ... on TextMetadataEntry { text } } } } }"""
    )["assetNodeOrError"]["metadataEntries"]
    assert {entry["label"]: entry.get("text") for entry in metadata}["contract version"] == "1.0.1"
    wait_for("a new publication", lambda: quiet_platform.rows(published) == [(1,)])
    broken = quiet_platform.run("reload", "markting", check=False)
    assert broken.returncode == 1
    assert "did you mean 'marketing'" in broken.stderr


def test_no_password_is_in_a_command_line_or_a_log(running_platform: Platform) -> None:
    secrets = [line.rsplit(":", 1)[1] for line in (running_platform.home / "postgres" / "pgpass").read_text().splitlines()]
    assert len(secrets) >= 6
    lines = [" ".join(process.info["cmdline"] or []) for process in psutil.process_iter(["cmdline"])]
    environments = []
    for process in psutil.process_iter():
        try:
            environments.append("\0".join(process.environ().values()))
        except psutil.Error:
            continue
    texts = []
    for folder, _, names in os.walk(running_platform.home):  # files and folders come and go
        for name in names:
            if name.endswith((".log", ".json", ".yaml", ".err", ".out")):
                with contextlib.suppress(FileNotFoundError):
                    texts.append(Path(folder, name).read_text(errors="replace"))
    assert len(texts) > 5
    for secret in secrets:
        assert not any(secret in text for text in (*lines, *environments, *texts))


def test_servers_listen_on_loopback_only(running_platform: Platform) -> None:
    listening = []
    for process in psutil.process_iter():
        if running_platform.owns(process):
            with contextlib.suppress(psutil.NoSuchProcess):  # a run, or a backend of Postgres, that ends just now
                found = process.net_connections(kind="inet")
                listening += [connection.laddr.ip for connection in found if connection.status == psutil.CONN_LISTEN]
    assert len(listening) >= 2
    assert set(listening) <= {"127.0.0.1", "::1"}
