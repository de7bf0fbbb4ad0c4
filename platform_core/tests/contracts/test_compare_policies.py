"""The gate on who may see what: the attribute policy, requests for access, teams; judged by what readers see, with those who are hit."""

from __future__ import annotations

from collections.abc import Callable
from datetime import date
from pathlib import Path

import pytest

from platform_core.contracts.compatibility import Report, State, as_document, compare, folder_state, markdown
from platform_core.contracts.compatibility.mask_strictness import mask_step
from platform_core.contracts.masking import NULL, Mask

POLICY = "domains/masking.yaml"
ACCESS = "domains/customer/access/customer.profiles.profiles.domain-sales.yaml"
TEAM = "domains/customer/team.yaml"
PROFILES = "domains/customer/src/customer/defs/profiles/contracts/profiles.odcs.yaml"
TODAY = date(2026, 11, 21)
FILTER = "\n    customProperties:\n      - {property: rowFilter, value: {column: country_code, readerAttribute: country}}\n"
RULES = """\
description: How the retailer shows personal data.
rules:
  - tag: email
    mask: {partial: {first: 1, domain: true}}
  - tag: phone
    mask: hash
  - tag: tongue
    mask: null
  - tag: age
    mask: {bucket: 10}
  - tag: birth-date
    mask: year
  - tag: postal-code
    mask: {partial: {first: 2}}
  - classification: private
    mask: {partial: {last: 1}}
otherwise:
  mask: null
unmasked: [public, internal, open]
readers:
  - role: support_iberia
    attributes: {country: [PT, ES]}
"""
REVOKED = "  - {action: revoked, at: 2026-01-05T10:00:00Z, by: customer-data@example.com, reason: Not needed.}\n"
ASKED = "  - {action: requested, at: 2026-01-05T10:00:00Z, by: sales-data@example.com, purpose: Longer.}\n"
ROWS = ("rows-hidden", "schema.profiles.rowFilter of support_iberia by country")
Edit = Callable[[str], str]


def swap(*pairs: tuple[str, str]) -> Edit:
    def edit(text: str) -> str:
        for before, after in pairs:
            assert before in text
            text = text.replace(before, after, 1)
        return text

    return edit


def more(text: str) -> Edit:
    return lambda before: before + text


def gone(_: str) -> str:
    return ""


def with_filter(text: str) -> str:
    head, _, tail = text.partition("    properties:\n")
    return f"{head}{FILTER.strip(chr(10))}\n    properties:\n{tail}"


