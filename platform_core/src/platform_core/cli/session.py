"""What most commands need: the settings, the files, the warehouse; and the two ways to print."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

import typer
from rich.console import Console

from platform_core.contracts import Contract, ContractError, Mesh, did_you_mean, load_mesh, naming
from platform_core.errors import MeshError
from platform_core.settings import Settings
from platform_core.warehouse import EmbeddedPostgres, Warehouse

AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON document instead of text.")]

_UNBOUND = 100_000
"""Columns of piped output: nothing is cut or wrapped to the width of a terminal that nobody has."""

out = Console(highlight=False, width=None if sys.stdout.isatty() else _UNBOUND)
err = Console(stderr=True, highlight=False, width=None if sys.stderr.isatty() else _UNBOUND)


@dataclass(frozen=True)
class Session:
    """The settings and the product files of one command."""

    settings: Settings
    mesh: Mesh

    @classmethod
    def open(cls) -> Session:
        """Reads both."""
        settings = Settings.load()
        return cls(settings, load_mesh(settings.repo))

    @cached_property
    def warehouse(self) -> Warehouse:
        """The warehouse of the environment; an embedded server that was made before and is down is started, until ``mesh down``."""
        server = EmbeddedPostgres(self.settings.home / "postgres")
        if self.settings.warehouse_dsn is None and (server.data / "PG_VERSION").is_file():
            server.start()
        return Warehouse.from_settings(self.settings)

    @property
    def dbt_environment(self) -> dict[str, str]:
        """libpq's variables as dbt sees them at a build, where only the user differs: with others dbt would parse anew."""
        variables = self.warehouse.libpq_environment(naming.PLATFORM_ROLE)
        return {name: value for name, value in variables.items() if name != "PGUSER"}

    def domains(self, names: list[str] | None = None) -> list[str]:
        """The given domains, all of the mesh by default.

        Raises:
            MeshError: There is no such domain.
        """
        for name in names or ():
            if name not in self.mesh.domains:
                known = self.mesh.domains
                raise MeshError(f"there is no domain {name!r}{did_you_mean(name, known)}", remedy=f"name one of: {', '.join(known)}")
        return names or list(self.mesh.domains)

    def contract(self, name: str) -> Contract:
        """The contract of a port, named ``domain.product.port``, or ``domain.product`` when it has one port.

        Raises:
            ContractError: There is none.
        """
        ports = {
            contract_id: contract for contract_id, contract in self.mesh.contracts.items() if name in {contract_id, contract.product_id}
        }
        if len(ports) == 1:
            return next(iter(ports.values()))
        if ports:
            raise ContractError(f"{name} has several ports", remedy=f"name one: {', '.join(ports)}")
        broken = [problem for problem in self.mesh.problems if problem.severity == "error"]
        if broken:
            err.print(f"[yellow]note:[/] {len(broken)} error(s) in the files; run ./mesh lint")
        known = ", ".join(self.mesh.contracts) or "none"
        raise ContractError(f"there is no port {name!r}{did_you_mean(name, self.mesh.contracts)}", remedy=f"name one of: {known}")


def print_json(document: Any) -> None:
    """Prints one JSON document on standard output."""
    import orjson

    sys.stdout.write(orjson.dumps(document, option=orjson.OPT_INDENT_2 | orjson.OPT_NON_STR_KEYS, default=str).decode() + "\n")
    sys.stdout.flush()  # `up` goes on serving after it


def relative(session: Session, path: Any) -> str:
    """A path as people type it: from the repository's root."""
    text = str(path)
    root = f"{session.settings.repo}/"
    return text.removeprefix(root)
