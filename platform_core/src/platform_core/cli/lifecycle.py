"""``up``, ``down``, ``status``, ``doctor``, ``reset``: the platform on this machine."""

from __future__ import annotations

import shutil
import sys
from contextlib import AbstractContextManager, nullcontext
from typing import Annotated

import typer

from platform_core.cli import table
from platform_core.cli.alerts import of_last_day
from platform_core.cli.listing import print_listing
from platform_core.cli.port_names import complete_domain
from platform_core.cli.session import AsJson, Session, err, out, print_json
from platform_core.errors import MeshError
from platform_core.settings import Settings


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "The platform on this machine"
    app.command(rich_help_panel=panel)(up)
    app.command(rich_help_panel=panel)(down)
    app.command(rich_help_panel=panel)(reload)
    app.command(rich_help_panel=panel)(status)
    app.command(rich_help_panel=panel)(doctor)
    app.command(rich_help_panel=panel)(reset)


def up(
    ui: Annotated[bool, typer.Option("--ui/--no-ui", help="Serve the Dagster UI and stay; without, exit when all is published.")] = True,
    timeout: Annotated[float, typer.Option(help="Seconds to wait for all products to be published.", min=1)] = 900,
    as_json: AsJson = False,
) -> None:
    """Start everything: Postgres, Dagster, ingestion; events do the rest until every product is published.

    Examples:

      ./mesh up                    serve the UI until Ctrl-C

      ./mesh up --no-ui --json     for scripts and CI
    """
    from platform_core.cli.up import run_up

    sys.exit(run_up(ui=ui, timeout=timeout, as_json=as_json))


def down(as_json: AsJson = False) -> None:
    """Stop Dagster, its runs and the embedded Postgres of this checkout. Data stays.

    Example:

      ./mesh down
    """
    from platform_core.cli.up import end_up
    from platform_core.orchestration.local_stack import LocalStack
    from platform_core.warehouse import EmbeddedPostgres

    settings = Settings.load()
    with err.status("stopping"):
        ended_up = end_up(settings)
        ended = LocalStack(settings).stop()
    stopped = EmbeddedPostgres(settings.home / "postgres").stop()
    if as_json:
        print_json({"up_ended": ended_up, "processes": ended, "postgres_stopped": stopped or ended_up})
    elif ended_up:
        out.print("./mesh up was ended, and with it Dagster and Postgres")
    else:
        out.print(f"stopped {ended} Dagster processes" if ended else "Dagster was not running", end="; ")
        out.print("Postgres stopped" if stopped else "Postgres was not running")


def reload(
    domain: Annotated[
        list[str] | None, typer.Argument(help="Domains whose files changed; all by default.", autocompletion=complete_domain)
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Take changed files into the platform that serves: apply, parse dbt projects, load the code locations anew.

    A port whose files changed is published again by itself.

    Example:

      ./mesh reload sales
    """
    from platform_core.cli.files import projects
    from platform_core.orchestration.local_stack import LocalStack
    from platform_core.orchestration.reload import Reloaded, reload_location
    from platform_core.publishing.governance import apply_everything
    from platform_core.transformation import parse_all

    session = Session.open()
    wanted = session.domains(domain)
    address = LocalStack(session.settings).address()
    if address is None:
        raise MeshError("nothing serves here", where=str(session.settings.home), remedy="start ./mesh up; it reads the files as they are")
    with _step("applying schemas, roles and grants"):
        steps = apply_everything(session.warehouse, session.mesh)
    with _step("parsing the dbt projects that changed"):
        parse_all(projects(session.settings, wanted), session.dbt_environment)
    reloaded: list[Reloaded] = []
    for number, name in enumerate(wanted, 1):
        with _step(f"loading the code location {name} ({number} of {len(wanted)})"):
            reloaded.append(reload_location(address, name))
    failed = [each for each in reloaded if each.error is not None]
    if as_json:
        print_json({"applied": [str(step) for step in steps], "locations": [each.__dict__ for each in reloaded]})
    else:
        out.print(
            f"applied {len(steps)} changes; loaded {', '.join(each.location for each in reloaded if each.error is None) or 'nothing'}"
        )
        for each in failed:
            err.print(f"[red]{each.location} is not loaded:[/] ", end="")
            err.print(str(each.error).strip(), markup=False, soft_wrap=True)
    sys.exit(bool(failed))


def _step(what: str) -> AbstractContextManager[object]:
    """Says what is done now: in place on a terminal, as a line where nobody sees a spinner."""
    if err.is_terminal:
        return err.status(what)
    err.print(what)
    return nullcontext()


def status(as_json: AsJson = False) -> None:
    """Show what every product serves: rows, checks, version, age.

    Example:

      ./mesh status --json
    """
    session = Session.open()
    listed, raised = table.products(session), of_last_day(session)
    if as_json:
        print_json({"products": listed, "alerts_of_last_day": len(raised)})
    else:
        print_listing(table.render(listed))
        for warning in table.warnings(listed):
            err.print(f"[yellow]{warning}[/]", soft_wrap=True)
        if raised:
            count = f"{len(raised)} alert{'s' if len(raised) > 1 else ''} in the last day"
            latest = f"{raised[0].domain} at {raised[0].raised_at.astimezone():%H:%M}"
            err.print(f"[yellow]{count}, the latest of {latest}; see ./mesh alerts[/]", soft_wrap=True)


def doctor(as_json: AsJson = False) -> None:
    """Check ports, disk, memory, versions, environment, database and code locations, each with a remedy.

    Example:

      ./mesh doctor
    """
    from platform_core.cli.checkup import examine

    findings = examine(Settings.load(), progress=None if as_json else err)
    if as_json:
        print_json({"findings": [finding.__dict__ for finding in findings]})
    else:
        for finding in findings:
            mark = {"ok": "[green]ok[/]     ", "warning": "[yellow]warning[/]", "error": "[red]error[/]  "}[finding.state]
            out.print(f"{mark} [bold]{finding.name}[/]: {finding.found}", soft_wrap=True)
            if finding.remedy:
                out.print(f"        remedy: {finding.remedy}", soft_wrap=True)
    sys.exit(any(finding.state == "error" for finding in findings))


def reset(
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")] = False,
    environment: Annotated[bool, typer.Option(help="Remove the Python environment and the connectors too.")] = False,
) -> None:
    """Stop everything and remove the local state: database, lake, Dagster's history.

    Examples:

      ./mesh reset --yes                   data and history

      ./mesh reset --yes --environment     all of .mesh
    """
    from platform_core.cli.up import end_up
    from platform_core.orchestration.local_stack import LocalStack
    from platform_core.warehouse import EmbeddedPostgres

    settings = Settings.load()
    if settings.warehouse_dsn is not None:
        err.print("[yellow]note:[/] MESH_WAREHOUSE_DSN is set; that database is not touched")
    if not yes:
        if not sys.stdin.isatty():
            raise MeshError("reset asks before it removes, and there is nobody to ask", remedy="add --yes")
        typer.confirm(f"Remove the local state in {settings.home}?", abort=True)
    end_up(settings)
    LocalStack(settings).stop()
    EmbeddedPostgres(settings.home / "postgres").stop()
    kept = set() if environment else {"venv", "uv", "pycache", "connectors"}
    for path in sorted(settings.home.iterdir()) if settings.home.is_dir() else []:
        if path.name in kept:
            continue
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()
    out.print(f"removed the local state in {settings.home}" + ("" if environment else " (environment and connectors kept)"))
