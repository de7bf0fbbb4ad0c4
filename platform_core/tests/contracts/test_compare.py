"""Comparing whole states: whatever the files hold, there is a report that prints; a state equals itself."""

from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import official
from platform_core.contracts.compatibility import State, as_document, compare, folder_state, impact, markdown, what
from platform_core.contracts.compatibility.acceptance import OPERATORS, Acceptance
from platform_core.contracts.compatibility.judge import clause_of
from platform_core.contracts.compatibility.ruling import VersionStep
from platform_core.contracts.compatibility.versions import next_version, step_between

FUZZ = settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
NASTY = [
    b"\xff",
    b"[",
    b"&a [*a]",
    b"!!python/object:os.system",
    b'"\\ud800"',
    b"1" * 400,
    b".nan",
    b"null",
    b"{}",
    b"- ",
    b"<<: *x",
    b"0x" + b"f" * 5000,
]


@pytest.fixture(scope="module")
def company(repo: Path) -> State:
    return folder_state(repo, "the company")


def check(old: State, new: State) -> None:
    report = compare(old, new)
    assert orjson.dumps(as_document(report, exit_code=report.exit_code()))
    markdown(report).encode()
    for change in report.changes:
        assert what(change).encode() and change.line >= 1 and (change.file in old.files or change.file in new.files)
    for problem in report.unreadable:
        assert problem.message and problem.line >= 1


@FUZZ
@given(data=st.data())
def test_any_bytes_in_any_file_give_a_report(company: State, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(company.product_files)))
    content = bytearray(company.files[path])
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 12))] = data.draw(st.sampled_from(NASTY) | st.binary(max_size=4))
    changed = State("changed", {**company.files, path: bytes(content)})
    check(company, changed)
    check(changed, company)
    assert compare(changed, changed).changes == ()


@FUZZ
@given(data=st.data())
def test_any_value_of_any_line_gives_a_report(company: State, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(sorted(company.product_files)))
    lines = company.files[path].split(b"\n")
    number = data.draw(st.sampled_from([number for number, line in enumerate(lines) if b": " in line]))
    lines[number] = lines[number].partition(b": ")[0] + b": " + data.draw(st.sampled_from(NASTY))
    check(company, State("changed", {**company.files, path: b"\n".join(lines)}))


def test_a_state_compared_with_itself_is_empty(company: State) -> None:
    report = compare(company, company)
    assert (report.changes, report.versions, report.unreadable, report.exit_code()) == ((), (), (), 0)


def test_a_new_product_with_its_model_demands_no_version_step(company: State) -> None:
    report = compare(State("before", {path: content for path, content in company.files.items() if "/items" not in path}), company)
    assert {("product", "inventory.items"), ("contract", "inventory.items.items")} <= {
        (change.sort, change.subject) for change in report.changes
    }
    assert any(change.sort == "model" and change.action == "added" for change in report.changes)
    assert (report.versions, report.exit_code()) == ((), 0)


def test_the_readers_of_a_column_of_the_company(company: State) -> None:
    found = impact(company, "customer.profiles.profiles.country_code")
    assert {hit.consumer.product for hit in found.hits} >= {"sales.orders", "marketing.customer_segments"}
    assert found.owners == ("customer-data@example.com",)


# Where the definitions of the official schemas stand in a document.
ODCS = {
    "schema[]": ("SchemaElement", "SchemaObject"),
    "schema[].properties[]": ("SchemaElement", "SchemaBaseProperty", "SchemaItemProperty"),
    "schema[].quality[]": ("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityCustom", "DataQualityOperators"),
    "schema[].properties[].quality[]": ("DataQuality", "DataQualityLibrary", "DataQualitySql", "DataQualityOperators"),
    "schema[].relationships[]": ("RelationshipBase",),
    "schema[].properties[].relationships[]": ("RelationshipBase",),
    "schema[].properties[].enum[]": ("EnumValue",),
    "servers[]": ("Server",),
    "roles[]": ("Role",),
    "support[]": ("SupportItem",),
    "price": ("Pricing",),
    "context": ("Context",),
    "team": ("Team",),
    "team.members[]": ("TeamMember",),
    "slaProperties[]": ("ServiceLevelAgreementProperty",),
}
ODPS = {
    "description": ("Description",),
    "inputPorts[]": ("InputPort",),
    "outputPorts[]": ("OutputPort",),
    "support[]": ("Support",),
    "outputPorts[].sbom[]": ("SBOM",),
    "outputPorts[].inputContracts[]": ("InputContract",),
    "team": ("Team",),
    "managementPorts[]": ("ManagementPort",),
    "team.members[]": ("TeamMember",),
    "context": ("Context",),
}


def keys_of(schema: Any) -> set[str]:
    """Keys that a definition and its branches name."""
    branches = [branch for key in ("allOf", "anyOf", "oneOf") for branch in schema.get(key, [])]
    return {*schema.get("properties", {}), *(key for branch in branches for key in keys_of(branch))}


@pytest.mark.parametrize(("standard", "places"), [("odcs", ODCS), ("odps", ODPS)])
def test_every_clause_of_the_official_schemas_has_a_rule(standard: Any, places: dict[str, tuple[str, ...]]) -> None:
    schema = orjson.loads(official.schema_path(standard).read_bytes())
    shapes = set(schema["properties"])
    for place, names in places.items():
        shapes |= {f"{place}.{key}" for name in names for key in keys_of(schema["$defs"][name])}
    assert len(shapes) > 50
    assert {shape for shape in shapes if clause_of(shape) is None} == set()


RULES: list[dict[str, Any]] = [
    *({key: bound} for key in OPERATORS[:6] for bound in (0, 1, 5)),
    {"mustBeBetween": [0, 5]},
    {"mustBeBetween": [1, 4]},
    {"mustNotBeBetween": [1, 4]},
    {"mustBeGreaterThan": 0, "mustBeLessThan": 5},
    {},
]


def test_bounds_are_compared_as_the_numbers_that_they_admit() -> None:
    """Against every number on a fine grid, for every pair of rules."""
    grid = [number / 4 for number in range(-40, 80)]
    for old, new in itertools.product(RULES, RULES):
        left, right = Acceptance.of_rule(old), Acceptance.of_rule(new)
        more = any(right.admits(number) and not left.admits(number) for number in grid)
        less = any(left.admits(number) and not right.admits(number) for number in grid)
        expected = "looser" if more else "tighter" if less else "same-meaning"
        assert left.ruling(right, wider="looser", narrower="tighter") == expected, (old, new)


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        ("1.2.3", "1.2.3", "none"),
        ("1.2.3", "1.2.4", "patch"),
        ("1.2.3", "1.3.0", "minor"),
        ("1.9.9", "2.0.0", "major"),
        ("1.9.9", "1.10.0", "minor"),
        ("2.0.0", "1.9.9", "back"),
        ("1.2.3", "1.2.2", "back"),
        ("0.3.0", "0.4.0", "minor"),
        ("1.2", "1.3", "unknown"),
        ("1.0.0", None, "unknown"),
    ],
)
def test_steps_between_versions(before: str, after: str | None, step: str) -> None:
    assert step_between(before, after) == step


def test_the_version_to_write_takes_the_step() -> None:
    steps: tuple[VersionStep, ...] = ("none", "patch", "minor", "major")
    assert [next_version("1.2.3", step) for step in steps] == ["1.2.3", "1.2.4", "1.3.0", "2.0.0"]
