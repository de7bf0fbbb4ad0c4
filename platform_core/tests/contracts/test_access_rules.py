"""What lets a domain read a port: the contract's roles, or a request that was approved and holds."""

from __future__ import annotations

import shutil
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from platform_core.contracts import Problem, access_problems
from platform_core.contracts.compatibility import compare, folder_state

Files = Any  # the fixture's type; test modules do not import each other

NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)
ACCESS = "domains/shop/access/shop.customers.customers.domain-sales.yaml"
OPEN = "  - {role: shop_customers_reader, access: read}\n"
PERSONAL = "    version: 1.1.0\n    customProperties:\n      - property: personalData\n        value: true\noutputPorts:"
ASKED = """\
port: shop.customers.customers
principal: domain:sales
history:
  - action: requested
    at: 2026-01-05T09:00:00Z
    by: sales@example.com
    purpose: Answer letters of customers.
    personalData: true
    until: 2026-06-30
"""
APPROVED = ASKED + "  - {action: approved, at: 2026-01-06T10:00:00Z, by: shop@example.com}\n"


def _roles(files: Files, reader: str = "", pii: str = "") -> None:
    """What stands behind the names of the two roles."""
    text = files.read("customers contract")
    start, end = text.index("roles:\n"), text.index("team:\n")
    entries = f"roles:\n  - {{role: shop_customers_reader{reader}}}\n  - {{role: shop_customers_reader_pii{pii}}}\n"
    files.write("customers contract", text[:start] + entries + text[end:])


def _personal(files: Files) -> None:
    files.replace("orders", "    version: 1.1.0\noutputPorts:", PERSONAL)


def _problems(files: Files, now: datetime = NOW) -> tuple[Problem, ...]:
    mesh = files.mesh()
    assert [problem.message for problem in mesh.problems] == []
    return access_problems(files.root, mesh, now)


def _only(domains: str) -> str:
    return f", access: read, customProperties: [{{property: domains, value: {domains}}}]"


@pytest.mark.parametrize("reader", [", access: read", ", access: Read", _only("[sales]"), _only("[shop, sales]")])
def test_the_reader_role_opens_a_port_to_every_domain_or_to_those_it_lists(files: Files, reader: str) -> None:
    _roles(files, reader)
    assert _problems(files) == ()


@pytest.mark.parametrize("reader", ["", ", access: write", _only("[]"), _only("[shop]")])
def test_what_no_role_allows_is_an_error_at_the_input_with_the_command_that_asks(files: Files, reader: str) -> None:
    _roles(files, reader)
    (problem,) = _problems(files)
    assert (problem.rule, problem.severity) == ("access-not-granted", "error")
    assert files.line("orders", problem.location.line).strip() == "- name: customers"
    assert './mesh access request shop.customers.customers --for domain:sales --purpose "..."' in problem.remedy
    assert "sales.orders" in files.mesh().products, "the product stays in the graph: only its reading is refused"


@pytest.mark.parametrize(("pii", "allowed"), [(", access: read", False), (_only("[sales]"), True), (_only("[shop]"), False)])
def test_personal_data_in_clear_is_for_the_domains_that_are_listed(files: Files, pii: str, allowed: bool) -> None:
    _roles(files, ", access: read", pii)
    _personal(files)
    problems = _problems(files)
    assert len(problems) == (0 if allowed else 1)
    for problem in problems:
        assert "--for domain:sales --pii --purpose" in problem.remedy
        assert "to read personal data of 'shop.customers.customers' in clear" in problem.message


def test_an_approved_request_opens_the_port_until_it_ends(files: Files) -> None:
    _roles(files)
    _personal(files)
    files.write(ACCESS, APPROVED)
    assert _problems(files) == ()
    (problem,) = _problems(files, datetime(2026, 7, 1, tzinfo=UTC))
    assert problem.rule == "access-not-granted"
    assert problem.message.endswith(f"{ACCESS}:4 is expired since 2026-07-01 00:00 UTC")


def test_a_request_that_waits_opens_nothing(files: Files) -> None:
    _roles(files)
    files.write(ACCESS, ASKED)
    (problem,) = _problems(files)
    assert problem.message.endswith(f"the request at {ACCESS}:4 is pending")


def test_an_approval_without_personal_data_gives_none(files: Files) -> None:
    _roles(files)
    _personal(files)
    files.write(ACCESS, APPROVED.replace("personalData: true", "personalData: false"))
    (problem,) = _problems(files)
    assert "without personal data" in problem.message


def test_a_role_lists_domains_that_exist(files: Files) -> None:
    _roles(files, _only("[sales, market]"))
    (problem,) = _problems(files)
    assert (problem.rule, "'market'" in problem.message) == ("role", True)


@pytest.mark.parametrize(
    ("property_", "value", "said"),
    [("domain", "[sales]", "did you mean 'domains'?"), ("domains", "sales", "is 'sales'"), ("domains", "[Sales]", "is ['Sales']")],
)
def test_a_custom_property_of_a_role_that_cannot_be_used_is_an_error(files: Files, property_: str, value: str, said: str) -> None:
    _roles(files, f", access: read, customProperties: [{{property: {property_}, value: {value}}}]")
    problem = next(problem for problem in files.mesh().problems if problem.severity == "error")
    assert said in problem.message
    assert "customProperties" in files.line("customers contract", problem.location.line)


def test_what_is_dated_tomorrow_did_not_happen(files: Files) -> None:
    _roles(files)
    files.write(ACCESS, APPROVED)
    problems = _problems(files, datetime(2026, 1, 5, 12, 0, tzinfo=UTC))
    assert [problem.location.line for problem in problems] == [10]
    assert "still to come" in problems[0].message


@pytest.mark.parametrize(
    ("before", "after", "verdict"),
    [
        (_only("[sales, shop]"), _only("[shop]"), "breaking"),
        (", access: read", _only("[shop]"), "breaking"),
        (_only("[shop]"), _only("[sales, shop]"), "additive"),
    ],
)
def test_the_gate_sees_who_a_role_is_for(
    files: Files, tmp_path_factory: pytest.TempPathFactory, before: str, after: str, verdict: str
) -> None:
    _roles(files, before)
    old = Path(shutil.copytree(files.root, tmp_path_factory.mktemp("old") / "mesh"))
    _roles(files, after)
    changes = compare(folder_state(old, "old"), folder_state(files.root, "new")).changes
    assert [change.ruling.verdict for change in changes] == [verdict]
