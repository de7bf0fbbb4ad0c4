"""The root of the command: sub-commands, and how errors reach a person."""

from __future__ import annotations

import errno
import sys

import psycopg
import typer
from rich.console import Console

import platform_core
from platform_core.cli import (
    access_requests,
    adopt,
    alerts,
    clauses,
    connectors,
    data,
    develop,
    files,
    gate,
    ingest,
    lifecycle,
    lineage,
    lint,
    mask_key,
    new,
    plan,
    ports,
    schemas,
    shell_completion,
)
from platform_core.errors import MeshError

_OF_THE_DISK = {errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT}

app = typer.Typer(
    name="mesh",
    help="A self-serve data mesh on Dagster. Start with `./mesh up`; every command has --help with examples.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    add_completion=False,  # ours finds the command by its path
    suggest_commands=False,  # click says it, since 8.2
)
for module in (
    lifecycle,
    alerts,
    lint,
    clauses,
    plan,
    files,
    gate,
    lineage,
    new,
    adopt,
    ports,
    access_requests,
    data,
    mask_key,
    ingest,
    connectors,
    develop,
    schemas,
):
    module.register(app)


def _version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"mesh {platform_core.__version__}")
        raise typer.Exit


@app.callback()
def root(
    version: bool = typer.Option(False, "--version", callback=_version, is_eager=True, help="Show the version and exit."),
    install_completion: shell_completion.Install = False,
    show_completion: shell_completion.Show = False,
) -> None:
    """Options of every command."""


def main() -> None:
    """Runs the command; an error of the platform prints what, where and remedy, without a traceback, and exits with 1."""
    try:
        app(prog_name="./mesh", complete_var=shell_completion.VARIABLE)
    except MeshError as error:
        _complain(error)
    except psycopg.Error as error:
        unmade = isinstance(error, psycopg.errors.UndefinedTable | psycopg.errors.InvalidSchemaName)
        remedy = "the platform's tables are not made yet: run ./mesh apply" if unmade else "run ./mesh doctor"
        _complain(MeshError(str(error).strip(), remedy=remedy))
    except OSError as error:
        if error.errno not in _OF_THE_DISK or error.filename is None:
            raise
        remedy = "see who owns it and whether the disk is full or read-only; a clone of your own can be written"
        _complain(MeshError(str(error.strerror), where=str(error.filename), remedy=remedy))
    except KeyboardInterrupt:
        sys.exit(130)


def _complain(error: MeshError) -> None:
    console = Console(stderr=True, highlight=False, soft_wrap=True)
    console.print("[bold red]error:[/] ", end="")
    console.print(str(error), markup=False)
    sys.exit(1)
