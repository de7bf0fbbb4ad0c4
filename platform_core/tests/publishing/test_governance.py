"""Plan and apply over everything that the files govern, on the real server: what is shown is done, once, or not at all."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import replace
from pathlib import Path

import pytest
from governed_mesh import left_to_do, make_mesh, make_product, names_on_server, publish_all
from port_bench import column, contract, product, reads, table
from psycopg import sql

from platform_core.publishing import PublishingError, governance, publish
from platform_core.quality import AuditReport
from platform_core.warehouse import EmbeddedPostgres, StalePlanError, Warehouse, apply, execution, readers


@pytest.fixture(scope="module")
def one_warehouse(new_database: Callable[[], AbstractContextManager[Warehouse]]) -> Iterator[Warehouse]:
    """A database for all tests of this module."""
    with new_database() as warehouse:
        yield warehouse


@pytest.fixture
def warehouse(one_warehouse: Warehouse) -> Iterator[Warehouse]:
    """The same without anything of the mesh: a mesh of no domains was pruned."""
    yield one_warehouse
    while apply(one_warehouse, make_mesh(()), prune=True):  # what another domain stands on goes after it
        pass
    with one_warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("DROP SCHEMA mesh CASCADE")


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    """A folder with a file that a plan is compiled from."""
    folder = tmp_path / "domains" / "ga" / "src" / "ga"
    folder.mkdir(parents=True)
    (folder / "product.odps.yaml").write_text("id: ga.p\n")
    return tmp_path


P = make_product("ga.p")
Q = make_product("gb.q", reads("ga.p.p"))
BOTH = make_mesh(("ga", "gb"), P, Q)
WITHOUT_Q = make_mesh(("ga", "gb"), P)


# what is shown is done


def test_a_plan_touches_nothing_and_its_apply_leaves_nothing(warehouse: Warehouse, repo: Path) -> None:
    made = governance.plan(warehouse, BOTH, repo)
    assert {step.kind for step in made.steps} <= {"create", "drift"}  # roles of the server may be there already
    assert "ga_p" not in names_on_server(warehouse) & {"ga_p"}
    applied = governance.apply(warehouse, BOTH, repo, expected=made)
    assert sorted(map(str, applied.taken)) == sorted(map(str, made.steps))
    assert (applied.left, applied.failures) == ((), ())
    assert left_to_do(warehouse, BOTH) == []
    assert governance.apply(warehouse, BOTH, repo).taken == ()


def test_steps_say_whose_they_are(warehouse: Warehouse, repo: Path) -> None:
    places = {step.object: (step.domain, step.product) for step in governance.plan(warehouse, BOTH, repo).steps}
    assert places["schema ga_raw"] == ("ga", "")
    assert places["schema gb_q_data"] == ("gb", "gb.q")
    assert places["usage on schema ga_p to gb_owner"] == ("ga", "ga.p")
    assert places["schema mesh with the platform's own tables"] == ("", "")


def test_a_plans_file_is_applied_and_refused_once_files_or_warehouse_changed(warehouse: Warehouse, repo: Path, tmp_path: Path) -> None:
    path = tmp_path / "release.plan"
    governance.write_plan(governance.plan(warehouse, BOTH, repo), path)
    (repo / "domains/ga/src/ga/product.odps.yaml").write_text("id: ga.other\n")
    with pytest.raises(StalePlanError, match="the files were changed since the plan was made"):
        governance.apply(warehouse, BOTH, repo, expected=governance.read_plan(path))
    governance.write_plan(governance.plan(warehouse, BOTH, repo), path)
    apply(warehouse, make_mesh(("ga",)))
    with pytest.raises(StalePlanError, match="the warehouse is not what the plan was made for"):
        governance.apply(warehouse, BOTH, repo, expected=governance.read_plan(path))
    assert "gb_q" not in names_on_server(warehouse) & {"gb_q"}, "a refused plan does nothing"
    governance.write_plan(governance.plan(warehouse, BOTH, repo), path)
    assert governance.apply(warehouse, BOTH, repo, expected=governance.read_plan(path)).failures == ()
    assert left_to_do(warehouse, BOTH) == []


def test_a_grant_by_hand_makes_a_plan_stale_although_its_steps_are_the_same(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    made = governance.plan(warehouse, BOTH, repo)
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("GRANT USAGE ON SCHEMA ga_raw TO gb_owner")
    with pytest.raises(StalePlanError):
        governance.apply(warehouse, BOTH, repo, expected=made)


def test_a_publication_does_not_make_a_plan_stale(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    publish_all(warehouse, BOTH, P)
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("GRANT USAGE ON SCHEMA ga_raw TO gb_owner")
    made = governance.plan(warehouse, BOTH, repo)
    with warehouse.connect_domain("ga") as connection:
        connection.execute("DROP VIEW ga_build.t")
    publish_all(warehouse, BOTH, P)
    assert [str(step) for step in governance.apply(warehouse, BOTH, repo, expected=made).taken] == [
        "revoke usage on schema ga_raw from gb_owner"
    ]


@pytest.mark.parametrize("text", ["", "[]", '{"format": "mesh plan 0", "files": "", "state": ""}', '{"format": "mesh plan 1"}', "\x00"])
def test_what_is_no_plan_is_refused_with_a_remedy(tmp_path: Path, text: str) -> None:
    path = tmp_path / "x.plan"
    path.write_text(text)
    with pytest.raises(PublishingError, match=r"(?s)plan.*mesh plan --out"):
        governance.read_plan(path)


def test_a_plans_file_holds_neither_statements_nor_secrets(warehouse: Warehouse, repo: Path, tmp_path: Path) -> None:
    governance.write_plan(governance.plan(warehouse, BOTH, repo), tmp_path / "p")
    text = (tmp_path / "p").read_text()
    assert "CREATE ROLE" not in text
    assert "PASSWORD" not in text


# one transaction a domain


def test_one_domains_failure_leaves_the_others_applied(warehouse: Warehouse, repo: Path) -> None:
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE FUNCTION public.refuse() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'ga_p_data') THEN"
                      " RAISE EXCEPTION 'the disk is full' USING HINT = 'make room'; END IF; END $$")  # fmt: skip
        admin.execute("CREATE EVENT TRIGGER refuse ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION public.refuse()")
        applied = governance.apply(warehouse, BOTH, repo)
        (failure,) = applied.failures
        assert (failure.domain, failure.object, failure.reason) == ("ga", "create schema ga_p_data", "the disk is full")
        assert failure.remedy == "make room"
        schemas = {str(name) for (name,) in admin.execute("SELECT nspname FROM pg_namespace").fetchall()}
        assert {"gb_q", "gb_raw"} <= schemas
        assert not {"ga_p", "ga_raw"} & schemas, "nothing of the failed domain stands"
        admin.execute("DROP EVENT TRIGGER refuse; DROP FUNCTION public.refuse()")
    assert governance.apply(warehouse, BOTH, repo).failures == ()
    assert left_to_do(warehouse, BOTH) == []


def _apply_in_process(warehouse: Warehouse, stop_at: int | None) -> None:
    """Applies; kills itself with SIGKILL before a given transaction."""
    seen = itertools.count()
    original = execution._transaction  # pyright: ignore[reportPrivateUsage]

    def counted(*arguments: object) -> object:
        if next(seen) == stop_at:
            os.kill(os.getpid(), signal.SIGKILL)
        return original(*arguments)  # pyright: ignore[reportArgumentType]

    execution._transaction = counted  # pyright: ignore[reportPrivateUsage, reportAttributeAccessIssue]
    governance.apply(warehouse, BOTH, Path("/nowhere"))


@pytest.mark.parametrize("stop_at", [0, 1, 2])
def test_an_apply_killed_between_two_domains_is_finished_by_the_next(warehouse: Warehouse, stop_at: int) -> None:
    process = multiprocessing.get_context("fork").Process(target=_apply_in_process, args=(warehouse, stop_at))
    process.start()
    process.join(60)
    assert process.exitcode == -signal.SIGKILL
    governance.apply(warehouse, BOTH, Path("/nowhere"))
    assert left_to_do(warehouse, BOTH) == []


def test_an_apply_killed_within_a_domain_leaves_that_domain_as_it_was(warehouse: Warehouse) -> None:
    blocked = "SELECT pg_advisory_lock(1)"
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE FUNCTION public.wait() RETURNS event_trigger LANGUAGE plpgsql AS $$ BEGIN"
                      " IF EXISTS (SELECT FROM pg_event_trigger_ddl_commands() WHERE object_identity = 'gb_q') THEN"
                      " PERFORM pg_advisory_lock(1); END IF; END $$")  # fmt: skip
        admin.execute("CREATE EVENT TRIGGER wait ON ddl_command_end WHEN TAG IN ('CREATE SCHEMA') EXECUTE FUNCTION public.wait()")
        admin.execute(blocked.encode())
        process = multiprocessing.get_context("fork").Process(target=_apply_in_process, args=(warehouse, None))
        process.start()
        deadline = time.monotonic() + 60
        while not admin.execute("SELECT FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted").fetchall():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        process.kill()
        process.join(60)
        admin.execute("SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND objid = 1 AND NOT granted")
        admin.execute("DROP EVENT TRIGGER wait; DROP FUNCTION public.wait()")
        schemas = {str(name) for (name,) in admin.execute("SELECT nspname FROM pg_namespace").fetchall()}
    assert "ga_p" in schemas
    assert not {"gb_q", "gb_raw"} & schemas
    governance.apply(warehouse, BOTH, Path("/nowhere"))
    assert left_to_do(warehouse, BOTH) == []


def test_applies_of_four_processes_end_consistent_and_without_error(warehouse: Warehouse) -> None:
    context = multiprocessing.get_context("fork")
    processes = [context.Process(target=_apply_in_process, args=(warehouse, None)) for _ in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(120)
    assert [process.exitcode for process in processes] == [0, 0, 0, 0]
    assert left_to_do(warehouse, BOTH) == []


# removals


def test_what_is_gone_loses_its_access_at_once_and_its_data_only_when_pruned(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    publish_all(warehouse, BOTH, P, Q)
    assert left_to_do(warehouse, BOTH) == []
    applied = governance.apply(warehouse, WITHOUT_Q, repo)
    assert {step.kind for step in (*applied.taken, *applied.left)} == {"remove"}
    assert "revoke usage on schema ga_p from gb_owner" in map(str, applied.taken), "what gb.q was declared to read"
    assert {str(step) for step in applied.left} >= {"drop schema gb_q", "drop schema gb_q_data", "drop port gb.q.q"}
    with warehouse.connect_platform(autocommit=True) as admin:
        assert admin.execute("SELECT count(*) FROM gb_q.t").fetchone() == (1,)
    again = governance.apply(warehouse, WITHOUT_Q, repo)
    assert again.taken == ()
    assert sorted(map(str, again.left)) == sorted(map(str, applied.left)), "a removal stays in sight until it is pruned"
    pruned = governance.apply(warehouse, WITHOUT_Q, repo, prune=True)
    assert pruned.failures == ()
    assert not {"gb_q", "gb_q_data"} & names_on_server(warehouse)
    assert {"gb_raw", "gb_build", "ga_p", "ga_p_data"} <= names_on_server(warehouse)
    assert left_to_do(warehouse, WITHOUT_Q) == []
    assert governance.apply(warehouse, BOTH, repo).failures == (), "and it can come back"
    assert left_to_do(warehouse, BOTH) == []


def test_a_domain_that_is_gone_is_pruned_with_its_roles(warehouse: Warehouse, repo: Path) -> None:
    lone = make_product("gonedomain.z")
    mesh = make_mesh(("ga", "gonedomain"), P, lone)
    apply(warehouse, mesh)
    publish_all(warehouse, mesh, lone)
    assert {"gonedomain_owner", "gonedomain_job", "gonedomain_z_reader"} <= names_on_server(warehouse)
    left = make_mesh(("ga",), P)
    assert governance.apply(warehouse, left, repo, prune=True).failures == ()
    assert [name for name in names_on_server(warehouse) if name.startswith("gonedomain")] == []
    assert left_to_do(warehouse, left) == []


def test_pruning_never_takes_what_another_domain_built_on_it(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    publish_all(warehouse, BOTH, P)
    with warehouse.connect_domain("gb") as connection:
        connection.execute("CREATE VIEW gb_build.mine AS SELECT number FROM ga_p.t")
    left = make_mesh(("ga", "gb"), Q)
    applied = governance.apply(warehouse, left, repo, prune=True)
    assert "report schema ga_p" in map(str, applied.left)
    with warehouse.connect_platform(autocommit=True) as admin:
        assert admin.execute("SELECT to_regclass('gb_build.mine') IS NOT NULL, to_regclass('ga_p.t') IS NOT NULL").fetchone() == (
            True,
            True,
        )


def test_a_product_whose_files_cannot_be_read_keeps_everything(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    publish_all(warehouse, BOTH, P, Q)
    for broken, product_left in (("gb.q", P), ("ga.p", Q)):
        mesh = make_mesh(("ga", "gb"), product_left, broken=frozenset({broken}))
        assert governance.apply(warehouse, mesh, repo, prune=True).taken == (), broken
        with warehouse.connect_domain("gb") as connection:
            assert connection.execute("SELECT count(*) FROM ga_p.t").fetchone() == (1,)
    assert left_to_do(warehouse, BOTH) == []


def test_what_was_put_among_ports_and_versions_by_hand_is_drift_and_stays_until_pruned(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    publish_all(warehouse, BOTH, P)
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE TABLE ga_p.mine AS SELECT 1 AS a; ALTER TABLE ga_p.mine OWNER TO ga_owner")
        admin.execute("CREATE TABLE ga_p_data.mine AS SELECT 1 AS a; ALTER TABLE ga_p_data.mine OWNER TO mesh_keeper")
        admin.execute(
            "CREATE SCHEMA ga_side AUTHORIZATION ga_owner; CREATE TABLE ga_side.t (a int); ALTER TABLE ga_side.t OWNER TO ga_owner"
        )
    found = governance.plan(warehouse, BOTH, repo).steps
    taken_over = "alter ga_p.mine owner mesh_keeper"  # nothing among ports is a domain's
    assert {str(step): (step.kind, step.prune) for step in found} == {
        taken_over: ("drift", False),
        "drop table ga_p.mine": ("drift", True),
        "drop table ga_p_data.mine": ("drift", True),
        "drop schema ga_side": ("drift", True),
    }
    assert [str(step) for step in governance.apply(warehouse, BOTH, repo).taken] == [taken_over]
    with warehouse.connect_platform(autocommit=True) as admin:
        assert admin.execute("SELECT count(*) FROM ga_p.mine, ga_p_data.mine").fetchone() == (1,)
    assert len(governance.apply(warehouse, BOTH, repo, prune=True).taken) == 3
    assert left_to_do(warehouse, BOTH) == []


# several databases, several versions


def test_two_meshes_on_one_server_leave_each_other_alone(warehouse: Warehouse, empty_database: Warehouse, repo: Path) -> None:
    """Roles belong to the server; what a domain has in another database is that mesh's business."""
    other = make_mesh(("gx",), make_product("gx.p"))
    apply(warehouse, BOTH)
    assert governance.apply(empty_database, other, repo).failures == ()
    assert left_to_do(warehouse, BOTH) == []
    assert left_to_do(empty_database, other) == []
    assert governance.apply(empty_database, make_mesh(()), repo, prune=True).failures == ()
    assert left_to_do(warehouse, BOTH) == []
    with warehouse.connect_domain("ga") as connection:
        assert connection.execute("SELECT count(*) FROM mesh.alerts").fetchone() == (0,)