# What changes | file | the change | rulings with what they are about, no more and no fewer.
TABLE: list[tuple[str, str, Edit, set[tuple[str, str]]]] = [
    ("a class's mask taken away", POLICY, swap(("  - classification: private\n    mask: {partial: {last: 1}}\n", "")), {("mask-removed", "city")}),
    ("hash -> partial", POLICY, swap(("mask: hash", "mask: {partial: {first: 1}}")), {("mask-weakened", "phone")}),
    ("hash -> null", POLICY, swap(("mask: hash", "mask: null")), {("mask-stricter", "phone")}),
    ("null -> partial, for what no rule names", POLICY, swap(("otherwise:\n  mask: null", "otherwise:\n  mask: {partial: {first: 1}}")), {
        ("mask-weakened", name) for name in ("given_name", "occupation", "street")
    }),
    ("a narrower bucket", POLICY, swap(("{bucket: 10}", "{bucket: 5}")), {("mask-weakened", "age")}),
    ("a wider bucket", POLICY, swap(("{bucket: 10}", "{bucket: 20}")), {("mask-stricter", "age")}),
    ("a wider bucket that cuts elsewhere", POLICY, swap(("{bucket: 10}", "{bucket: 15}")), {("mask-weakened", "age")}),
    ("one character more", POLICY, swap(("{first: 2}", "{first: 3}")), {("mask-weakened", "postal_code")}),
    ("other characters", POLICY, swap(("{first: 2}", "{last: 2}")), {("mask-weakened", "postal_code")}),
    ("a tag renamed", POLICY, swap(("tag: phone", "tag: telephone")), {
        ("mask-stricter", "phone"), ("policy-unseen", "tag telephone"),
    }),
    ("a rule that another one overrules", POLICY, more("\n  # end\n"), set()),
    ("a rule for what no column is", POLICY, swap(("rules:\n", "rules:\n  - tag: iban\n    mask: null\n")), {("policy-unseen", "tag iban")}),
    ("a class declared open", POLICY, swap(("[public, internal,", "[public, internal, partner,")), {("policy-unseen", "unmasked")}),
    ("words of the policy", POLICY, swap(("How the retailer", "How a retailer")), set()),
    ("the policy removed", POLICY, gone, {
        *(("mask-stricter", name) for name in ("age", "phone", "email", "customer_email", "postal_code")),
        *(("mask-removed", name) for name in ("city", "language")),
        *(("policy-unseen", name) for name in ("tag birth-date", "unmasked")),
        ROWS,
    }),
    ("rows of a role gone", POLICY, swap(("[PT, ES]", "[PT]")), {ROWS}),
    ("rows for a role more", POLICY, swap(("[PT, ES]", "[PT, ES, FR]")), {
        ("rows-shown", "schema.profiles.rowFilter of support_iberia by country"),
    }),
    ("every row", POLICY, swap(("[PT, ES]", "'*'")), {("rows-shown", "schema.profiles.rowFilter of support_iberia by country")}),
    ("an attribute that nothing filters by", POLICY, swap(("{country:", "{unit: a, country:")), {("policy-unseen", "readers")}),
    ("the tag of a mask taken from a column", PROFILES, swap(("tags: [pii, postal-code]", "tags: [pii]")), {
        ("tag-removed", "postal_code"), ("column-hidden", "postal_code"),
    }),
    ("the tag that alone masks a column", PROFILES, swap(("        tags: [tongue]\n", "")), {
        ("tag-removed", "language"), ("column-shown", "language"),
    }),
    ("the class that alone masks a column", PROFILES, swap(("classification: private", "classification: internal")), {
        ("classification-lowered", "city"),
    }),
    ("access revoked", ACCESS, more(REVOKED), {("access-ended", "access of domain:sales")}),
    ("access file deleted", ACCESS, gone, {("access-ended", "access of domain:sales")}),
    ("no longer in clear", ACCESS, swap(("personalData: true", "personalData: false")), {("access-narrowed", "access of domain:sales")}),
    ("until a day", ACCESS, swap(("personalData: true", "until: 2027-06-30\n    personalData: true")), {
        ("access-narrowed", "access of domain:sales"),
    }),
    ("expired", ACCESS, swap(("personalData: true", "until: 2026-06-30\n    personalData: true")), {
        ("access-ended", "access of domain:sales"),
    }),
    ("asked anew", ACCESS, more(ASKED), {("access-asked", "access of domain:sales")}),
    ("another purpose", ACCESS, swap(("Orders carry", "Orders have")), {("access-asked", "access of domain:sales")}),
    ("an owner less", TEAM, swap(("[customer-data@example.com]", "[crm@example.com]")), {("team-changed", "members")}),
    ("a team more", TEAM, more("  - name: crm\n    members: [crm@example.com]\n"), {("team-changed", "members")}),
]  # fmt: skip


@pytest.fixture(scope="module")
def company(repo: Path) -> State:
    """The demonstration, with a class, a row filter and a reader that it does not have."""
    state = folder_state(repo, "before")
    profiles = with_filter(state.files[PROFILES].decode())
    head, name, tail = profiles.partition("- name: city\n")
    profiles = head + name + tail.replace("classification: internal", "classification: private", 1)
    profiles = swap(("- name: language\n", "- name: language\n        tags: [tongue]\n"))(profiles)
    return State("before", {**state.files, POLICY: RULES.encode(), PROFILES: profiles.encode()})


def changed(company: State, path: str, edit: Edit) -> Report:
    text = edit(company.files[path].decode())
    files = {name: content for name, content in company.files.items() if name != path}
    return compare(company, State("after", {**files, **({path: text.encode()} if text else {})}), today=TODAY)


