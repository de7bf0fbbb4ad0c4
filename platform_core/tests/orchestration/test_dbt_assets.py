"""dbt models as assets: what each reads is the asset of whoever makes it, across domains; tests are checks."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from platform_core.contracts import load_mesh
from platform_core.orchestration import dbt_assets
from platform_core.settings import Settings
from platform_core.transformation import DbtProject, parse_all

DOMAINS = ("customer", "inventory", "sales", "marketing")


@pytest.fixture(scope="module")
def projects(repo: Path) -> dict[str, DbtProject]:
    """The company's projects, with current manifests."""
    settings = Settings.load({"MESH_REPO": str(repo), "MESH_HOME": os.environ.get("MESH_TEST_HOME", "")})
    found = {domain: DbtProject.of(domain, settings) for domain in DOMAINS}
    parse_all(found.values())
    return found


@pytest.fixture(scope="module")
def assets(repo: Path, projects: dict[str, DbtProject]) -> dict[str, dg.AssetsDefinition]:
    mesh = load_mesh(repo)
    return {domain: dbt_assets(project, mesh) for domain, project in projects.items()}


def _nodes(project: DbtProject) -> dict[str, dict[str, Any]]:
    manifest = json.loads(project.manifest.read_text())
    return {**manifest["nodes"], **manifest["sources"]}


def _relations(nodes: dict[str, dict[str, Any]], node: dict[str, Any]) -> set[dg.AssetKey]:
    """What a model reads; an ephemeral model is no relation, so what it reads counts."""
    found: set[dg.AssetKey] = set()
    for parent in node["depends_on"]["nodes"]:
        if nodes[parent]["config"].get("materialized") == "ephemeral":
            found |= _relations(nodes, nodes[parent])
            continue
        owner, _, rest = nodes[parent]["schema"].partition("_")
        found.add(dg.AssetKey([owner, rest, nodes[parent].get("alias") or nodes[parent]["identifier"]]))
    return found


def _tables(nodes: dict[str, dict[str, Any]]) -> dict[str, dict[str, Any]]:
    models = [node for node in nodes.values() if node["resource_type"] == "model" and node["config"]["materialized"] != "ephemeral"]
    return {node["alias"]: node for node in models}


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_model_depends_on_the_assets_that_make_its_sources(domain: str, assets: dict[str, Any], projects: dict[str, DbtProject]) -> None:
    """Expected by dbt's own manifest: a schema of raw data, of the build, or of a product's port."""
    nodes = _nodes(projects[domain])
    for spec in assets[domain].specs:
        expected = _relations(nodes, _tables(nodes)[spec.key.path[-1]])
        assert expected, f"{spec.key} reads nothing"
        assert {dep.asset_key for dep in spec.deps} == expected, spec.key


def _foreign(assets: dict[str, Any]) -> list[tuple[str, dg.AssetKey]]:
    """What each domain's models read of other domains."""
    pairs = [(domain, dep.asset_key) for domain in DOMAINS for spec in assets[domain].specs for dep in spec.deps]
    return [(domain, key) for domain, key in pairs if key.path[0] != domain]


def test_the_edges_between_domains_are_those_of_the_product_files(repo: Path, assets: dict[str, Any]) -> None:
    found = {(".".join(key.path[:2]), domain) for domain, key in _foreign(assets)}
    declared: set[tuple[str, str]] = set()
    for path in repo.glob("domains/*/src/**/product.odps.yaml"):
        raw = yaml.safe_load(path.read_text())
        declared |= {(port["contractId"].rpartition(".")[0], raw["domain"]) for port in raw["inputPorts"] if "contractId" in port}
    assert found == declared
    assert found >= {("customer.profiles", "sales"), ("inventory.items", "sales"), ("sales.orders", "marketing")}


def test_sources_of_other_domains_are_their_ports_and_never_their_build(assets: dict[str, Any]) -> None:
    strays = [key for _, key in _foreign(assets) if key.path[1] in {"raw", "build"}]
    assert strays == []


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_model_and_test_is_there(domain: str, assets: dict[str, Any], projects: dict[str, DbtProject]) -> None:
    nodes = _nodes(projects[domain])
    assert {spec.key.path[-1] for spec in assets[domain].specs} == set(_tables(nodes))
    assert {spec.name for spec in assets[domain].check_specs} <= {
        node["name"] for node in nodes.values() if node["resource_type"] == "test"
    }
    assert assets[domain].check_specs, "dbt tests are shown as checks"
    assert assets[domain].can_subset


def test_specs_carry_what_a_reader_of_the_ui_looks_for(assets: dict[str, Any]) -> None:
    spec = next(spec for spec in assets["sales"].specs if spec.key.path[-1] == "orders")
    assert spec.group_name == "sales"
    assert {"dagster/kind/dbt", "dagster/kind/postgres", "dagster/kind/table"} <= set(spec.tags)
    assert spec.description
    assert spec.code_version
    assert spec.metadata["dagster/relation_identifier"] == "sales_build.orders"
    assert {column.name for column in spec.metadata["dagster/column_schema"].columns} >= {"order_id", "customer_id"}
