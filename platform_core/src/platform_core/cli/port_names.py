"""Domains, ports and their publications on a command line: what the shell completes. It must not print errors, so it says nothing instead."""

from __future__ import annotations

import contextlib
from typing import Annotated

import psycopg
import typer

from platform_core.cli.session import Session
from platform_core.contracts import load_mesh
from platform_core.errors import MeshError
from platform_core.settings import Settings


def complete_domain(incomplete: str) -> list[str]:
    """Domains that begin with what was typed."""
    with contextlib.suppress(MeshError):
        found = sorted(path.parent.name for path in (Settings.load().repo / "domains").glob("*/pyproject.toml"))
        return [name for name in found if name.startswith(incomplete)]
    return []


def complete_domain_and(mark: str, incomplete: str) -> list[str]:
    """Domains, each with the mark that its name ends with where more follows, that begin with what was typed."""
    return [found for name in complete_domain("") if (found := f"{name}{mark}").startswith(incomplete)]


def complete_port(incomplete: str) -> list[str]:
    """Ports that begin with what was typed."""
    with contextlib.suppress(MeshError):
        return [name for name in load_mesh(Settings.load().repo).contracts if name.startswith(incomplete)]
    return []


def complete_publication(context: typer.Context, incomplete: str) -> list[str]:
    """Publications of the port that was typed before, newest first."""
    from platform_core.publishing import publications

    with contextlib.suppress(MeshError, psycopg.Error):
        session = Session.open()
        with session.warehouse.connect_platform(autocommit=True) as connection:
            rows = publications(connection, session.contract(str(context.params.get("port"))).id)
        return [row.publication for row in rows if row.kept and row.publication.startswith(incomplete)]
    return []


Port = Annotated[
    str, typer.Argument(help="A port: domain.product.port, or domain.product when it has one port.", autocompletion=complete_port)
]