@pytest.fixture
def own_server(tmp_path: Path) -> Iterator[EmbeddedPostgres]:
    """A server on which nobody has made roles yet."""
    server = EmbeddedPostgres(tmp_path / "postgres")
    server.start()
    yield server
    server.stop()


def test_a_platform_role_that_is_no_superuser_plans_applies_and_prunes(own_server: EmbeddedPostgres, repo: Path) -> None:
    """As on a managed Postgres: it may make roles, and owns the database."""
    postgres = own_server
    name, admin_role = f"managed_{os.getpid()}", "managed_platform"
    root = Warehouse({**postgres.conninfo(), "dbname": "postgres"}, server=postgres)
    managed = Warehouse({**postgres.conninfo(), "dbname": name}, admin=admin_role, server=None)
    secret = postgres.set_password(admin_role)
    with root.connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE ROLE {} LOGIN CREATEROLE PASSWORD {}").format(sql.Identifier(admin_role), sql.Literal(secret)))
        connection.execute(sql.SQL("CREATE DATABASE {} OWNER {}").format(sql.Identifier(name), sql.Identifier(admin_role)))
        connection.execute(sql.SQL("REVOKE ALL ON DATABASE {} FROM PUBLIC").format(sql.Identifier(name)))
    mesh = make_mesh(("ma", "mb"), make_product("ma.p"))
    assert governance.apply(managed, mesh, repo).failures == ()
    assert left_to_do(managed, mesh) == []
    with root.database(name).connect_platform(autocommit=True) as connection:
        connection.execute("GRANT USAGE ON SCHEMA ma_raw TO PUBLIC; ALTER ROLE ma_job SUPERUSER")
    (failure,) = governance.apply(managed, mesh, repo).failures
    assert failure.object == "revoke superuser from role ma_job"
    assert failure.remedy.startswith("give the platform's role this right, or have a superuser do it")
    with root.connect_platform(autocommit=True) as connection:
        connection.execute("ALTER ROLE ma_job NOSUPERUSER")
    assert [str(step) for step in governance.apply(managed, mesh, repo).taken] == ["revoke usage on schema ma_raw from PUBLIC"]
    assert governance.apply(managed, make_mesh(()), repo, prune=True).failures == ()
    assert not {"ma_owner", "ma_p", "mb_job"} & names_on_server(managed)


