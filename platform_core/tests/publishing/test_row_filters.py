"""Row filters: who sees which rows, and that nothing of a reader's is evaluated on the others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from masked_port import OWNER, PII, READER, acting_as, fill, mask_table, person, rows, settle
from port_bench import Port
from psycopg import sql

from platform_core.contracts import Location
from platform_core.contracts.masking import Mask
from platform_core.contracts.row_filter import RowFilter
from platform_core.warehouse import apply

BY_COUNTRY = RowFilter("country", "country", Location(Path("contracts/orders.odcs.yaml"), 7))
COUNTRIES = {1: "DE", 2: "DE", 3: "FR", 4: "PT", 5: None}


@pytest.fixture
def countries(port: Port) -> Port:
    """Five orders of three countries, one of none."""
    mask_table(port, {"number": ("integer", None), "country": ("text", None), "email": ("text", Mask("partial", domain=True))}, BY_COUNTRY)
    fill(port, {
        "number": ("integer", [str(number) for number in COUNTRIES]), "country": ("text", list(COUNTRIES.values())),
        "email": ("text", [f"secret{number}@x.de" for number in COUNTRIES]),
    })  # fmt: skip
    port.publish()
    return port


def _give(port: Port, role: str, *values: str, attribute: str = "country", domain: str = "") -> None:
    with port.warehouse.connect_platform(autocommit=True) as admin:
        for value in values:
            admin.execute(
                "INSERT INTO mesh.reader_attributes (domain, role, attribute, value) VALUES (%s, %s, %s, %s)",
                (domain, role, attribute, value),
            )


def _numbers(port: Port, role: str) -> list[int]:
    return [row[0] for row in rows(port, role, "SELECT number FROM sales_orders.orders ORDER BY number")]


GIVEN: list[tuple[tuple[str, ...], list[int]]] = [
    ((), []),
    (("DE",), [1, 2]),
    (("DE", "PT"), [1, 2, 4]),
    (("*",), [1, 2, 3, 4, 5]),
    (("de", "D", "D%", "", "XX"), []),
    (("FR'; DROP TABLE mesh.ports; --",), []),
]


def test_a_row_filter_that_was_applied_stays_when_a_publication_leaves_it_out(countries: Port) -> None:
    apply(countries.warehouse, countries.mesh)
    orders, lines = countries.contract.tables
    countries.change(replace(orders, row_filter=None), lines)
    fill(countries, {"number": ("integer", ["1"]), "country": ("text", ["DE"]), "email": ("text", ["a@x.de"])})
    countries.publish()
    assert (_numbers(countries, READER), _numbers(countries, OWNER)) == ([], [1])
    assert settle(countries) == ["replace view sales_orders.orders"]
    assert _numbers(countries, READER) == [1]


def test_a_reader_sees_the_rows_of_its_attribute(countries: Port) -> None:
    for at, (given, seen) in enumerate(GIVEN):
        with person(countries, READER, name=f"someone_{at}") as analyst:
            _give(countries, analyst, *given)
            assert _numbers(countries, analyst) == seen, given
            assert rows(countries, analyst, "SELECT count(*) FROM sales_orders.orders") == [(len(seen),)]


def test_the_owner_sees_every_row_and_the_personal_data_role_no_more_than_its_attribute(countries: Port) -> None:
    assert _numbers(countries, OWNER) == _numbers(countries, "sales_job") == [1, 2, 3, 4, 5]
    with person(countries, READER, PII) as cleared:
        assert _numbers(countries, cleared) == []
        _give(countries, cleared, "FR")
        assert rows(countries, cleared, "SELECT number, email FROM sales_orders.orders") == [(3, "secret3@x.de")]


def test_attributes_come_with_the_roles_of_which_one_is_a_member(countries: Port) -> None:
    with person(countries, READER, name="support_fr") as team, person(countries, team, READER) as analyst:
        _give(countries, team, "FR")
        _give(countries, analyst, "PT")
        assert _numbers(countries, analyst) == [3, 4]
        assert _numbers(countries, team) == [3]


def test_an_attribute_of_another_name_or_of_another_domain_counts_for_nothing(countries: Port) -> None:
    with person(countries, READER) as analyst:
        _give(countries, analyst, "DE", attribute="region")
        _give(countries, analyst, "FR", "*", domain="marketing")
        assert _numbers(countries, analyst) == []
        _give(countries, analyst, "PT", domain="sales")
        assert _numbers(countries, analyst) == [4], "the port's own domain may give attributes at its ports"
    with countries.warehouse.connect_domain("marketing", autocommit=True) as marketing:
        for domain in ("", "sales"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                marketing.execute("INSERT INTO mesh.reader_attributes VALUES (%s, 'marketing_owner', 'country', '*')", (domain,))
        assert marketing.execute("UPDATE mesh.reader_attributes SET value = '*' WHERE domain <> 'marketing'").rowcount == 0


def test_an_attribute_of_a_role_that_is_gone_is_nobodys(countries: Port) -> None:
    _give(countries, "no_such_role", "*")
    with person(countries, READER) as analyst:
        assert _numbers(countries, analyst) == []


TYPED: list[tuple[str, list[str], list[str], list[int]]] = [
    ("integer", ["10", "20", "-5"], ["20", "abc", "", "99999999999999999999", "-5"], [2, 3]),
    ("smallint", ["10", "20"], ["10", "70000"], [1]),
    ("bigint", ["4000000000", "1"], ["4000000000"], [1]),
    ("uuid", ["00000000-0000-0000-0000-00000000000a", "00000000-0000-0000-0000-00000000000b"], ["00000000-0000-0000-0000-00000000000A", "no"], [1]),
    ("character varying(3)", ["DE", "FR"], ["FR"], [2]),
    ("character(4)", ["DE", "FR"], ["FR"], [2]),
]  # fmt: skip


def test_columns_of_other_types_and_values_that_are_none_of_them(port: Port) -> None:
    for at, (kind, values, given, seen) in enumerate(TYPED):
        mask_table(port, {"number": ("integer", None), "country": (kind, None)}, BY_COUNTRY)
        fill(port, {"number": ("integer", [str(at + 1) for at in range(len(values))]), "country": (kind, values)})
        port.publish()
        with person(port, READER, name=f"typed_{at}") as analyst:
            _give(port, analyst, *given)
            assert _numbers(port, analyst) == seen, kind


def test_nothing_of_a_readers_is_evaluated_on_rows_that_it_does_not_see(countries: Port) -> None:
    """A cheap function that tells what it sees, casts that fail on hidden rows, a division by zero: the barrier is first."""
    with person(countries, READER) as analyst:
        _give(countries, analyst, "DE")
        with countries.warehouse.connect_platform(autocommit=True) as admin:
            admin.execute(
                """CREATE FUNCTION public.peek(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                   $$ BEGIN RAISE NOTICE 'saw %', value; RETURN true; END $$"""
            )
            admin.execute("GRANT EXECUTE ON FUNCTION public.peek TO PUBLIC")
            admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(analyst)))
        notices: list[str] = []
        with acting_as(countries, analyst) as connection:
            connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
            for query in (
                "SELECT number FROM sales_orders.orders WHERE public.peek(country)",
                "SELECT number FROM sales_orders.orders WHERE public.peek(number::text) AND number > 0",
                "SELECT count(*) FROM sales_orders.orders GROUP BY public.peek(country)",
                "SELECT count(*) FROM sales_orders.orders AS a JOIN sales_orders.orders AS b ON public.peek(a.country || b.country)",
            ):
                connection.execute(query.encode())
            assert notices and not [text for text in notices if any(hidden in text for hidden in ("FR", "PT", "3", "4", "5", "NULL"))]
            for query in (
                "SELECT number FROM sales_orders.orders WHERE 1 / (number - 3) < 5",
                "SELECT number FROM sales_orders.orders WHERE CASE WHEN country = 'PT' THEN country::integer > 0 ELSE true END",
                "SELECT number FROM sales_orders.orders WHERE (country || '0')::text <> repeat('x', CASE country WHEN 'FR' THEN 2147483647 ELSE 1 END)",
            ):
                assert len(connection.execute(query.encode()).fetchall()) == 2
            plan = [str(row[0]) for row in connection.execute("EXPLAIN SELECT number FROM sales_orders.orders WHERE public.peek(country)")]
        filters = [line for line in plan if "Filter" in line]
        assert any("Subquery Scan" in line for line in plan) and "peek" in filters[0], (
            "the reader's filter is above the subquery, not in it"
        )


def test_without_the_barrier_the_same_function_would_see_everything(countries: Port) -> None:
    """The proof that the test above can fail."""
    notices: list[str] = []
    with person(countries, READER) as analyst:
        with countries.warehouse.connect_platform(autocommit=True) as admin:
            admin.execute("ALTER VIEW sales_orders.orders RESET (security_barrier)")
            admin.execute(
                """CREATE FUNCTION public.peek(value text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS
                   $$ BEGIN RAISE NOTICE 'saw %', value; RETURN true; END $$"""
            )
            admin.execute("GRANT EXECUTE ON FUNCTION public.peek TO PUBLIC")
            admin.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(sql.Identifier(analyst)))
        with acting_as(countries, analyst) as connection:
            connection.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
            connection.execute("SELECT number FROM sales_orders.orders WHERE public.peek(country)")
    assert "saw FR" in notices
    assert settle(countries) == ["replace view sales_orders.orders"], "and the plan sees that it is missing"


def test_only_a_view_with_a_filter_has_a_barrier(countries: Port) -> None:
    def options() -> dict[str, Any]:
        return dict(
            countries.admin("SELECT relname, reloptions FROM pg_class WHERE relnamespace = 'sales_orders'::regnamespace AND relkind = 'v'")
        )

    assert options() == {"orders": ["security_barrier=true"], "lines": None}
    mask_table(countries, {"number": ("integer", None), "country": ("text", None), "email": ("text", None)})
    assert settle(countries) == ["replace view sales_orders.orders"]
    assert options() == {"orders": None, "lines": None}
    assert _numbers(countries, READER) == [1, 2, 3, 4, 5]


def test_the_filter_uses_an_index_of_the_version(countries: Port) -> None:
    ((version,),) = countries.admin("SELECT tables -> 'orders' ->> 'version' FROM mesh.publications WHERE state = 'published'")
    with countries.warehouse.connect_platform(autocommit=True) as admin:
        admin.execute(sql.SQL("CREATE INDEX ON sales_orders_data.{} (country)").format(sql.Identifier(version)))
    with person(countries, READER) as analyst, acting_as(countries, analyst) as connection:
        connection.execute("SET enable_seqscan = off")
        plan = "\n".join(str(row[0]) for row in connection.execute("EXPLAIN SELECT * FROM sales_orders.orders WHERE country = 'DE'"))
    assert "Index" in plan
