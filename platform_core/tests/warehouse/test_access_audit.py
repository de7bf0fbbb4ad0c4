"""Who could read which column, when and why: the record of what was in force, and the files, against a scripted history."""

from __future__ import annotations

import subprocess
from datetime import date, datetime

import psycopg
import pytest
from granting_bench import ANA, BUYER, FIRST, ONE, OWNER, SECOND, SHOP, TEAM, Company, day, relation
from psycopg import sql

from platform_core.warehouse import AccessEvent, access_events, readings, revoke_ended

PERSON, DOMAIN = f"role:{ANA}", f"domain:{BUYER}"
EMAIL, ID = "people.email", "people.id"


@pytest.fixture
def since(company: Company) -> int:
    """How many events there were before this test: the record cannot be emptied."""
    return len(_events(company))


def _events(company: Company) -> list[AccessEvent]:
    with company.warehouse.connect_platform(autocommit=True) as admin:
        return access_events(admin)


def _script(company: Company) -> None:
    """Masked from day 10; renewed with personal data on day 14, until day 20; applied late; revoked by hand never."""
    company.give(ONE, PERSON, day(10))
    company.apply(day(11))  # a day after the approval
    company.write(ONE, PERSON, "requested", day(13), by="ana@example.com", purpose="Letters.", personalData=True, until=date(2026, 1, 20))
    company.write(ONE, PERSON, "approved", day(14))
    company.apply(day(15))
    revoke_ended(company.warehouse, company.mesh(), day(21, hour=1))  # an hour after its end


def test_the_record_tells_when_access_really_began_changed_and_ended(company: Company, since: int) -> None:
    _script(company)
    found = [(event.event, event.at, event.clear, event.masked) for event in _events(company)[since:]]
    assert found == [
        ("began", day(11), [ID], [EMAIL]),
        ("changed", day(15), [EMAIL, ID], []),
        ("ended", day(21, hour=1), [], []),
    ]
    grounds = [event.ground for event in _events(company)[since:]]
    assert grounds == [
        f"request #1 of {ONE}.role-{ANA}.yaml, approved by {OWNER}",
        f"request #2 of {ONE}.role-{ANA}.yaml, approved by {OWNER}",
        "",
    ]


def test_the_audit_shows_what_was_declared_beside_what_was_in_force(company: Company, since: int) -> None:
    _script(company)
    found = readings(company.mesh(), _events(company)[since:], day(22))
    mine = [(item.basis, item.begins, item.ends, EMAIL in item.clear, EMAIL in item.masked) for item in found if item.principal == PERSON]
    assert mine == [
        ("declared", day(10), day(14), False, True),
        ("declared", day(14), day(21, hour=0), True, False),
        ("in force", day(11), day(15), False, True),
        ("in force", day(15), day(21, hour=1), True, False),
    ]
    second = next(item for item in found if item.basis == "declared" and EMAIL in item.clear)
    assert (second.why, second.by) == ("Letters.", OWNER)
    assert second.file is not None
    assert second.file.endswith("yaml:19")


@pytest.mark.parametrize(
    ("moment", "expected"),
    [
        (day(9), set()),
        (day(10, hour=13), {("declared", "masked")}),
        (day(12), {("declared", "masked"), ("in force", "masked")}),
        (day(14, hour=13), {("declared", "clear"), ("in force", "masked")}),
        (day(16), {("declared", "clear"), ("in force", "clear")}),
        (day(21, hour=0), {("in force", "clear")}),
        (day(21, hour=2), set()),
    ],
)
def test_the_audit_of_a_moment(company: Company, since: int, moment: datetime, expected: set[tuple[str, str]]) -> None:
    _script(company)
    found = readings(company.mesh(), _events(company)[since:], day(22))
    held = {
        (item.basis, "clear" if EMAIL in item.clear else "masked")
        for item in found
        if item.principal == PERSON and item.overlaps(moment, moment)
    }
    assert held == expected


