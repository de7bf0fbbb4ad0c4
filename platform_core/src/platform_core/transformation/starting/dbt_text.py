"""The files of a domain's dbt project, as text."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from platform_core.contracts import naming
from platform_core.transformation.starting.draft import TableDraft
from platform_core.transformation.starting.product_text import yaml_text

IGNORED = "target/\nlogs/\ndbt_packages/\n.user.yml\n"


def project_name(domain: str) -> str:
    """Name of a domain's dbt project, of its folder and of its profile."""
    return f"{domain}_dbt"


def project_text(domain: str) -> str:
    """``dbt_project.yml`` of a domain that starts."""
    name = project_name(domain)
    return f"""\
# Builds the {domain} domain's products in {naming.build_schema(domain)}, from {naming.raw_schema(domain)} and the ports that its products name as inputs.
name: {name}
version: 1.0.0
config-version: 2
profile: {name}
require-dbt-version: [">=1.11.0", "<1.12.0"]

flags:
  send_anonymous_usage_stats: false

models:
  {name}:
    # A published version is the very table that dbt built: publishing copies no rows.
    +materialized: table
    staging:
      # Ephemeral, never views: a view on a raw table or on another product's port would keep it from being altered or replaced.
      +materialized: ephemeral
"""


def profile_text(domain: str, profile: str | None = None) -> str:
    """``profiles.yml``: the same on a laptop and in a cluster, without a secret.

    Args:
        domain: The domain.
        profile: Name of the profile, by default that of the project.
    """
    return f"""\
# How dbt reaches the warehouse, on a laptop and in a cluster alike: by libpq's own environment variables. The platform sets
# them for each run; with an empty password libpq takes it from PGPASSFILE, and TLS is chosen with PGSSLMODE.
{profile or project_name(domain)}:
  target: mesh
  outputs:
    mesh:
      type: postgres
      host: "{{{{ env_var('PGHOST', '127.0.0.1') }}}}"
      port: "{{{{ env_var('PGPORT', '5432') | as_number }}}}"
      dbname: "{{{{ env_var('PGDATABASE', '{naming.DATABASE}') }}}}"
      user: {naming.job_role(domain)}
      password: "{{{{ env_var('PGPASSWORD', '') }}}}"
      # Every object belongs to the domain, not to the job that happened to build it.
      role: {naming.owner_role(domain)}
      schema: {naming.build_schema(domain)}
      threads: 2
"""


def model_yaml(table: TableDraft) -> str:
    """The description of a model that feeds a port: exactly the contract's columns."""
    columns = [
        {
            "name": column.name,
            "description": column.description or column.name,
            **({"data_type": column.physical_type} if column.physical_type else {}),
        }
        for column in table.columns
    ]
    return yaml_text({"models": [{"name": table.model, "description": table.description or table.model, "columns": columns}]})


def source_yaml(schema: str, description: str, table: str, table_description: str, columns: Iterable[tuple[str, str]]) -> str:
    """The declaration of one table that a model reads: a raw stream, or another product's port."""
    listed: list[dict[str, Any]] = [{"name": name, "description": text} for name, text in columns]
    entry = {"name": table, "description": table_description, **({"columns": listed} if listed else {})}
    return yaml_text({"sources": [{"name": schema, "schema": schema, "description": description, "tables": [entry]}]})


def select_text(comment: str, columns: Iterable[str], source: str) -> str:
    """A model that takes columns from a source, as they are."""
    listed = ",\n".join(f"    {column}" for column in columns)
    return f"-- {comment}\nselect\n{listed}\nfrom {source}\n"


def singular_test(model: str, comment: str, query: str) -> str:
    """A test of one model in SQL; the configuration names the model it is shown at."""
    config = "{{ config(meta={'dagster': {'ref': {'name': '" + model + "'}}}) }}"
    return f"-- {comment}\n{config}\n{query}\n"
