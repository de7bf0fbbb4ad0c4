"""The matrix of clauses is whole, current and one truth; what a file holds beyond it is told, and unknown keys are errors.

That each line of it is true is shown in ``tests/orchestration/test_clause_effects.py``.
"""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts import ContractError, clause_effects, clause_table, lifecycle, masking_clauses, official
from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES, clause_of
from platform_core.contracts.clause_paths import clauses_of, folded
from platform_core.contracts.clause_table import clause_rows, clauses_page
from platform_core.contracts.compatibility.judge import clause_of as ruling_of
from platform_core.contracts.declassified import DECLASSIFIED_PROPERTY
from platform_core.contracts.service_level_clauses import OBJECTIVES

Files = Any  # the fixture's type; test modules do not import each other
CONTRACT, PRODUCT = "orders contract", "orders"


def every_key(part: Any) -> set[str]:
    """Every key that a schema names anywhere, read without its structure."""
    if isinstance(part, list):
        return {key for item in part for key in every_key(item)}
    if not isinstance(part, dict):
        return set()
    own = set(part["properties"]) if isinstance(part.get("properties"), dict) and "type" not in part["properties"] else set()
    return own | {key for item in part.values() for key in every_key(item)}


@pytest.mark.parametrize("standard", ["odcs", "odps"])
def test_every_clause_of_every_release_has_one_effect(standard: Any) -> None:
    rows = clause_rows(standard)
    assert [row.path for row in rows] == sorted({path for path in clauses_of(standard) if not path.endswith("[]")})
    assert {row.effect for row in rows} == {"enforced", "published", "documented only"}
    last = {path.rpartition(".")[2].removesuffix("[]") for path in clauses_of(standard)}
    for release in official.releases(standard):
        missing = every_key(official.schema_of(standard, release)) - last
        assert missing - {"items", "key", "ApiServer"} == set(), "columns inside of columns are folded into one level"
    assert len(rows) > (450 if standard == "odcs" else 250)


def test_the_releases_differ_and_each_clause_knows_its_first() -> None:
    first = Counter(clauses_of("odcs").values())
    assert set(first) == {"v3.0.2", "v3.1.0", "v3.2.0"}
    assert clauses_of("odcs")["schema[].relationships"] == "v3.1.0"
    assert clauses_of("odcs")["schema[].properties[].enum"] == "v3.2.0"
    assert folded("schema[].properties[].properties[].items.map.value.name") == "schema[].properties[].name"


def test_a_clause_without_an_effect_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    less = {
        **clause_effects.CLAUSES,
        "odps": tuple(row for row in clause_effects.CLAUSES["odps"] if "sbom" not in row.paths.pattern),
    }
    monkeypatch.setattr(clause_effects, "CLAUSES", less)
    clause_of.cache_clear()
    with pytest.raises(ContractError, match=r"the clause outputPorts\[\]\.(sbom\[\]\.\w+|tags) of odps has no effect"):
        clause_rows("odps")
    monkeypatch.undo()
    clause_of.cache_clear()
    assert clause_rows("odps")


def test_no_line_of_the_table_is_idle() -> None:
    """Each pattern is the first to fit some clause: a line that fits none says something about nothing."""
    for standard in ("odcs", "odps"):
        used = {clause_of(standard, path) for path in clauses_of(standard)}
        assert [clause.paths.pattern for clause in clause_effects.CLAUSES[standard] if clause not in used] == []


def test_what_is_enforced_has_a_ruling_of_the_gate() -> None:
    for standard in ("odcs", "odps"):
        enforced = {row.path for row in clause_rows(standard) if row.effect == "enforced" and row.where != "by its parts"}
        assert {path for path in enforced if ruling_of(path) is None} <= {"apiVersion", "kind"}


