"""The official schemas are asked through a fast validator; what that one has no form for, ``jsonschema`` decides as before.

That both agree on every mutated file of the company is told by ``test_fuzz``.
"""

from __future__ import annotations

import datetime
from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts import Document, official
from platform_core.contracts.source import parse_yaml

PRODUCT = {"kind": "DataProduct", "apiVersion": "v1.1.0", "id": "a.b", "status": "active"}
CONTRACT = {"kind": "DataContract", "apiVersion": "v3.1.0", "id": "a.b.c", "version": "1.0.0", "status": "active"}


def document(**more: Any) -> Document:
    return Document(Path("c.odcs.yaml"), {**CONTRACT, **more}, {})


def custom(value: Any) -> Document:
    return document(customProperties=[{"property": "x", "value": value}])


def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The releases for which the slow validator is made from now on."""
    made: list[str] = []
    original = official._validator  # pyright: ignore[reportPrivateUsage]
    monkeypatch.setattr(official, "_validator", lambda standard, release: made.append(release) or original(standard, release))  # pyright: ignore[reportUnknownArgumentType, reportUnknownLambdaType]
    return made


def test_a_sound_file_never_meets_the_slow_validator(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = asked(monkeypatch)
    assert official.check(Document(Path("p.odps.yaml"), PRODUCT, {}), "odps") == []
    assert official.check(custom("text"), "odcs") == []
    assert slow == []


def test_a_refused_file_is_explained_with_its_line(monkeypatch: pytest.MonkeyPatch) -> None:
    slow = asked(monkeypatch)
    text = "kind: DataProduct\napiVersion: v1.1.0\nid: a.b\nstatus: active\nnonsense: 1\n"
    found = official.check(parse_yaml(text, Path("p.odps.yaml")), "odps")
    assert [(problem.location.line, "nonsense" in problem.message) for problem in found] == [(5, True)]
    assert slow


@pytest.mark.parametrize(
    "value",
    [
        datetime.date(2026, 1, 31), b"bytes", "\ud800", float("nan"), float("inf"), -0.0, 1.0, 10**40, -(2**63) - 1, True, None,
        [1, 1.0], {"": []}, {"a": {"b": [None]}},
    ],
    ids=repr,
)  # fmt: skip
def test_what_json_does_not_have_is_judged_as_before(value: Any) -> None:
    given = custom(value)
    expected = official._validator("odcs", "v3.1.0").is_valid(given.data)  # pyright: ignore[reportPrivateUsage]
    assert (list(official.check_release(given, "odcs", "v3.1.0")) == []) is expected


@pytest.mark.parametrize("bounds", [[1, 2], [1, 1], [1, 1.0], [2**53, float(2**53)], [1e30, 10**30], [1, True], ["a", "b"], [1]])
def test_equal_numbers_are_equal_however_they_are_written(bounds: list[Any]) -> None:
    rule = {"name": "r", "type": "sql", "query": "select 1", "mustBeBetween": bounds}
    given = document(schema=[{"name": "t", "logicalType": "object", "quality": [rule]}])
    expected = official._validator("odcs", "v3.1.0").is_valid(given.data)  # pyright: ignore[reportPrivateUsage]
    accepted = official._accepted(given, "odcs", "v3.1.0")  # pyright: ignore[reportPrivateUsage]
    assert (list(official.check_release(given, "odcs", "v3.1.0")) == []) is expected
    assert expected or not accepted


def test_formats_are_hints_in_both() -> None:
    given = document(contractCreatedTs="no moment at all")
    assert official._accepted(given, "odcs", "v3.1.0")  # pyright: ignore[reportPrivateUsage]
    assert official._validator("odcs", "v3.1.0").is_valid(given.data)  # pyright: ignore[reportPrivateUsage]


def test_nesting_beyond_every_file_stays_a_verdict() -> None:
    deep: Any = 1
    for _ in range(400):
        deep = [deep]
    assert list(official.check_release(custom(deep), "odcs", "v3.1.0")) == []
