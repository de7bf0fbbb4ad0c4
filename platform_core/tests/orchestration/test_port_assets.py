"""An output port as Dagster shows it, and a real run of it: good data, bad data, and what follows from either."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import dagster as dg
import pytest
import yaml

from platform_core.contracts import ContractError, load_mesh, naming
from platform_core.orchestration import on_news, port_assets
from platform_core.orchestration.port_assets import code_version
from platform_core.publishing import audit_candidate, failed_checks, publications, served
from platform_core.settings import Settings
from platform_core.transformation.lineage import column_lineage
from platform_core.warehouse import Warehouse, apply

PERSONAL = {"restricted", "confidential", "pii", "sensitive"}


@pytest.fixture(scope="module")
def ports(repo: Path) -> dict[str, tuple[dg.AssetsDefinition, dict[str, Any], dict[str, Any]]]:
    """Every port of the real company: its assets, its contract's and its product's file as plain YAML."""
    found: dict[str, tuple[dg.AssetsDefinition, dict[str, Any], dict[str, Any]]] = {}
    for product in load_mesh(repo).products.values():
        for port in product.outputs:
            raw, own = yaml.safe_load(port.contract.path.read_text()), yaml.safe_load(product.path.read_text())
            found[port.contract_id] = port_assets(product, port.contract), raw, own
    assert set(found) >= {"sales.orders.orders", "customer.profiles.profiles", "inventory.items.items"}
    return found


def _specs(ports: dict[str, Any]) -> list[tuple[dg.AssetSpec, dict[str, Any], dict[str, Any], dict[str, Any]]]:
    """Each table's spec, with its table, contract and product in YAML."""
    listed: list[tuple[dg.AssetSpec, dict[str, Any], dict[str, Any], dict[str, Any]]] = []
    for assets, raw, own in ports.values():
        tables = {table["physicalName"]: table for table in raw["schema"]}
        assert {spec.key.path[-1] for spec in assets.specs} == set(tables)
        listed += [(spec, tables[spec.key.path[-1]], raw, own) for spec in assets.specs]
    return listed


def test_keys_owners_tags_and_kinds(ports: dict[str, Any]) -> None:
    for spec, table, raw, own in _specs(ports):
        domain, product = own["id"].split(".")
        assert spec.key == dg.AssetKey([domain, product, table["physicalName"]])
        assert spec.group_name == domain
        assert set(spec.owners) == {
            f"team:{own['team']['name']}",
            *(member["username"] for member in own["team"]["members"] if member["role"] == "owner"),
        }
        assert {"postgres", "dataproduct"} <= {name.removeprefix("dagster/kind/") for name in spec.tags if name.startswith("dagster/kind/")}
        assert spec.tags["mesh/domain"] == domain
        assert spec.tags["mesh/product"] == own["id"]
        assert spec.tags["mesh/contract_version"] == raw["version"]
        assert set(own.get("tags") or []) <= set(spec.tags)
        personal = any("pii" in (item.get("tags") or []) or item.get("classification") in PERSONAL for item in table["properties"])
        assert ("pii" in spec.tags) is personal
        assert spec.description == table["description"]
        assert spec.metadata["contract"] == raw["id"]
        assert spec.metadata["dagster/relation_identifier"] == f"mesh.{domain}_{product}.{table['physicalName']}"
        assert spec.automation_condition == on_news([dep.asset_key for dep in spec.deps])


def test_columns(ports: dict[str, Any]) -> None:
    for spec, table, _, _ in _specs(ports):
        columns = spec.metadata["dagster/column_schema"].columns
        assert [(column.name, column.type, column.description) for column in columns] == [
            (item.get("physicalName", item["name"]), item["physicalType"], item["description"]) for item in table["properties"]
        ]
        for column, item in zip(columns, table["properties"], strict=True):
            assert column.constraints.nullable is not bool(item.get("required") or item.get("primaryKey")), column.name
            assert set(item.get("tags") or []) <= set(column.tags or {})
            personal = "pii" in (item.get("tags") or []) or item.get("classification") in PERSONAL
            assert ("mask" in (column.tags or {})) is personal, f"{column.name}: what readers see instead is shown"


