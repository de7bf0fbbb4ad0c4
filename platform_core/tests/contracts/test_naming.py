"""Names: stable, within Postgres' limit, and the way back from a relation to its asset."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from platform_core.contracts import naming

NAMES = st.from_regex(r"[a-z][a-z0-9_]{0,20}", fullmatch=True)
PRODUCT_IDS = st.builds(lambda domain, product: f"{domain}.{product}", NAMES, NAMES)


def test_the_names_of_the_design() -> None:
    assert naming.raw_key("sales", "purchases") == ("sales", "raw", "purchases")
    assert naming.raw_schema("sales") == "sales_raw"
    assert naming.build_key("sales", "orders") == ("sales", "build", "orders")
    assert naming.build_schema("sales") == "sales_build"
    assert naming.port_key("sales.orders", "orders") == ("sales", "orders", "orders")
    assert naming.port_schema("sales.orders") == "sales_orders"
    assert naming.data_schema("sales.orders") == "sales_orders_data"
    assert naming.version_table("orders", "p1") == "orders__p1"
    assert (naming.owner_role("sales"), naming.job_role("sales")) == ("sales_owner", "sales_job")
    assert naming.reader_role("sales.orders") == "sales_orders_reader"
    assert naming.pii_reader_role("sales.orders") == "sales_orders_reader_pii"


def test_the_urns_of_datahub() -> None:
    from datahub.utilities.urns.urn import Urn

    dataset = naming.dataset_urn("sales_orders", "orders")
    assert dataset == "urn:li:dataset:(urn:li:dataPlatform:postgres,mesh.sales_orders.orders,PROD)"
    for urn in (dataset, naming.data_product_urn("sales.orders"), naming.domain_urn("sales")):
        assert str(Urn.from_string(urn)) == urn


@given(st.text(min_size=1, max_size=120), st.from_regex(r"[0-9a-z]{1,32}", fullmatch=True))
def test_a_version_table_fits_postgres_and_keeps_its_publication(table: str, publication: str) -> None:
    name = naming.version_table(table, publication)
    assert len(name.encode(errors="surrogatepass")) <= naming.IDENTIFIER_BYTES
    assert name.endswith(f"__{publication}")


@given(NAMES, st.from_regex(r"[0-9a-z]{8}", fullmatch=True), st.from_regex(r"[0-9a-z]{8}", fullmatch=True))
def test_two_publications_never_share_a_version_table(table: str, one: str, other: str) -> None:
    assert (naming.version_table(table, one) == naming.version_table(table, other)) == (one == other)


@given(st.lists(PRODUCT_IDS, unique=True, max_size=6), NAMES, NAMES)
def test_a_relation_leads_back_to_its_asset(products: list[str], domain: str, table: str) -> None:
    schemas = {naming.port_schema(product): product for product in products}
    for schema, product in schemas.items():
        assert naming.relation_key(schema, table, schemas) == naming.port_key(product, table)
    if naming.raw_schema(domain) not in schemas:
        assert naming.relation_key(naming.raw_schema(domain), table, schemas) == naming.raw_key(domain, table)
    if naming.build_schema(domain) not in schemas:
        assert naming.relation_key(naming.build_schema(domain), table, schemas) == naming.build_key(domain, table)


def test_a_foreign_relation_has_no_asset() -> None:
    assert naming.relation_key("public", "orders", {}) is None
    assert naming.relation_key("sales_orders_data", "orders__1", {"sales_orders": "sales.orders"}) is None
