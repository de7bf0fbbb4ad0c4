"""Roles, schemas and grants on the real server."""

from __future__ import annotations

import psycopg
import pytest
from platform_core.contracts import Mesh
from platform_core.warehouse import Warehouse, apply


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
