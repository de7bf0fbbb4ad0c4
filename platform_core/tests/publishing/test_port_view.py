"""The view that consumers read: its columns, its masks, its grants, through changes of the contract."""

from __future__ import annotations

from dataclasses import replace

import psycopg
import pytest
from port_bench import LINES, ORDERS, Port, column, mesh, product, reads, table
from psycopg import sql

from platform_core.publishing import PublishingError, rollback
from platform_core.warehouse import apply, readers

pytestmark = pytest.mark.timeout(60)
COLUMNS = "SELECT column_name, data_type FROM information_schema.columns WHERE table_schema = 'sales_orders' AND table_name = 'orders' ORDER BY ordinal_position"


def _lines(port: Port) -> None:
    """Leaves ``lines`` as it is while ``orders`` changes."""
    port.build(1)
    port.publish()


def test_the_view_shows_the_contracts_columns_in_its_order_and_nothing_else(port: Port) -> None:
    port.build(1, tables={"orders": "'secret'::text AS internal, 'a@b.c'::text AS email, 1 AS number"})
    port.publish()
    assert port.admin(COLUMNS) == [("number", "integer"), ("email", "text")]
    comments = port.admin("SELECT obj_description('sales_orders.orders'::regclass), col_description('sales_orders.orders'::regclass, 1)")
    assert comments == [("The table orders.", "What number is.")]


def test_a_new_column_comes_last_and_consumers_views_stay(port: Port) -> None:
    _lines(port)
    _consumers_view(port)
    port.change(table("orders", {"country": "text", **ORDERS}), table("lines", LINES))
    port.build(2)
    port.publish()
    assert [name for name, _ in port.admin(COLUMNS)] == ["number", "email", "country"]
    assert port.read("SELECT number FROM marketing_build.seen") == [(2,)] * 3


def test_another_order_in_the_contract_changes_nothing_for_readers(port: Port) -> None:
    _lines(port)
    port.change(table("orders", {"email": "text", "number": "integer"}), table("lines", LINES))
    port.build(2)
    port.publish()
    assert [name for name, _ in port.admin(COLUMNS)] == ["number", "email"]
    assert port.numbers() == {2}


@pytest.mark.parametrize(
    "columns", [{"email": "text"}, {"number": "bigint", "email": "text"}, {"order_number": "integer", "email": "text"}]
)
def test_a_breaking_change_is_refused_while_a_consumers_view_stands_on_it(port: Port, columns: dict[str, str]) -> None:
    _lines(port)
    _consumers_view(port)
    port.change(table("orders", columns), table("lines", LINES))
    port.build(2)
    with pytest.raises(PublishingError) as caught:
        port.publish()
    assert caught.value.where == "sales_orders.orders"
    assert "marketing_build.seen" in caught.value.what, "the error names who stands on it"
    assert "major version" in str(caught.value.remedy)
    assert port.numbers() == {1}
    assert port.read("SELECT number FROM marketing_build.seen") == [(1,)] * 3
    assert [name for name, _ in port.admin(COLUMNS)] == ["number", "email"]


def test_a_breaking_change_without_dependents_makes_a_new_view_with_all_grants(port: Port) -> None:
    _lines(port)
    port.change(table("orders", {"total": "numeric(12,2)", "number": "bigint"}), table("lines", LINES))
    port.build(2)
    port.publish()
    assert port.admin(COLUMNS) == [("total", "numeric"), ("number", "bigint")]
    assert port.numbers() == {2}
    assert apply(port.warehouse, port.mesh) == (), "a grant was lost"


@pytest.mark.parametrize("kind", ["numeric(12,2)", "character varying(20)", "timestamp(3) with time zone", "text", "jsonb", "integer[]"])
def test_a_column_may_become_personal_under_consumers_views(port: Port, kind: str) -> None:
    """A mask must not change the column's type: to protect a column would otherwise be a breaking change."""
    values = {"n": "1.5", "c": "'x'", "t": "now()", "j": "'{}'", "i": "'{1}'"}
    made = f"1 AS number, 'a@b.c'::text AS email, ({values.get(kind[0], 'null')})::{kind} AS amount"
    before = table("orders", {**ORDERS, "amount": kind})
    port.change(before, table("lines", LINES))
    port.build(1, tables={"orders": made})
    port.publish()
    with port.warehouse.connect_domain("marketing") as connection:
        connection.execute("CREATE VIEW marketing_build.seen AS SELECT number, amount FROM sales_orders.orders")
    port.change(replace(before, columns=(*before.columns[:2], column("amount", kind, personal=True))), table("lines", LINES))
    port.build(2, tables={"orders": made})
    port.publish()
    assert port.read("SELECT DISTINCT amount FROM sales_orders.orders") == [(None,)]
    shown = port.admin(
        "SELECT format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = 'sales_orders.orders'::regclass AND attname = 'amount'"
    )
    assert shown == [(kind,)]


