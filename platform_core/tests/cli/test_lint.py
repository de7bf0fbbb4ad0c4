"""``mesh lint``: the forms for other programs, contracts that others wrote, and the rules over the whole mesh."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from platform_core.cli import lint_formats
from platform_core.cli.workflow_commands import annotation
from platform_core.contracts import Location, Problem, load_mesh, official
from platform_core.contracts.inspection import contract_files, inspect
from platform_core.contracts.team_file import owner_problems
from platform_core.transformation.lineage import Lineage, Relation
from platform_core.transformation.model_columns import column_problems

ITEMS = "domains/inventory/src/inventory/defs/items/contracts/items.odcs.yaml"
PRODUCT = "domains/inventory/src/inventory/defs/items/product.odps.yaml"
Command = Callable[..., Any]


@pytest.fixture
def linted(files: Path, tmp_path: Path, kept_lineage: Path, mesh_command: Command, monkeypatch: pytest.MonkeyPatch) -> Command:
    """``./mesh lint`` in the copy; it needs no database."""
    monkeypatch.setenv("MESH_REPO", str(files))
    monkeypatch.setenv("MESH_HOME", str(tmp_path / "home"))
    return lambda *arguments: mesh_command("lint", *arguments)


# The mesh


def test_lint_of_the_company_finds_nothing(linted: Command) -> None:
    said = linted()
    assert said.code == 0, said.all
    assert "5 products, 5 contracts" in said.out
    listed = linted("--json").json()
    assert [problem for problem in listed["problems"] if problem["severity"] == "error"] == []


def test_lint_names_file_line_and_remedy(linted: Command, files: Path) -> None:
    path = files / ITEMS
    path.write_text(path.read_text().replace("validValues: [entry", "validvalues: [entry"))
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "metric: invalidValues" in text)
    said = linted()
    assert said.code == 1
    assert f"error {ITEMS}:{line}: " in said.out
    assert "remedy: " in said.out
    document = linted("--json")
    assert document.code == 1
    errors = [problem for problem in document.json()["problems"] if problem["severity"] == "error"]
    assert [(problem["file"], problem["line"]) for problem in errors] == [(ITEMS, line)]
    assert errors[0]["remedy"]


def test_lint_of_a_file_that_is_no_yaml(linted: Command, files: Path) -> None:
    (files / ITEMS).write_text("kind: [\n")
    said = linted()
    assert said.code == 1
    assert f"{ITEMS}:" in said.out


def test_lint_sees_connection_files(linted: Command, files: Path) -> None:
    path = files / "airbyte/sales/shop.yaml"
    path.write_text(path.read_text().replace("sync_mode:", "syncmode:", 1))
    said = linted()
    assert said.code == 1
    assert "airbyte/sales/shop.yaml:" in said.out


# Forms for other programs


def nasty(file: Path) -> list[Problem]:
    message = "the name 'a,b:c' is 100% wrong\nand \"more\"\r ${{ x }} ::error::no"
    return [Problem("odcs-schema", message, Location(file, 7), "use é"), Problem("cycle", "b", Location(file, 1), "c", "warning")]


def test_an_annotation_cannot_leave_its_line(tmp_path: Path) -> None:
    text = lint_formats.workflow_annotations(nasty(tmp_path / "a, b:c%.yaml"), tmp_path)
    assert text.splitlines() == [
        "::error file=a%2C b%3Ac%25.yaml,line=7,title=odcs-schema::the name 'a,b:c' is 100%25 wrong%0Aand \"more\"%0D ${{ x }} ::error::no"
        "%0Aremedy: use é",
        "::warning file=a%2C b%3Ac%25.yaml,line=1,title=cycle::b%0Aremedy: c",
    ]
    assert annotation("notice", "x") == "::notice::x\n"


def test_sarif_has_the_form_that_the_standard_asks_for(tmp_path: Path) -> None:
    """Sections 3.13 to 3.30 of SARIF 2.1.0; Microsoft's sarif-multitool 5.7.0 found no error in such a file either."""
    inside, outside = tmp_path / "repo" / "ä b#.yaml", tmp_path / "other.yaml"
    log = lint_formats.sarif([*nasty(inside), *nasty(outside)], tmp_path / "repo")
    assert (log["version"], len(log["runs"])) == ("2.1.0", 1)
    run = log["runs"][0]
    driver = run["tool"]["driver"]
    assert driver["name"] and re.fullmatch(r"\d+\.\d+\.\d+.*", driver["semanticVersion"])
    assert [rule["id"] for rule in driver["rules"]] == ["cycle", "odcs-schema"]
    assert all(re.fullmatch(r"([A-Z][a-z]+)+", rule["name"]) and rule["shortDescription"]["text"] for rule in driver["rules"])
    assert [driver["rules"][result["ruleIndex"]]["id"] for result in run["results"]] == [result["ruleId"] for result in run["results"]]
    assert {result["level"] for result in run["results"]} <= {"none", "note", "warning", "error"}
    places = [result["locations"][0]["physicalLocation"] for result in run["results"]]
    assert [place["region"]["startLine"] for place in places] == [7, 1, 7, 1]
    uris = [place["artifactLocation"]["uri"] for place in places]
    assert all(re.fullmatch(r"[A-Za-z0-9%/:._~-]+", uri) for uri in uris)
    assert unquote(uris[0]) == "ä b#.yaml" and places[0]["artifactLocation"]["uriBaseId"] == "SRCROOT"
    assert uris[2].startswith("file:///") and "uriBaseId" not in places[2]["artifactLocation"]
    prints = [result["partialFingerprints"]["meshProblem/v1"] for result in run["results"]]
    assert len(set(prints)) == 4
    moved = lint_formats.sarif([Problem("cycle", "b", Location(inside, 99), "c", "warning")], tmp_path / "repo")
    assert moved["runs"][0]["results"][0]["partialFingerprints"]["meshProblem/v1"] in prints