def test_every_rule_is_a_check_and_blocks_when_it_is_an_error(ports: dict[str, Any]) -> None:
    for assets, raw, _ in ports.values():
        checks = {(spec.asset_key.path[-1], spec.description): spec for spec in assets.check_specs}
        written = {
            (table["physicalName"], rule["description"]): rule
            for table in raw["schema"]
            for rule in table.get("quality") or []
            if "description" in rule
        }
        assert written, "a contract without a described rule proves nothing here"
        assert {key: checks[key].blocking for key in written} == {key: rule["severity"] == "error" for key, rule in written.items()}
        for table in raw["schema"]:
            of_table = [spec for spec in assets.check_specs if spec.asset_key.path[-1] == table["physicalName"]]
            assert len(of_table) >= 10, "issue 2 asks for at least ten rules a port"
            assert any(spec.name.endswith("__schema") and spec.blocking for spec in of_table)
            for item in table["properties"]:
                if item.get("required"):
                    assert any(item["name"] in spec.name and spec.blocking for spec in of_table), item["name"]
        for spec in assets.check_specs:
            file, _, line = str(spec.metadata["rule"]).rpartition(":")
            assert Path(file).is_file()
            assert int(line) > 0


def test_freshness_is_the_contracts(ports: dict[str, Any]) -> None:
    units = {"h": "hours", "d": "days", "m": "minutes"}
    policies = 0
    for spec, table, raw, _ in _specs(ports):
        promised = [
            timedelta(**{units[level["unit"]]: level["value"]})
            for level in raw["slaProperties"]
            if level["property"] == "freshness" and level["element"].split(".")[0] == table["name"]
        ]
        policies += len(promised)
        if promised:
            assert spec.freshness_policy is not None
            assert spec.freshness_policy == dg.FreshnessPolicy.time_window(fail_window=promised[0])
        else:
            assert spec.freshness_policy is None
    assert policies >= 4


def test_a_port_is_published_as_a_whole(ports: dict[str, Any]) -> None:
    assets = ports["sales.orders.orders"][0]
    assert len(assets.keys) == 2
    assert not assets.can_subset


def test_the_code_version_follows_both_files(repo: Path, tmp_path: Path) -> None:
    product = load_mesh(repo).products["inventory.items"]
    contract = product.outputs[0].contract
    before = code_version(product, contract)
    assert code_version(product, contract) == before
    for name in ("product", "contract"):
        changed = tmp_path / name
        changed.write_bytes((product if name == "product" else contract).path.read_bytes() + b"\n# a change")
        other = (
            code_version(replace(product, path=changed), contract)
            if name == "product"
            else code_version(product, replace(contract, path=changed))
        )
        assert other != before, name


@pytest.fixture
def warehouse(empty_database: Warehouse, repo: Path, tmp_path: Path, select: Callable[[Warehouse, Path, Path], None]) -> Warehouse:
    """The company's warehouse, selected as in production: by environment variables."""
    select(empty_database, repo, tmp_path / "home")
    apply(empty_database, load_mesh(repo))
    known = Settings.load({"MESH_REPO": str(repo), "MESH_HOME": os.environ.get("MESH_TEST_HOME", "")})
    column_lineage(load_mesh(repo), known)  # dbt compiles the projects once for all tests
    shutil.copytree(known.home / "lineage", tmp_path / "home" / "lineage", ignore=shutil.ignore_patterns("target"))
    return empty_database


GOOD = """SELECT g AS item_id, '2023 Mazda MX-' || g AS item_name, 'Mazda' AS make, 'MX-' || g AS model, 2023 AS model_year,
          (10000 + g)::numeric(12,2) AS list_price_usd, 'entry' AS price_band, now() - interval '1 day' AS listed_at, now() AS updated_at
          FROM generate_series(1::bigint, 50) AS g"""
GOOD_COLUMNS = ("item_id", "item_name", "make", "model", "model_year", "list_price_usd", "price_band", "listed_at", "updated_at")


@pytest.fixture
def publish_items(warehouse: Warehouse, repo: Path) -> Callable[[dg.DagsterInstance, str], dg.ExecuteInProcessResult]:
    """Builds a candidate of ``inventory.items`` from a query, and runs the port's real assets on it."""
    product = load_mesh(repo).products["inventory.items"]
    assets = port_assets(product, product.outputs[0].contract)

    def run(instance: dg.DagsterInstance, query: str) -> dg.ExecuteInProcessResult:
        with warehouse.connect_domain("inventory") as connection:
            row = connection.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass('inventory_build.items')").fetchone()
            if row:
                connection.execute(b"DROP VIEW inventory_build.items" if row[0] == "v" else b"DROP TABLE inventory_build.items")
            connection.execute(f"CREATE TABLE inventory_build.items AS {query}".encode())
        return dg.materialize([assets], instance=instance, raise_on_error=False)

    return run