@pytest.mark.parametrize(("path", "edit", "expected"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_a_change_gets_its_ruling(company: State, path: str, edit: Edit, expected: set[tuple[str, str]]) -> None:
    report = changed(company, path, edit)
    assert {(change.ruling.name, change.column or change.path) for change in report.changes} == expected
    assert not report.unreadable
    breaking = any(change.ruling.verdict == "breaking" for change in report.changes)
    assert (report.exit_code(), len(report.missing_steps) > 0) == ((1, path == PROFILES) if breaking else (0, False))
    assert all((change.line, change.file) >= (1, "") and change.file == path for change in report.changes)


@pytest.mark.parametrize(
    ("edit", "there", "back"),
    [
        (more(REVOKED), "access-ended", "access-given"), (gone, "access-ended", "access-given"),
        (swap(("personalData: true", "until: 2027-06-30\n    personalData: true")), "access-narrowed", "access-widened"),
    ],
)  # fmt: skip
def test_the_way_back(company: State, edit: Edit, there: str, back: str) -> None:
    text = edit(company.files[ACCESS].decode())
    files = {path: content for path, content in company.files.items() if path != ACCESS}
    other = State("after", {**files, **({ACCESS: text.encode()} if text else {})})
    for states, ruling, code in (((company, other), there, 1), ((other, company), back, 0)):
        report = compare(*states, today=TODAY)
        assert ([change.ruling.name for change in report.changes], report.exit_code()) == ([ruling], code)


def test_a_weakened_mask_names_columns_products_owners_and_consumers(company: State) -> None:
    report = changed(company, POLICY, swap(("{first: 1, domain: true}", "{first: 3, domain: true}")))
    ports = {(change.subject, change.column, change.owned_by): change for change in report.changes}
    assert list(ports) == [
        ("customer.profiles.profiles", "email", "customer-data <customer-data@example.com>"),
        ("sales.orders.orders", "customer_email", "sales-data <sales-data@example.com>"),
    ]
    told = markdown(report)
    assert "customer-data &lt;customer-data@example.com&gt;" in told and "`masking.yaml:" in told
    document = as_document(report, exit_code=report.exit_code())
    assert {change["owned_by"] for change in document["changes"]} == {key[2] for key in ports}
    for hits in ([hit.consumer for hit in change.hits] for change in ports.values()):
        assert not any(consumer.personal for consumer in hits), "who reads personal data in clear sees what was seen before"
    assert {hit.consumer.product for hit in ports[next(iter(ports))].hits} == {
        "marketing.campaign_performance",
        "marketing.customer_segments",
    }


def test_revoked_access_hits_the_products_of_the_principal_alone(company: State) -> None:
    report = changed(company, ACCESS, more(REVOKED))
    (change,) = report.changes
    assert (change.before, change.after, change.owned_by) == ("personal data in clear", "none", "customer-data <customer-data@example.com>")
    assert {hit.consumer.product for hit in change.hits} == {"sales.orders"}


def test_a_team_is_answered_with_its_ports(company: State) -> None:
    report = changed(company, TEAM, swap(("[customer-data@example.com]", "[crm@example.com]")))
    assert [(change.contracts, change.before, change.after) for change in report.changes] == [
        (("customer.profiles.profiles",), "customer-data@example.com", "crm@example.com")
    ]


@pytest.mark.parametrize(
    ("path", "edit"),
    [
        (POLICY, swap(("rules:", "rulez:"))),
        (POLICY, more("\n}")),
        (ACCESS, more("}")),
        (ACCESS, more(ASKED + ASKED)),
        (TEAM, more("x: 1\n")),
    ],
)
def test_a_broken_file_is_said_and_judges_nothing(company: State, path: str, edit: Edit) -> None:
    report = changed(company, path, edit)
    assert (report.changes, {problem.file for problem in report.unreadable}, report.exit_code()) == ((), {path}, 2)


@pytest.mark.parametrize(
    ("before", "after", "step"),
    [
        (None, NULL, "stricter"), (NULL, None, "weaker"), (NULL, NULL, "same"), (NULL, Mask("hash"), "weaker"),
        (Mask("year"), Mask("bucket", years=1), "same"), (Mask("bucket", months=12), Mask("year"), "same"),
        (Mask("year"), Mask("bucket", years=10), "stricter"), (Mask("bucket", months=3), Mask("bucket", months=4), "weaker"),
        (Mask("bucket", days=7), Mask("bucket", days=14), "stricter"), (Mask("bucket", days=7), Mask("bucket", days=10), "weaker"),
        (Mask("bucket", days=7), Mask("year"), "stricter"), (Mask("bucket", width="0.5"), Mask("bucket", width="1"), "stricter"),
        (Mask("partial", first=1, domain=True), Mask("partial", first=1), "stricter"),
        (Mask("partial", first=1), Mask("partial", domain=True), "weaker"),
    ],
    ids=str,
)  # fmt: skip
def test_which_mask_shows_more(before: Mask | None, after: Mask | None, step: str) -> None:
    assert mask_step(before, after) == step
