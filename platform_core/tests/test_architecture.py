"""The rules of the house: what may import what, what an import may do, how large and how named a file may be."""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import yaml

from platform_core.settings import Settings
from platform_core.transformation import DbtProject, parse_all

PACKAGE = "platform_core"
HEAVY = ("great_expectations", "datahub", "pandas", "pyspark", "dagster_dbt", "dagster_airbyte", "dagster_k8s")

# From the design: arrows only go down this list.
FLOORS = (
    ("cli",),
    ("components", "location"),
    ("orchestration",),
    ("publishing", "service_levels"),
    ("catalog",),
    ("quality",),
    ("transformation",),
    ("ingestion",),
    ("lake",),
    ("warehouse",),
    ("contracts",),
    ("settings",),
    ("errors", "file_lock", "loopback"),
)
FLOOR = {name: number for number, names in enumerate(FLOORS) for name in names}
MAY_KNOW_DAGSTER = {"cli", "components", "orchestration", "location"}

# Loads a module in a fresh interpreter; says what came with it, which sockets were asked for, and which assets it defines.
PROBE = """
import importlib, json, sys
asked = []
sys.addaudithook(lambda event, arguments: asked.append(f"{event} {arguments[1:]}") if event in
    ("socket.connect", "socket.bind", "socket.getaddrinfo", "socket.gethostbyname", "socket.sendto", "urllib.Request") else None)
modules = [importlib.import_module(name) for name in sys.argv[1].split(",")]
keys = []
definitions = getattr(modules[0], "defs", None)
if definitions is not None:
    graph = definitions.get_repository_def().asset_graph
    keys = [key.to_user_string() for key in graph.executable_asset_keys]
print(json.dumps({"modules": sorted({name.partition(".")[0] for name in sys.modules}), "asked": asked, "keys": keys}))
"""


@pytest.fixture(scope="module")
def source(repo: Path) -> Path:
    return repo / "platform_core" / "src" / PACKAGE


@pytest.fixture(scope="module")
def home(repo: Path) -> Path:
    """A folder for local state in which the manifests are current, as after ``mesh prepare``."""
    settings = Settings.load({"MESH_REPO": str(repo), "MESH_HOME": os.environ.get("MESH_TEST_HOME", "")})
    parse_all(DbtProject.of(path.parent.name.removesuffix("_dbt"), settings) for path in (repo / "dbt_projects").glob("*/dbt_project.yml"))
    return settings.home


def _probe(module: str, repo: Path, folder: Path, home: Path, *, eager: bool = False) -> dict[str, Any]:
    environment = {name: value for name, value in os.environ.items() if not name.startswith(("MESH_", "PG", "DAGSTER_"))}
    environment |= {"MESH_HOME": str(home), "PYTHONWARNINGS": "ignore", "EAGER_IMPORT": "1" if eager else "0"}
    if module.startswith(PACKAGE):
        environment["MESH_REPO"] = str(repo)
    result = subprocess.run([sys.executable, "-c", PROBE, module], cwd=folder, env=environment, capture_output=True, text=True, timeout=200)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1])


@pytest.fixture(scope="module")
def locations(repo: Path, home: Path) -> dict[str, dict[str, Any]]:
    """Every code location of the workspace, each loaded in an interpreter of its own; two at once."""
    entries = [entry["python_module"] for entry in yaml.safe_load((repo / "workspace.yaml").read_text())["load_from"]]
    with ThreadPoolExecutor(2) as pool:
        probed = pool.map(lambda entry: _probe(entry["module_name"], repo, repo / entry.get("working_directory", "."), home), entries)
        return dict(zip([entry["location_name"] for entry in entries], probed, strict=True))


def test_the_workspace_has_one_location_per_domain_and_the_platforms_own(repo: Path, locations: dict[str, dict[str, Any]]) -> None:
    domains = {path.parent.name for path in (repo / "domains").glob("*/pyproject.toml")}
    assert set(locations) == {*domains, "platform"}
    assert [name for name in domains if not locations[name]["keys"]] == [], "a location without an asset"


def test_loading_a_location_imports_nothing_heavy(locations: dict[str, dict[str, Any]]) -> None:
    assert {name: sorted(set(HEAVY) & set(found["modules"])) for name, found in locations.items()} == {name: [] for name in locations}


def test_loading_a_location_asks_for_no_network(locations: dict[str, dict[str, Any]]) -> None:
    assert {name: found["asked"] for name, found in locations.items()} == {name: [] for name in locations}


def test_no_asset_key_is_defined_twice(locations: dict[str, dict[str, Any]]) -> None:
    """The same key in two locations, or a leftover stub, shadows the real one without a word."""
    counted = Counter(key for found in locations.values() for key in found["keys"])
    assert [key for key, times in counted.items() if times > 1] == []


def test_every_asset_lies_in_its_domain(locations: dict[str, dict[str, Any]]) -> None:
    strays = {
        name: [key for key in found["keys"] if len(key.split("/")) != 3 or key.split("/")[0] != name] for name, found in locations.items()
    }
    assert strays == {name: [] for name in locations}


def test_the_planes_are_usable_without_an_orchestrator(repo: Path, home: Path, source: Path) -> None:
    planes = [
        f"{PACKAGE}.{name}"
        for name in FLOOR
        if name not in MAY_KNOW_DAGSTER and ((source / name).is_dir() or (source / f"{name}.py").is_file())
    ]
    found = _probe(",".join(planes), repo, repo, home, eager=True)
    assert sorted({*HEAVY, "dagster", "polars", "pyarrow"} & set(found["modules"])) == []
    assert found["asked"] == []


