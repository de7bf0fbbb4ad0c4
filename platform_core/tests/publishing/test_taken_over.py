"""A home of a former version, in which each domain owned its port views, is taken over by an apply; consumers' views stand through it."""

from __future__ import annotations

from pathlib import Path

import pytest
from port_bench import Port

from platform_core.publishing import PublishingError, governance

FOLDER = Path("/nowhere")
FORMER = """
    DROP FUNCTION mesh.show_version, mesh.lock_views, mesh.make_view, mesh.note_view, mesh.applied_items, mesh.served_version, mesh.acts_for,
        mesh.masked, mesh.row_condition, mesh.version_column;
    ALTER SCHEMA sales_orders OWNER TO sales_owner;
    ALTER VIEW sales_orders.orders OWNER TO sales_owner;
    ALTER VIEW sales_orders.lines OWNER TO sales_owner;
    ALTER SCHEMA marketing_segments OWNER TO marketing_owner;
    ALTER SCHEMA inventory_stock OWNER TO inventory_owner;
    UPDATE mesh.port_views SET declared = md5(declared);
    GRANT SELECT, INSERT, UPDATE, DELETE ON mesh.port_views TO mesh_member;
    CREATE POLICY read ON mesh.port_views FOR SELECT USING (true);
    CREATE POLICY insert ON mesh.port_views FOR INSERT WITH CHECK (mesh.may_write(domain));
    REVOKE SELECT ON mesh.mask_pass, mesh.reader_attributes FROM mesh_keeper;
    REVOKE USAGE ON SCHEMA mesh FROM mesh_keeper;
    GRANT SELECT ON mesh.mask_pass TO sales_owner;
    UPDATE mesh.declared SET item = '["files", "older"]' WHERE item LIKE '["files"%%';
    DELETE FROM mesh.declared WHERE item LIKE '["table"%%' OR item LIKE '["mask"%%' OR item LIKE '["filter"%%' OR item LIKE '["grant"%%mesh_keeper%%' OR item LIKE '["part"%%';
    DELETE FROM mesh.declared WHERE item LIKE '["grant", "%%", "sales_orders", "%%", "", "sales_owner", "%%';
    INSERT INTO mesh.declared VALUES ('sales', '', '["grant", "relation", "mesh", "mask_pass", "", "sales_owner", "SELECT"]')"""


@pytest.fixture
def former(port: Port) -> Port:
    """Published, read by a consumer's view, and then made what a former version of the platform left."""
    governance.apply_everything(port.warehouse, port.mesh)
    port.build(1)
    port.publish()
    with port.warehouse.connect_domain("marketing") as connection:
        connection.execute("CREATE VIEW marketing_build.seen AS SELECT number, email FROM sales_orders.orders")
    with port.warehouse.connect_platform() as admin:
        for statement in FORMER.split(";"):
            admin.execute(statement.replace("%%", "%").encode())
    with port.warehouse.connect_domain("sales") as connection:
        connection.execute("CREATE OR REPLACE VIEW sales_orders.lines AS TABLE sales_orders.lines")
        connection.rollback()  # it could be done by hand
    return port


def test_apply_takes_the_views_over_and_calls_it_a_change(former: Port) -> None:
    steps = {str(step): (step.kind, step.detail) for step in governance.plan(former.warehouse, former.mesh, FOLDER).steps}
    assert steps["alter schema sales_orders owner mesh_keeper"] == ("change", "is sales_owner")
    assert steps["alter sales_orders.orders owner mesh_keeper"] == ("change", "is sales_owner")
    assert steps["replace view sales_orders.orders"] == ("change", "made by an older version of the platform")
    assert steps["revoke select on mesh.mask_pass from sales_owner"][0] == "remove"
    assert governance.apply(former.warehouse, former.mesh, FOLDER).failures == ()
    assert governance.plan(former.warehouse, former.mesh, FOLDER).steps == ()
    owners = "SELECT DISTINCT relowner::regrole::text FROM pg_class WHERE relnamespace = 'sales_orders'::regnamespace AND relkind = 'v'"
    assert former.admin(owners) == [("mesh_keeper",)]
    assert former.read("SELECT DISTINCT number, email FROM marketing_build.seen") == [(1, None)], (
        "the consumer's view stands, and is masked"
    )
    assert former.read("SELECT min(email) FROM sales_orders.orders", domain="inventory") == [("a1@example.com",)]
    former.build(2)
    assert former.publish().published
    assert former.read("SELECT DISTINCT number FROM marketing_build.seen") == [(2,)]
    assert former.read("SELECT DISTINCT number FROM sales_orders.orders", domain="sales") == [(2,)]


def test_until_then_ports_are_served_and_a_publication_says_what_to_do(former: Port) -> None:
    former.build(2)
    with pytest.raises(PublishingError) as caught:
        former.publish()
    assert "mesh apply" in str(caught.value.remedy)
    assert former.read("SELECT DISTINCT number FROM marketing_build.seen") == [(1,)]
    governance.apply(former.warehouse, former.mesh, FOLDER)
    assert former.publish().published
    assert former.read("SELECT DISTINCT number FROM marketing_build.seen") == [(2,)]
