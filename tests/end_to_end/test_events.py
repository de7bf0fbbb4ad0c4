"""Events travel between domains, and bad data does not."""

from __future__ import annotations

from typing import Any

import pytest

from platform_core.orchestration.run_requests import request_run
from tests.conftest import Platform, wait_for

pytestmark = pytest.mark.timeout(600)  # the first test waits for a whole platform

HOP_SECONDS = 25  # from a publication to the start of the consumer's run: 3 to 5 where nothing else is to do; stock sensors look every 30
RULE = "orders__amount_usd__range"


def publication(platform: Platform, contract: str) -> tuple[str, float]:
    """What a port serves, and since when (epoch seconds)."""
    ((name, since),) = platform.rows(
        "SELECT publication, extract(epoch FROM served_since) FROM mesh.ports WHERE contract_id = %s", contract
    )
    return name, float(since)


def _other(platform: Platform, contract: str, former: str) -> tuple[str, float] | None:
    """What a port serves, and since when, once that is another publication than the former."""
    name, since = publication(platform, contract)
    return None if name == former else (name, since)


def runs_of(platform: Platform, domain: str) -> list[dict[str, Any]]:
    """The domain's runs, newest first."""
    answer = platform.graphql(
        "{ runsOrError(limit: 50) { ... on Runs { results { runId status creationTime startTime assetSelection { path } } } } }"
    )
    runs = answer["runsOrError"]["results"]
    return [run for run in runs if any(key["path"][0] == domain for key in run["assetSelection"] or [])]


def test_every_location_serves_without_error_and_every_sensor_runs(running_platform: Platform) -> None:
    answer = running_platform.graphql(
        """{ workspaceOrError { ... on Workspace { locationEntries { name locationOrLoadError { __typename
             ... on RepositoryLocation { repositories { sensors { name sensorState { status } } } } ... on PythonError { message } } } } } }"""
    )
    locations = {entry["name"]: entry["locationOrLoadError"] for entry in answer["workspaceOrError"]["locationEntries"]}
    assert set(locations) == {"customer", "inventory", "sales", "marketing", "platform"}
    for name, location in locations.items():
        assert location["__typename"] == "RepositoryLocation", location
        sensors = [sensor for repository in location["repositories"] for sensor in repository["sensors"]]
        assert sensors, name
        assert {sensor["sensorState"]["status"] for sensor in sensors} == {"RUNNING"}, name


def test_a_broken_rule_stops_at_the_port_and_the_next_sync_leads_to_the_last_product_by_events_alone(quiet_platform: Platform) -> None:
    """One sync shows both: that a port heals by the next good candidate, and that news travel from the source to the last consumer."""
    platform = quiet_platform
    before, _ = publication(platform, "sales.orders.orders")
    segments, _ = publication(platform, "marketing.customer_segments.customer_segments")
    ((served_rows,),) = platform.rows("SELECT count(*) FROM sales_orders.orders")
    consumers = len(runs_of(platform, "marketing"))
    with platform.warehouse.connect_domain("sales") as sales:
        sales.execute(BREAK)
    with platform.warehouse.connect_platform() as admin:
        request_run(admin, "sales", ["sales/orders/orders", "sales/orders/daily_revenue"], "test")
    port = {"path": ["sales", "orders", "orders"]}
    failed = wait_for(
        "the run fails",
        lambda: next((run for run in runs_of(platform, "sales") if run["status"] == "FAILURE" and port in run["assetSelection"]), None),
    )

    check = _check(platform, RULE)
    assert check["status"] == "FAILED"
    metadata = {entry["label"]: entry.get("text") or entry.get("mdStr") for entry in check["evaluation"]["metadataEntries"]}
    assert "of" in metadata["observed"]
    assert metadata["rule"].rpartition(":")[0].endswith("contracts/orders.odcs.yaml")
    assert "select" in metadata["sample query"].lower()
    assert check["evaluation"]["severity"] == "ERROR"

    assert publication(platform, "sales.orders.orders")[0] == before
    assert platform.rows("SELECT count(*) FROM sales_orders.orders") == [(served_rows,)]
    said = platform.run("checks", "sales.orders").stdout
    assert RULE in said
    assert "domains/sales/src/sales/defs/orders/contracts/orders.odcs.yaml:" in said
    alert = wait_for("an alert", lambda: platform.rows("SELECT title, detail FROM mesh.alerts WHERE run_id = %s", failed["runId"]))
    assert alert[0][0] == "run of sales.orders failed"
    assert "sales/orders/orders" in alert[0][1]
    assert publication(platform, "marketing.customer_segments.customer_segments")[0] == segments
    assert len(runs_of(platform, "marketing")) == consumers

    platform.run("ingest", "sales/shop")
    _, published = wait_for("sales publishes again", lambda: _other(platform, "sales.orders.orders", before))
    wait_for("the check is green", lambda: _check(platform, RULE)["status"] == "SUCCEEDED")
    wait_for("marketing publishes", lambda: _other(platform, "marketing.customer_segments.customer_segments", segments))
    started = min(run["startTime"] for run in runs_of(platform, "marketing") if run["startTime"] and run["startTime"] >= published)
    assert started - published < HOP_SECONDS


# The candidate is a sealed version that its build view shows; putting a table of the same shape in the view's place is what a
# faulty model would do.
BREAK = """
CREATE TABLE sales_build.faulty AS SELECT * FROM sales_build.orders;
UPDATE sales_build.faulty SET amount_usd = -1 WHERE order_id IN (SELECT order_id FROM sales_build.faulty ORDER BY 1 LIMIT 17);
DROP VIEW sales_build.orders;
ALTER TABLE sales_build.faulty RENAME TO orders;
"""


def _check(platform: Platform, name: str) -> dict[str, Any]:
    answer = platform.graphql(
        """query ($key: AssetKeyInput!, $name: String!) { assetCheckExecutions(assetKey: $key, checkName: $name, limit: 1) {
             status evaluation { severity metadataEntries { label ... on TextMetadataEntry { text } ... on MarkdownMetadataEntry { mdStr } } } } }""",
        key={"path": ["sales", "orders", "orders"]},
        name=name,
    )
    return answer["assetCheckExecutions"][0]
