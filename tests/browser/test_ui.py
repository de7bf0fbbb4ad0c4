"""The web interface in a real browser, over a platform on which everything is published."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from platform_core.contracts import Contract, Mesh, load_mesh
from platform_core.publishing import rules_of
from tests.browser.graph_drawing import ARROWS, Drawing
from tests.conftest import Platform

DOMAINS = {"customer", "inventory", "sales", "marketing"}
PORTS = (
    *("customer/profiles/profiles", "inventory/items/items", "sales/orders/orders"),
    *("marketing/customer_segments/customer_segments", "marketing/campaign_performance/campaign_performance"),
)
BETWEEN_DOMAINS = {
    ("customer/profiles/profiles", "sales/build/orders"),
    ("customer/profiles/profiles", "sales/build/daily_revenue"),
    ("inventory/items/items", "sales/build/orders"),
    ("inventory/items/items", "sales/build/daily_revenue"),
    ("customer/profiles/profiles", "marketing/build/customer_orders"),
    ("sales/orders/orders", "marketing/build/customer_orders"),
    ("customer/profiles/profiles", "marketing/build/campaign_performance"),
    ("sales/orders/orders", "marketing/build/campaign_performance"),
}


@pytest.fixture(scope="module")
def mesh(running_platform: Platform) -> Mesh:
    """The files of the platform under test."""
    return load_mesh(running_platform.repo)


@pytest.fixture(scope="module")
def orders(mesh: Mesh) -> Contract:
    """The contract of the port whose pages are looked at."""
    return mesh.contracts["sales.orders.orders"]


@pytest.fixture(scope="module")
def graph(running_platform: Platform) -> dict[str, Any]:
    """Every asset as the server knows it, by key."""
    nodes = running_platform.graphql("{ assetNodes { assetKey { path } groupName dependencyKeys { path } } }")["assetNodes"]
    return {"/".join(node["assetKey"]["path"]): node for node in nodes}


def test_the_folded_graph_is_the_mesh(running_platform: Platform, page: Page, mesh: Mesh) -> None:
    page.goto(f"{running_platform.ui}/asset-groups")
    expect(_boxes(page, group=True)).to_have_count(len(mesh.domains))
    declared = {
        (mesh.contracts[port.contract_id].domain, product.domain)
        for product in mesh.products.values()
        for port in product.inputs
        if port.contract_id
    }
    expect(page.locator(ARROWS)).to_have_count(len(declared))
    drawing = Drawing.of(page)
    assert {group.text for group in drawing.groups} == DOMAINS
    assert set(drawing.edges()) == declared, "an arrow between domains for every input port that a product declares"


def test_the_graph_shows_all_domains_joined_by_their_edges(
    running_platform: Platform, page: Page, graph: dict[str, Any], screenshots: Path | None
) -> None:
    _open_graph(page, running_platform, len(graph))
    declared = [(_key(source), key) for key, node in graph.items() for source in node["dependencyKeys"]]
    expect(page.locator(ARROWS)).to_have_count(len(declared))
    drawing = Drawing.of(page)
    assert Counter(_whole(drawing.name(box), graph) for box in drawing.assets) == Counter(_drawn(key, graph) for key in graph)
    edges = Counter({(_whole(source, graph), _whole(target, graph)): times for (source, target), times in drawing.edges().items()})
    assert edges == Counter((_drawn(source, graph), _drawn(target, graph)) for source, target in declared)
    assert {edge for edge in declared if _domain(edge[0]) != _domain(edge[1])} == BETWEEN_DOMAINS
    _keep(page, screenshots, "graph.png")


@pytest.mark.parametrize("port", PORTS)
def test_a_port_is_found_in_the_graph(running_platform: Platform, page: Page, graph: dict[str, Any], port: str) -> None:
    _open_graph(page, running_platform, len(graph))
    name = re.compile(f"^({_as_drawn(port.rsplit('/', 1)[-1])})$")
    drawn = _boxes(page, group=False).filter(has_text=name)
    expect(drawn).to_have_count(sum(bool(name.match(key.rsplit("/", 1)[-1])) for key in graph))
    by_place = sorted(drawn.all(), key=lambda box: float(box.get_attribute("x") or 0))
    by_place[-1].click()  # what is published lies to the right of what it was built from
    expect(page.get_by_role("link", name="View in Asset Catalog")).to_have_attribute("href", f"/assets/{port}")


def test_a_port_page_shows_owner_description_and_columns(
    running_platform: Platform, page: Page, orders: Contract, screenshots: Path | None
) -> None:
    table = orders.tables[0]
    page.goto(f"{running_platform.ui}/assets/sales/orders/{table.physical_name}")
    columns = page.locator("table").filter(has=page.get_by_text("Column name", exact=True))
    expect(columns.locator("tbody tr")).to_have_count(len(table.columns))
    shown = {
        row.locator("td").first.inner_text().split("\n")[0]: row.locator("td").all_inner_texts()
        for row in columns.locator("tbody tr").all()
    }
    assert list(shown) == [column.physical_name for column in table.columns]
    for column in table.columns:
        name, kind, description = shown[column.physical_name]
        assert column.description
        assert column.description == description.strip()
        assert kind.split("\n")[0] == column.physical_type
        assert ("non-nullable" in kind) == (column.required or column.primary_key)
        assert ("pii" in name.split("\n")) == ("pii" in column.tags)
    assert table.description
    expect(page.get_by_text(table.description, exact=True)).to_be_visible()
    assert orders.team_name
    for owner in (orders.team_name, *orders.owners):
        expect(page.get_by_text("Owners", exact=True).locator("..").get_by_text(owner, exact=True).first).to_be_visible()
    expect(page.get_by_text("mesh.sales_orders.orders", exact=True).first).to_be_visible()
    _keep(page, screenshots, "port.png")


def test_the_checks_of_a_port_are_the_rules_of_its_contract(
    running_platform: Platform, page: Page, orders: Contract, screenshots: Path | None
) -> None:
    table = orders.tables[0]
    rules = {rule.name: rule for rule in rules_of(table)}
    page.goto(f"{running_platform.ui}/assets/sales/orders/{table.physical_name}?view=checks")
    expect(page.get_by_text(f"Checks ({len(rules)})", exact=True)).to_be_visible()
    listed: dict[str, str] = {}
    rows = page.locator("[class*=AssetChecks_checkRow]")
    expect(rows.first).to_contain_text("Succeeded")
    # The list draws the rows in view only: walk down until every rule was seen, or the end comes in sight without it.
    while set(rules) - set(listed):
        before = len(listed)
        for row in rows.all():
            listed[str(row.locator("[title]").first.get_attribute("title"))] = row.inner_text().strip().split("\n")[-1]
        rows.last.scroll_into_view_if_needed()
        if len(listed) == before:
            break
    assert listed == dict.fromkeys(rules, "Succeeded")
    rule = rules["orders__customer_id__foreign_key"]
    rows.filter(has=page.locator(f"[title={rule.name}]")).click()
    expect(page.get_by_text("Passed", exact=True)).to_be_visible()
    expect(page.get_by_role("cell", name=re.compile(rf"orders\.odcs\.yaml:{rule.location.line}$"))).to_be_visible()
    expect(page.get_by_text("blocking", exact=True)).to_be_visible()
    _keep(page, screenshots, "checks.png")


def test_every_code_location_is_loaded(running_platform: Platform, page: Page) -> None:
    page.goto(f"{running_platform.ui}/deployment/locations")
    expect(page.get_by_text("Loaded", exact=True)).to_have_count(len(DOMAINS) + 1)
    for location in (*DOMAINS, "platform"):
        expect(page.get_by_text(location, exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("Failed|Error"))).to_have_count(0)


def test_every_daemon_runs(running_platform: Platform, page: Page) -> None:
    page.goto(f"{running_platform.ui}/deployment/daemons")
    expect(page.get_by_text("Running", exact=True).first).to_be_visible()
    expect(page.get_by_text(re.compile("^(Not running|Stopped|Error)"))).to_have_count(0)


@pytest.mark.parametrize("path", ["/overview/activity/timeline", "/runs", "/assets", "/automation", "/asset-groups"])
def test_no_page_shows_an_error(running_platform: Platform, page: Page, path: str) -> None:
    page.goto(f"{running_platform.ui}{path}")
    page.wait_for_load_state("networkidle")
    expect(page.get_by_text("Sorry, this page", exact=False)).to_have_count(0)
    expect(page.get_by_text(re.compile(r"PythonError|error loading|failed to load|unexpected error", re.IGNORECASE))).to_have_count(0)


def _open_graph(page: Page, platform: Platform, assets: int) -> None:
    """The global graph with every group unfolded and the whole of it in view: Dagster fits its width, and draws only what is in view."""
    page.set_viewport_size({"width": 1600, "height": 1640})
    page.goto(f"{platform.ui}/asset-groups")
    expect(_boxes(page, group=True).first).to_be_visible()
    page.get_by_role("button", name="Hide navigation").click()
    page.get_by_placeholder("Jump to").locator("xpath=following::button[1]").click()
    page.keyboard.press("Alt+KeyE")
    page.wait_for_url(re.compile("expanded="))
    canvas = page.locator("div:has(> div > svg foreignObject)")
    size = canvas.bounding_box()
    assert size
    canvas.dblclick(position={"x": 6, "y": size["height"] - 6})  # fits the graph into the window
    expect(_boxes(page, group=False)).to_have_count(assets)
    _boxes(page, group=False).first.hover(trial=True)  # waits for the end of the movement
    page.mouse.move(0, 0)  # away from the boxes: one under the pointer has its arrows drawn twice


def _boxes(page: Page, *, group: bool) -> Locator:
    return page.locator(f"svg foreignObject{'.group' if group else ':not(.group)'}").filter(has_text=re.compile(r"\w"))


def _drawn(key: str, graph: dict[str, Any]) -> str:
    """What is written on an asset: its group and the last part of its key."""
    return f"{graph[key]['groupName']}/{key.rsplit('/', 1)[-1]}"


def _as_drawn(name: str) -> str:
    """Pattern of a name in the graph: Dagster shortens a long one in its middle."""
    shortened = (f"{name[:start]}…{name[end:]}" for start in range(1, len(name)) for end in range(start + 1, len(name)))
    return "|".join(map(re.escape, [name, *shortened]))


def _whole(drawn: str, graph: dict[str, Any]) -> str:
    """The whole of what is written on an asset, shortened or not."""
    group, _, text = drawn.partition("/")
    parts = {key.rsplit("/", 1)[-1] for key, node in graph.items() if node["groupName"] == group}
    (name,) = [part for part in parts if re.fullmatch(_as_drawn(part), text)]
    return f"{group}/{name}"


def _key(key: dict[str, list[str]]) -> str:
    return "/".join(key["path"])


def _domain(key: str) -> str:
    return key.split("/", 1)[0]


def _keep(page: Page, folder: Path | None, name: str) -> None:
    if folder is not None:
        page.wait_for_load_state("networkidle")
        page.screenshot(path=folder / name)
