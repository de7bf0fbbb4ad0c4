"""A port of two tables with a stand-in audit: what is tested here is what happens around the audit, and to the data."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from psycopg import sql

from platform_core.contracts import Column, Contract, DataProduct, InputPort, Location, Mesh, OutputPort, Rule, Table, naming
from platform_core.contracts.model import Role
from platform_core.publishing import Outcome, publish
from platform_core.publishing.publish import Announce, Relations
from platform_core.quality import AuditReport, RuleResult
from platform_core.warehouse import EmbeddedPostgres, Warehouse, apply, prepare_databases, readers

DOMAINS = ("customer", "inventory", "sales", "marketing")
FILE = Path("contracts/orders.odcs.yaml")
ORDERS = {"number": "integer", "email": "text"}
LINES = {"number": "integer", "line": "integer"}


def column(name: str, kind: str, *, personal: bool = False, at: int = 10) -> Column:
    """A column of a contract."""
    classification = "restricted" if personal else None
    return Column(name, name, None, kind, f"What {name} is.", False, False, False, -1, classification, (), None, (), Location(FILE, at))


def table(name: str, columns: Mapping[str, str], *, personal: tuple[str, ...] = ("email",), incremental: bool = False) -> Table:
    """A table of a contract; its candidate bears its name."""
    made = tuple(column(key, kind, personal=key in personal) for key, kind in columns.items())
    return Table(name, name, f"The table {name}.", None, None, made, (), (), name, incremental, Location(FILE, 5))


def contract(*tables: Table, product: str = "sales.orders") -> Contract:
    """A contract of these tables."""
    domain, port = product.split(".")
    roles = (
        Role(naming.reader_role(product), "read", None, None),
        Role(naming.pii_reader_role(product), "read", None, None, domains=("inventory",)),
    )
    return Contract(
        f"{product}.{port}", port, "1.0.0", "active", domain, product, None, None, None, tables, roles, (), None, (), (), (), FILE, {}, ()
    )


def product(promise: Contract, *inputs: InputPort) -> DataProduct:
    """The product that offers a contract."""
    port = OutputPort(promise.port, promise.id, promise.version, None, promise)
    domain, name = promise.product_id.split(".")
    return DataProduct(
        promise.product_id,
        domain,
        name,
        name,
        "1.0.0",
        "active",
        None,
        None,
        None,
        None,
        (),
        inputs,
        (port,),
        f"{domain}-data",
        (),
        (),
        FILE,
    )


def reads(contract_id: str, *, personal_data: bool = False) -> InputPort:
    """An input port."""
    return InputPort("input", contract_id, "1.0.0", None, personal_data, Location(FILE, 1))


def mesh(*products: DataProduct) -> Mesh:
    """A mesh of the four domains with these products."""
    return Mesh(
        DOMAINS, {item.id: item for item in products}, {item.outputs[0].contract.id: item.outputs[0].contract for item in products}, ()
    )


def passes(rule: str = "orders__kept", *, passed: bool = True, severity: Any = "error", line: int = 42) -> RuleResult:
    """The result of a rule that stands at ``line`` of the contract."""
    made = Rule(rule, "sql", "orders", None, {}, severity, "validity", None, Location(FILE, line))
    return RuleResult(made, passed, "0 of 1 rows" if passed else "1 of 1 rows", "0 rows", sample_query=None if passed else "SELECT 1")


@dataclass
class Port:
    """``sales.orders.orders``, read by marketing (masked) and inventory (personal data in clear)."""

    warehouse: Warehouse
    contract: Contract
    mesh: Mesh
    seen: list[Relations] = field(default_factory=list[Relations])

    def build(self, number: int, *, rows: int = 3, tables: Mapping[str, str] | None = None) -> None:
        """Builds the candidates as dbt does: a new table takes the place of whatever bears the name. Every row carries ``number``."""
        with self.warehouse.connect_domain("sales") as connection:
            for item in self.contract.tables:
                self._drop(connection, item.model)
                values = {"number": f"{number}", "email": "'a' || g || '@example.com'"}
                made = (tables or {}).get(item.physical_name) or ", ".join(
                    f"({values.get(part.physical_name, 'g')})::{part.physical_type} AS {part.physical_name}" for part in item.columns
                )
                statement = f"CREATE TABLE sales_build.{item.model} AS SELECT {made} FROM generate_series(1, {rows}) AS g"
                connection.execute(statement.encode())

    def _drop(self, connection: Any, model: str) -> None:
        row = connection.execute("SELECT relkind::text FROM pg_class WHERE oid = to_regclass(%s)", (f"sales_build.{model}",)).fetchone()
        if row:
            word = sql.SQL("VIEW" if row[0] == "v" else "TABLE")
            connection.execute(sql.SQL("DROP {} {} CASCADE").format(word, sql.Identifier("sales_build", model)))

    def audit(self, *results: RuleResult, then: Callable[[], None] = lambda: None) -> Callable[[Relations], AuditReport]:
        """An audit with these results, which counts the rows it is given."""

        def run(relations: Relations) -> AuditReport:
            self.seen.append(relations)
            with self.warehouse.connect_domain("sales", autocommit=True) as connection:
                rows = {
                    name: int(connection.execute(sql.SQL("SELECT count(*) FROM {}").format(sql.Identifier(*relation))).fetchone()[0])  # type: ignore[index]
                    for name, relation in relations.items()
                }
            then()
            return AuditReport(results or (passes(),), rows)

        return run

    def publish(self, *results: RuleResult, announce: Announce | None = None, contract: Contract | None = None, **options: Any) -> Outcome:
        """Publishes what was built."""
        wanted = contract or self.contract
        copied = frozenset(item.model for item in wanted.tables if item.incremental)
        options = {"code_version": "c0de", "copied": copied, **options}
        return publish(self.warehouse, wanted, readers(self.mesh, self.contract), self.audit(*results), announce=announce, **options)

    def change(self, *tables: Table) -> None:
        """Changes the contract of the port, as an edit of its file does."""
        self.contract = replace(self.contract, tables=tables)
        others = [item for item in self.mesh.products.values() if item.id != "sales.orders"]
        self.mesh = mesh(product(self.contract), *others)

    def read(self, query: str, *, domain: str = "marketing") -> list[tuple[Any, ...]]:
        """Rows, as a domain's job sees them."""
        with self.warehouse.connect_domain(domain, autocommit=True) as connection:
            return connection.execute(query.encode()).fetchall()

    def numbers(self) -> set[int]:
        """The publication numbers that the port shows, over both tables."""
        return {row[0] for row in self.read("SELECT number FROM sales_orders.orders UNION ALL SELECT number FROM sales_orders.lines")}

    def admin(self, query: str, *values: Any, rows: bool = True) -> list[tuple[Any, ...]]:
        """Rows, as the platform sees them; ``rows`` False for a statement that has none."""
        with self.warehouse.connect_platform(autocommit=True) as connection:
            found = connection.execute(query.encode(), values)
            return found.fetchall() if rows else []

    def versions(self) -> set[str]:
        """The version tables that exist."""
        return {
            str(row[0])
            for row in self.admin("SELECT relname FROM pg_class WHERE relkind = 'r' AND relnamespace = 'sales_orders_data'::regnamespace")
        }