def test_a_candidate_that_breaks_a_rule_is_held_back_and_the_run_says_why(
    warehouse: Warehouse, repo: Path, publish_items: Callable[[dg.DagsterInstance, str], dg.ExecuteInProcessResult]
) -> None:
    """The whole of it on the real parts: Dagster's run and checks, Great Expectations' audit, the port in Postgres, the consumers' conditions."""
    contract = load_mesh(repo).contracts["inventory.items.items"]
    with dg.DagsterInstance.ephemeral() as instance:
        good = publish_items(instance, GOOD)
        assert good.success
        (made,) = good.get_asset_materialization_events()
        metadata = {name: value.value for name, value in made.materialization.metadata.items()}
        assert metadata["dagster/row_count"] == 50
        assert metadata["checks failed"] == 0
        price = metadata["dagster/column_lineage"].deps_by_column["list_price_usd"]
        assert [(dep.asset_key.path, dep.column_name) for dep in price] == [(["inventory", "build", "items"], "list_price_usd")]
        assert _lineage(warehouse)["list_price_usd"] == ["list_price_usd"], "the catalog was told with the publication"
        with warehouse.connect_platform() as connection:
            first = served(connection)[contract.id]
        assert metadata["publication"] == first.publication
        assert first.run_id == good.run_id
        assert {result.passed for result in good.get_asset_check_evaluations()} == {True}
        listened, cursor = _consumers(instance, None)
        assert listened == {"sales/build/orders"}
        instance.report_runless_asset_event(dg.AssetMaterialization(["sales", "build", "orders"]))
        _, cursor = _consumers(instance, cursor)

        bad = publish_items(instance, GOOD.replace("'entry'", "CASE WHEN g > 47 THEN 'premium' ELSE 'entry' END"))
        assert not bad.success
        assert bad.get_asset_materialization_events() == []
        red = {result.check_name: result for result in bad.get_asset_check_evaluations() if not result.passed}
        assert len(red) == 1
        (result,) = red.values()
        where = f"{contract.path.relative_to(repo)}:{_line(contract.path, 'price band follows price')}"
        assert result.severity is dg.AssetCheckSeverity.ERROR
        assert result.metadata["observed"].value == "the query gave 3"
        assert result.metadata["rule"].value == where
        assert "price_band" in str(result.metadata["sample query"].value)
        failure = bad.failure_data_for_node(bad.get_step_failure_events()[0].node_name)
        assert failure is not None
        said = str(failure.user_failure_data.description if failure.user_failure_data else "")
        assert "inventory.items.items keeps its former version" in said
        assert f"{where}: " in said

        with warehouse.connect_platform() as connection:
            assert served(connection)[contract.id].publication == first.publication
            assert [row.state for row in publications(connection, contract.id)] == ["rejected", "published"]
            (failed,) = failed_checks(connection, contract.id)
            refused = publications(connection, contract.id)[0].publication
            told = connection.execute(
                """SELECT DISTINCT publication, aspect_name, value::jsonb -> 'result' ->> 'type' FROM mesh.catalog_outbox
                   WHERE product_id = 'inventory.items' AND (publication = %s OR value LIKE %s)""",
                (refused, f"%{refused}%"),
            ).fetchall()
        assert {result for *_, result in told} == {"SUCCESS", "FAILURE"}, "the catalog hears of the failed audit"
        assert {aspect for _, aspect, _ in told} == {"assertionRunEvent"}, "the catalog was told of what nobody can read"
        assert (failed.location, failed.observed) == (where, "the query gave 3")
        with warehouse.connect_domain("sales") as connection:
            assert connection.execute("SELECT count(*) FROM inventory_items.items WHERE price_band <> 'entry'").fetchone() == (0,)
        for _ in range(3):
            listened, cursor = _consumers(instance, cursor)
            assert listened == set(), "a consumer ran on data that was held back"


