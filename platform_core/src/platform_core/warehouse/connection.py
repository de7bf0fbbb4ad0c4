"""How each role reaches the warehouse. Passwords come by libpq's own means (pass file, ``PGPASSWORD``), never by our hands."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any
from urllib.parse import quote, urlencode

import psycopg
from psycopg.conninfo import conninfo_to_dict

from platform_core.contracts import naming
from platform_core.settings import Settings
from platform_core.warehouse.embedded import EmbeddedPostgres
from platform_core.warehouse.errors import WarehouseError

_ENVIRONMENT = {
    "host": "PGHOST",
    "port": "PGPORT",
    "dbname": "PGDATABASE",
    "passfile": "PGPASSFILE",
    "sslmode": "PGSSLMODE",
    "require_auth": "PGREQUIREAUTH",
}


@dataclass(frozen=True)
class Warehouse:
    """Address of the warehouse.

    Attributes:
        parameters: libpq parameters without user and password.
        admin: Login role that applies schemas, roles and grants.
        server: The embedded server, when this is one.
    """

    parameters: dict[str, str]
    admin: str = naming.PLATFORM_ROLE
    server: EmbeddedPostgres | None = None

    @classmethod
    def from_settings(cls, settings: Settings) -> Warehouse:
        """The warehouse that the environment selects.

        Raises:
            WarehouseError: ``MESH_WAREHOUSE_DSN`` is malformed or carries a password, or the embedded server was never made.
        """
        if settings.warehouse_dsn is None:
            server = EmbeddedPostgres(settings.home / "postgres")
            return cls({**server.conninfo(), "dbname": naming.DATABASE}, naming.PLATFORM_ROLE, server)
        try:
            parsed = {name: str(value) for name, value in conninfo_to_dict(settings.warehouse_dsn).items() if value is not None}
        except psycopg.ProgrammingError as error:
            raise WarehouseError(
                "is not a Postgres address", where="MESH_WAREHOUSE_DSN", remedy="write postgresql://host:5432/mesh?sslmode=require"
            ) from error
        if "password" in parsed:
            raise WarehouseError(
                "carries a password", where="MESH_WAREHOUSE_DSN", remedy="give the password through PGPASSWORD or PGPASSFILE"
            )
        parsed.pop("user", None)
        return cls({"dbname": naming.DATABASE, **parsed}, settings.warehouse_admin)

    def database(self, name: str) -> Warehouse:
        """The same server, another database."""
        return replace(self, parameters={**self.parameters, "dbname": name})

    def connect(self, user: str, *, role: str | None = None, password: str | None = None, autocommit: bool = False) -> psycopg.Connection:
        """Connects as ``user``, acting as ``role`` when given; with a password that was made for this very session, when given.

        Raises:
            WarehouseError: The server cannot be reached or refuses the user.
        """
        options = {"options": f"-c role={role}"} if role else {}
        own = {"password": password} if password else {}
        parameters: dict[str, Any] = {**self.parameters, "user": user, "connect_timeout": "10", **options, **own}
        try:
            return psycopg.connect(**parameters, application_name=f"mesh {user}", autocommit=autocommit)
        except psycopg.OperationalError as error:
            raise WarehouseError(
                f"cannot connect as {user}: {str(error).strip()}",
                where=f"{self.parameters.get('host')}:{self.parameters.get('port', 5432)}",
                remedy="run ./mesh up (or ./mesh doctor); for an external Postgres check MESH_WAREHOUSE_DSN and the password",
            ) from error

    def connect_domain(self, domain: str, *, autocommit: bool = False) -> psycopg.Connection:
        """Connects as the domain's job role, acting as its owner role, so that every object belongs to the owner."""
        return self.connect(naming.job_role(domain), role=naming.owner_role(domain), autocommit=autocommit)

    def connect_platform(self, *, autocommit: bool = False) -> psycopg.Connection:
        """Connects as the role that applies schemas, roles and grants."""
        return self.connect(self.admin, autocommit=autocommit)

    def libpq_environment(self, user: str) -> dict[str, str]:
        """Environment of a subprocess (dbt, psql) that connects as ``user``."""
        known = {_ENVIRONMENT[name]: value for name, value in self.parameters.items() if name in _ENVIRONMENT}
        return {**known, "PGUSER": user}

    def sqlalchemy_url(self, user: str, *, role: str | None = None) -> str:
        """URL for SQLAlchemy with psycopg2; carries no password."""
        own = {name: value for name, value in self.parameters.items() if name not in {"host", "port", "dbname"}}
        if role:
            own["options"] = f"-c role={role}"
        address = f"{self.parameters.get('host', '')}:{self.parameters.get('port', '5432')}"
        return f"postgresql+psycopg2://{quote(user)}@{address}/{quote(self.parameters['dbname'])}?{urlencode(own)}"
