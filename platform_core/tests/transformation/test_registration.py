"""Where a domain is named beside its folder: edits that keep everything else, checked against the real files and against odd ones."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
import yaml

from platform_core.transformation import TransformationError
from platform_core.transformation.starting import domain_changes, registration, write
from platform_core.transformation.starting.domain_files import domain_files


def _added(before: str, after: str) -> list[str]:
    """Lines of ``after`` that are new, in their order; every old line must still be there."""
    import difflib

    lines = list(difflib.ndiff(before.splitlines(), after.splitlines()))
    assert [line for line in lines if line.startswith("- ") and line[2:].strip(" ,") not in after] == []
    return [line[2:] for line in lines if line.startswith("+ ")]


def test_the_root_project_names_the_domain_everywhere_and_keeps_its_comments(repo: Path) -> None:
    before = (repo / "pyproject.toml").read_text()
    after = registration.in_root_project(before, "finance", "pyproject.toml")
    was, now = tomllib.loads(before), tomllib.loads(after)
    assert now["project"]["dependencies"] == [*was["project"]["dependencies"], "finance"]
    assert now["tool"]["uv"]["sources"] == {**was["tool"]["uv"]["sources"], "finance": {"workspace": True}}
    assert now["tool"]["ruff"]["lint"]["isort"]["known-first-party"][-1] == "finance"
    assert now["tool"]["dg"]["workspace"]["projects"][-1] == {"path": "domains/finance"}
    assert [line for line in before.splitlines() if "#" in line] == [line for line in after.splitlines() if "#" in line]
    assert registration.in_root_project(after, "finance", "pyproject.toml") == after, "a second time changes nothing"


@pytest.mark.parametrize(
    ("array", "expected"),
    [
        ("[]", '["finance"]'),
        ('["a"]', '["a", "finance"]'),
        ('["a", ]', '["a", "finance"]'),
        ('[\n    "a",  # why\n    "b",\n]', '[\n    "a",  # why\n    "b",\n    "finance",\n]'),
        ('[\n    "a",\n    "b"  # no comma, [brackets] and "quotes"\n]', '[\n    "a",\n    "b",  # no comma, [brackets] and "quotes"\n    "finance",\n]'),
        ("['pkg[extra]>=1', \"b\"]", "['pkg[extra]>=1', \"b\", \"finance\"]"),
    ],
)  # fmt: skip
def test_arrays_as_people_write_them(array: str, expected: str) -> None:
    text = f'# head\n[project]\nname = "x"\ndependencies = {array}\n\n[tool.other]\nkept = true # yes\n'
    assert registration.in_root_project(text, "finance", "p") == text.replace(array, expected)


def test_a_file_that_cannot_be_edited_is_refused_and_the_line_is_named() -> None:
    text = '[project]\n"dependencies" = ["a"]\n'
    with pytest.raises(TransformationError, match=r"cannot be edited") as error:
        registration.in_root_project(text, "finance", "pyproject.toml")
    assert error.value.where == "pyproject.toml" and "'finance'" in str(error.value.remedy)


def test_the_workspace_gets_the_location_after_the_other_domains(repo: Path) -> None:
    before = (repo / "workspace.yaml").read_text()
    after = registration.in_workspace(before, "finance", "workspace.yaml")
    (line,) = _added(before, after)
    assert line == "  - python_module: {module_name: finance.definitions, location_name: finance, working_directory: domains/finance}"
    assert [entry["python_module"]["location_name"] for entry in yaml.safe_load(after)["load_from"]][-2:] == ["finance", "platform"]
    assert registration.in_workspace(after, "finance", "workspace.yaml") == after


@pytest.mark.parametrize(
    "text",
    [
        "load_from:\n- python_module:\n    module_name: a.definitions\n    location_name: a\n    working_directory: domains/a\n- python_file: x.py\n",
        "load_from:\n    - python_module: {module_name: a.definitions, location_name: a, working_directory: domains/a}",
        "load_from:\n  # nothing of a domain yet\n  - python_module: {module_name: platform_core.location, location_name: platform}\n",
    ],
)
def test_workspaces_as_people_write_them(text: str) -> None:
    names = [entry.get("python_module", {}).get("location_name") for entry in yaml.safe_load(text)["load_from"]]
    after = yaml.safe_load(registration.in_workspace(text, "finance", "w"))["load_from"]
    found = [entry.get("python_module", {}).get("location_name") for entry in after]
    assert sorted(map(str, found)) == sorted(map(str, [*names, "finance"]))
    assert found.index("finance") == (1 if "a" in names else 0)


def test_an_environment_where_each_domain_has_a_namespace_gives_one_to_the_new(repo: Path) -> None:
    before = (repo / "deploy/environments/prod.yaml").read_text()
    after = registration.in_environment(before, "supply_chain", "prod.yaml")
    assert _added(before, after) == ["  supply_chain: { namespace: mesh-supply-chain }"]
    shared = (repo / "deploy/environments/dev.yaml").read_text()
    assert registration.in_environment(shared, "supply_chain", "dev.yaml") == shared, "one namespace for all says nothing of domains"


def test_the_lock_is_what_uv_makes_of_it(repo: Path, tmp_path: Path) -> None:
    """A member that depends on the platform only changes nothing else: exactly these lines, and uv itself takes it, without an index."""
    before = (repo / "uv.lock").read_text()
    after = registration.in_lock(before, "supply_chain", "0.1.0", "uv.lock")
    block = (
        '[[package]]\nname = "supply-chain"\nversion = "0.1.0"\nsource = { editable = "domains/supply_chain" }\ndependencies = [\n'
        '    { name = "platform-core" },\n]\n\n[package.metadata]\n'
        'requires-dist = [{ name = "platform-core", editable = "platform_core" }]\n\n'
    )
    lines = [
        '    "supply-chain",',
        '    { name = "supply-chain" },',
        '    { name = "supply-chain", editable = "domains/supply_chain" },',
    ]
    assert after.count(block) == 1
    assert _added(before, after.replace(block, "")) == lines
    assert registration.in_lock(after, "supply_chain", "0.1.0", "uv.lock") == after
    uv = os.environ.get("MESH_UV") or shutil.which("uv")
    if uv:  # on a bare machine the lines above say the same
        for path in (
            "pyproject.toml",
            "uv.lock",
            "README.md",
            "workspace.yaml",
            *(str(p.relative_to(repo)) for p in repo.glob("domains/*/pyproject.toml")),
        ):
            (tmp_path / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(repo / path, tmp_path / path)
        (tmp_path / "platform_core").mkdir()
        shutil.copy(repo / "platform_core/pyproject.toml", tmp_path / "platform_core")
        write(tmp_path, domain_changes(tmp_path, "supply_chain", domain_files("supply_chain", "Who delivers.", "a@example.com", None)))
        command = [uv, "lock", "--check", "--offline", "--no-cache", "--project", str(tmp_path), "--python", sys.executable]
        done = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"}, check=False)
        assert done.returncode == 0, done.stderr
