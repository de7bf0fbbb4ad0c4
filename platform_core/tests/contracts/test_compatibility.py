"""The gate's table: what every kind of change of the real contracts and products means for those who read them."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import pytest
from changed_files import FILES, Document, Mutation
from gate_table import TABLE
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import load_yaml
from platform_core.contracts.compatibility import RULINGS, rulings_table
from platform_core.contracts.compatibility.judge import judged

OF_WHOLE_FILES = {
    *("product-added", "product-removed", "contract-added", "contract-removed", "retired-removed"),
    *("model-added", "model-changed", "model-removed", "model-unused-removed", "project-changed"),
}
OF_POLICIES = {  # see test_compare_policies
    *("mask-removed", "mask-weakened", "mask-stricter", "policy-unseen", "column-shown", "column-hidden", "rows-hidden", "rows-shown"),
    *("access-ended", "access-narrowed", "access-given", "access-widened", "access-asked", "team-changed"),
}


@pytest.fixture(scope="module")
def originals(repo: Path) -> dict[str, Document]:
    return {name: load_yaml(repo / path).data for name, path in FILES.items()}


def _nothing(_: Document) -> None:
    """The demonstration as it is."""


@pytest.mark.parametrize(("file", "change", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_change_gets_its_ruling(
    originals: dict[str, Document], file: str, change: Mutation | tuple[Mutation, Mutation], expected: set[str]
) -> None:
    old = copy.deepcopy(originals[file])
    steps = change if isinstance(change, tuple) else (_nothing, change)
    steps[0](old)
    new = copy.deepcopy(old)
    steps[1](new)
    assert {found.ruling.name for found in judged(old, new)} == expected
    assert list(judged(old, old)) == [] == list(judged(new, new))


def test_the_table_is_large_and_reaches_every_ruling() -> None:
    assert len(TABLE) >= 100
    reached = {name for row in TABLE for name in row[3]}
    assert reached | OF_WHOLE_FILES | OF_POLICIES == set(RULINGS)


@pytest.mark.parametrize(
    "row",
    [
        "PII classification lowered",
        "pii tag removed",
        "role removed",
        "availability 99.5 -> 90",
        "retention removed",
        "server schema changed",
        "active -> retired",
    ],
)
def test_what_other_tools_grade_as_information_is_breaking(row: str) -> None:
    """datacontract-cli 1.2.8 reports each of these as mere information."""
    (expected,) = [rulings for name, _, _, rulings in TABLE if name == row]
    assert {RULINGS[name].verdict for name in expected} == {"breaking"}


def test_every_verdict_has_a_reason_and_a_step() -> None:
    for ruling in RULINGS.values():
        assert ruling.reason.endswith(".") and ruling.reason.count(". ") == 0
        assert ruling.step == "none" or ruling.step == {"breaking": "major", "additive": "minor", "cosmetic": "patch"}[ruling.verdict]


def test_the_documentation_shows_the_catalogue(repo: Path) -> None:
    assert rulings_table() in (repo / "docs" / "gate.md").read_text(), "write the table of rulings_table() into it"


NASTY: list[Any] = ["", "NO", "2026-01-31", "1e999", "\x00", "é" * 70, "1.0.0", 10**400, float("nan"), float("inf"), -0.0, "99 %", "pii"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NASTY) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["property", "value", "name", "role", "priceAmount", "metric", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*above, key), *paths(inner, (*above, key))]]


def mutated(data: st.DataObject, document: Document) -> Document:
    document = copy.deepcopy(document)
    place = data.draw(st.sampled_from(paths(document)))
    parent: Any = document
    for step in place[:-1]:
        parent = parent[step]
    how = data.draw(st.sampled_from(["set", "delete", "double", "add"]))
    if how == "delete":
        del parent[place[-1]]
    elif how == "double" and isinstance(parent, list):
        parent.append(copy.deepcopy(parent[place[-1]]))
    elif how == "add" and isinstance(parent, dict):
        known = sorted({str(path[-1]) for path in paths(document) if isinstance(path[-1], str)})
        parent[data.draw(st.sampled_from(known) | st.text(max_size=5))] = data.draw(JSON)
    else:
        parent[place[-1]] = data.draw(JSON)
    return document


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_any_change_of_any_clause_is_reported_and_none_is_a_traceback(originals: dict[str, Document], data: st.DataObject) -> None:
    old = originals[data.draw(st.sampled_from(sorted(originals)))]
    if data.draw(st.booleans()):
        old = mutated(data, old)
    new = mutated(data, old)
    found, back = list(judged(old, new)), list(judged(new, old))
    assert bool(found) == bool(back) == (repr(old) != repr(new) and not _equal(old, new))
    assert all(one.ruling.name in RULINGS and one.difference.path for one in [*found, *back])
    assert list(judged(new, copy.deepcopy(new))) == []


def _equal(left: Any, right: Any) -> bool:
    """Equality of plain data as text tells it: the order of a mapping's keys means nothing."""
    if isinstance(left, dict) and isinstance(right, dict):
        return left.keys() == right.keys() and all(_equal(left[key], right[key]) for key in left)
    if isinstance(left, list) and isinstance(right, list):
        return len(left) == len(right) and all(map(_equal, left, right))
    return repr(left) == repr(right)
