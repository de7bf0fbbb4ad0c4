"""Personal data inside of a column is personal data of the column: Postgres shows or masks it as one value."""

from __future__ import annotations

from typing import Any

import pytest

Files = Any  # the fixture's type; test modules do not import each other

OLD = "      - name: ordered_at\n"
INSIDE = {
    "an object": "        logicalType: object\n        properties:\n          - name: email\n{inner}",
    "an array of objects": (
        "        logicalType: array\n        items:\n          logicalType: object\n          properties:\n            - name: email\n{inner}"
    ),
    "an array of values": "        logicalType: array\n        items:\n          logicalType: string\n{inner}",
    "a map": "        logicalType: map\n        map:\n          key: {{logicalType: string}}\n          value:\n            logicalType: string\n{inner}",
    "an object in an object": (
        "        logicalType: object\n        properties:\n          - name: contact\n            logicalType: object\n"
        "            properties:\n              - name: email\n{inner}"
    ),
}


def written(files: Files, kind: str, inner: str, column: str) -> None:
    body = INSIDE[kind]
    last = body.splitlines()[-2]
    indent = " " * (len(last) - len(last.lstrip(" -")))
    lines = [] if "logicalType" in last else ["logicalType: string"]
    lines += inner.split("; ") if inner else []
    text = body.format(inner="".join(f"{indent}{line}\n" for line in lines))
    files.replace("orders contract", OLD, f"      - name: buyer\n        physicalType: jsonb\n{column}{text}{OLD}")
    files.replace("orders contract", "roles:\n", "roles:\n  - role: sales_orders_reader_pii\n")


@pytest.mark.parametrize("kind", INSIDE)
@pytest.mark.parametrize("inner", ["classification: restricted", "classification: internal; tags: [pii]"])
def test_a_column_that_is_open_holds_nothing_personal(files: Files, kind: str, inner: str) -> None:
    written(files, kind, inner, "        classification: public\n")
    [problem] = [problem for problem in files.mesh().problems if problem.severity == "error" and "buyer" in problem.message]
    assert problem.rule == "personal-data"
    assert problem.message.startswith("the column 'buyer' is public, but ")
    assert inner.rsplit("; ", maxsplit=1)[-1] in problem.remedy
    assert problem.location.line > 1


@pytest.mark.parametrize("kind", INSIDE)
@pytest.mark.parametrize(
    ("inner", "column"),
    [
        ("classification: restricted", "        classification: restricted\n        tags: [pii]\n"),
        ("classification: confidential", "        classification: restricted\n"),
        ("classification: internal", "        classification: public\n"),
        ("", ""),
    ],
)
def test_a_column_that_is_protected_as_its_parts_or_has_open_parts_is_fine(files: Files, kind: str, inner: str, column: str) -> None:
    written(files, kind, inner, column)
    assert [problem for problem in files.mesh().problems if problem.severity == "error"] == []


def test_a_column_that_is_protected_less_than_its_parts_is_an_error(files: Files) -> None:
    written(files, "an object", "classification: restricted", "        classification: confidential\n")
    [problem] = [problem for problem in files.mesh().problems if problem.severity == "error"]
    assert problem.message == "the column 'buyer' is confidential, but 'email' inside of it is restricted"