def test_a_role_that_another_database_uses_stays(warehouse: Warehouse, empty_database: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    apply(empty_database, make_mesh(("ga",)))
    assert governance.apply(warehouse, make_mesh(("gb",), Q), repo, prune=True).failures == ()
    assert "ga_owner" in names_on_server(warehouse)
    assert "gb_q" in names_on_server(warehouse)
    assert left_to_do(empty_database, make_mesh(("ga",))) == []


def test_what_another_version_of_the_platform_made_is_a_change_and_no_drift(warehouse: Warehouse, repo: Path) -> None:
    apply(warehouse, BOTH)
    with warehouse.connect_platform(autocommit=True) as admin:
        admin.execute('UPDATE mesh.declared SET item = \'["files", "older"]\' WHERE item LIKE \'["files"%\'')
        admin.execute("ALTER POLICY insert ON mesh.ports WITH CHECK (mesh.may_write(domain))")
    steps = governance.plan(warehouse, BOTH, repo).steps
    assert {str(step): step.kind for step in steps} == {
        "alter the platform's own tables to this version's": "change",
        "replace policy insert of mesh.ports": "change",
    }
    governance.apply(warehouse, BOTH, repo)
    assert left_to_do(warehouse, BOTH) == []


# names


def test_two_products_that_would_share_a_schema_are_refused(warehouse: Warehouse, repo: Path) -> None:
    mesh = make_mesh(("ga", "ga_p"), make_product("ga.p_raw"))
    with pytest.raises(Exception, match=r"(?s)ga\.p_raw.*would share the schema 'ga_p_raw'|ga_p.*would share"):
        governance.plan(warehouse, mesh, repo)


@pytest.mark.parametrize("name", ["a" * 60, "pg"])
def test_names_that_postgres_would_cut_or_refuse_are_refused(warehouse: Warehouse, repo: Path, name: str) -> None:
    with pytest.raises(Exception, match="which Postgres does not allow"):
        governance.plan(warehouse, make_mesh((name,)), repo)


ODD = ['a"b', "a b", "ünï", "a;DROP TABLE mesh.ports;--", "😀", "a'b", "%s{}", "select", "A" * 40, "a.b", "\\", "$$"]


def test_odd_names_of_tables_and_columns_stay_data(warehouse: Warehouse, repo: Path) -> None:
    """Lint refuses them; should one get through, it is still only a name."""
    tables = [
        replace(table("t", {}), name=name, physical_name=name, columns=(column(name, "integer"),), model=f"m{number}")
        for number, name in enumerate(ODD)
    ]
    item = replace(product(contract(*tables, product="ga.p")), domain="ga")
    mesh = make_mesh(("ga", "gb"), item, replace(Q, inputs=(reads("ga.p.p"),)))
    assert governance.apply(warehouse, mesh, repo).failures == ()
    with warehouse.connect_domain("ga") as connection:
        for each in tables:
            name = sql.Identifier(each.physical_name)
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT 1 AS {}").format(sql.Identifier("ga_build", each.model), name))
    promise = item.outputs[0].contract
    assert publish(warehouse, promise, readers(mesh, promise), lambda _: AuditReport(()), code_version="c").published
    assert left_to_do(warehouse, mesh) == []
    with warehouse.connect_platform(autocommit=True) as admin:
        for name in ODD:
            admin.execute(sql.SQL("GRANT SELECT ({}) ON {} TO PUBLIC").format(sql.Identifier(name), sql.Identifier("ga_p", name)))
    assert len(governance.apply(warehouse, mesh, repo).taken) == len(ODD)
    assert left_to_do(warehouse, mesh) == []
