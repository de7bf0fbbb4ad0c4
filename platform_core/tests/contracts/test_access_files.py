"""Access files: what a sound history means, and what every wrong one is told, with its line."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from platform_core.contracts import AccessRequest, load_mesh, naming
from platform_core.contracts.access_schema import ACCESS_SCHEMA

Files = Any  # the fixture's type; test modules do not import each other
One = Callable[..., AccessRequest]

FOLDER = "domains/shop/access"
NAME = "shop.customers.customers.domain-sales.yaml"
NOW = datetime(2026, 6, 1, 12, 0, tzinfo=UTC)

HEAD = """\
port: shop.customers.customers
principal: domain:sales
history:
"""
ASKED = """\
  - action: requested
    at: 2026-01-05T09:00:00Z
    by: sales@example.com
    purpose: Answer letters of customers.
    personalData: true
    until: 2026-06-30
"""
APPROVED = """\
  - action: approved
    at: 2026-01-06T10:00:00Z
    by: shop@example.com
"""
DENIED = """\
  - action: denied
    at: 2026-01-06T10:00:00Z
    by: shop@example.com
    reason: The purpose needs no address.
"""
REVOKED = """\
  - action: revoked
    at: 2026-02-01T00:00:00Z
    by: privacy@example.com
    reason: The project ended.