@pytest.mark.parametrize("form", ["json", "sarif", "github", "text"])
def test_every_form_says_the_same_and_fails_alike(linted: Command, files: Path, form: str) -> None:
    path = files / ITEMS
    path.write_text(path.read_text().replace("status: active", "status: actve"))
    line = next(number for number, text in enumerate(path.read_text().splitlines(), 1) if "actve" in text)
    said = linted("--format", form)
    assert said.code == 1
    if form == "json":
        assert next((one["file"], one["line"], one["severity"]) for one in said.json()["problems"]) == (ITEMS, line, "error")
    elif form == "sarif":
        place = said.json()["runs"][0]["results"][0]["locations"][0]["physicalLocation"]
        assert place == {"artifactLocation": {"uri": ITEMS, "uriBaseId": "SRCROOT"}, "region": {"startLine": line}}
    else:
        assert (f"::error file={ITEMS},line={line},title=status::" if form == "github" else f"error {ITEMS}:{line}: ") in said.out


def test_the_clauses_page_of_a_repository_must_be_current(linted: Command, files: Path, repo: Path) -> None:
    page = files / "docs" / "clauses.md"
    page.parent.mkdir()
    page.write_text((repo / "docs" / "clauses.md").read_text())
    assert linted().code == 0
    page.write_text(page.read_text().replace("enforced", "ignored", 1))
    said = linted()
    assert said.code == 1
    assert "error docs/clauses.md:1: " in said.out and "./mesh clauses --write" in said.out


# Contracts that others wrote

BASE: dict[str, Any] = {
    "kind": "DataContract", "id": "53581432-6c55-4ba2-a65f-72344a91553a", "name": "payments", "version": "1.1", "status": "current",
    "schema": [{"name": "Tbl 1", "properties": [{"name": "Rcvr ID", "logicalType": "string", "physicalType": "VARCHAR2(18)"}]}],
}  # fmt: skip
SERVERS = official.schema_of("odcs", "v3.2.0")["$defs"]["Server"]["properties"]["type"]["enum"]


def server(kind: str, release: str) -> dict[str, Any] | None:
    """A server of a type with what the release's own schema demands; None for a type that the release has not."""
    schema = official.schema_of("odcs", release)
    shape = schema["$defs"]["Server"]
    if kind not in shape["properties"]["type"]["enum"]:
        return None
    found: dict[str, Any] = {"server": "main", "type": kind}
    for branch in shape["allOf"]:
        if branch["if"]["properties"]["type"]["const"] != kind:
            continue
        own: Any = schema
        for step in branch["then"]["$ref"].removeprefix("#/").split("/"):
            own = own[step]
        for key, wanted in own["properties"].items():
            if key in own.get("required", ()):
                found[key] = value_of(wanted, schema)
    return found


