"""Whatever stands in the files of the real company, reading the mesh gives findings and never raises."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import load_mesh

BOUNDED = settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
NASTY = ["", "NO", "../..", "{object}", "select 1 from {object}", "[", "\x00", "é" * 70, "1.0.0", "a.b.c", "a.b.c.d", "freshness"]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NASTY) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["property", "value", "name", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    root = tmp_path_factory.mktemp("company")
    for pattern in ("domains/*/pyproject.toml", "domains/**/*.odps.yaml", "domains/**/*.odcs.yaml", "airbyte/**/*.yaml"):
        for path in repo.glob(pattern):
            target = root / path.relative_to(repo)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)
    return root


def product_files(company: Path) -> list[Path]:
    return sorted([*company.glob("domains/**/*.odps.yaml"), *company.glob("domains/**/*.odcs.yaml")])


def paths(value: Any, above: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every key and index of a document."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path for key, inner in items for path in [(*above, key), *paths(inner, (*above, key))]]


def check(company: Path, changed: Path, content: bytes) -> None:
    original = changed.read_bytes()
    try:
        changed.write_bytes(content)
        mesh = load_mesh(company)
    finally:
        changed.write_bytes(original)
    for problem in mesh.problems:
        assert problem.message and problem.remedy and problem.location.line >= 1
        assert str(problem.error())
        assert problem.location.line <= content.count(b"\n") + 1 or problem.location.file != changed
    reported = {problem.location.file for problem in mesh.problems if problem.severity == "error"}
    assert len(mesh.products) == len(list(company.glob("domains/**/*.odps.yaml"))) or reported, "a product is missing and nothing says why"


@BOUNDED
@given(data=st.data())
def test_any_value_in_any_place(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    document = yaml.safe_load(path.read_text())
    place = data.draw(st.sampled_from(paths(document)))
    parent = document
    for step in place[:-1]:
        parent = parent[step]
    if data.draw(st.booleans()):
        parent[place[-1]] = data.draw(JSON)
    else:
        del parent[place[-1]]
    content = yaml.safe_dump(document, sort_keys=False, allow_unicode=True) if data.draw(st.booleans()) else json.dumps(document)
    check(company, path, content.encode(errors="replace"))


@BOUNDED
@given(data=st.data())
def test_any_line_twice_or_anywhere(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    lines = path.read_text().splitlines(keepends=True)
    number, target = data.draw(st.integers(0, len(lines) - 1)), data.draw(st.integers(0, len(lines)))
    if data.draw(st.booleans()):
        lines.insert(target, lines[number])
    else:
        lines.insert(min(target, len(lines) - 1), lines.pop(number))
    check(company, path, "".join(lines).encode())


@BOUNDED
@given(data=st.data())
def test_any_bytes(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    check(company, path, bytes(content))


def test_the_files_of_the_company_are_sound_before_they_are_changed(company: Path) -> None:
    assert load_mesh(company).problems == ()
