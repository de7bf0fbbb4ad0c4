"""The demonstration's own connection files, with the real connector from the package index, into the real Postgres."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from platform_core.ingestion import ConnectorError, ConnectorReference, connector_environment, environment, load_connections, run_sync
from platform_core.ingestion.conversation import request
from platform_core.settings import Settings
from platform_core.warehouse import Warehouse

USERS = 300


@pytest.fixture(scope="module")
def settings(repo: Path, tmp_path_factory: pytest.TempPathFactory) -> Settings:
    return Settings.load({"MESH_REPO": str(repo), "MESH_HOME": str(tmp_path_factory.mktemp("home"))})


@pytest.fixture(autouse=True)
def _few_users(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MESH_DEMO_USERS", str(USERS))


def sync(repo: Path, domain: str, database: Warehouse, settings: Settings):
    (connection,) = load_connections(repo, domain)
    return run_sync(connection, warehouse=database, settings=settings)


def test_the_demonstrations_sources_load_and_load_again(repo, database, settings):
    results = {domain: sync(repo, domain, database, settings) for domain in ("customer", "inventory", "sales")}
    assert {name: stream.rows for result in results.values() for name, stream in result.streams.items()} == {
        "users": USERS, "products": 100, "purchases": USERS,
    }  # fmt: skip
    assert results["customer"].streams["users"].columns["address"] == "jsonb"
    assert results["sales"].streams["purchases"].columns["returned_at"] == "timestamp with time zone"
    cache = settings.home / "connectors" / "cache" / "airbyte-source-faker-7.2.1"
    assert len(list(cache.glob("*.json"))) == 1  # three equal configurations are discovered once, the spec is the package's own

    with database.connect_domain("customer", autocommit=True) as customer:
        people = "SELECT id, name, email, address->>'city' FROM customer_raw.users ORDER BY id"
        first = customer.execute(people).fetchall()
        assert [row[0] for row in first] == list(range(1, USERS + 1)) and all(row[3] for row in first)
        again = sync(repo, "customer", database, settings)
        assert customer.execute(people).fetchall() == first  # one seed, one worker: the same people, none of them twice
        (meta,) = customer.execute("SELECT DISTINCT _airbyte_meta->>'sync_id' FROM customer_raw.users").fetchall()
        assert meta == (again.sync_id,)
    with database.connect_domain("sales", autocommit=True) as sales:
        checks = (
            "SELECT count(*) FILTER (WHERE user_id NOT BETWEEN 1 AND %s OR product_id NOT BETWEEN 1 AND 100), count(returned_at)"
            " FROM sales_raw.purchases"
        )
        wrong, returned = sales.execute(checks, (USERS,)).fetchone()
        assert wrong == 0 and 0 < returned < USERS


def test_check_and_discover_answer(repo, settings):
    command = connector_environment(ConnectorReference(package="airbyte-source-faker", version="7.2.1"), repo=repo, home=settings.home)
    assert request(command, "check", config={"count": 5})["status"] == "SUCCEEDED"
    with pytest.raises(ConnectorError) as caught:
        request(command, "discover", config={"count": "many"})
    assert "airbyte-source-faker 7.2.1" in str(caught.value)


def test_an_environment_that_was_killed_while_it_was_made_is_made_again(repo, tmp_path, monkeypatch):
    reference = ConnectorReference(package="airbyte-source-x", version="1.0")
    commands = []

    def uv(arguments, failed, *, given=None):
        commands.append(arguments[:2])
        if arguments[:2] == ["pip", "compile"]:
            Path(arguments[arguments.index("--output-file") + 1]).write_text("airbyte-source-x==1.0 --hash=sha256:0\n")
        elif arguments[:2] == ["pip", "sync"]:
            home = Path(arguments[arguments.index("--python") + 1]).parent.parent
            info = home / "lib" / "python3.11" / "site-packages" / "airbyte_source_x-1.0.dist-info"
            info.mkdir(parents=True)
            (info / "entry_points.txt").write_text("[console_scripts]\nsource-x = x:main\n")
            if len(commands) == 3:
                raise KeyboardInterrupt

    monkeypatch.setattr(environment, "_uv", uv)
    with pytest.raises(KeyboardInterrupt):
        connector_environment(reference, repo=tmp_path, home=tmp_path)
    command = connector_environment(reference, repo=tmp_path, home=tmp_path)
    assert commands == [["pip", "compile"], ["venv", "--quiet"], ["pip", "sync"], ["venv", "--quiet"], ["pip", "sync"]]
    assert connector_environment(reference, repo=tmp_path, home=tmp_path) == command and len(commands) == 5
    assert command.argv[0].endswith("/bin/source-x")


def test_a_package_that_does_not_exist_is_named(tmp_path):
    lock = tmp_path / "airbyte" / "locks" / "airbyte-source-faker-7.2.1.txt"
    lock.parent.mkdir(parents=True)
    lock.write_text("airbyte-source-faker==7.2.1\n")  # without hashes: refused before anything is fetched
    with pytest.raises(environment.ConnectorEnvironmentError, match=r"airbyte-source-faker-7\.2\.1 cannot be made"):
        connector_environment(ConnectorReference(package="airbyte-source-faker", version="7.2.1"), repo=tmp_path, home=tmp_path / "home")


def test_the_guard_reports_the_programs_own_exit_code(tmp_path):
    from platform_core.ingestion.connector import ConnectorCommand, ConnectorRun

    script = tmp_path / "program.sh"
    script.write_text("#!/bin/sh\nexit 7\n")
    script.chmod(0o755)
    with ConnectorRun(ConnectorCommand((str(script),), "program", "1"), "spec") as run:
        assert list(run.blocks()) == [] and run.exit_code() == 7
    assert subprocess.run([script], check=False).returncode == 7