def value_of(wanted: Any, schema: Any) -> Any:
    while "$ref" in wanted:
        target: Any = schema
        for step in wanted["$ref"].removeprefix("#/").split("/"):
            target = target[step]
        wanted = target
    if "enum" in wanted:
        return wanted["enum"][0]
    if "oneOf" in wanted or "anyOf" in wanted:
        return value_of((wanted.get("oneOf") or wanted["anyOf"])[0], schema)
    kinds = wanted.get("type", "string")
    start = wanted.get("pattern", "").removeprefix("^").partition(".")[0] or (
        "https://example.com/" if wanted.get("format") == "uri" else ""
    )
    return {"integer": 1, "number": 1, "boolean": True}.get(kinds if isinstance(kinds, str) else kinds[0], f"{start}x")


@pytest.mark.parametrize("release", ["v3.0.0", "v3.0.1", "v3.0.2", "v3.1.0", "v3.2.0"])
def test_contracts_of_every_release_with_every_server_get_an_honest_report(tmp_path: Path, release: str) -> None:
    schema = "v3.0.2" if release.startswith("v3.0") else release
    kinds = [kind for kind in SERVERS if server(kind, schema)]
    assert len(kinds) >= 30
    for kind in kinds:
        path = tmp_path / f"{kind}.yaml"
        path.write_text(yaml.safe_dump({"apiVersion": release, **BASE, "servers": [server(kind, schema)]}))
    for path in contract_files(tmp_path):
        found = inspect(path)
        assert found.valid, (path.name, [problem.message for problem in found.breaches])
        assert found.release == schema and found.later == () and found.servers == (("main", path.stem),)
        assert found.clauses is not None and "servers" in found.clauses["documented only"]
        rules = {problem.rule for problem in found.hindrances}
        assert {"contract-id", "version", "status", "team"} <= rules, "why it cannot be served here"
        assert ("server" in rules) == (path.stem not in {"postgres", "postgresql"})
        assert all(problem.location.file == path and problem.severity == "warning" for problem in found.hindrances)


def test_a_clause_of_a_later_release_is_named(tmp_path: Path) -> None:
    path = tmp_path / "a.odcs.yaml"
    path.write_text(yaml.safe_dump({"apiVersion": "v3.0.2", **BASE, "context": {"instructions": "be kind"}}))
    found = inspect(path)
    assert not found.valid and found.release == "v3.0.2"
    assert found.later == ("context", "context.instructions")
    assert "unknown key 'context'" in found.breaches[0].message


def test_a_column_without_a_logical_type_is_valid_in_v3_0_and_not_in_v3_2(tmp_path: Path) -> None:
    schema = [{"name": "t", "properties": [{"name": "c"}]}]
    for release, valid in (("v3.0.2", True), ("v3.1.0", True), ("v3.2.0", False)):
        path = tmp_path / f"{release}.yaml"
        path.write_text(yaml.safe_dump({"apiVersion": release, **BASE, "schema": schema}))
        assert inspect(path).valid is valid


def test_paths_on_the_command_line(linted: Command, tmp_path: Path) -> None:
    folder = tmp_path / "others"
    folder.mkdir()
    (folder / "sound.yaml").write_text(yaml.safe_dump({"apiVersion": "v3.1.0", **BASE}))
    (folder / "old.odcs.yaml").write_text(yaml.safe_dump({"apiVersion": "v2.2.2", **BASE}))
    (folder / "torn.odcs.yaml").write_bytes(b"apiVersion: [\n")
    (folder / "values.yaml").write_text("replicas: 1\n")
    (folder / "one.odcs.json").write_text('{"apiVersion": "v3.0.0", "kind": "DataContract", "version": "1", "id": "x", "status": "a"}')
    said = linted(str(folder))
    assert said.code == 1
    assert "4 contracts, 2 valid by the standard, 0 could be served here as they are" in said.out
    assert f"error {folder}/torn.odcs.yaml:2: is not valid YAML" in said.out
    assert "the standard's version 'v2.2.2' is not supported" in said.out
    assert linted(str(folder / "sound.yaml")).code == 0, "valid, although nothing here could serve it"
    listed = linted(str(folder), "--json").json()["contracts"]
    assert {Path(one["file"]).name: (one["valid"], one["judged_by"], one["servable"]) for one in listed} == {
        "sound.yaml": (True, "v3.1.0", False),
        "old.odcs.yaml": (False, None, False),
        "torn.odcs.yaml": (False, None, False),
        "one.odcs.json": (True, "v3.0.2", False),
    }
    assert linted(str(folder / "gone.yaml")).code == 1
    (tmp_path / "empty").mkdir()
    said = linted(str(tmp_path / "empty"))
    assert said.code == 1 and "no contract in" in said.err