def test_the_page_is_current_and_the_command_says_so(repo: Path) -> None:
    assert (repo / clause_table.CLAUSES_FILE).read_text() == clauses_page(), "write it anew: ./mesh clauses --write"
    assert clauses_page().count("\n| `") == sum(len(clause_rows(standard)) for standard in ("odcs", "odps")) + sum(
        map(len, PLATFORM_PROPERTIES.values())
    )


def test_the_custom_properties_are_those_that_the_planes_read() -> None:
    places = PLATFORM_PROPERTIES["odcs"]
    assert places["customProperties"] == (*lifecycle.LIFECYCLE_PROPERTIES, OBJECTIVES)
    assert set(places["schema[].properties[].customProperties"]) == {masking_clauses.MASK_PROPERTY, DECLASSIFIED_PROPERTY}


@pytest.mark.parametrize(
    ("of", "old", "new", "clause"),
    [
        (CONTRACT, "roles:\n", "price: {id: one, priceAmount: 1}\nroles:\n", "price.id"),
        (CONTRACT, "        physicalType: timestamptz\n", "        physicalType: timestamptz\n        encryptedName: at_enc\n", "encryptedName of ordered_at"),
        (CONTRACT, "      - metric: rowCount\n", "      - metric: rowCount\n        schedule: daily\n", "schedule of rowCount"),
        (CONTRACT, "          minimum: 0\n", "          minimum: 0\n          multipleOf: 5\n", "logicalTypeOptions.multipleOf of amount_usd"),
        (CONTRACT, "      - name: ordered_at\n",
         "      - name: more\n        logicalType: object\n        properties: [{name: inner, logicalType: string, required: true}]\n      - name: ordered_at\n",
         "columns inside of more"),
        (CONTRACT, "        physicalType: timestamptz\n", "        physicalType: timestamptz\n        customProperties: [{property: own, value: 1}]\n",
         "custom property 'own' of ordered_at"),
        (PRODUCT, "team:\n", "managementPorts: [{name: x, content: discoverability, channel: y}]\nteam:\n", "channel of x"),
        (PRODUCT, "    url: https://example.com/sales\n", "    url: https://example.com/sales\n    tags: [slack]\n", "tags of sales-data"),
    ],
)  # fmt: skip
def test_what_nothing_acts_on_is_told_with_its_line(files: Files, of: str, old: str, new: str, clause: str) -> None:
    before = set(told(files))
    files.replace(of, old, new)
    [(found, line)] = sorted(set(told(files)) - {item for item in told(files) if item[0] in {name for name, _ in before}})
    assert found == clause
    assert new.replace(old, "").strip().split(":")[0].split("{")[-1].strip("- ") in files.line(of, line) or "properties" in files.line(
        of, line
    )


def told(files: Files) -> list[tuple[str, int]]:
    mesh = files.mesh()
    assert "sales.orders" in mesh.products, mesh.problems
    return [(clause, at.line) for owner, clause, at in mesh.documented_only if owner.startswith("sales.orders")]


def test_a_key_that_the_schema_lets_pass_is_an_error_all_the_same(files: Files) -> None:
    """The schema of ODCS closes most objects, but not all: ``description`` takes any key."""
    files.replace(CONTRACT, "roles:\n", "description:\n  purpose: x\n  purpos: y\nroles:\n")
    [problem] = files.mesh().problems
    assert (problem.rule, problem.severity) == ("unknown-clause", "error")
    assert "description.purpos, did you mean 'purpose'?" in problem.message
    assert "purpos: y" in files.line(CONTRACT, problem.location.line)


def test_a_custom_property_that_nearly_bears_a_known_name_is_a_warning(files: Files) -> None:
    files.replace(
        CONTRACT,
        "        physicalType: timestamptz\n",
        "        physicalType: timestamptz\n        customProperties: [{property: maskk, value: 'null'}]\n",
    )
    [problem] = files.mesh().problems
    assert (problem.rule, problem.severity) == ("custom-property", "warning")
    assert "did you mean 'mask'?" in problem.message
