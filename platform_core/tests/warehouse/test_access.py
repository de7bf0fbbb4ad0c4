"""Roles, schemas and grants on the real server."""

from __future__ import annotations

import importlib
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from platform_core.contracts import Mesh
from platform_core.warehouse import Access, Warehouse, WarehouseError, apply, plan
from platform_core.warehouse.declared import Declared
from platform_core.warehouse.difference import roles
from platform_core.warehouse.observed import Observed

apply_module = importlib.import_module("platform_core.warehouse.apply")  # the package gives the function of this name


def test_a_second_apply_changes_nothing(database: Warehouse) -> None:
    assert apply(database, Mesh(("customer", "inventory", "sales", "marketing"), {}, {}, ())) == ()


def test_a_domain_cannot_touch_another_domains_schemas(database: Warehouse) -> None:
    with database.connect_domain("sales", autocommit=True) as sales:
        sales.execute("CREATE TABLE sales_raw.t (a int)")
    with database.connect_domain("marketing", autocommit=True) as marketing:
        for statement in (
            "SELECT * FROM sales_raw.t",
            "CREATE TABLE sales_build.x (a int)",
            "CREATE TABLE mesh.x (a int)",
            "CREATE TABLE public.x (a int)",
            "SET ROLE sales_owner",
        ):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                marketing.execute(statement.encode())


def test_manual_grants_are_revoked_as_drift(database: Warehouse) -> None:
    mesh = Mesh(("customer", "inventory", "sales", "marketing"), {}, {}, ())
    with database.connect_platform(autocommit=True) as admin:
        admin.execute("GRANT USAGE ON SCHEMA sales_raw TO marketing_owner")
        admin.execute("GRANT sales_owner TO marketing_job")
    assert [str(step) for step in apply(database, mesh)] == [
        "revoke role sales_owner from marketing_job",
        "revoke usage on schema sales_raw from marketing_owner",
    ]
    assert apply(database, mesh) == ()


DOMAINS = ("customer", "inventory", "sales", "marketing")
NOTHING = Mesh(DOMAINS, {}, {}, ())


@pytest.mark.parametrize(
    ("grant", "steps"),
    [
        ("GRANT USAGE ON SCHEMA sales_raw TO PUBLIC", ["revoke usage on schema sales_raw from PUBLIC"]),
        ("GRANT CREATE ON SCHEMA sales_build TO marketing_owner", ["revoke create on schema sales_build from marketing_owner"]),
        (
            "GRANT ALL ON SCHEMA sales_build TO marketing_job",
            ["revoke create on schema sales_build from marketing_job", "revoke usage on schema sales_build from marketing_job"],
        ),
        ("ALTER ROLE marketing_job NOLOGIN", ["alter role marketing_job login=True"]),
        ("ALTER ROLE sales_owner LOGIN", ["alter role sales_owner login=False"]),
        ("ALTER SCHEMA sales_raw OWNER TO marketing_owner", ["alter schema sales_raw owner sales_owner"]),
        ("REVOKE sales_owner FROM sales_job", ["grant role sales_owner to sales_job"]),
        ("DROP SCHEMA sales_build", ["create schema sales_build"]),
    ],
)
def test_every_drift_is_shown_and_undone(database: Warehouse, grant: str, steps: list[str]) -> None:
    with database.connect_platform(autocommit=True) as admin:
        admin.execute(grant.encode())
        assert [str(step) for step in plan(admin, NOTHING)] == steps
    assert [str(step) for step in apply(database, NOTHING)] == steps
    assert apply(database, NOTHING) == ()


def test_a_plan_touches_nothing(empty_database: Warehouse) -> None:
    with empty_database.connect_platform(autocommit=True) as admin:
        schemas = admin.execute("SELECT nspname FROM pg_namespace ORDER BY 1").fetchall()
        assert any(str(step) == "create schema sales_raw" for step in plan(admin, NOTHING))
        assert admin.execute("SELECT nspname FROM pg_namespace ORDER BY 1").fetchall() == schemas


def test_roles_and_schemas_that_no_file_names_are_left_alone(database: Warehouse) -> None:
    with database.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE SCHEMA somebody_raw")
        admin.execute("GRANT ALL ON SCHEMA somebody_raw TO PUBLIC")
    assert apply(database, NOTHING) == ()


def test_two_applies_at_once_both_succeed(empty_database: Warehouse) -> None:
    with ThreadPoolExecutor(3) as pool:
        taken = [future.result(60) for future in [pool.submit(apply, empty_database, NOTHING) for _ in range(3)]]
    assert sum(bool([step for step in steps if "schema" in step.object]) for steps in taken) == 1


def test_what_fails_in_the_platforms_own_part_leaves_nothing_half_done(empty_database: Warehouse, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise WarehouseError("full")

    monkeypatch.setattr(apply_module, "record_parts", broken)
    with pytest.raises(WarehouseError, match=r"(?s)the platform's own tables and roles could not be applied: full"):
        apply(empty_database, NOTHING)
    with empty_database.connect_platform(autocommit=True) as admin:
        assert admin.execute("SELECT nspname FROM pg_namespace WHERE nspname ~ '^(mesh|sales)'").fetchall() == []


def test_names_that_need_quotes_are_quoted() -> None:
    wanted = Access(roles={'a"; DROP ROLE x; --_job': True})
    steps = roles(Declared(wanted, frozenset(), {}, {}), Observed())
    assert [step.statement.as_string(None) for step in steps] == ['CREATE ROLE "a""; DROP ROLE x; --_job" LOGIN']


def test_grants_handed_on_are_undone_with_the_grant(database: Warehouse) -> None:
    with database.connect_platform(autocommit=True) as admin:
        admin.execute("GRANT USAGE ON SCHEMA sales_raw TO marketing_owner WITH GRANT OPTION")
    with database.connect_domain("marketing") as marketing:
        marketing.execute("GRANT USAGE ON SCHEMA sales_raw TO customer_owner")
    apply(database, NOTHING)
    assert apply(database, NOTHING) == ()
