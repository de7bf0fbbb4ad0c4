"""``prepare``: the dbt manifests that code locations load."""

from __future__ import annotations

from typing import Annotated

import typer

from platform_core.cli.session import AsJson, err, print_json
from platform_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Product files"
    app.command(rich_help_panel=panel)(prepare)


def prepare(
    domain: Annotated[list[str] | None, typer.Option(help="Only these domains; all by default.")] = None,
    as_json: AsJson = False,
) -> None:
    """Make the dbt manifests that code locations load; images do this when they are built.

    Example:

      ./mesh prepare --domain sales
    """
    from platform_core.transformation import parse_all

    parsed = [project.domain for project in parse_all(projects(Settings.load(), domain))]
    if as_json:
        print_json({"parsed": parsed})
    else:
        err.print(f"parsed: {', '.join(parsed)}" if parsed else "every manifest is current")


def projects(settings: Settings, domains: list[str] | None = None) -> list:  # pyright: ignore[reportMissingTypeArgument, reportUnknownParameterType]
    """The dbt projects of the given domains, of all by default."""
    from platform_core.transformation import DbtProject

    found = sorted(path.parent.name.removesuffix("_dbt") for path in (settings.repo / "dbt_projects").glob("*_dbt/dbt_project.yml"))
    return [DbtProject.of(domain, settings) for domain in domains or found]
