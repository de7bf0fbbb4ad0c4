"""The web interface in a real browser, over a platform on which everything is published."""

from __future__ import annotations

import re
from collections import Counter
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Locator, Page, expect

from platform_core.contracts import Contract, Mesh, load_mesh
from platform_core.publishing import rules_of
from tests.browser.graph_drawing import ARROWS, Drawing
from tests.browser.patience import read_until
from tests.conftest import Platform

pytestmark = pytest.mark.timeout(600)  # the first test waits for a whole platform
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


@dataclass(frozen=True)
class _Column:
    """A line of the table of columns on the page of an asset."""

    name: str
    kind: str
    description: str
    required: bool
    personal: bool


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

    def drawn() -> tuple[set[str], set[tuple[str, str]]]:
        drawing = Drawing.of(page)
        return {group.text for group in drawing.groups}, set(drawing.edges())

    wanted = (DOMAINS, declared)
    assert read_until(page, drawn, wanted) == wanted, "an arrow between domains for every input port that a product declares"


def test_the_graph_shows_all_domains_joined_by_their_edges_and_every_port_in_it(
    running_platform: Platform, page: Page, graph: dict[str, Any], screenshots: Path | None
) -> None:
    _open_graph(page, running_platform, len(graph))
    declared = [(_key(source), key) for key, node in graph.items() for source in node["dependencyKeys"]]
    expect(page.locator(ARROWS)).to_have_count(len(declared))

    def drawn() -> tuple[Counter[str], Counter[tuple[str, str]]]:
        drawing = Drawing.of(page)
        edges = Counter({(_whole(source, graph), _whole(target, graph)): times for (source, target), times in drawing.edges().items()})
        return Counter(_whole(drawing.name(box), graph) for box in drawing.assets), edges

    wanted = (
        Counter(_drawn(key, graph) for key in graph),
        Counter((_drawn(source, graph), _drawn(target, graph)) for source, target in declared),
    )
    assert read_until(page, drawn, wanted) == wanted
    assert {edge for edge in declared if _domain(edge[0]) != _domain(edge[1])} == BETWEEN_DOMAINS
    _keep(page, screenshots, "graph.png")

    boxes = _boxes(page, group=False)
    for port in PORTS:
        name = re.compile(f"^({_as_drawn(port.rsplit('/', 1)[-1])})$")
        named = boxes.filter(has_text=name)
        expect(named).to_have_count(sum(bool(name.match(key.rsplit("/", 1)[-1])) for key in graph))
        places = named.evaluate_all("boxes => boxes.map(box => Number(box.getAttribute('x')))")
        named.nth(places.index(max(places))).click()  # what is published lies to the right of what it was built from
        expect(page.get_by_role("link", name="View in Asset Catalog")).to_have_attribute("href", f"/assets/{port}")
        if port == PORTS[0]:
            _fit(page, len(graph))  # the panel of an asset took its room from the graph, and keeps it for the next


def test_a_port_page_shows_owner_description_and_columns(
    running_platform: Platform, page: Page, orders: Contract, screenshots: Path | None
) -> None:
    table = orders.tables[0]
    page.goto(f"{running_platform.ui}/assets/sales/orders/{table.physical_name}")
    columns = page.locator("table").filter(has=page.get_by_text("Column name", exact=True)).locator("tbody tr")

    def shown() -> list[_Column]:
        rows: list[list[str]] = columns.evaluate_all("rows => rows.map(row => [...row.querySelectorAll('td')].map(cell => cell.innerText))")
        return [
            _Column(name.split("\n")[0], kind.split("\n")[0], description.strip(), "non-nullable" in kind, "pii" in name.split("\n"))
            for name, kind, description in rows
        ]

    wanted = [
        _Column(
            str(column.physical_name),
            str(column.physical_type),
            str(column.description),
            column.required or column.primary_key,
            "pii" in column.tags,
        )
        for column in table.columns
    ]
    assert all(column.description for column in wanted)
    assert read_until(page, shown, wanted) == wanted
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
    page.set_viewport_size({"width": 1600, "height": 400 + 60 * len(rules)})  # the list draws the rows in view only
    page.goto(f"{running_platform.ui}/assets/sales/orders/{table.physical_name}?view=checks")
    expect(page.get_by_text(f"Checks ({len(rules)})", exact=True)).to_be_visible()
    rows = page.locator("[class*=AssetChecks_checkRow]")

    def listed() -> dict[str, str]:
        found: list[list[str]] = rows.evaluate_all(
            "rows => rows.map(row => [row.querySelector('[title]').getAttribute('title'), row.innerText.trim().split('\\n').at(-1)])"
        )
        return dict(found)

    wanted = dict.fromkeys(rules, "Succeeded")
    assert read_until(page, listed, wanted) == wanted
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


@pytest.mark.parametrize(
    ("path", "shown"),
    [
        ("/overview/activity/timeline", "inventory"),
        ("/runs", "Success"),
        ("/assets", "inventory"),
        ("/automation", "run_failure_alert"),
        ("/asset-groups", "inventory"),
    ],
)
def test_no_page_shows_an_error(running_platform: Platform, page: Page, path: str, shown: str) -> None:
    page.goto(f"{running_platform.ui}{path}")
    expect(page.get_by_text(shown, exact=True).filter(visible=True).first).to_be_visible()
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
    expect(page).to_have_url(re.compile("expanded="))
    _fit(page, assets)


def _fit(page: Page, assets: int) -> None:
    """Brings the whole graph into view, and waits until it stands still."""
    canvas, drawn = page.locator("div:has(> div > svg foreignObject)"), _boxes(page, group=False)

    def fitted() -> bool:
        size = canvas.bounding_box()
        assert size
        canvas.dblclick(position={"x": 6, "y": size["height"] - 6})  # fits into the window what was laid out by now
        expect(drawn).to_have_count(assets, timeout=20_000)
        return True

    assert read_until(page, fitted, True)
    drawn.first.hover(trial=True)  # waits for the end of the movement
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
        page.wait_for_timeout(15_000)  # for the looks of it: states of assets are asked for batch by batch
        page.screenshot(path=folder / name)
