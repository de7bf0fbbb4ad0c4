"""Fixtures of the warehouse tests."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from psycopg import sql

from platform_core.warehouse import EmbeddedPostgres, Warehouse, prepare_databases

sys.path.append(str(Path(__file__).parent))  # for the bench below, shared by the files of this folder

from granting_bench import ANA, TEAM, Company, day, write_company


@pytest.fixture(scope="module")
def published_company(postgres: EmbeddedPostgres, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Company]:
    """Applied, every port published; two people have roles."""
    root = tmp_path_factory.mktemp("company")
    write_company(root)
    warehouse = Warehouse({**postgres.conninfo(), "dbname": f"granting_{os.getpid()}"}, server=postgres)
    prepare_databases(warehouse)
    company = Company(root, warehouse)
    company.apply(day(1))
    company.publish()
    with warehouse.connect_platform() as admin:
        for role in (ANA, TEAM):
            admin.execute(sql.SQL("CREATE ROLE {}").format(sql.Identifier(role)))
    yield company
    with warehouse.database("postgres").connect_platform(autocommit=True) as admin:
        admin.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(warehouse.parameters["dbname"])))
        for role in (ANA, TEAM):
            admin.execute(sql.SQL("DROP ROLE {}").format(sql.Identifier(role)))


@pytest.fixture
def company(published_company: Company) -> Company:
    """Nobody has access but by the contracts' roles, which here give none."""
    published_company.forget()
    published_company.apply(day(1))
    return published_company
