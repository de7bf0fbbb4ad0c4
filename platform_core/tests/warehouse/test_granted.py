"""Access by request on the real server: what each principal reads before and after approval, expiry and revocation."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import product
from typing import Any

import psycopg
import pytest
from granting_bench import ANA, BUYER, FIRST, ONE, OUTPUT, OWNER, PORTS, SECOND, SHOP, TEAM, Company, day, relation
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg import sql

from platform_core.contracts import ContractError
from platform_core.warehouse import WarehouseError, plan, revoke_ended

ADDRESS = "a@example.com"
DOMAIN, PERSON, GROUP = f"domain:{BUYER}", f"role:{ANA}", f"role:{TEAM}"
ROLE = {DOMAIN: f"{BUYER}_owner", PERSON: ANA, GROUP: TEAM}


@pytest.mark.parametrize(("principal", "port", "pii"), [(*pair, number % 2 == 0) for number, pair in enumerate(product(ROLE, PORTS))])
def test_what_is_approved_is_read_after_the_next_apply_and_nothing_else(company: Company, principal: str, port: str, pii: bool) -> None:
    role = ROLE[principal]
    assert [company.sees(role, each) for each in PORTS] == [None, None, None]
    more = {"personalData": True} if pii else {}
    company.write(port, principal, "requested", day(10), by="buyer@example.com", purpose="A test.", **more)
    company.apply(day(10))
    assert company.sees(role, port) is None, "nobody decided yet"
    company.write(port, principal, "approved", day(11))
    assert company.sees(role, port) is None, "nobody applied it yet"
    company.apply(day(11))
    assert [company.sees(role, each) for each in PORTS] == [(ADDRESS if pii else "masked") if each == port else None for each in PORTS]
    assert company.apply(day(12)) == []
    company.write(port, principal, "revoked", day(20), reason="Over.")
    company.apply(day(20))
    assert [company.sees(role, each) for each in PORTS] == [None, None, None]


@pytest.mark.parametrize("principal", ROLE)
def test_expiry_takes_back_by_itself_and_only_what_has_ended(company: Company, principal: str) -> None:
    role = ROLE[principal]
    company.give(ONE, principal, day(10), pii=True, until=date(2026, 1, 20))
    company.give(SECOND, principal, day(10), until=date(2026, 1, 25))
    company.apply(day(10))
    assert revoke_ended(company.warehouse, company.mesh(), day(20, hour=23)).taken == ()
    assert company.sees(role, ONE) == ADDRESS
    (event,) = revoke_ended(company.warehouse, company.mesh(), day(21, hour=0)).recorded
    assert (event.event, event.contract_id, event.principal) == ("ended", ONE, principal)
    assert [company.sees(role, each) for each in PORTS] == [None, None, "masked"]
    assert revoke_ended(company.warehouse, company.mesh(), day(21, hour=1)).taken == ()
    assert company.apply(day(21)) == [], "what expired is gone for the plan too"


def test_apply_ends_what_has_expired_where_no_daemon_runs(company: Company) -> None:
    company.give(ONE, PERSON, day(10), pii=True, until=date(2026, 1, 20))
    company.apply(day(10))
    steps = company.apply(day(21))
    assert sorted(steps) == [f"revoke role {SHOP}_people_reader from {ANA}", f"revoke role {SHOP}_people_reader_pii from {ANA}"]
    assert company.sees(ANA, ONE) is None


def test_a_renewal_without_personal_data_leaves_the_mask(company: Company) -> None:
    company.give(ONE, PERSON, day(10), pii=True)
    company.apply(day(10))
    company.give(ONE, PERSON, day(12))
    (event,) = revoke_ended(company.warehouse, company.mesh(), day(12)).recorded
    assert (event.event, event.clear, event.masked) == ("changed", ["people.id"], ["people.email"])
    assert company.sees(ANA, ONE) == "masked"


def test_a_role_that_does_not_exist_is_reported_and_granted_once_it_does(company: Company) -> None:
    name = "gr_later"
    company.give(FIRST, f"role:{name}", day(10))
    company.give(ONE, f"role:{name}", day(10))
    with company.warehouse.connect_platform() as admin:
        steps = plan(admin, company.mesh(), day(10))
    (report,) = [step for step in steps if step.action == "report"]
    assert (report.object, report.statement) == (f"role {name}", None)
    assert "does not exist" in report.detail
    assert company.apply(day(10)) == [], "people are not ours to create"
    with company.warehouse.connect_platform() as admin:
        admin.execute(f"CREATE ROLE {name}".encode())
    try:
        company.apply(day(10))
        assert [company.sees(name, each) for each in PORTS] == ["masked", "masked", None]
    finally:
        company.forget()
        company.apply(day(10))
        with company.warehouse.connect_platform() as admin:
            admin.execute(f"DROP ROLE {name}".encode())


@pytest.mark.parametrize("port", [ONE, FIRST])
def test_a_login_connects_while_its_access_holds(company: Company, port: str) -> None:
    """Nothing but the approval: neither the database nor a schema was granted by hand."""
    warehouse = company.warehouse
    assert warehouse.server is not None
    with warehouse.connect_platform() as admin:
        password = warehouse.server.set_password(ANA)
        admin.execute(sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}").format(sql.Identifier(ANA), sql.Literal(password)))
    with pytest.raises(WarehouseError, match="permission denied for database"):
        warehouse.connect(ANA)
    company.give(port, PERSON, day(10), until=date(2026, 1, 20))
    company.apply(day(10))
    with warehouse.connect(ANA, autocommit=True) as connection:
        assert connection.execute(f"SELECT count(*) FROM {relation(port)}".encode()).fetchone() == (1,)
        revoke_ended(warehouse, company.mesh(), day(21))
        with pytest.raises(psycopg.errors.InsufficientPrivilege):  # a session that is open loses it too
            connection.execute(f"SELECT count(*) FROM {relation(port)}".encode())
    with pytest.raises(WarehouseError, match="permission denied for database"):
        warehouse.connect(ANA)


def test_personal_data_is_opened_for_a_product_as_a_whole(company: Company) -> None:
    """Documented: the mask asks for a role of the product, so that a port that is read anyway is then read in clear."""
    company.give(FIRST, PERSON, day(10))
    company.give(SECOND, PERSON, day(10), pii=True)
    company.apply(day(10))
    assert [company.sees(ANA, each) for each in PORTS] == [None, ADDRESS, ADDRESS]


def test_a_second_port_does_not_come_with_the_first(company: Company) -> None:
    """A member of the reader role reads every port of a product: when there is a second, what was approved is granted by itself."""
    company.give(ONE, PERSON, day(10), pii=True)
    company.apply(day(10))
    folder = company.root / "domains" / SHOP / "src" / SHOP / "defs" / "people"
    product, contract = folder / "product.odps.yaml", folder / "contracts" / "people.odcs.yaml"
    before = product.read_text()
    more = OUTPUT.format(port="visits", id=f"{SHOP}.people")
    product.write_text(before.replace("outputPorts:\n", f"outputPorts:\n{more}"))
    second = contract.with_name("visits.odcs.yaml")
    second.write_text(contract.read_text().replace(".people.people", ".people.visits").replace("name: people", "name: visits"))
    try:
        steps = company.apply(day(11))
        assert f"revoke role {SHOP}_people_reader from {ANA}" in steps
        assert f"grant select on {relation(ONE)} to {ANA}" in steps
        assert company.sees(ANA, ONE) == ADDRESS
        with company.warehouse.connect_platform() as admin:
            row = admin.execute("SELECT pg_has_role(%s::name, %s::name, 'MEMBER')", (ANA, f"{SHOP}_people_reader")).fetchone()
        assert row == (False,)
    finally:
        product.write_text(before)
        second.unlink()
        company.apply(day(12))
    assert company.sees(ANA, ONE) == ADDRESS


def test_somebody_elses_approval_is_not_even_written(company: Company) -> None:
    company.write(ONE, PERSON, "requested", day(10), purpose="A test.")
    with pytest.raises(ContractError, match="no owner of"):
        company.write(ONE, PERSON, "approved", day(10), by="buyer@example.com")
    company.write(ONE, PERSON, "approved", day(10), by=OWNER)


@dataclass
class _Model:
    """What a careful reader of the issue expects: per principal and port, what waits and what holds; and what Postgres was told."""

    waiting: dict[tuple[str, str], tuple[bool, date | None]] = field(default_factory=dict)
    holding: dict[tuple[str, str], tuple[bool, date | None]] = field(default_factory=dict)
    told_reads: set[tuple[str, str]] = field(default_factory=set)
    told_clear: set[tuple[str, str]] = field(default_factory=set)

    def allowed(self, now: datetime) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
        """Pairs of principal and port, and of principal and product whose personal data is in clear."""
        alive = {key: pii for key, (pii, until) in self.holding.items() if until is None or now.date() <= until}
        return set(alive), {(who, port.rpartition(".")[0]) for (who, port), pii in alive.items() if pii}

    def applied(self, now: datetime) -> None:
        self.told_reads, self.told_clear = self.allowed(now)

    def swept(self, now: datetime) -> None:
        reads, clear = self.allowed(now)
        self.told_reads &= reads
        self.told_clear &= clear


STEPS = st.lists(
    st.one_of(
        st.tuples(
            st.just("ask"), st.sampled_from(sorted(ROLE)), st.sampled_from(PORTS), st.booleans(), st.one_of(st.none(), st.integers(0, 4))
        ),
        st.tuples(st.sampled_from(["approve", "approve", "deny", "revoke"]), st.sampled_from(sorted(ROLE)), st.sampled_from(PORTS)),
        st.tuples(st.sampled_from(["wait", "apply", "sweep"]), st.integers(0, 3)),
    ),
    min_size=4,
    max_size=14,
)


@settings(
    max_examples=int(os.environ.get("MESH_ACCESS_SEQUENCES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(steps=STEPS)
def test_whatever_happens_postgres_holds_what_was_approved_and_has_not_ended(published_company: Company, steps: list[tuple]) -> None:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    company, model, now = published_company, _Model(), day(10)
    company.forget()
    company.apply(now)
    for step in [*steps, ("sweep", 0), ("apply", 0)]:
        now += timedelta(minutes=1)
        match step:
            case ("ask", who, port, pii, days):
                until = (now + timedelta(days=days)).date() if days is not None else None
                if (who, port) in model.waiting:
                    continue
                more: dict[str, Any] = {**({"until": until} if until else {}), **({"personalData": True} if pii else {})}
                company.write(port, who, "requested", now, purpose="p", **more)
                model.waiting[who, port] = (pii, until)
            case ("approve", who, port):
                wanted = model.waiting.get((who, port))
                if wanted is None or (wanted[1] is not None and now.date() > wanted[1]):
                    with pytest.raises((ContractError, ValueError)):
                        company.write(port, who, "approved", now)
                    continue
                company.write(port, who, "approved", now)
                model.holding[who, port] = model.waiting.pop((who, port))
            case ("deny", who, port):
                if (who, port) in model.waiting:
                    company.write(port, who, "denied", now, reason="r")
                    del model.waiting[who, port]
            case ("revoke", who, port):
                if (who, port) in model.allowed(now)[0]:
                    company.write(port, who, "revoked", now, reason="r")
                    del model.holding[who, port]
            case ("wait", days):
                now += timedelta(days=days)
            case ("apply", _):
                company.apply(now)
                model.applied(now)
                assert _held(company) == (model.told_reads, model.told_clear)
            case ("sweep", _):
                revoke_ended(company.warehouse, company.mesh(), now)
                model.swept(now)
                assert _held(company) == (model.told_reads, model.told_clear)
            case _:
                raise AssertionError(step)


def _held(company: Company) -> tuple[set[tuple[str, str]], set[tuple[str, str]]]:
    """What Postgres itself says."""
    with company.warehouse.connect_platform() as admin:
        reads = {
            (who, port)
            for who, role in ROLE.items()
            for port in PORTS
            if admin.execute(
                "SELECT has_schema_privilege(%(role)s::name, %(schema)s, 'USAGE') AND has_table_privilege(%(role)s::name, %(view)s, 'SELECT')",
                {"role": role, "schema": relation(port).partition(".")[0], "view": relation(port)},
            ).fetchone()
            == (True,)
        }
        clear = {
            (who, owned)
            for who, role in ROLE.items()
            for owned in (f"{SHOP}.people", f"{SHOP}.goods")
            if admin.execute("SELECT pg_has_role(%s::name, %s::name, 'MEMBER')", (role, f"{owned.replace('.', '_')}_reader_pii")).fetchone()
            == (True,)
        }
    return reads, clear
