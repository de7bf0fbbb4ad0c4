"""``mesh query`` reads in a session that has nothing to lend to what domains put into their views and policies; see decision 12."""

from __future__ import annotations

import re
from typing import Any

import pytest

Mesh = Any  # the fixtures' types; test modules do not import each other
Applied = Any

ESCAPES = [
    "RESET ROLE",
    "SET ROLE NONE",
    "RESET SESSION AUTHORIZATION",
    "SET SESSION AUTHORIZATION mesh_platform",
    "SET ROLE mesh_platform",
]


@pytest.mark.parametrize("place", ["view", "policy"])
def test_query_lends_nobody_the_platforms_rights(mesh: Mesh, applied: Applied, place: str) -> None:
    """What a domain puts into its own view or policy is evaluated in the session of whoever looks at it by hand."""
    tried = "".join(f"BEGIN {escape}; EXCEPTION WHEN OTHERS THEN NULL; END; " for escape in ESCAPES)
    looks = "SELECT session_user || ' ' || rolsuper || ' ' || rolcreaterole INTO said FROM pg_roles WHERE rolname = current_user"
    acts = "BEGIN COPY (SELECT 1) TO PROGRAM 'cat > /dev/null'; said := said || ' ran a program'; EXCEPTION WHEN insufficient_privilege THEN NULL; END"
    body = f"DECLARE said text; BEGIN {tried} {looks}; {acts}; RETURN said; END"
    with applied.warehouse.connect_domain("inventory") as inventory:
        inventory.execute("CREATE TABLE inventory_build.plain AS SELECT 1 AS a")
        inventory.execute(f"CREATE FUNCTION inventory_build.escape() RETURNS text LANGUAGE plpgsql AS $body${body}$body$".encode())
        inventory.execute("GRANT EXECUTE ON FUNCTION inventory_build.escape TO PUBLIC")
        if place == "view":
            inventory.execute("CREATE VIEW inventory_build.trap AS SELECT inventory_build.escape() AS said FROM inventory_build.plain")
        else:
            inventory.execute("CREATE TABLE inventory_build.trap AS SELECT 'seen' AS said, 1 AS a")
            inventory.execute("ALTER TABLE inventory_build.trap ENABLE ROW LEVEL SECURITY")
            told = "inventory_build.escape() NOT LIKE '%true%' AND inventory_build.escape() NOT LIKE '%program%'"
            inventory.execute(f"CREATE POLICY trap ON inventory_build.trap USING ({told})".encode())
    for _ in range(2):  # the first one makes the login
        ((said,),) = mesh("query", "--json", "SELECT said FROM inventory_build.trap").json()["rows"]
        assert said == "seen" if place == "policy" else re.fullmatch(r"mesh_query_\d+ false false", said), said
    with applied.warehouse.connect_platform() as platform:  # the trap is one: a superuser's session falls into it
        platform.execute("SET ROLE pg_read_all_data")
        told = platform.execute("SELECT said FROM inventory_build.trap").fetchall()
    assert told == ([] if place == "policy" else [("mesh_platform true true ran a program",)])


def test_the_login_that_reads_is_no_drift_and_passes_nothing_on(mesh: Mesh, applied: Applied) -> None:
    applied.publish(1)
    before = mesh("plan", "--json").json()
    audited = mesh("access", "audit", "--json").out
    assert mesh("query", "--json", "SELECT count(*) FROM inventory_items.items").json()["rows"] == [[3]]
    assert mesh("plan", "--json").json() == before
    assert mesh("access", "audit", "--json").out == audited


def test_no_other_command_looks_at_what_a_domain_built(mesh: Mesh, applied: Applied) -> None:
    """Each would evaluate the domain's function with the platform's rights, and the function would fail the command."""
    publications = [applied.publish(1), applied.publish(2)]
    with applied.warehouse.connect_domain("inventory") as inventory:
        inventory.execute("CREATE TABLE inventory_build.plain AS SELECT * FROM inventory_items.items")
        inventory.execute(
            "CREATE FUNCTION inventory_build.trap() RETURNS boolean LANGUAGE plpgsql AS $$BEGIN RAISE 'sprung by %', session_user; END$$"
        )
        inventory.execute("GRANT EXECUTE ON FUNCTION inventory_build.trap TO PUBLIC")
        inventory.execute("DROP VIEW inventory_build.items")
        inventory.execute("CREATE VIEW inventory_build.items AS SELECT * FROM inventory_build.plain WHERE inventory_build.trap()")
    sprung = mesh("query", "SELECT * FROM inventory_build.items")
    assert sprung.code == 1 and "sprung by mesh_query_" in sprung.err
    commands = [["plan"], ["apply"], ["status"], ["versions", "inventory.items"], ["checks", "inventory.items"], ["access", "audit"]]
    commands.append(["rollback", "inventory.items", "--to", publications[0], "--reason", "a trap"])
    assert [(command, said.all) for command in commands if "sprung" in (said := mesh(*command)).all or said.code] == []
