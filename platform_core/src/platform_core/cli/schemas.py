"""``schemas``: the JSON Schemas by which editors complete connection, drop, access and policy files."""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from platform_core.cli.session import AsJson, out, print_json
from platform_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command(rich_help_panel="Working on it")(schemas)


def schemas(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 when a schema is stale.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write the JSON Schemas that editors use, from the models that read the files.

    Examples:

      ./mesh schemas

      ./mesh schemas --check
    """
    from platform_core.contracts.access_schema import ACCESS_SCHEMA
    from platform_core.contracts.masking_schema import MASKING_SCHEMA
    from platform_core.ingestion.connection_schema import CONNECTION_SCHEMA
    from platform_core.ingestion.drops.drop_schema import DROP_SCHEMA

    repo = Settings.load().repo
    every = (CONNECTION_SCHEMA, DROP_SCHEMA, ACCESS_SCHEMA, MASKING_SCHEMA)
    changed = [schema.file for schema in every if (schema.problems(repo) if check else schema.write(repo))]
    if as_json:
        print_json({"stale" if check else "written": changed})
    else:
        for file in changed:
            out.print(f"{'stale' if check else 'written'}: {file}", soft_wrap=True)
        if not changed:
            out.print("every schema is current")
    sys.exit(1 if check and changed else 0)
