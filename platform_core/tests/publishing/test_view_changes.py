"""A changed policy reaches published views without a publication; a view changed by hand is found and put right; nothing else is touched."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from masked_port import READER, fill, mask_table, pending, rows, settle
from port_bench import LINES, Port, column, contract, hosted_port, product, table

from platform_core.contracts.masking import NULL, Mask
from platform_core.contracts.masking_policy import Masking
from platform_core.contracts.model import Table
from platform_core.publishing import PublishingError, publish
from platform_core.publishing.mask_key import use_mask_key
from platform_core.publishing.view_changes import view_changes
from platform_core.warehouse import apply

pytestmark = pytest.mark.timeout(90)
EMAIL = Mask("partial", first=1, domain=True)
VIEW = "replace view sales_orders.orders"


def _columns(mask: Mask | None, **more: Any) -> dict[str, tuple[str, Mask | None]]:
    return {"number": ("integer", None), "email": ("text", mask), **more}


@pytest.fixture
def published(port: Port) -> Port:
    """One order, its e-mail address masked as null."""
    mask_table(port, _columns(NULL))
    fill(port, {"number": ("integer", ["1"]), "email": ("text", ["rosa@example.com"]), "country": ("text", ["PT"])})
    port.publish()
    return port


def _seen(port: Port) -> Any:
    return rows(port, READER, "SELECT email FROM sales_orders.orders")[0][0]


def test_nothing_is_to_do_after_a_publication_or_a_rollback(published: Port) -> None:
    assert pending(published) == []
    fill(published, {"number": ("integer", ["2"]), "email": ("text", ["rosa@example.com"])})
    published.publish()
    assert pending(published) == []


def test_a_changed_mask_is_a_change_and_needs_no_publication(published: Port) -> None:
    before = published.admin("SELECT publication FROM mesh.publications")
    mask_table(published, _columns(EMAIL))
    assert pending(published) == [f"change: {VIEW} (email: null becomes partial (first 1, domain))"]
    assert _seen(published) is None, "a plan touches nothing"
    assert settle(published) == [VIEW]
    assert _seen(published) == "r***@example.com"
    assert pending(published) == []
    mask_table(published, _columns(None))
    assert pending(published) == [f"change: {VIEW} (email: partial (first 1, domain) becomes in clear)"]
    assert published.admin("SELECT publication FROM mesh.publications") == before
    assert [str(step) for step in apply(published.warehouse, published.mesh)] == [], "grants were lost"


def test_consumers_views_stand_through_a_changed_mask(published: Port) -> None:
    with published.warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("CREATE VIEW marketing_build.seen AS SELECT email FROM sales_orders.orders")
    mask_table(published, _columns(EMAIL))
    settle(published)
    assert published.admin("SELECT email FROM marketing_build.seen") == [("rosa@example.com",)], "the platform's role is everybody's member"


def test_a_changed_description_is_a_change(published: Port) -> None:
    orders, lines = published.contract.tables
    published.change(replace(orders, description="Another text."), lines)
    assert pending(published) == [f"change: {VIEW} (its rows or comments are declared otherwise)"]
    settle(published)
    assert published.admin("SELECT obj_description('sales_orders.orders'::regclass)") == [("Another text.",)]


BY_HAND = [
    (
        "CREATE OR REPLACE VIEW sales_orders.orders AS SELECT number, 'rosa@example.com'::text AS email FROM {version}",
        f"drift: {VIEW} (the view was changed by hand)",
    ),
    ("DROP VIEW sales_orders.orders", "drift: create view sales_orders.orders (the view is gone)"),
    (
        "DROP VIEW sales_orders.orders; CREATE VIEW sales_orders.orders AS SELECT email, 2 AS number FROM {version}",
        f"drift: {VIEW} (the view was changed by hand)",
    ),
    ("ALTER VIEW sales_orders.orders SET (security_invoker = true)", f"drift: {VIEW} (the view was changed by hand)"),
    ("ALTER VIEW sales_orders.orders SET (security_barrier = true)", f"drift: {VIEW} (the view was changed by hand)"),
    ("ALTER VIEW sales_orders.orders OWNER TO mesh_platform", "drift: alter view sales_orders.orders (it belongs to mesh_platform)"),
    ("COMMENT ON VIEW sales_orders.orders IS 'x'", "drift: alter view sales_orders.orders (its comments were changed by hand)"),
    ("COMMENT ON COLUMN sales_orders.orders.email IS NULL", "drift: alter view sales_orders.orders (its comments were changed by hand)"),
    ("ALTER VIEW sales_orders.orders RENAME COLUMN email TO mail", f"drift: {VIEW} (the view was changed by hand)"),
    ("DELETE FROM mesh.port_views WHERE table_name = 'orders'", f"change: {VIEW} (made by an older version of the platform)"),
]


def test_what_was_done_by_hand_is_found_and_undone(published: Port) -> None:
    ((version,),) = published.admin("SELECT tables -> 'orders' ->> 'version' FROM mesh.publications WHERE state = 'published'")
    for done, found in BY_HAND:
        with published.warehouse.connect_platform(autocommit=True) as admin:
            admin.execute(done.format(version=f'sales_orders_data."{version}"').encode())
        assert pending(published) == [found], done
        settle(published)
        assert pending(published) == [], done
        assert _seen(published) is None, done
        assert published.admin("SELECT number, email FROM sales_orders.orders") == [(1, "rosa@example.com")], done
        assert apply(published.warehouse, published.mesh) == (), f"{done}: grants, owner"


def test_the_shape_of_a_port_waits_for_its_next_publication(published: Port) -> None:
    mask_table(published, _columns(NULL, country=("text", None)))
    assert pending(published) == [], "a new column was not audited yet"
    mask_table(published, {"number": ("integer", None)})
    assert pending(published) == [], "one that goes keeps its mask until then"
    orders = table("orders", {"number": "integer", "email": "text", "total": "numeric"}, personal=())
    published.change(
        replace(orders, columns=(column("number", "integer"), column("email", "bigint"))), table("lines", LINES), table("more", LINES)
    )
    assert [step for step in pending(published) if "orders" not in step] == [], "a table that joins comes with a publication"
    assert published.admin(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'sales_orders.orders'::regclass AND attname = 'email'"
    ) == [("text",)]


def test_data_that_is_gone_is_reported_and_stops_nothing_else(published: Port) -> None:
    with published.warehouse.connect_platform(autocommit=True) as admin:
        ((version,),) = published.admin("SELECT tables -> 'orders' ->> 'version' FROM mesh.publications WHERE state = 'published'")
        admin.execute(f'DROP TABLE sales_orders_data."{version}" CASCADE'.encode())
        admin.execute("COMMENT ON VIEW sales_orders.lines IS 'x'")
    found = pending(published)
    assert any("report view sales_orders.orders" in step and "is gone" in step for step in found)
    assert any("alter view sales_orders.lines" in step for step in found)
    settle(published)
    assert len(pending(published)) == 1


def test_a_step_that_meets_another_publication_does_nothing(published: Port) -> None:
    mask_table(published, _columns(EMAIL))
    with published.warehouse.connect_platform() as admin:
        (step,) = view_changes(admin, published.mesh)
        admin.rollback()
        fill(published, {"number": ("integer", ["2"]), "email": ("text", ["rosa@example.com"])})
        published.publish()
        assert step.statement is not None
        with pytest.raises(psycopg.errors.SerializationFailure, match="switched meanwhile"):
            admin.execute(step.statement)
    assert rows(published, READER, "SELECT number FROM sales_orders.orders") == [(2,)]


def test_a_policy_with_errors_changes_no_view(published: Port) -> None:
    published.mesh = replace(published.mesh, masking=Masking(Path("domains/masking.yaml"), None, {}))
    with pytest.raises(PublishingError, match="has errors"):
        pending(published)


def test_attributes_of_readers_follow_the_file(published: Port, tmp_path: Path) -> None:
    from platform_core.contracts.masking_file import read_masking

    def declare(text: str) -> None:
        (tmp_path / "domains").mkdir(exist_ok=True)
        (tmp_path / "domains/masking.yaml").write_text(f"rules: [{{tag: x, mask: null}}]\nreaders: {text}\n")
        masking, problems = read_masking(tmp_path)
        assert problems == ()
        published.mesh = replace(published.mesh, masking=masking)

    declare("[{role: team, attributes: {country: [PT, 'it''s'], unit: '*'}}]")
    assert settle(published) == [
        "grant attribute country=PT to team",
        "grant attribute country=it's to team",
        "grant attribute unit=* to team",
    ]
    assert settle(published) == []
    with published.warehouse.connect_platform(autocommit=True) as admin:
        admin.execute("INSERT INTO mesh.reader_attributes VALUES ('', 'intruder', 'country', '*'), ('sales', 'friend', 'country', 'PT')")
    declare("[{role: team, attributes: {country: PT}}]")
    assert settle(published) == [
        "revoke attribute country=* from intruder",
        "revoke attribute country=it's from team",
        "revoke attribute unit=* from team",
    ]
    assert published.admin("SELECT domain, role, attribute, value FROM mesh.reader_attributes ORDER BY 1") == [
        ("", "team", "country", "PT"),
        ("sales", "friend", "country", "PT"),
    ], "what a domain gave for its own ports is its own"


def test_the_number_of_queries_does_not_grow_with_the_mesh(published: Port, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[Any] = []
    original: Callable[..., Any] = psycopg.Connection.execute
    monkeypatch.setattr(
        psycopg.Connection, "execute", lambda self, *args, **options: (asked.append(args), original(self, *args, **options))[1]
    )

    def count() -> int:
        asked.clear()
        with published.warehouse.connect_platform() as connection:
            asked.clear()
            assert view_changes(connection, published.mesh) == ()
            return len(asked)

    one = count()
    products = dict(published.mesh.products)
    for number in range(3):
        tables: tuple[Table, ...] = (table("t", {"number": "integer"}),)
        more = contract(*tables, product=f"sales.p{number}")
        products[more.product_id] = product(more)
        published.mesh = replace(published.mesh, products=products, contracts={**published.mesh.contracts, more.id: more})
        apply(published.warehouse, published.mesh)
        with published.warehouse.connect_domain("sales", autocommit=True) as connection:
            connection.execute("DROP VIEW IF EXISTS sales_build.t")
            connection.execute("CREATE TABLE sales_build.t AS SELECT 1 AS number")
        assert publish(published.warehouse, more, (), published.audit(), code_version="c").published
    assert count() == one <= 7


def test_apply_brings_a_changed_policy_into_every_port_with_what_it_needs(published: Port) -> None:
    from platform_core.publishing.governance import apply_everything

    apply_everything(published.warehouse, published.mesh)
    assert apply_everything(published.warehouse, published.mesh) == ()
    mask_table(published, _columns(Mask("hash")))
    steps = {str(step) for step in apply_everything(published.warehouse, published.mesh)}
    assert VIEW in steps
    assert len(_seen(published)) == 32
    assert not {str(step) for step in apply_everything(published.warehouse, published.mesh)} & steps


def test_views_are_put_right_where_the_platforms_role_is_no_superuser(tmp_path_factory: pytest.TempPathFactory) -> None:
    """As at a hosted Postgres, where nobody is one: the role may make roles, and owns the database."""
    with hosted_port(tmp_path_factory.mktemp("hosted"), "sales") as (hosted, superuser):
        mask_table(hosted, _columns(NULL))
        fill(hosted, {"number": ("integer", ["1"]), "email": ("text", ["rosa@example.com"])})
        hosted.publish()
        mask_table(hosted, _columns(Mask("hash")))
        apply(hosted.warehouse, hosted.mesh)
        for statement in ("SELECT 1", "DROP VIEW sales_orders.orders"):
            with superuser.connect_platform(autocommit=True) as admin:
                admin.execute(statement.encode())
            assert len(settle(hosted)) == 1 and settle(hosted) == []
            with superuser.connect_platform(autocommit=True) as admin:
                admin.execute("SET ROLE sales_orders_reader")
                ((shown,),) = admin.execute("SELECT email FROM sales_orders.orders").fetchall()
            assert len(shown) == 32
        assert use_mask_key(hosted.warehouse, "a key that is long enough")
