"""Whatever stands in the files of the real company, reading the mesh gives findings or a mesh that plans, and never raises.

``MESH_MUTATIONS=10000`` changes files ten thousand times; a few dozen times by default.
"""

from __future__ import annotations

import copy
import datetime
import json
import os
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from platform_core.contracts import SourceError, load_mesh, load_yaml, official
from platform_core.contracts.inspection import inspect
from platform_core.contracts.team_file import owner_problems
from platform_core.warehouse import Access
from platform_core.warehouse.access import desired

MUTATIONS = int(os.environ.get("MESH_MUTATIONS", "40"))
pytestmark = pytest.mark.timeout(300 + MUTATIONS // 5)
NOW = datetime.datetime(2026, 11, 21, tzinfo=datetime.UTC)


def bounded(share: float) -> settings:
    """A share of all mutations."""
    checks = [HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much]
    return settings(max_examples=max(5, int(MUTATIONS * share)), deadline=None, suppress_health_check=checks)


NAMES = [
    'quo"te', "it's", "two words", "x; DROP TABLE orders; --", "😀", "a" * 63, "a" * 64, "é" * 31 + "a", "é" * 32, "%s", "{object}", "\\", "select",
    "--", "a\tb", "a\nb", "a\x00b", "\u202egnp", "A", "a.b", "$1", "*", "", " ",
]  # fmt: skip
NASTY = [
    *NAMES,
    "NO",
    "../..",
    "select 1 from {object}",
    "[",
    "1.0.0",
    "a.b.c",
    "a.b.c.d",
    "freshness",
    "2026-02-30",
    "x" * 20_000,
    "null",
    "hash",
]
NUMBERS = [0, -1, 10**30, 2**63, 1e308, float("inf"), float("nan"), datetime.date(2026, 1, 31), datetime.datetime(2026, 1, 31, 12)]
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.sampled_from(NASTY) | st.sampled_from(NUMBERS) | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["property", "value", "name", "id", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)
# What YAML has for those who look for trouble.
TRICKS = [
    "\t", "\x00", "\ufeff", "\u2028", "\r", "<<: *a\n", "&a ", "*a", "!!python/object:os.system x", "!!binary ===", "!!float x", "!!set {a}", "? ", "- ",
    "- - - - ", "{", "}", "[" * 60, "[" * 5000, "{a: " * 300, "|\n", ">-\n", "%YAML 9.9\n", "---\n", "...\n", "'", '"', "#", ": ", ",", "@", "`", "=", "~",
    "2020-13-45", "2020-02-30T25:00:00Z", "0x1F", "0o17", "1_000", "190:20:30", "1e999", ".nan", "-.inf", "9" * 5000, "no", "key: &k {<<: *k}\n", "&a [*a]",
    "<<: [{id: x}, {id: y}]\n", "id: twice\n", "\\x", '"\\ud800"', "é", "😀", "\x85", "\x07",
]  # fmt: skip


@pytest.fixture(scope="module")
def company(tmp_path_factory: pytest.TempPathFactory, repo: Path) -> Path:
    root = tmp_path_factory.mktemp("company")
    patterns = (
        "domains/*/pyproject.toml",
        "domains/*.yaml",
        "domains/*/*.yaml",
        "domains/*/access/*.yaml",
        "domains/**/*.od?s.yaml",
        "airbyte/**/*.yaml",
    )
    for path in (path for pattern in patterns for path in repo.glob(pattern)):
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


def at(document: Any, path: tuple[Any, ...]) -> Any:
    for step in path:
        document = document[step]
    return document


def verdicts_agree(file: Path) -> None:
    """The fast validator says what ``jsonschema`` says; of what JSON does not have it may only refuse more, which ``jsonschema`` then decides."""
    try:
        document = load_yaml(file)
    except SourceError:
        return
    try:
        plain = bool(json.dumps(document.data, allow_nan=False, ensure_ascii=False).encode())
    except (TypeError, ValueError):
        plain = False
    standard: official.Standard = "odcs" if ".odcs." in file.name else "odps"
    for release in official.releases(standard):
        fast = official._accepted(document, standard, release)  # pyright: ignore[reportPrivateUsage]
        slow = official._validator(standard, release).is_valid(document.data)  # pyright: ignore[reportPrivateUsage]
        assert fast == slow or (not fast and not plain), f"{release}: {fast}, jsonschema: {slow}"


def check(company: Path, changed: Path, content: bytes) -> None:
    """An error with file and line, or a mesh that plans; and the same for the one file on its own."""
    original = changed.read_bytes()
    try:
        changed.write_bytes(content)
        mesh = load_mesh(company)
        problems = (*mesh.problems, *owner_problems(company, mesh))
        found = inspect(changed)
        verdicts_agree(changed)
    finally:
        changed.write_bytes(original)
    lines = len(re.split("\r\n|[\n\r\x85\u2028\u2029]", content.decode(errors="replace")))
    for problem in (*problems, *found.problems):
        assert problem.message and problem.remedy and problem.location.line >= 1
        assert str(problem.error()) and problem.message.encode(errors="replace")
        assert problem.location.line <= lines or problem.location.file != changed, problem
    assert isinstance(desired(mesh, NOW), Access)
    assert all(at.line >= 1 for _, _, at in (*mesh.documented_only, *((None, *item) for item in found.documented)))
    reported = {problem.location.file for problem in mesh.problems if problem.severity == "error"}
    assert len(mesh.products) == len(list(company.glob("domains/**/*.odps.yaml"))) or reported, "a product is missing and nothing says why"
    assert found.path == changed and (found.valid or found.breaches)


def changes(document: Any, data: st.DataObject) -> Iterator[None]:
    """One change of a document: something goes, comes twice, is another thing, has another name, or stands elsewhere."""
    places = paths(document)
    if not places:
        return
    place = data.draw(st.sampled_from(places))
    parent, key = at(document, place[:-1]), place[-1]
    what = data.draw(st.sampled_from(["drop", "retype", "retype", "rename", "twice", "swap", "wrap", "name", "insert"]))
    if what == "drop":
        del parent[key]
    elif what == "retype":
        parent[key] = data.draw(JSON)
    elif what == "name":
        parent[key] = data.draw(st.sampled_from(NAMES))
    elif what == "wrap":
        for _ in range(data.draw(st.sampled_from([1, 2, 60, 120]))):
            parent[key] = [parent[key]] if data.draw(st.booleans()) else {"value": parent[key]}
    elif what == "swap":
        other = data.draw(st.sampled_from(places))
        if other[: len(place)] != place and place[: len(other)] != other:
            holder = at(document, other[:-1])
            parent[key], holder[other[-1]] = holder[other[-1]], parent[key]
    elif isinstance(parent, list):
        parent.insert(data.draw(st.integers(0, len(parent))), parent[key])  # the same object: YAML writes an anchor and an alias
    elif what == "rename":
        known = sorted({step for path in places for step in path if isinstance(step, str)})
        parent[data.draw(st.sampled_from(known) | st.sampled_from(NAMES))] = parent.pop(key)
    else:
        parent[data.draw(st.sampled_from(["customProperties", "tags", "x", "id", "quality", "context"]))] = parent[key]
    yield


def written(document: Any, data: st.DataObject) -> bytes:
    form = data.draw(st.sampled_from(["block", "flow", "json"]))
    if form == "json":
        return json.dumps(document, default=str).encode(errors="replace")
    text = yaml.safe_dump(document, sort_keys=False, allow_unicode=data.draw(st.booleans()), default_flow_style=form == "flow")
    return text.encode(errors="replace")


@bounded(0.5)
@given(data=st.data())
def test_any_change_of_what_a_file_says(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    document = copy.deepcopy(load_yaml(path).data)
    for _ in range(data.draw(st.integers(1, 3))):
        for _ in changes(document, data):
            pass
    check(company, path, written(document, data))


@bounded(0.3)
@given(data=st.data())
def test_any_trick_of_yaml_anywhere(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    text = path.read_text()
    for _ in range(data.draw(st.integers(1, 3))):
        place = data.draw(st.integers(0, len(text)))
        place = text.rfind("\n", 0, place) + 1 if data.draw(st.booleans()) else place  # at the begin of a line, or anywhere
        text = text[:place] + data.draw(st.sampled_from(TRICKS)) + text[place + data.draw(st.sampled_from([0, 0, 1, 5])) :]
    check(company, path, text.encode(errors="surrogatepass"))


@bounded(0.1)
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


@bounded(0.1)
@given(data=st.data())
def test_any_bytes(company: Path, data: st.DataObject) -> None:
    path = data.draw(st.sampled_from(product_files(company)))
    content = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 3))] = data.draw(st.binary(max_size=4))
    check(company, path, bytes(content))


def test_the_files_of_the_company_are_sound_before_they_are_changed(company: Path) -> None:
    mesh = load_mesh(company)
    assert (mesh.problems, list(owner_problems(company, mesh))) == ((), [])
