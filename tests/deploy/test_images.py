"""The Dockerfiles, as far as they can be held to account without a container engine: read as text, and their installing
instructions carried out in a temporary folder.
"""

from __future__ import annotations

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest
import yaml

from platform_core.contracts import load_mesh

BUILT_IN = {"PATH"}


@dataclass
class Stage:
    """One stage of a Dockerfile: its instructions, and the variables that hold in it."""

    name: str
    base: str
    instructions: list[tuple[str, str]] = field(default_factory=list)
    variables: dict[str, str | None] = field(default_factory=dict)

    def arguments_of(self, keyword: str) -> list[str]:
        """The arguments of every instruction of a kind."""
        return [arguments for word, arguments in self.instructions if word == keyword]


@dataclass(frozen=True)
class Dockerfile:
    """A parsed Dockerfile."""

    path: Path
    arguments: frozenset[str]
    stages: dict[str, Stage]

    @property
    def final(self) -> Stage:
        """The stage that becomes the image."""
        return list(self.stages.values())[-1]

    @classmethod
    def read(cls, path: Path) -> Dockerfile:
        """Reads what these two files use of the language: ARG, FROM ... AS, ENV with ``=``, COPY, RUN, continuation lines."""
        text = "\n".join(line for line in path.read_text().splitlines() if not line.lstrip().startswith("#"))
        lines = [line.strip() for line in re.sub(r"\\\n", " ", text).splitlines() if line.strip()]
        arguments: set[str] = set()
        stages: dict[str, Stage] = {}
        current: Stage | None = None
        for line in lines:
            word, _, rest = line.partition(" ")
            if word == "FROM":
                base, _, name = rest.partition(" AS ")
                inherited = dict(stages[base].variables) if base in stages else {}
                current = stages[name] = Stage(name, base, variables=inherited)
            elif current is None:
                assert word == "ARG", f"{path.name}: {line} before FROM"
                arguments.add(rest.partition("=")[0])
            else:
                if word in {"ARG", "ENV"}:
                    for part in shlex.split(rest):
                        key, _, value = part.partition("=")
                        current.variables[key] = value or None
                current.instructions.append((word, rest.strip()))
        return cls(path, frozenset(arguments), stages)


@pytest.fixture(scope="module", params=["platform", "domain"])
def dockerfile(request: pytest.FixtureRequest, deploy: Path) -> Dockerfile:
    """Each of the two images."""
    return Dockerfile.read(deploy / "images" / f"{request.param}.Dockerfile")


def test_everything_copied_exists(dockerfile: Dockerfile, repo: Path) -> None:
    copied = [(stage, shlex.split(a)) for stage in dockerfile.stages.values() for a in stage.arguments_of("COPY")]
    assert len(copied) > 5
    for stage, parts in copied:
        sources = [part for part in parts[:-1] if not part.startswith("--")]
        origin = next((part.removeprefix("--from=") for part in parts if part.startswith("--from=")), None)
        if origin is not None:
            names = list(dockerfile.stages)
            assert origin in names and names.index(origin) < names.index(stage.name), f"{stage.name}: COPY --from={origin}"
            continue
        for source in sources:
            assert (repo / source).exists(), f"{stage.name}: COPY {source}"


