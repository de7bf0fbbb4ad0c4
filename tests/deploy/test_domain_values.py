"""``deploy/domain_values.py``: the chart's list of domains is what the repository holds."""

from __future__ import annotations

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest
import yaml


@pytest.fixture(scope="module")
def domain_values(deploy: Path) -> ModuleType:
    """The script as a module."""
    import sys

    spec = importlib.util.spec_from_file_location("domain_values", deploy / "domain_values.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[spec.name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


@pytest.fixture
def copy(repo: Path, tmp_path: Path) -> Path:
    """A repository with the domains' project files and the generated values only."""
    for project in (repo / "domains").glob("*/pyproject.toml"):
        target = tmp_path / project.relative_to(repo)
        target.parent.mkdir(parents=True)
        shutil.copy(project, target)
    (tmp_path / "deploy/environments").mkdir(parents=True)
    shutil.copy(repo / "deploy/environments/domains.yaml", tmp_path / "deploy/environments")
    return tmp_path


def test_the_committed_file_is_current(domain_values: ModuleType, repo: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert domain_values.main(["--check"], repo) == 0, capsys.readouterr().err
    generated = yaml.safe_load((repo / "deploy/environments/domains.yaml").read_text())
    assert set(generated["domains"]) == {p.parent.name for p in (repo / "domains").glob("*/pyproject.toml")}


def test_a_new_domain_fails_the_check_until_it_is_generated(
    domain_values: ModuleType, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    new = copy / "domains/supply_chain/pyproject.toml"
    new.parent.mkdir()
    new.write_text('[tool.dg.project]\nroot_module = "supply_chain"\n')
    assert domain_values.main(["--check"], copy) == 1
    assert "python deploy/domain_values.py" in capsys.readouterr().err
    assert domain_values.main([], copy) == 0
    assert domain_values.main(["--check"], copy) == 0
    values = yaml.safe_load((copy / "deploy/environments/domains.yaml").read_text())
    assert values["domains"]["supply_chain"] == {
        "module": "supply_chain.definitions",
        "databaseSecret": {"existingSecret": "supply-chain-database"},
    }


def test_a_removed_domain_fails_the_check(domain_values: ModuleType, copy: Path) -> None:
    shutil.rmtree(copy / "domains/sales")
    assert domain_values.main(["--check"], copy) == 1


def test_a_project_named_differently_is_named_with_a_remedy(
    domain_values: ModuleType, copy: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (copy / "domains/sales/pyproject.toml").write_text('[tool.dg.project]\nroot_module = "shop"\n')
    assert domain_values.main([], copy) == 1
    message = capsys.readouterr().err
    assert "domains/sales/pyproject.toml" in message and "'shop'" in message and "remedy" in message
