"""``mesh lineage`` and ``mesh lint`` on the company's files: where columns come from, where they go, and what a lost protection says."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

PROFILES = "domains/customer/src/customer/defs/profiles/contracts/profiles.odcs.yaml"


@pytest.fixture
def lineage(files: Path, kept_lineage: Path, mesh_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs ``./mesh`` in the copy, without a warehouse."""
    monkeypatch.setenv("MESH_REPO", str(files))
    monkeypatch.setenv("MESH_HOME", str(kept_lineage))
    monkeypatch.setenv("MESH_WAREHOUSE_DSN", "postgresql://127.0.0.1:1/nowhere")
    return mesh_command


def test_a_column_upstream(lineage: Callable[..., Any]) -> None:
    assert (
        lineage("lineage", "sales.orders.daily_revenue.customers").out
        == """\
sales.orders.daily_revenue.customers (internal)
└── daily_revenue.customers
    └── bought.customers [COALESCE(bought.customers, 0)]
        └── int_orders.customer_id [COUNT(DISTINCT customer_id)]
            └── stg_purchases.customer_id
                └── sales_raw.purchases.user_id
"""
    )


def test_a_raw_column_downstream_over_domains(lineage: Callable[..., Any]) -> None:
    assert (
        lineage("lineage", "customer_raw.users.email", "--downstream").out
        == """\
customer_raw.users.email (restricted and tagged pii)
└── stg_users.email [LOWER(TRIM(email))]
    └── profiles.email
        └── customer.profiles.profiles.email (restricted and tagged pii)
            └── int_orders.customer_email
                └── orders.customer_email
                    └── sales.orders.orders.customer_email (restricted and tagged pii)
"""
    )


def test_a_whole_port_as_one_document(lineage: Callable[..., Any]) -> None:
    document = lineage("lineage", "inventory.items", "--json").json()
    assert document["direction"] == "upstream"
    bands = next(column for column in document["columns"] if column["column"] == "inventory.items.items.price_band")
    (model,) = bands["columns"]
    (staged,) = model["columns"]
    assert (staged["column"], staged["kind"]) == ("stg_products.list_price_usd", "other")
    assert staged["columns"][0]["column"] == "inventory_raw.products.price"


@pytest.mark.parametrize(
    ("target", "said"),
    [
        ("sales.orders.orders.orders.custmer_email", "did you mean 'customer_email'"),
        ("customer_raw.users.emial", "did you mean 'email'"),
        ("customer_raw.nothing", "nothing is known of 'customer_raw.nothing'"),
        ("nowhere", "there is no port 'nowhere'"),
    ],
)
def test_what_does_not_exist_is_an_error_with_a_remedy(lineage: Callable[..., Any], target: str, said: str) -> None:
    answer = lineage("lineage", target)
    assert answer.code == 1
    assert said in answer.err and "remedy: " in answer.err


def test_lint_names_the_path_on_which_a_protection_is_lost(lineage: Callable[..., Any], files: Path) -> None:
    path = files / PROFILES
    lines = path.read_text().splitlines()
    start = next(at for at, text in enumerate(lines) if "property: declassified # it comes from" in text)
    path.write_text("\n".join([*lines[: start - 1], *lines[start + 4 :]]) + "\n")
    (problem,) = [item for item in lineage("lint", "--format", "json").json()["problems"] if item["severity"] == "error"]
    assert (problem["rule"], problem["file"]) == ("personal-data-lost", PROFILES)
    assert path.read_text().splitlines()[problem["line"] - 1].strip() == "- name: age_band"
    assert problem["message"].startswith(
        "profiles.age_band is declared internal, but is derived from customer_raw.users.age, which is restricted and tagged pii: "
        "customer_raw.users.age -> stg_users.age -> profiles.age_band [CASE WHEN age < 25"
    )