"""


def _moment(text: str) -> datetime:
    return datetime.fromisoformat(text.replace("Z", "+00:00"))


@pytest.fixture
def one(files: Files) -> One:
    """Writes the history and gives its only request; nothing may be wrong."""

    def read(*entries: str) -> AccessRequest:
        files.write(f"{FOLDER}/{NAME}", HEAD + "".join(entries))
        mesh = files.mesh()
        assert [str(problem.location) for problem in mesh.problems] == []
        return mesh.access[-1]

    return read


def test_a_request_waits_for_a_decision(one: One) -> None:
    request = one(ASKED)
    assert (request.contract_id, request.principal, request.personal_data) == ("shop.customers.customers", "domain:sales", True)
    assert (request.purpose, request.until) == ("Answer letters of customers.", date(2026, 6, 30))
    assert request.state(NOW) == "pending"
    assert not request.in_force(NOW)


def test_an_approval_holds_through_its_last_day_in_utc(one: One) -> None:
    request = one(ASKED, APPROVED)
    assert request.state(_moment("2026-06-30T23:59:59Z")) == "active"
    assert request.state(_moment("2026-07-01T00:00:00Z")) == "expired"
    assert request.state(_moment("2026-06-30T23:59:59-03:00")) == "expired", "that is already July in UTC"


def test_a_refusal_gives_nothing(one: One) -> None:
    assert one(ASKED, DENIED).state(NOW) == "denied"


def test_access_ends_when_it_is_revoked(one: One) -> None:
    request = one(ASKED, APPROVED, REVOKED)
    assert request.state(_moment("2026-01-31T23:59:59Z")) == "active"
    assert request.state(_moment("2026-02-01T00:00:00Z")) == "revoked"
    assert request.revoked is not None
    assert request.revoked.reason == "The project ended."


def test_a_renewal_takes_the_place_of_what_it_renews_once_it_is_approved(files: Files) -> None:
    again = (
        ASKED.replace("2026-01-05", "2026-05-01").replace("2026-06-30", "2026-12-31").replace("personalData: true", "personalData: false")
    )
    files.write(f"{FOLDER}/{NAME}", HEAD + ASKED + APPROVED + again)
    first, second = files.mesh().access
    assert (first.state(NOW), second.state(NOW)) == ("active", "pending")
    files.write(f"{FOLDER}/{NAME}", HEAD + ASKED + APPROVED + again + APPROVED.replace("2026-01-06", "2026-05-02"))
    first, second = files.mesh().access
    assert (first.state(NOW), second.state(NOW), second.number) == ("replaced", "active", 2)
    assert first.in_force(_moment("2026-05-02T09:59:59Z"))
    assert not first.in_force(_moment("2026-05-02T10:00:00Z"))


def test_what_an_owner_decided_stands_after_the_owner_has_left(files: Files) -> None:
    files.write(f"{FOLDER}/{NAME}", HEAD + ASKED + APPROVED)
    files.replace(
        "customers",
        "      role: owner\n",
        "      role: owner\n      dateIn: '2024-01-01'\n      dateOut: '2026-03-31'\n    - username: new@example.com\n      role: owner\n",
    )
    assert [problem.message for problem in files.mesh().problems] == []
    files.replace("customers", "dateOut: '2026-03-31'", "dateOut: '2026-01-05'")
    (problem,) = files.mesh().problems
    assert problem.rule == "access-not-owner"
    assert "new@example.com" in problem.remedy


WRONG = {
    "no YAML": (HEAD + "  - [", 4, "yaml", "not valid YAML"),
    "a list": ("- a\n", 1, "access-value", "the file is ['a'], not a mapping"),
    "no port": (HEAD.replace("port: shop.customers.customers\n", "") + ASKED, 1, "access-missing", "port is missing"),
    "a misspelt key": (HEAD.replace("principal:", "principle:") + ASKED, 2, "access-key", "'principle', did you mean 'principal'?"),
    "no history": (HEAD.replace("history:", "history: []"), 3, "access-value", "history is empty"),
    "an unknown port": (HEAD.replace("customers.customers", "customers.costumers") + ASKED, 1, "access-port", "did you mean 'shop.customers.customers'?"),
    "a port of another domain": (HEAD.replace("shop.customers.customers", "sales.orders.orders") + ASKED, 1, "access-port", "lies in the folder of the domain 'shop'"),
    "no principal": (HEAD.replace("domain:sales", "sales") + ASKED, 2, "access-value", "is no principal"),
    "an unknown domain": (HEAD.replace("domain:sales", "domain:sale") + ASKED, 2, "access-principal", "no domain 'sale', did you mean 'sales'?"),
    "the owning domain": (HEAD.replace("domain:sales", "domain:shop") + ASKED, 2, "access-principal", "owns the port"),
    "a role of the platform": (HEAD.replace("domain:sales", "role:shop_customers_reader_pii") + ASKED, 2, "access-principal", "belongs to the platform"),
    "a role of Postgres": (HEAD.replace("domain:sales", "role:pg_read_all_data") + ASKED, 2, "access-principal", "belongs to the platform or to Postgres"),
    "everybody": (HEAD.replace("domain:sales", "role:public") + ASKED, 2, "access-principal", "belongs to the platform or to Postgres"),
    "a role of 64 bytes": (HEAD.replace("domain:sales", f"role:{'é' * 32}") + ASKED, 2, "access-principal", "cannot be a role"),
    "another principal's file": (HEAD.replace("domain:sales", "role:ana") + ASKED, 1, "access-file-name", "shop.customers.customers.domain-sales.yaml holds"),
    "an unknown action": (HEAD + ASKED.replace("requested", "request"), 4, "access-value", "did you mean 'requested'?"),
    "no action": (HEAD + ASKED.replace("action: requested", "act: requested"), 4, "access-value", "action is missing"),
    "an unknown key": (HEAD + ASKED.replace("personalData", "personal_data"), 8, "access-key", "did you mean 'personalData'?"),
    "no purpose": (HEAD + ASKED.replace("    purpose: Answer letters of customers.\n", ""), 4, "access-missing", "history[0].purpose is missing"),
    "an empty purpose": (HEAD + ASKED.replace("Answer letters of customers.", "' '"), 7, "access-value", "says nothing"),
    "truth as text": (HEAD + ASKED.replace("true", "'true'"), 8, "access-value", "not true or false"),
    "a day that is none": (HEAD + ASKED.replace("2026-06-30", "2026-06-31"), 9, "access-value", "'2026-06-31': is no day"),
    "local time": (HEAD + ASKED.replace("09:00:00Z", "09:00:00+02:00"), 5, "access-value", "is no moment in UTC"),
    "a last day before the request": (HEAD + ASKED.replace("2026-06-30", "2026-01-04"), 9, "access-history", "lies before the request"),
    "going back in time": (HEAD + ASKED + APPROVED.replace("2026-01-06", "2026-01-04"), 11, "access-history", "older than the one before"),
    "approved twice": (HEAD + ASKED + APPROVED + APPROVED.replace("10:00", "11:00"), 13, "access-history", "nothing is open that could be approved"),
    "denied after the approval": (HEAD + ASKED + APPROVED + DENIED, 13, "access-history", "nothing is open that could be denied"),
    "approved unasked": (HEAD + APPROVED, 4, "access-history", "nothing is open"),
    "two open requests": (HEAD + ASKED + ASKED, 10, "access-history", "open already, since line 4"),
    "revoked unapproved": (HEAD + ASKED + REVOKED, 10, "access-history", "nothing is in force"),
    "revoked after its end": (HEAD + ASKED + APPROVED + REVOKED.replace("2026-02-01", "2026-07-01"), 13, "access-history", "nothing is in force"),
    "approved after its end": (HEAD + ASKED + APPROVED.replace("2026-01-06", "2026-07-01"), 11, "access-history", "approved after its last day"),
    "a refusal without a reason": (HEAD + ASKED + DENIED.replace("    reason: The purpose needs no address.\n", ""), 10, "access-missing", "reason is missing"),
    "approved by the one who asked": (HEAD + ASKED + APPROVED.replace("shop@", "sales@"), 10, "access-not-owner", "'sales@example.com', who approved the request, was no owner"),
    "denied by a stranger": (HEAD + ASKED + DENIED.replace("shop@", "shopp@"), 10, "access-not-owner", "did you mean 'shop@example.com'?"),
}  # fmt: skip


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_names_its_line_and_grants_nothing(files: Files, case: str) -> None:
    content, line, rule, said = WRONG[case]
    files.write(f"{FOLDER}/{NAME}", content)
    mesh = files.mesh()
    first = mesh.problems[0]
    assert (first.rule, first.location.line, first.location.file.name) == (rule, line, NAME), first
    assert said in first.message
    assert first.remedy
    assert mesh.access == ()


def test_the_past_of_a_port_that_is_gone_is_no_error(files: Files) -> None:
    gone = HEAD.replace("customers.customers", "customers.visits") + ASKED + APPROVED + REVOKED
    files.write(f"{FOLDER}/shop.customers.visits.domain-sales.yaml", gone)
    assert [problem.severity for problem in files.mesh().problems] == ["warning"]


def test_a_file_of_a_broken_product_is_left_alone(files: Files) -> None:
    """Its owners cannot be read: what it says is neither granted nor found wrong, and nothing of the product is touched."""
    files.write(f"{FOLDER}/{NAME}", HEAD + ASKED + APPROVED)
    files.replace("customers", "name: Customers", "name: [Customers")
    assert {problem.location.file.name for problem in files.mesh().problems if problem.severity == "error"} == {"product.odps.yaml"}


@pytest.mark.parametrize(
    ("principal", "name"),
    [
        ("domain:sales", "shop.customers.customers.domain-sales.yaml"),
        ("role:ana", "shop.customers.customers.role-ana.yaml"),
        ("role:Ana", "shop.customers.customers.role-%41na.yaml"),
        ("role:a/../b", "shop.customers.customers.role-a%2f%2e%2e%2fb.yaml"),
        ("role:ana@example.com", "shop.customers.customers.role-ana@example%2ecom.yaml"),
    ],
)
def test_the_name_of_a_file_is_derived_and_safe_on_every_file_system(principal: str, name: str) -> None:
    assert naming.access_file("shop.customers.customers", principal) == name


def test_the_published_schema_is_current_and_agrees_with_the_reader(repo: Path, tmp_path: Path) -> None:
    assert ACCESS_SCHEMA.problems(repo) == ()
    schema = json.loads((repo / ACCESS_SCHEMA.file).read_text())
    jsonschema.Draft202012Validator.check_schema(schema)
    check = jsonschema.Draft202012Validator(schema)

    class Plain(yaml.SafeLoader):
        """As editors read it: a timestamp is text."""

    Plain.yaml_implicit_resolvers = {
        first: [pair for pair in pairs if pair[0] != "tag:yaml.org,2002:timestamp"]
        for first, pairs in yaml.SafeLoader.yaml_implicit_resolvers.items()
    }
    assert check.is_valid(yaml.load(HEAD + ASKED + APPROVED + REVOKED, Plain))
    shapes = {"access-missing", "access-key", "access-value"}
    for case, (content, _, rule, _) in WRONG.items():
        if rule in shapes and "31" not in case and case != "a day that is none":  # a pattern cannot count the days of a month
            assert not check.is_valid(yaml.load(content, Plain)), case
    (tmp_path / "domains").mkdir(exist_ok=True)
    (tmp_path / ACCESS_SCHEMA.file).write_text(ACCESS_SCHEMA.text() + " ")
    (problem,) = ACCESS_SCHEMA.problems(tmp_path)
    assert problem.rule == "access-schema"


def test_the_company_lints_clean(repo: Path) -> None:
    mesh = load_mesh(repo)
    assert [request.state(datetime.now(UTC)) for request in mesh.access] == ["active"] * len(mesh.access)
    assert mesh.access