def test_a_contracts_role_and_an_input_port_are_a_ground_with_the_commit_that_made_it(company: Company, since: int) -> None:
    contract = company.mesh().contracts[ONE].path
    text = contract.read_text()
    contract.write_text(text.replace(f"{SHOP}_people_reader}}", f"{SHOP}_people_reader, access: read}}"))
    try:
        company.apply(day(10))
        (event,) = _events(company)[since:]
        assert (event.principal, event.masked) == (DOMAIN, [EMAIL])
        assert event.ground == f"input port of {BUYER}.lists, allowed by the contract's role {SHOP}_people_reader"
        (before,) = [item for item in readings(company.mesh(), [], day(11)) if item.principal == DOMAIN]
        assert (before.begins, before.commit) == (None, None), "nothing is committed"
        git = ["git", "-C", str(company.root), "-c", "user.email=a@example.com", "-c", "user.name=a"]
        for command in (["init", "-q"], ["add", "domains"], ["commit", "-q", "-m", "first", "--date", "2026-01-02T00:00:00Z"]):
            subprocess.run([*git, *command], check=True, env={"PATH": "/usr/bin:/bin", "GIT_COMMITTER_DATE": "2026-01-02T03:00:00Z"})
        (after,) = [item for item in readings(company.mesh(), [], day(11)) if item.principal == DOMAIN]
        assert after.begins == day(2, hour=3)
        assert after.commit == subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()
        assert "lists" in after.why, "why: the product that reads"
    finally:
        contract.write_text(text)
        subprocess.run(["rm", "-rf", str(company.root / ".git")], check=True)
        company.apply(day(10))


def test_what_was_granted_by_hand_is_recorded_as_declared_by_no_file(company: Company, since: int) -> None:
    name = sql.Identifier
    with company.warehouse.connect_platform() as admin:
        admin.execute(sql.SQL("GRANT {} TO {}").format(name(f"{SHOP}_people_reader"), name(TEAM)))
        admin.execute(sql.SQL("GRANT {} TO {}").format(name(TEAM), name(ANA)))
        admin.execute(f"GRANT SELECT ON {relation(FIRST)} TO PUBLIC".encode())
    try:
        revoke_ended(company.warehouse, company.mesh(), day(12))
        found = {(event.contract_id, event.principal): event for event in _events(company)[since:]}
        assert set(found) == {(ONE, f"role:{TEAM}"), (ONE, PERSON)}, "a member of a member reads too; PUBLIC has no USAGE on the schema"
        assert {event.ground for event in found.values()} == {"no file declares it"}
        with company.warehouse.connect_platform() as admin:
            admin.execute(f"GRANT USAGE ON SCHEMA {SHOP}_goods TO PUBLIC".encode())
        more = revoke_ended(company.warehouse, company.mesh(), day(13)).recorded
        assert {(event.contract_id, event.principal) for event in more} == {(FIRST, "everybody")}
    finally:
        with company.warehouse.connect_platform() as admin:
            admin.execute(sql.SQL("REVOKE {} FROM {}").format(name(TEAM), name(ANA)))
        company.apply(day(14))
    assert {(event.contract_id, event.principal) for event in _events(company)[since:] if event.event == "ended"} == {
        (ONE, f"role:{TEAM}"), (ONE, PERSON), (FIRST, "everybody"),
    }  # fmt: skip


def test_a_membership_of_the_owner_reads_in_clear(company: Company, since: int) -> None:
    name = sql.Identifier
    with company.warehouse.connect_platform() as admin:
        admin.execute(sql.SQL("GRANT {} TO {}").format(name(f"{SHOP}_owner"), name(ANA)))
    revoke_ended(company.warehouse, company.mesh(), day(12))
    found = {event.contract_id: event.clear for event in _events(company)[since:]}
    company.apply(day(13))
    assert set(found) == {ONE, FIRST, SECOND}
    assert EMAIL in found[ONE]


@pytest.mark.parametrize(
    "statement", ["UPDATE mesh.access_events SET principal = 'x'", "DELETE FROM mesh.access_events", "TRUNCATE mesh.access_events"]
)
def test_the_record_is_only_ever_added_to(company: Company, statement: str) -> None:
    with company.warehouse.connect_platform() as admin, pytest.raises(psycopg.errors.InsufficientPrivilege, match="only ever added"):
        admin.execute(statement.encode())


@pytest.mark.parametrize("domain", [SHOP, BUYER])
def test_no_domain_writes_into_the_record(company: Company, domain: str) -> None:
    row = "INSERT INTO mesh.access_events (domain, contract_id, principal, event, clear, masked, ground, at)"
    with company.warehouse.connect_domain(domain) as connection, pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute(f"{row} VALUES ('{domain}', '{ONE}', 'role:x', 'began', '{{}}', '{{}}', '', now())".encode())


def test_nothing_new_is_recorded_when_nothing_changed(company: Company, since: int) -> None:
    company.give(ONE, PERSON, day(10))
    company.apply(day(10))
    company.apply(day(11))
    revoke_ended(company.warehouse, company.mesh(), day(12))
    assert len(_events(company)) == since + 1
