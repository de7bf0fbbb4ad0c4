"""Names of new domains and products: what Postgres, Python, Kubernetes and the mesh itself allow, and what is said otherwise."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from platform_core.contracts import Mesh, load_mesh, naming
from platform_core.transformation import TransformationError
from platform_core.transformation.starting import check_domain_name, check_product_name, fitting
from platform_core.transformation.starting.column_types import example_value, logical_type
from platform_core.transformation.starting.sql_names import quoted

EMPTY = Mesh((), {}, {}, ())


@pytest.mark.parametrize(
    ("name", "message", "remedy"),
    [
        ("Finance", "is not a name of a domain", "finance"),
        ("supply-chain", "is not a name of a domain", "supply_chain"),
        ("2fast", "is not a name of a domain", "a letter first"),
        ("a__b", "is not a name of a domain", "a_b"),
        ("a_", "is not a name of a domain", "single underscores"),
        ("", "is not a name of a domain", "letters"),
        ("straße", "is not a name of a domain", "stra_e"),
        ("../etc", "is not a name of a domain", "etc"),
        ("a" * 31, "31 characters", "30"),
        ("platform", "a part of the deployment", "another name"),
        ("locks", "a folder of airbyte/", "another name"),
        ("pg_stuff", "Postgres keeps for itself", "another name"),
        ("class", "a word or a module of Python", "a package"),
        ("email", "a word or a module of Python", "a package"),
        ("requests", "a Python package in uv.lock", "another name"),
        ("sales_raw", "ends as a schema", "without the ending"),
        ("sales_orders", "share the schema 'sales_orders_data'", "another name"),
    ],
)
def test_a_domain_cannot_be_called(repo: Path, name: str, message: str, remedy: str) -> None:
    mesh = load_mesh(repo)
    if name == "sales_orders":  # sales.orders has the schemas sales_orders and sales_orders_data; a product sales_orders.data would meet it
        with pytest.raises(TransformationError, match="reserved"):
            check_product_name("sales_orders", "data", mesh)
        return
    with pytest.raises(TransformationError) as error:
        check_domain_name(name, mesh, ["requests", "ruff"])
    assert message in str(error.value) and remedy in str(error.value.remedy)


@pytest.mark.parametrize(
    ("domain", "name", "message"),
    [
        ("sales", "orders", "already"),
        ("sales", "raw", "reserved: it is the schema of ingestion"),
        ("sales", "build", "reserved"),
        ("sales", "transformation", "the folder of the domain's dbt project"),
        ("sales", "orders_data", "ends as a schema"),
        ("sales", "Orders", "is not a name of a product"),
        ("sales", "o" * 60, "longer than 63 bytes"),
    ],
)
def test_a_product_cannot_be_called(repo: Path, domain: str, name: str, message: str) -> None:
    with pytest.raises(TransformationError, match=message) as error:
        check_product_name(domain, name, load_mesh(repo))
    assert error.value.remedy


def test_two_ids_that_make_one_schema_are_refused(repo: Path) -> None:
    mesh = Mesh(("sales", "sales_orders"), {}, {}, (), frozenset({"sales_orders.late"}))
    with pytest.raises(TransformationError, match=r"product 'sales.orders_late' and 'sales_orders.late' would share the schema"):
        check_product_name("sales", "orders_late", mesh)


def test_names_that_are_free_pass(repo: Path) -> None:
    mesh = load_mesh(repo)
    for name in ("finance", "supply_chain", "hr2"):
        check_domain_name(name, mesh, ["requests"])
    check_product_name("sales", "returns", mesh)


@given(st.text(max_size=60))
def test_any_text_has_a_fitting_name(text: str) -> None:
    name = fitting(text, "model")
    assert naming.NAME.fullmatch(name) and "__" not in name and not name.endswith("_")
    check_product_name("d", f"x_{name}"[:40].rstrip("_").removesuffix("_raw").removesuffix("_build").removesuffix("_data"), EMPTY)


@pytest.mark.parametrize(
    ("physical", "logical"),
    [
        ("bigint", "integer"), ("INT4", "integer"), ("numeric(12,2)", "number"), ("double precision", "number"), ("boolean", "boolean"),
        ("character varying(20)", "string"), ("text", "string"), ("uuid", "string"), ("date", "date"), ("timestamptz", "timestamp"),
        ("timestamp with time zone", "timestamp"), ("timestamp(3) without time zone", "timestamp"), ("time without time zone", "time"),
        ("jsonb", "object"), ("text[]", "array"), ("_int4", "array"), ("interval", "string"), ("geometry(Point,4326)", None),
    ],
)  # fmt: skip
def test_types_of_postgres_have_a_logical_type(physical: str, logical: str | None) -> None:
    assert logical_type(physical) == logical
    assert example_value(physical, 1) != example_value(physical, 2) or logical in {None, "array"}


def test_identifiers_are_quoted_where_postgres_needs_it() -> None:
    assert [quoted(name) for name in ("order_id", "user", "order", "Zeile", "two words", 'a"b', "date")] == [
        *("order_id", '"user"', '"order"', '"Zeile"', '"two words"', '"a""b"', "date"),
    ]