def test_every_variable_used_is_declared(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.stages.values():
        declared = {*stage.variables, *BUILT_IN}
        for word, arguments in stage.instructions:
            for name in re.findall(r"\$\{(\w+)\}", arguments):
                assert name in declared, f"{stage.name}: {word} uses {name}"
        for name in re.findall(r"\$\{(\w+)\}", stage.base):
            assert name in dockerfile.arguments
        for argument in stage.arguments_of("ARG"):
            name, given, _ = argument.partition("=")
            assert given or name in dockerfile.arguments, f"{stage.name}: ARG {name} has a value nowhere"


def test_the_image_runs_as_the_charts_user_and_with_its_folders(dockerfile: Dockerfile, deploy: Path) -> None:
    final = dockerfile.final
    defaults = yaml.safe_load((deploy / "chart/values.yaml").read_text())["securityContext"]
    *_, last_user = final.arguments_of("USER")
    assert last_user == f"{defaults['runAsUser']}:{defaults['runAsGroup']}"
    assert not last_user.startswith("0")
    words = [word for word, _ in final.instructions]
    assert "RUN" not in words[words.index("USER") :], "nothing is built as the running user"
    mounts = (deploy / "chart/templates/_pod.tpl").read_text()
    for variable in ("MESH_HOME", "DAGSTER_HOME"):
        assert f"mountPath: {final.variables[variable]}" in mounts
    environment = (deploy / "chart/templates/_instance.tpl").read_text()
    for variable in ("MESH_HOME", "MESH_REPO", "DAGSTER_HOME"):
        assert f"{variable}: {final.variables[variable]}\n" in environment


def test_the_image_carries_no_secret_and_says_what_it_is(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.stages.values():
        assert not [name for name in stage.variables if re.search("(?i)password|token|secret|webhook|key", name)]
    labels = " ".join(dockerfile.final.arguments_of("LABEL"))
    for label in ("title", "description", "version", "revision", "licenses", "base.name"):
        assert f"org.opencontainers.image.{label}=" in labels
    assert len(dockerfile.final.arguments_of("HEALTHCHECK")) == 1


def test_nothing_is_installed_that_the_lock_does_not_name(dockerfile: Dockerfile) -> None:
    for stage in dockerfile.stages.values():
        for run in stage.arguments_of("RUN"):
            for sync in re.findall(r"uv (?:sync|export)[^&]*", run):
                assert "--frozen" in sync
            for install in re.findall(r"uv pip install[^&]*", run):
                assert "--constraint /tmp/locked.txt" in install
            assert "--no-editable" not in run, "load_from_defs_folder needs the project above its module"
    assert not [run for run in dockerfile.final.arguments_of("RUN") if "install " in run and "install -d" not in run]


def test_the_images_use_the_launchers_uv(dockerfile: Dockerfile, repo: Path) -> None:
    (pinned,) = re.findall(r'^UV_VERSION = "(.+)"$', (repo / "mesh").read_text(), re.MULTILINE)
    assert dockerfile.stages["build"].variables["UV_VERSION"] == pinned


def test_local_state_and_secrets_stay_out_of_the_build(repo: Path) -> None:
    ignored = (repo / ".dockerignore").read_text().splitlines()
    assert {".git", ".mesh", "**/.env", "**/.venv"} <= {*ignored}


def select(repo: Path, domain: str, target: Path) -> subprocess.CompletedProcess[str]:
    script = repo / "deploy/images/select_sources.sh"
    return subprocess.run(["sh", str(script), domain, str(repo), str(target)], capture_output=True, text=True, check=False, cwd="/")


@pytest.mark.parametrize("domain", ["customer", "inventory", "sales", "marketing", "platform"])
def test_an_image_holds_one_domains_code_and_every_domains_declarations(repo: Path, tmp_path: Path, domain: str) -> None:
    done = select(repo, domain, tmp_path)
    assert done.returncode == 0, done.stderr
    chosen = {path.relative_to(tmp_path / "sources").as_posix() for path in (tmp_path / "sources").rglob("*") if path.is_file()}
    domains = {path.parent.name for path in (repo / "domains").glob("*/pyproject.toml")}
    code = {path.split("/")[1] for path in chosen if path.startswith("domains/") and path.endswith(".py")}
    assert code == ({domain} if domain != "platform" else set())
    standard = {path.relative_to(repo).as_posix() for path in (repo / "domains").rglob("*.od[pc]s.yaml")}
    assert standard <= chosen
    assert {f"domains/{name}/pyproject.toml" for name in domains} <= chosen
    assert not [path for path in chosen if "__pycache__" in path or "/." in path or re.match(r"(platform_core|domains/\w+)/tests/", path)]
    for project in (repo / "dbt_projects").glob(f"{domain}_dbt"):  # dbt's own tests are a part of the project and of its hash
        assert {path.relative_to(repo).as_posix() for path in project.rglob("*.sql") if "target" not in path.parts} <= chosen
    assert {path.split("/")[1] for path in chosen if path.startswith("dbt_projects/")} <= {f"{domain}_dbt"}
    declared = {path.relative_to(repo).as_posix() for path in (repo / "airbyte").rglob("*") if path.is_file()}
    assert declared <= chosen
    whole, part = load_mesh(repo), load_mesh(tmp_path / "sources")
    assert (set(part.products), len(part.problems)) == (set(whole.products), len(whole.problems)), "the image sees the whole mesh"
    projects = {path.name for path in (tmp_path / "projects").rglob("*") if path.is_file()}
    assert projects == {"pyproject.toml", "uv.lock"}, "the layer of the dependencies depends on nothing else"


def test_an_image_of_a_domain_that_is_not_there_is_refused(repo: Path, tmp_path: Path) -> None:
    done = select(repo, "nowhere", tmp_path)
    assert done.returncode == 2
    assert "no domain 'nowhere'" in done.stderr and "--build-arg DOMAIN" in done.stderr


def start(deploy: Path, baked: Path, home: Path, *command: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "MESH_BAKED": str(baked), "MESH_HOME": str(home)}
    return subprocess.run(
        ["sh", str(deploy / "images/entrypoint.sh"), *command], env=environment, capture_output=True, text=True, check=False
    )


def test_the_entrypoint_fills_an_empty_home_once_and_becomes_the_command(deploy: Path, tmp_path: Path) -> None:
    baked, home = tmp_path / "baked", tmp_path / "home"
    (baked / "dbt").mkdir(parents=True)
    home.mkdir()
    (baked / "dbt/manifest.json").write_text("{}")
    (baked / ".baked").write_text("first\n")
    done = start(deploy, baked, home, "sh", "-c", 'echo "$1"; exit 7', "sh", "two words")
    assert (done.stdout, done.returncode) == ("two words\n", 7)
    assert (home / "dbt/manifest.json").read_text() == "{}"

    (home / "dbt/manifest.json").write_text("written by the run")
    assert start(deploy, baked, home, "true").returncode == 0
    assert (home / "dbt/manifest.json").read_text() == "written by the run", "a restarted container keeps its state"

    (home / ".baked").unlink()  # a copy that was killed has no mark
    assert start(deploy, baked, home, "true").returncode == 0
    assert (home / "dbt/manifest.json").read_text() == "{}"

    (baked / ".baked").write_text("next release\n")
    (baked / "dbt/manifest.json").write_text('{"next": true}')
    assert start(deploy, baked, home, "true").returncode == 0
    assert (home / "dbt/manifest.json").read_text() == '{"next": true}'


def test_the_entrypoint_needs_nothing_baked_and_says_when_it_cannot_write(deploy: Path, tmp_path: Path) -> None:
    assert start(deploy, tmp_path / "absent", tmp_path, "true").returncode == 0
    baked = tmp_path / "baked"
    baked.mkdir()
    (baked / ".baked").write_text("x")
    failed = start(deploy, baked, tmp_path / "no such home", "true")
    assert failed.returncode != 0 and "no such home" in failed.stderr


@pytest.fixture(scope="module")
def installed(repo: Path, deploy: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The build stage of the sales image, its uv and compileall instructions carried out with the folders moved."""
    root = tmp_path_factory.mktemp("image")
    done = select(repo, "sales", root / "selected")
    assert done.returncode == 0, done.stderr
    stage = Dockerfile.read(deploy / "images/domain.Dockerfile").stages["build"]
    uv = os.environ.get("MESH_UV") or shutil.which("uv")
    assert uv is not None, "no uv: run through ./mesh test, or put uv on the PATH"
    moved = {"/opt/venv": str(root / "venv"), "/opt/mesh": str(root / "mesh"), "/selected": str(root / "selected")}
    environment = {name: value for name, value in os.environ.items() if name not in {"VIRTUAL_ENV", "PYTHONPATH", "PYTHONPYCACHEPREFIX"}}
    environment |= {
        "DOMAIN": "sales", "UV_PROJECT_ENVIRONMENT": moved["/opt/venv"], "UV_PYTHON": sys.executable, "UV_PYTHON_DOWNLOADS": "never",
        "PYC_INVALIDATION_MODE": "unchecked-hash", "PATH": f"{root}/venv/bin:{Path(uv).parent}:{os.environ['PATH']}",
    }  # fmt: skip
    (root / "mesh").mkdir()
    carried_out = 0
    for word, arguments in stage.instructions:
        moved_arguments = re.sub(r"--mount=\S+ ", "", arguments)
        for old, new in moved.items():
            moved_arguments = moved_arguments.replace(old, new)
        if word == "COPY":
            source, target = shlex.split(moved_arguments)[1:]
            shutil.copytree(source, target, dirs_exist_ok=True)
        elif word == "RUN" and re.match(r"uv sync|python -m compileall", moved_arguments):
            ran = subprocess.run(
                ["sh", "-c", moved_arguments], cwd=root / "mesh", env=environment, capture_output=True, text=True, check=False
            )
            assert ran.returncode == 0, f"{arguments}\n{ran.stderr}"
            carried_out += 1
    assert carried_out == 3
    return root


def test_the_installed_image_imports_the_platform_from_its_sources_and_no_tools_of_development(installed: Path) -> None:
    code = (
        "import importlib.util as u, pathlib, sales, platform_core\n"
        "print([sales.__file__, platform_core.__file__,\n"
        "       [n for n in ('pytest', 'ruff', 'playwright', 'customer', 'dagster_webserver') if u.find_spec(n)],\n"
        "       [n for n in ('dagster', 'dagster_k8s', 'dagster_postgres', 'dbt') if not u.find_spec(n)]])"
    )
    answer = in_image(installed, "python", "-c", code)
    own, platform, unwanted, missing = ast.literal_eval(answer.stdout)
    assert Path(own).is_relative_to(installed / "mesh/domains/sales/src"), "editable: the project lies above the module"
    assert Path(platform).is_relative_to(installed / "mesh/platform_core/src")
    assert (unwanted, missing) == ([], [])


def test_the_bytecode_of_the_image_is_the_same_at_every_build(installed: Path) -> None:
    sources = [p for p in (installed / "mesh").rglob("*.py") if p.is_relative_to(installed / "mesh/platform_core/src")]
    compiled = list((installed / "mesh/platform_core/src").rglob("*.pyc"))
    assert len(compiled) == len(sources) > 0
    for file in compiled:
        flags = int.from_bytes(file.read_bytes()[4:8], "little")
        assert flags == 0b01, f"{file.name} is not an unchecked hash: it holds the time of the build"


def test_the_installed_image_bakes_and_loads_its_code_location_and_writes_to_its_home_only(installed: Path, deploy: Path) -> None:
    build = Dockerfile.read(deploy / "images/domain.Dockerfile").stages["build"]
    assert any('mesh prepare --domain "${DOMAIN}"' in run for run in build.arguments_of("RUN"))
    before = files_of(installed / "mesh")
    in_image(installed, "mesh", "prepare", "--domain", "sales")
    assert (installed / "home/dbt/sales_dbt/manifest.json").is_file()
    baked = files_of(installed / "home")
    workspace = installed / "workspace.yaml"
    workspace.write_text("load_from: [{python_module: {module_name: sales.definitions, location_name: sales}}]\n")
    answer = in_image(installed, "dagster", "definitions", "validate", "-w", str(workspace))
    assert "successful for code location sales." in answer.stdout + answer.stderr
    assert files_of(installed / "mesh") == before, "the root file system of the pod is read-only"
    manifest = "dbt/sales_dbt/manifest.json"
    assert files_of(installed / "home")[manifest] == baked[manifest], "what was baked is used, not made again at every start"


def files_of(folder: Path) -> dict[str, int]:
    """Every file below a folder with the time it was written."""
    return {path.relative_to(folder).as_posix(): path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file()}


def in_image(installed: Path, *command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command with the environment of the final stage, its folders moved."""
    for folder in ("home", "dagster", "tmp"):
        (installed / folder).mkdir(exist_ok=True)
    environment = {
        "PATH": f"{installed}/venv/bin:/usr/bin:/bin",
        "MESH_REPO": f"{installed}/mesh",
        "MESH_HOME": f"{installed}/home",
        "MESH_WAREHOUSE_DSN": "postgresql://not-asked.invalid/mesh",
        "HOME": f"{installed}/tmp",
        "DAGSTER_HOME": f"{installed}/dagster",
    }  # bytecode of the packages may be written here: the image has it from the build
    ran = subprocess.run(
        [f"{installed}/venv/bin/{command[0]}", *command[1:]],
        cwd=installed / "mesh", env=environment, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    return ran


def test_the_lock_holds_the_webserver_that_the_platform_image_adds(repo: Path, tmp_path: Path) -> None:
    uv = os.environ.get("MESH_UV") or shutil.which("uv")
    assert uv is not None, "no uv: run through ./mesh test, or put uv on the PATH"
    (run,) = [
        r for r in Dockerfile.read(repo / "deploy/images/platform.Dockerfile").stages["build"].arguments_of("RUN") if "uv export" in r
    ]
    (export,) = re.findall(r"uv (export[^&]*)", run)
    locked = tmp_path / "locked.txt"
    subprocess.run([uv, *shlex.split(export.replace("/tmp/locked.txt", str(locked)))], cwd=repo, check=True, capture_output=True)
    names = {line.split("==")[0].strip(): line.strip() for line in locked.read_text().splitlines() if "==" in line}
    assert names["dagster-webserver"].split("==")[1] == names["dagster"].split("==")[1]