def test_a_plane_imports_what_it_is_asked_for() -> None:
    asked = "import sys; from platform_core.warehouse import Warehouse, apply; print(callable(apply), *sys.modules)"
    callable_, *modules = subprocess.run([sys.executable, "-c", asked], capture_output=True, text=True, check=True).stdout.split()
    assert callable_ == "True", "the module hides the function of its name"
    assert f"{PACKAGE}.warehouse.planning" in modules and f"{PACKAGE}.warehouse.bulk_write" not in modules


def _sources(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.rglob("*.py") if "__pycache__" not in path.parts)
    assert found, f"no source under {folder}"
    return found


def _imports(path: Path, package: tuple[str, ...]) -> Iterator[tuple[str, int]]:
    """Every imported module of a file, also inside functions and ``TYPE_CHECKING``, with its line. ``from a import b`` gives ``a.b``."""
    for node in ast.walk(ast.parse(path.read_text(), str(path))):
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else ()
            whole = ".".join([*base, *([node.module] if node.module else [])])
            yield from ((f"{whole}.{alias.name}", node.lineno) for alias in node.names)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).rpartition(".")[2] in {"import_module", "__import__"}:
            yield from ((str(name.value), node.lineno) for name in node.args[:1] if isinstance(name, ast.Constant))


def _room(path: Path, source: Path) -> str:
    return path.relative_to(source).parts[0].removesuffix(".py")


def test_arrows_only_point_downwards(source: Path) -> None:
    wrong: list[str] = []
    for path in _sources(source):
        room = _room(path, source)
        if room == "__init__":
            continue  # hands the components on, lazily
        assert room in FLOOR, f"{path} is in no room of the design"
        for name, line in _imports(path, (PACKAGE, *path.relative_to(source).parent.parts)):
            parts = name.split(".")
            if parts[0] != PACKAGE or len(parts) < 2 or parts[1] == room or parts[1] not in FLOOR:
                continue
            if FLOOR[parts[1]] <= FLOOR[room]:
                wrong.append(f"{path.relative_to(source)}:{line} imports {name}")
    assert wrong == []


def test_planes_below_orchestration_do_not_know_dagster(source: Path) -> None:
    wrong = [
        f"{path.relative_to(source)}:{line} imports {name}"
        for path in _sources(source)
        if _room(path, source) not in {*MAY_KNOW_DAGSTER, "__init__"}
        for name, line in _imports(path, (PACKAGE,))
        if name.split(".")[0].startswith("dagster")
    ]
    assert wrong == []


def test_the_rules_above_see_what_they_forbid(tmp_path: Path) -> None:
    path = tmp_path / "sample.py"
    path.write_text(
        "def f():\n    from dagster import asset\n    import dagster_dbt as d\n    from ..cli import app\n    import_module('dagster.x')\n"
    )
    assert [name for name, _ in _imports(path, (PACKAGE, "lake"))] == ["dagster.asset", "dagster_dbt", f"{PACKAGE}.cli.app", "dagster.x"]


def test_domains_do_not_import_each_other(repo: Path) -> None:
    domains = {path.parent.name for path in (repo / "domains").glob("*/pyproject.toml")}
    wrong: list[str] = []
    for domain in domains:
        for path in _sources(repo / "domains" / domain / "src"):
            parents = path.relative_to(repo / "domains" / domain / "src").parent.parts
            wrong += [f"{path}:{line} imports {name}" for name, line in _imports(path, parents) if name.split(".")[0] in domains - {domain}]
        declared = (repo / "domains" / domain / "pyproject.toml").read_text()
        wrong += [f"{domain} depends on {other}" for other in domains - {domain} if f'"{other}' in declared]
    assert wrong == []


def test_the_platform_does_not_import_domains(repo: Path, source: Path) -> None:
    domains = {path.parent.name for path in (repo / "domains").glob("*/pyproject.toml")}
    assert [
        f"{path}:{line}" for path in _sources(source) for name, line in _imports(path, (PACKAGE,)) if name.split(".")[0] in domains
    ] == []


def test_rooms_and_files_bear_the_name_of_what_is_in_them(source: Path) -> None:
    nothing = {"utils", "util", "helpers", "helper", "manager", "managers", "common", "misc", "base", "core"}
    assert [str(path.relative_to(source)) for path in _sources(source) if {path.stem, path.parent.name} & nothing] == []


def test_no_file_is_longer_than_500_lines(repo: Path) -> None:
    folders = ("platform_core", "domains", "tests", "deploy")
    paths = [path for folder in folders for path in _sources(repo / folder) if ".mesh" not in path.parts]
    assert {str(path.relative_to(repo)): lines for path in paths if (lines := len(path.read_text().splitlines())) > 500} == {}


def test_a_packages_init_only_hands_names_on(source: Path) -> None:
    wrong: list[str] = []
    for path in _sources(source):
        if path.name != "__init__.py":
            continue
        for node in ast.parse(path.read_text()).body:
            docstring = isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)
            names = isinstance(node, ast.Assign) and all(isinstance(target, ast.Name) and target.id == "__all__" for target in node.targets)
            when_asked = isinstance(node, ast.Assign) and ast.unparse(node.value) == "lazy_loader.attach_stub(__name__, __file__)"
            if docstring or names or when_asked or isinstance(node, ast.Import | ast.ImportFrom):
                continue
            # The root hands the components on when they are asked for, so that the planes stay free of dagster.
            lazily = isinstance(node, ast.FunctionDef) and node.name in {"__getattr__", "__dir__"}
            constant = isinstance(node, ast.Assign) and not any(isinstance(part, ast.Lambda) for part in ast.walk(node))
            if path.parent == source and (lazily or constant):
                continue
            wrong.append(f"{path.relative_to(source)}:{node.lineno}")
    assert wrong == []
