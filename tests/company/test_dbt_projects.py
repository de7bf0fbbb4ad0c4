"""The dbt projects of the company build what the contracts promise, read what the product files declare, and parse without a warning."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_core.contracts import load_mesh, naming

REPO = Path(__file__).parents[2]
MESH = load_mesh(REPO)
DOMAINS = ("customer", "inventory", "marketing", "sales")
TABLES = [
    pytest.param(product.domain, table, id=table.physical_name)
    for product in MESH.products.values()
    for port in product.outputs
    for table in port.contract.tables
    if product.domain in DOMAINS and table.physical_name != "customer_segments"  # that one is computed in Python
]


def project(domain: str) -> Path:
    return REPO / "dbt_projects" / f"{domain}_dbt"


def described(domain: str, kind: str) -> dict[str, Any]:
    """Models or sources of a project by name, from all its YAML files."""
    found: dict[str, Any] = {}
    for path in sorted(project(domain).glob("models/**/*.yml")):
        for entry in yaml.safe_load(path.read_text()).get(kind, []):
            assert entry["name"] not in found, f"{entry['name']} is described twice"
            found[entry["name"]] = entry
    return found


@pytest.mark.parametrize(("domain", "table"), TABLES)
def test_a_port_model_describes_exactly_the_columns_of_its_contract(domain: str, table: Any) -> None:
    model = described(domain, "models")[table.model]
    assert [column["name"] for column in model["columns"]] == [column.physical_name for column in table.columns]
    assert [column["description"] for column in model["columns"]] == [column.description for column in table.columns]
    assert model["description"] == table.description


@pytest.mark.parametrize("domain", DOMAINS)
def test_every_model_is_described(domain: str) -> None:
    models = described(domain, "models")
    assert models.keys() == {path.stem for path in project(domain).glob("models/**/*.sql")}
    for model in models.values():
        assert model["description"]
        assert model["columns"] and all(column["description"] for column in model["columns"])


@pytest.mark.parametrize("domain", DOMAINS)
def test_sources_are_the_domains_own_streams_and_its_declared_inputs(domain: str) -> None:
    declared = {
        (naming.port_schema(MESH.contracts[port.contract_id].product_id), table.physical_name)
        for product in MESH.of_domain(domain)
        for port in product.inputs
        if port.contract_id
        for table in MESH.contracts[port.contract_id].tables
    }
    for source in described(domain, "sources").values():
        assert source["name"] == source["schema"] and source["description"]
        for table in source["tables"]:
            assert table["description"]
            if source["schema"] != naming.raw_schema(domain):
                assert (source["schema"], table["name"]) in declared


@pytest.mark.parametrize("domain", DOMAINS)
def test_the_profile_builds_as_the_domain_and_knows_no_secret(domain: str) -> None:
    settings = yaml.safe_load((project(domain) / "dbt_project.yml").read_text())
    assert settings["name"] == settings["profile"] == f"{domain}_dbt"
    assert settings["flags"] == {"send_anonymous_usage_stats": False}
    output = yaml.safe_load((project(domain) / "profiles.yml").read_text())[settings["profile"]]["outputs"]["mesh"]
    assert (output["user"], output["role"]) == (naming.job_role(domain), naming.owner_role(domain))
    assert output["schema"] == naming.build_schema(domain)
    assert output["password"] == "{{ env_var('PGPASSWORD', '') }}"
    assert "sslmode" not in output, "TLS is chosen with PGSSLMODE"


@pytest.mark.parametrize("domain", DOMAINS)
def test_no_view_stands_on_a_raw_table_or_a_port(domain: str) -> None:
    """A view on another product's port would keep it from being replaced, one on a raw table would keep its columns from changing."""
    settings = yaml.safe_load((project(domain) / "dbt_project.yml").read_text())["models"][f"{domain}_dbt"]
    assert settings["+materialized"] == "table"
    assert settings.get("staging", {"+materialized": "ephemeral"})["+materialized"] == "ephemeral"
    assert not [path for path in project(domain).glob("models/**/*.sql") if re.search(r"materialized\s*=", path.read_text())]


@pytest.mark.parametrize("domain", DOMAINS)
def test_a_singular_test_names_the_model_it_checks(domain: str) -> None:
    """dagster-dbt shows a test over several models as a check of the model that its configuration names."""
    models = described(domain, "models")
    tests = sorted(project(domain).glob("tests/*.sql"))
    assert tests
    for path in tests:
        named = re.search(r"meta=\{'dagster': \{'ref': \{'name': '(\w+)'\}\}\}", path.read_text())
        assert named and named[1] in models, path.name


PARSE = """
import json, sys
from dbt.cli.main import dbtRunner

said = []
def listen(event):
    if event.info.level in ("warn", "error"):
        said.append(event.info.msg)

for domain in sys.argv[2:]:
    folder = f"dbt_projects/{domain}_dbt"
    result = dbtRunner(callbacks=[listen]).invoke([
        "parse", "--project-dir", folder, "--profiles-dir", folder, "--target-path", f"{sys.argv[1]}/{domain}",
        "--log-path", sys.argv[1], "--no-partial-parse", "--show-all-deprecations", "--quiet"])
    if not result.success:
        said.append(f"{domain}: {result.exception}")
print(json.dumps(said))
"""


def test_the_projects_parse_without_a_warning(tmp_path: Path) -> None:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("PG", "DBT_"))}
    command = [sys.executable, "-c", PARSE, str(tmp_path), *DOMAINS]
    done = subprocess.run(command, cwd=REPO, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout.splitlines()[-1]) == []
    manifests = [json.loads((tmp_path / domain / "manifest.json").read_text()) for domain in DOMAINS]
    names = [node["name"] for manifest in manifests for node in manifest["nodes"].values() if node["resource_type"] == "model"]
    assert len(names) == len(set(names)) == 14