def test_column_lineage_that_is_not_known_yet_follows_the_publication(
    warehouse: Warehouse, publish_items: Callable[[dg.DagsterInstance, str], dg.ExecuteInProcessResult], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The first publication after a change of the dbt project: consumers do not wait for dbt; where it fails, the data is published all the same."""
    monkeypatch.setattr(sys.modules[code_version.__module__], "kept_columns", lambda *_: None)
    with dg.DagsterInstance.ephemeral() as instance:
        made = publish_items(instance, GOOD).get_asset_materialization_events()[0].materialization
        assert "dagster/column_lineage" not in made.metadata
        assert set(_lineage(warehouse)) == set(GOOD_COLUMNS)

        def fails(*_: object) -> None:
            raise ContractError("dbt is away")

        monkeypatch.setattr(sys.modules[code_version.__module__], "traced_columns", fails)
        assert publish_items(instance, GOOD).success


def _lineage(warehouse: Warehouse) -> dict[str, list[str]]:
    """Column of the port to the columns that the catalog names for it, as ``upstreamLineage`` waits in the outbox."""
    dataset = naming.dataset_urn("inventory_items", "items")
    with warehouse.connect_platform() as connection:
        (value,) = connection.execute(
            "SELECT value::jsonb FROM mesh.catalog_outbox WHERE entity_urn = %s AND aspect_name = 'upstreamLineage'", (dataset,)
        ).fetchone() or ({},)
    entries = value["fineGrainedLineages"]
    assert {(item["upstreamType"], item["downstreamType"], item["confidenceScore"]) for item in entries} <= {("FIELD_SET", "FIELD", 1.0)}
    source = naming.dataset_urn("inventory_build", "items")
    assert all(urn.startswith(f"urn:li:schemaField:({source},") for item in entries for urn in item["upstreams"])
    return {
        item["downstreams"][0].removesuffix(")").rpartition(",")[2]: [urn.removesuffix(")").rpartition(",")[2] for urn in item["upstreams"]]
        for item in entries
    }


def _line(path: Path, text: str) -> int:
    return next(number for number, line in enumerate(path.read_text().splitlines(), 1) if text in line)


def _consumers(instance: dg.DagsterInstance, cursor: Any) -> tuple[set[str], Any]:
    """What the location of a consumer asks for, evaluated after the producer's events."""

    @dg.asset(key=["sales", "build", "orders"], deps=[dg.AssetKey(["inventory", "items", "items"])], automation_condition=on_news())
    def orders() -> None: ...

    result = dg.evaluate_automation_conditions(dg.Definitions(assets=[orders]), instance, cursor=cursor)
    return {item.key.to_user_string() for item in result.results if not item.true_subset.is_empty}, result.cursor


def test_a_sample_of_a_failed_check_can_be_shown(publish_items: Callable[[dg.DagsterInstance, str], dg.ExecuteInProcessResult]) -> None:
    with dg.DagsterInstance.ephemeral() as instance:
        bad = publish_items(instance, GOOD.replace("2023 AS model_year", "CASE WHEN g = 7 THEN 1700 ELSE 2023 END AS model_year"))
        (result,) = (item for item in bad.get_asset_check_evaluations() if not item.passed)
    assert result.metadata["observed"].value == "1 of 50 rows"
    rows: Any = result.metadata["sample rows"].value
    assert rows == [{"item_id": "7", "model_year": "1700"}]
    assert json.dumps(rows)


def test_a_column_that_is_missing_is_named_with_its_own_line(warehouse: Warehouse, repo: Path) -> None:
    contract = load_mesh(repo).contracts["inventory.items.items"]
    (table,) = contract.tables
    kept = ", ".join(f"NULL::{column.physical_type} AS {column.physical_name}" for column in table.columns[:-1])
    with warehouse.connect_domain("inventory") as connection:
        connection.execute(f"CREATE TABLE inventory_build.items AS SELECT {kept}".encode())
    report = audit_candidate(warehouse, contract, {"items": ("inventory_build", "items")})
    (shape,) = [result for result in report.results if result.rule.name == "items__schema"]
    assert not shape.passed
    assert shape.rule.location == table.columns[-1].location
    assert f"{table.columns[-1].physical_name!r} is missing (line {table.columns[-1].location.line})" in shape.observed