def test_personal_columns_by_role(port: Port) -> None:
    _lines(port)
    who = {
        "marketing": None,  # reads the port, asked for no personal data
        "inventory": "a1@example.com",  # asked for personal data
        "sales": "a1@example.com",  # owns it
    }
    for domain, expected in who.items():
        assert port.read("SELECT min(email) FROM sales_orders.orders", domain=domain) == [(expected,)], domain
        with port.warehouse.connect(f"{domain}_job", autocommit=True) as connection:  # without SET ROLE
            assert connection.execute("SELECT min(email) FROM sales_orders.orders").fetchall() == [(expected,)], domain
    assert port.read("SELECT count(*) FROM sales_orders.orders WHERE email = 'a1@example.com'") == [(0,)], "a filter finds what is masked"
    assert port.read("SELECT number FROM sales_orders.orders") == [(1,)] * 3, "a column that is not personal was masked"


def test_masks_hold_after_a_rollback_and_after_a_withdrawn_request(port: Port) -> None:
    for number in (1, 2):
        port.build(number)
        port.publish()
    rollback(port.warehouse, port.contract, readers(port.mesh, port.contract), actor="ada")
    assert port.numbers() == {1}
    assert port.read("SELECT min(email) FROM sales_orders.orders") == [(None,)]
    assert port.read("SELECT min(email) FROM sales_orders.orders", domain="inventory") == [("a1@example.com",)]
    products = dict(port.mesh.products)
    products["inventory.stock"] = replace(products["inventory.stock"], inputs=(reads(port.contract.id),))
    steps = apply(port.warehouse, replace(port.mesh, products=products))
    assert [str(step) for step in steps] == ["revoke role sales_orders_reader_pii from inventory_owner"]
    assert port.read("SELECT min(email) FROM sales_orders.orders", domain="inventory") == [(None,)]


def test_a_mask_cannot_be_looked_behind_by_a_cheap_function(port: Port) -> None:
    """Postgres may run a reader's own cheap filter below a view; the mask is in the column, so the filter sees only what is masked."""
    _lines(port)
    with port.warehouse.connect_domain("marketing") as connection:
        connection.execute("CREATE TABLE marketing_build.caught (value text)")
        connection.execute(
            """CREATE FUNCTION marketing_build.peek(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
               $$ BEGIN RAISE NOTICE 'saw %', value; RETURN true; END $$"""
        )
        notices: list[str] = []
        connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
        connection.execute("SELECT count(*) FROM sales_orders.orders WHERE marketing_build.peek(email)")
    assert set(notices) <= {"saw <NULL>"}


def test_grants_exist_after_the_first_publication(port: Port) -> None:
    _lines(port)
    assert port.numbers() == {1}
    assert apply(port.warehouse, port.mesh) == ()
    granted = port.admin(
        "SELECT DISTINCT grantee FROM information_schema.role_table_grants WHERE table_schema = 'sales_orders' AND grantee NOT IN ('sales_owner', 'mesh_keeper')"
    )
    assert {row[0] for row in granted} == {"marketing_owner", "inventory_owner", "sales_orders_reader"}


def test_a_consumer_that_comes_later_reads_after_apply_and_one_that_leaves_does_not(port: Port) -> None:
    _lines(port)
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        port.read("SELECT * FROM sales_orders.orders", domain="customer")
    late = product(replace(port.contract, id="customer.late.late", product_id="customer.late", domain="customer"), reads(port.contract.id))
    more = mesh(*port.mesh.products.values(), late)
    apply(port.warehouse, more)
    assert port.read("SELECT count(*) FROM sales_orders.orders", domain="customer") == [(3,)]
    port.mesh = more
    port.build(2)
    port.publish()
    assert port.read("SELECT DISTINCT number FROM sales_orders.orders", domain="customer") == [(2,)]
    apply(port.warehouse, mesh(*(item for item in more.products.values() if item.id != "customer.late")))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        port.read("SELECT * FROM sales_orders.orders", domain="customer")


def test_a_consumer_whose_roles_are_not_applied_yet_does_not_stop_the_producer(port: Port, caplog: pytest.LogCaptureFixture) -> None:
    _lines(port)
    newcomer = product(replace(port.contract, id="logistics.x.x", product_id="logistics.x", domain="logistics"), reads(port.contract.id))
    port.mesh = replace(mesh(*port.mesh.products.values(), newcomer), domains=(*port.mesh.domains, "logistics"))
    port.build(2)
    assert port.publish().published
    assert "logistics_owner" in caplog.text
    apply(port.warehouse, port.mesh)
    try:
        assert port.read("SELECT DISTINCT number FROM sales_orders.orders", domain="logistics") == [(2,)]
    finally:
        _drop_domain(port, "logistics")


def test_a_table_that_joins_the_contract_appears_with_the_next_publication(port: Port) -> None:
    _lines(port)
    port.change(*port.contract.tables, table("returns", LINES))
    port.build(2)
    port.publish()
    assert port.read("SELECT DISTINCT number FROM sales_orders.returns") == [(2,)]


def _consumers_view(port: Port) -> None:
    with port.warehouse.connect_domain("marketing") as connection:
        connection.execute("CREATE VIEW marketing_build.seen AS SELECT number FROM sales_orders.orders")


def _drop_domain(port: Port, domain: str) -> None:
    """Roles belong to the whole server, which other tests share."""
    with port.warehouse.connect_platform(autocommit=True) as connection:
        for name in (f"{domain}_job", f"{domain}_x_reader", f"{domain}_x_reader_pii", f"{domain}_owner"):
            connection.execute(sql.SQL("DROP OWNED BY {} CASCADE").format(sql.Identifier(name)))
            connection.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(name)))
