"""Any small mesh, in any order, with anything changed by hand in between: one apply makes it so, and nothing is left to do."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import psycopg
import pytest
from governed_mesh import left_to_do, make_mesh, make_product
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from port_bench import reads

from platform_core.contracts import DataProduct, Mesh
from platform_core.publishing import governance
from platform_core.warehouse import Warehouse


@pytest.fixture(scope="module")
def one_warehouse(new_database: Callable[[], AbstractContextManager[Warehouse]]) -> Iterator[Warehouse]:
    """A database that every example goes on with: each begins with what the former left."""
    with new_database() as warehouse:
        yield warehouse


DOMAINS = ("ga", "gb", "gc")


@st.composite
def meshes(draw: st.DrawFn) -> Mesh:
    """Up to five products in up to three domains that read each other."""
    domains = tuple(draw(st.lists(st.sampled_from(DOMAINS), min_size=1, unique=True)))
    names = draw(st.lists(st.tuples(st.sampled_from(domains), st.sampled_from("pq")), max_size=5, unique=True))
    products: list[DataProduct] = []
    for domain, name in names:
        inputs = [
            reads(f"{other.id}.{other.outputs[0].name}", personal_data=draw(st.booleans())) for other in products if draw(st.booleans())
        ]
        tables = tuple(draw(st.lists(st.sampled_from(("t", "u")), min_size=1, unique=True)))
        products.append(make_product(f"{domain}.{name}", *inputs, tables=tables))
    return make_mesh(domains, *products)


DRIFT = (
    "GRANT USAGE ON SCHEMA {schema} TO PUBLIC",
    "GRANT CREATE ON SCHEMA {schema} TO ga_job",
    "ALTER SCHEMA {schema} OWNER TO mesh_platform",
    "GRANT mesh_member TO ga_job",
    "ALTER ROLE {domain}_owner CREATEDB",
    "REVOKE {domain}_owner FROM {domain}_job",
    "ALTER DEFAULT PRIVILEGES FOR ROLE {domain}_owner GRANT SELECT ON TABLES TO PUBLIC",
    "DROP POLICY read ON mesh.ports",
    "DROP SCHEMA {domain}_build CASCADE",
)


@settings(
    max_examples=int(os.environ.get("MESH_GOVERNANCE_EXAMPLES", "12")),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(mesh=meshes(), drift=st.lists(st.tuples(st.sampled_from(DRIFT), st.integers(0, 9), st.integers(0, 9)), max_size=3))
def test_any_mesh_is_applied_once_and_any_drift_is_undone(one_warehouse: Warehouse, mesh: Mesh, drift: list[tuple[str, int, int]]) -> None:
    repo = Path("/nowhere")
    made = governance.plan(one_warehouse, mesh, repo)
    applied = governance.apply(one_warehouse, mesh, repo, expected=made, prune=True)
    assert (applied.failures, [step for step in applied.left if step.doable]) == ((), [])
    assert left_to_do(one_warehouse, mesh) == []
    with one_warehouse.connect_platform(autocommit=True) as admin:
        for statement, at, within in drift:
            domain = mesh.domains[at % len(mesh.domains)]
            schemas = [f"{domain}_raw", *(item.schema for item in mesh.products.values())]
            with contextlib.suppress(psycopg.errors.UndefinedObject, psycopg.errors.InvalidSchemaName):  # not in this mesh, or done already
                admin.execute(statement.format(domain=domain, schema=schemas[within % len(schemas)]).encode())
    found = governance.plan(one_warehouse, mesh, repo)
    assert {step.kind for step in found.steps} <= {"drift"}
    repaired = governance.apply(one_warehouse, mesh, repo, expected=found)
    assert (repaired.failures, repaired.left) == ((), ())
    assert left_to_do(one_warehouse, mesh) == []