# Rules over the mesh


@pytest.mark.parametrize(
    ("file", "old", "new", "rule", "says"),
    [
        (PRODUCT, "username: inventory-data@example.com", "username: inventory-dat@example.com", "unknown-owner", "did you mean 'inventory-data@"),
        (PRODUCT, "name: inventory-data", "name: inventry-data", "unknown-team", "did you mean 'inventory-data'?"),
        (ITEMS, "username: inventory-data@example.com", "username: bob@example.com", "unknown-owner", "'bob@example.com' is no member"),
        ("domains/inventory/team.yaml", "members:", "membrs:", "team-file", "did you mean 'members'?"),
        ("domains/inventory/team.yaml", "teams:", "team:", "team-file", "no list of teams"),
        ("domains/inventory/team.yaml", "[inventory-data@example.com]", "[]", "team-file", "not a list of names"),
        ("domains/inventory/team.yaml", "teams:", "teams: [", "team-file", "not valid YAML"),
    ],
)  # fmt: skip
def test_owners_are_people_that_the_domain_knows(files: Path, file: str, old: str, new: str, rule: str, says: str) -> None:
    path = files / file
    text = path.read_text()
    assert text.count(old) >= 1
    path.write_text(text.replace(old, new, 1))
    [problem] = owner_problems(files, load_mesh(files))
    assert (problem.rule, problem.severity, problem.location.file) == (rule, "error", path)
    assert says in problem.message and problem.remedy


def test_owners_who_left_and_domains_without_a_list_are_no_problem(files: Path) -> None:
    assert list(owner_problems(files, load_mesh(files))) == []
    path = files / PRODUCT
    path.write_text(
        path.read_text().replace(
            "      role: owner\n", "      role: owner\n    - {username: eve@example.com, role: owner, dateOut: '2020-01-01'}\n"
        )
    )
    assert list(owner_problems(files, load_mesh(files))) == []
    path.write_text(path.read_text().replace("dateOut: '2020-01-01'", "role: owner").replace(", role: owner, role: owner", ", role: owner"))
    assert [problem.rule for problem in owner_problems(files, load_mesh(files))] == ["unknown-owner"]
    (files / "domains/inventory/team.yaml").unlink()
    assert list(owner_problems(files, load_mesh(files))) == []


def lineage(files: Path, columns: tuple[str, ...] | None, **more: Any) -> Lineage:
    """What a project is known to build: one model for the items, or none."""
    known = dict.fromkeys(columns or (), ())
    model = Relation("inventory_build.items", "items", "model", known, file="dbt_projects/inventory_dbt/models/items.sql", **more)
    return Lineage({model.id: model} if columns is not None else {}, {}, {}, (), frozenset({"inventory"}))


def test_a_model_has_the_columns_that_its_contract_promises(files: Path) -> None:
    mesh = load_mesh(files)
    table = mesh.contracts["inventory.items.items"].tables[0]
    promised = tuple(column.physical_name for column in table.columns)
    assert list(column_problems(mesh, lineage(files, promised[::-1]), files)) == []
    renamed = (*promised[:-1], f"{promised[-1]}s", "loaded_by")
    lacks, exceeds = column_problems(mesh, lineage(files, renamed), files)
    assert (lacks.rule, lacks.location) == ("model-lacks-column", table.columns[-1].location)
    assert f"has no column {promised[-1]!r}, did you mean {promised[-1] + 's'!r}?" in lacks.message
    assert (exceeds.rule, exceeds.location) == ("model-exceeds-contract", table.location)
    assert f"the columns {promised[-1] + 's'!r}, 'loaded_by'" in exceeds.message and "items.sql" in exceeds.message
    assert list(column_problems(mesh, lineage(files, promised[:1], wide=("inventory_raw.x",)), files)) == [], "columns that nobody can tell"


def test_a_port_that_nothing_builds(files: Path) -> None:
    mesh = load_mesh(files)
    [problem] = column_problems(mesh, lineage(files, None), files)
    assert (problem.rule, "inventory_build.items" in problem.message) == ("model-missing", True)
    (files / "domains/inventory/src/inventory/assets.py").write_text('TABLE = "items"\n')
    assert list(column_problems(mesh, lineage(files, None), files)) == [], "a Python asset fills it"
