"""The warehouse as the Airbyte server reaches it: the configuration of a domain's Postgres destination.

Fields: the specification of ``airbyte/destination-postgres``, https://docs.airbyte.com/integrations/destinations/postgres.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from platform_core.contracts import naming
from platform_core.ingestion.server.errors import ServerError
from platform_core.settings import AirbyteSettings

DESTINATION = "airbyte/destination-postgres"
_MODES = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


def password_variable(domain: str) -> str:
    """The environment variable with the password of the domain's job role."""
    return f"MESH_AIRBYTE_WAREHOUSE_PASSWORD_{domain.upper()}"


def destination_configuration(domain: str, settings: AirbyteSettings, environ: Mapping[str, str]) -> dict[str, Any]:
    """How the server writes into ``<domain>_raw``: as the domain's job role, every table in that one schema.

    Raises:
        ServerError: The address is missing or unusable, or the password is not set.
    """
    import psycopg
    from psycopg.conninfo import conninfo_to_dict

    if settings.warehouse is None:
        raise ServerError(
            "nothing says how the Airbyte server reaches the warehouse (the embedded one listens on this machine alone)",
            where="MESH_AIRBYTE_WAREHOUSE",
            remedy="set it to a Postgres address that the server can reach: postgresql://db.example.com:5432/mesh?sslmode=require",
        )
    try:
        parsed = {name: str(value) for name, value in conninfo_to_dict(settings.warehouse).items() if value is not None}
    except psycopg.ProgrammingError:
        parsed = {}
    mode = parsed.get("sslmode", "prefer")
    if not parsed.get("host") or mode not in _MODES or not parsed.get("port", "5432").isdigit():
        raise ServerError(
            "is no Postgres address with a host", where="MESH_AIRBYTE_WAREHOUSE", remedy="write postgresql://host:5432/mesh?sslmode=require"
        )
    if parsed["host"].startswith("/"):
        raise ServerError("names a socket of this machine", where="MESH_AIRBYTE_WAREHOUSE", remedy="name a host that the server can reach")
    if "password" in parsed:
        remedy = f"give the password through {password_variable(domain)}"
        raise ServerError("carries a password", where="MESH_AIRBYTE_WAREHOUSE", remedy=remedy)
    password = environ.get(password_variable(domain))
    if not password:
        raise ServerError(
            f"the password of {naming.job_role(domain)} is not set",
            where=password_variable(domain),
            remedy=f"set {password_variable(domain)} where plan and apply run; it is sent to the Airbyte server and stored nowhere else",
        )
    schema = naming.raw_schema(domain)
    return {
        "host": parsed["host"],
        "port": int(parsed.get("port", "5432")),
        "database": parsed.get("dbname", naming.DATABASE),
        "schema": schema,
        "raw_data_schema": schema,  # the domain's role may write nowhere else
        "username": naming.job_role(domain),
        "password": password,
        "ssl": mode not in {"disable", "allow"},
        "ssl_mode": {"mode": mode},
        "tunnel_method": {"tunnel_method": "NO_TUNNEL"},
    }