def open_port(warehouse: Warehouse) -> Port:
    """The port, with schemas and roles applied and nothing built yet."""
    promise = contract(table("orders", ORDERS), table("lines", LINES))
    segments = contract(table("segments", {"number": "integer"}), product="marketing.segments")
    stock = contract(table("stock", {"number": "integer"}), product="inventory.stock")
    whole = mesh(product(promise), product(segments, reads(promise.id)), product(stock, reads(promise.id, personal_data=True)))
    apply(warehouse, whole)
    return Port(warehouse, promise, whole)


def die(*_arguments: Any, **_options: Any) -> Any:
    """Ends the process at this instruction, without any cleanup."""
    os.kill(os.getpid(), signal.SIGKILL)


def after(function: Callable[..., Any], calls: int = 1) -> Callable[..., Any]:
    """The function; after its n-th call the process is gone."""
    left = calls

    def wrapped(*arguments: Any, **options: Any) -> Any:
        nonlocal left
        result = function(*arguments, **options)
        left -= 1
        if left == 0:
            die()
        return result

    return wrapped


def killed(step: Callable[[Port], None], port: Port) -> None:
    """Runs the step in a child, which must end by SIGKILL."""
    child = os.fork()
    if child == 0:
        try:
            step(port)
        finally:
            os._exit(99)  # never back into pytest
    _, status = os.waitpid(child, 0)
    assert os.WIFSIGNALED(status), f"the process was not killed, it ended with {os.waitstatus_to_exitcode(status)}"
    assert os.WTERMSIG(status) == signal.SIGKILL


@contextmanager
def hosted_port(folder: Path, *jobs: str) -> Generator[tuple[Port, Warehouse]]:
    """The port as at a hosted Postgres, where the platform's role is no superuser: it may make roles, and owns the database.

    Args:
        folder: Of the server.
        jobs: Domains whose jobs log in.

    Yields:
        The port, and its warehouse as a superuser.
    """
    server = EmbeddedPostgres(folder / "postgres")
    server.start()
    try:
        superuser = Warehouse({**server.conninfo(), "dbname": "hosted"}, server=server)
        prepare_databases(superuser)
        with superuser.connect_platform(autocommit=True) as connection:
            connection.execute("CREATE ROLE plain LOGIN CREATEROLE")
            connection.execute(f"ALTER ROLE plain PASSWORD '{server.set_password('plain')}'".encode())
            connection.execute("ALTER DATABASE hosted OWNER TO plain")
        port = open_port(replace(superuser, admin="plain", server=None))
        with superuser.connect_platform(autocommit=True) as connection:
            for role in map(naming.job_role, jobs):
                connection.execute(f"ALTER ROLE {role} PASSWORD '{server.set_password(role)}'".encode())
        yield port, superuser
    finally:
        server.stop()
