"""A bench for rules: candidates in a domain's build schema, contracts' tables in code, one audit call."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
from psycopg import sql

from platform_core.contracts import Column, Location, Mesh, Rule, Table
from platform_core.quality import AuditReport, Relation, RuleResult, audit
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, prepare_databases

FILE = Path("orders.odcs.yaml")


@dataclass(frozen=True)
class Bench:
    """Builds candidates of the domain ``sales`` and audits them."""

    warehouse: Warehouse
    schema: str = "sales_build"

    def load(self, name: str, columns: Mapping[str, str], rows: Iterable[Sequence[Any]]) -> Relation:
        """Makes the candidate anew, with these columns (name to type) and rows."""
        relation = sql.Identifier(self.schema, name)
        declared = sql.SQL(", ").join(sql.SQL("{} {}").format(sql.Identifier(key), sql.SQL(kind)) for key, kind in columns.items())
        with self.warehouse.connect_domain("sales") as connection:
            connection.execute("SET synchronous_commit = off")
            connection.execute(sql.SQL("DROP TABLE IF EXISTS {}").format(relation))
            connection.execute(sql.SQL("CREATE TABLE {} ({})").format(relation, declared))
            with connection.cursor().copy(sql.SQL("COPY {} FROM STDIN").format(relation)) as copy:
                for row in rows:
                    copy.write_row(row)
        return self.schema, name

    def run(self, table: Table, others: Sequence[Table] = (), samples: int = 5) -> AuditReport:
        """Audits the table (its candidate bears its name), with other candidates of the same contract beside it."""
        relations = {item.physical_name: (self.schema, item.physical_name) for item in (table, *others)}
        return audit(self.warehouse, "sales", [table], relations, samples)

    def judge(self, columns: Mapping[str, str], rows: Iterable[Sequence[Any]], *rules: Rule) -> list[RuleResult]:
        """Loads the table ``orders`` and audits it against the rules."""
        self.load("orders", columns, rows)
        return list(self.run(self.table("orders", columns, rules)).results)

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows that a pasted statement gives."""
        with self.warehouse.connect_domain("sales") as connection:
            return connection.execute(query.encode()).fetchall()

    @staticmethod
    def table(
        name: str, columns: Mapping[str, str], rules: Sequence[Rule] = (), keys: Sequence[str] = (), personal: Sequence[str] = ()
    ) -> Table:
        """A contract's table with these columns."""
        made = tuple(
            Column(
                name=column,
                physical_name=column,
                logical_type=None,
                physical_type=kind,
                description=None,
                required=False,
                unique=False,
                primary_key=column in keys,
                primary_key_position=keys.index(column) + 1 if column in keys else -1,
                classification="restricted" if column in personal else None,
                tags=(),
                business_name=None,
                examples=(),
                location=Location(FILE, 10 + at),
            )
            for at, (column, kind) in enumerate(columns.items())
        )
        named = tuple(replace(rule, name=f"{at}_{rule.name}", table=name) for at, rule in enumerate(rules))
        return Table(
            name=name,
            physical_name=name,
            description=None,
            business_name=None,
            granularity=None,
            columns=made,
            rules=named,
            tags=(),
            model=name,
            incremental=False,
            location=Location(FILE, 5),
        )

    @staticmethod
    def rule(kind: str, column: str | None = None, severity: Any = "error", **arguments: Any) -> Rule:
        """A rule at line 42."""
        return Rule(kind, kind, "orders", column, arguments, severity, "validity", None, Location(FILE, 42))


@pytest.fixture(scope="module")
def bench(postgres: EmbeddedPostgres) -> Iterator[Bench]:
    """One database a module: every test makes its own candidates anew."""
    warehouse = Warehouse({**postgres.conninfo(), "dbname": f"quality_{uuid.uuid4().hex}"}, server=postgres)
    prepare_databases(warehouse)
    apply(warehouse, Mesh(("customer", "sales"), {}, {}, ()))
    yield Bench(warehouse)
    with warehouse.database("postgres").connect_platform(autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(warehouse.parameters["dbname"])))
