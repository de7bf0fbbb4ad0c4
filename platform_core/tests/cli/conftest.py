"""Fixtures of the command's tests: a copy of the company's files, a database of its own, and the command itself."""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from platform_core.cli import main
from platform_core.contracts import load_mesh
from platform_core.publishing import publish
from platform_core.quality import AuditReport, RuleResult
from platform_core.settings import Settings
from platform_core.transformation.lineage import column_lineage
from platform_core.warehouse import Warehouse, apply, readers

ITEMS = "domains/inventory/src/inventory/defs/items/contracts/items.odcs.yaml"


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str

    def json(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)

    @property
    def all(self) -> str:
        """Both streams."""
        return self.out + self.err


Mesh = Callable[..., Said]


@pytest.fixture
def files(repo: Path, tmp_path: Path) -> Path:
    """A copy of the company's files, to be broken at will."""
    root = tmp_path / "clone"
    ignored = shutil.ignore_patterns("__pycache__", "*.egg-info", "target", "logs")
    for name in ("domains", "dbt_projects", "airbyte"):
        shutil.copytree(repo / name, root / name, ignore=ignored)
    shutil.copy(repo / "workspace.yaml", root)
    return root


@pytest.fixture(scope="session")
def traced(repo: Path) -> Path:
    """What is kept of the column lineage of this repository's own files: dbt need not compile them again in each test."""
    settings = Settings.load({"MESH_REPO": str(repo), "MESH_HOME": os.environ.get("MESH_TEST_HOME", "")})
    column_lineage(load_mesh(repo), settings)
    return settings.home / "lineage"


@pytest.fixture
def kept_lineage(traced: Path, tmp_path: Path) -> Path:
    """The same in the test's own folder for local state."""
    for path in traced.glob("*_dbt/*.json"):
        copy = tmp_path / "home" / "lineage" / path.parent.name / path.name
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(path, copy)
    return tmp_path / "home"


@pytest.fixture
def mesh_command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Mesh:
    """Runs ``./mesh`` in the environment that the test has set."""

    def run(*arguments: str) -> Said:
        monkeypatch.setattr(sys, "argv", ["mesh", *arguments])
        capsys.readouterr()
        try:
            main()
            code = 0
        except SystemExit as ended:
            code = int(ended.code or 0)
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Said(code, captured.out, captured.err)

    return run


@pytest.fixture
def mesh(
    files: Path,
    empty_database: Warehouse,
    kept_lineage: Path,
    mesh_command: Mesh,
    select: Callable[[Warehouse, Path, Path], None],
    monkeypatch: pytest.MonkeyPatch,
) -> Mesh:
    """Runs ``./mesh`` in the copy, on an empty database, as its launcher would."""
    for name in ("MESH_DEMO_USERS", "DAGSTER_HOME"):
        monkeypatch.delenv(name, raising=False)
    select(empty_database, files, kept_lineage)
    return mesh_command


@dataclass(frozen=True)
class Applied:
    """The company's warehouse with schemas and roles, and the port ``inventory.items.items``."""

    warehouse: Warehouse
    repo: Path

    def publish(self, number: int, *, broken: bool = False) -> str:
        """Publishes items whose price is ``number``; a broken candidate is rejected. The publication."""
        model = load_mesh(self.repo)
        contract = model.contracts["inventory.items.items"]
        (table,) = contract.tables
        values = ", ".join(
            f"({_literal(str(item.physical_type), number)})::{item.physical_type} AS {item.physical_name}" for item in table.columns
        )
        with self.warehouse.connect_domain("inventory") as connection:
            row = connection.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass('inventory_build.items')").fetchone()
            if row:
                connection.execute(f"DROP {'VIEW' if row[0] == 'v' else 'TABLE'} inventory_build.items".encode())
            connection.execute(f"CREATE TABLE inventory_build.items AS SELECT {values} FROM generate_series(1, 3) AS g".encode())
        rule = next(rule for rule in table.rules if rule.blocking and rule.kind == "sql")
        result = RuleResult(
            rule, not broken, "3 of 3 rows" if broken else "0 of 3 rows", "0 rows", sample_query="SELECT 1 AS sample" if broken else None
        )
        audit = AuditReport((result,), {table.physical_name: 3})
        return publish(self.warehouse, contract, readers(model, contract), lambda _relations: audit, code_version="c0de").publication


def _literal(kind: str, number: int) -> str:
    if "time" in kind or "date" in kind:
        return "timestamptz '2026-11-20 12:00+00'"
    if "numeric" in kind:
        return f"{number}"
    return "g" if "int" in kind else "'x'"


@pytest.fixture
def applied(mesh: Mesh, files: Path, empty_database: Warehouse) -> Applied:
    """After ``./mesh apply``."""
    apply(empty_database, load_mesh(files))
    return Applied(empty_database, files)
