"""``test``, ``exec``, ``env``, ``bench``: for who works on the repository."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
from typing import Annotated

import typer

from platform_core.cli.bench import NAMES
from platform_core.cli.session import AsJson
from platform_core.settings import Settings

# Options after the first word belong to the program that is called, its --help too.
_PASS_ON = {"allow_extra_args": True, "ignore_unknown_options": True, "allow_interspersed_args": False, "help_option_names": ["--help"]}


# A test makes its own platform: settings of this one would reach into it. What tests themselves ask for is passed on: pictures, and
# the long forms of those that run in a short one (docs/benchmarks.md).
KEPT_FOR_TESTS = frozenset({
    "MESH_UV", "MESH_SCREENSHOTS",
    "MESH_ACCESS_SEQUENCES", "MESH_ADOPT_WHOLE", "MESH_ALL_CLAUSES", "MESH_CHAOS_KILLS", "MESH_CHAOS_SEED", "MESH_GOVERNANCE_EXAMPLES",
    "MESH_LINEAGE_STATEMENTS", "MESH_MUTATIONS", "MESH_NEW_WHOLE",
})  # fmt: skip


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    panel = "Working on it"
    app.command(context_settings=_PASS_ON, rich_help_panel=panel)(test)
    app.command("exec", context_settings=_PASS_ON, rich_help_panel=panel)(execute)
    app.command(rich_help_panel=panel)(env)
    app.command(rich_help_panel=panel)(bench)


def test(context: typer.Context) -> None:
    """Run the whole test suite, on two workers; arguments go to pytest. Named tests, or a -n of your own, run as you say.

    Examples:

      ./mesh test

      ./mesh test platform_core/tests/contracts -x

      MESH_CHAOS_KILLS=100 ./mesh test platform_core/tests/ingestion/test_chaos.py -s
    """
    settings = Settings.load()
    chosen = any(word.startswith("-n") or (settings.repo / word.split("::")[0]).exists() for word in context.args)
    environment = {name: value for name, value in os.environ.items() if not name.startswith("MESH_") or name in KEPT_FOR_TESTS}
    environment |= {"GX_ANALYTICS_ENABLED": "false", "DATAHUB_TELEMETRY_ENABLED": "false", "DBT_SEND_ANONYMOUS_USAGE_STATS": "false"}
    environment["MESH_TEST_HOME"] = str(settings.home)
    sys.exit(
        subprocess.call(
            [sys.executable, "-m", "pytest", *(() if chosen else ("-n", "2", "--no-loadscope-reorder")), *context.args],
            cwd=settings.repo,
            env=environment,
        )
    )


def execute(context: typer.Context) -> None:
    """Run a program of the environment (dagster, dg, dbt, datahub, ...) with everything set for this checkout.

    Examples:

      ./mesh exec dg list components

      cd dbt_projects/sales_dbt && ../../mesh exec dbt build
    """
    if not context.args:
        raise typer.BadParameter("name a program, for example: ./mesh exec dagster --version")
    environment = {**os.environ, **variables(Settings.load())}
    try:
        os.execvpe(context.args[0], context.args, environment)  # noqa: S606 - the point of the command
    except FileNotFoundError:
        raise typer.BadParameter(f"there is no program {context.args[0]!r} in the environment") from None


def env() -> None:
    """Print shell commands that set this checkout's environment.

    Example:

      eval "$(./mesh env)" && dagster dev
    """
    for name, value in variables(Settings.load()).items():
        sys.stdout.write(f"export {name}={shlex.quote(value)}\n")


def variables(settings: Settings) -> dict[str, str]:
    """What a shell in this checkout needs; no secret among it."""
    from platform_core.orchestration.local_instance import shell_instance
    from platform_core.orchestration.local_services import use_running_services
    from platform_core.warehouse import EmbeddedPostgres, Warehouse

    found = {
        "MESH_REPO": str(settings.repo),
        "MESH_HOME": str(settings.home),
        "DAGSTER_HOME": str(shell_instance(settings)),
        "VIRTUAL_ENV": sys.prefix,
        "PATH": os.environ.get("PATH", ""),
        "DBT_SEND_ANONYMOUS_USAGE_STATS": "false",
    }
    if settings.warehouse_dsn is not None or (EmbeddedPostgres(settings.home / "postgres").folder / "port").is_file():
        libpq = Warehouse.from_settings(settings).libpq_environment("")
        found |= {name: value for name, value in libpq.items() if value}
    return found | use_running_services(settings, dict(os.environ))


def bench(
    name: Annotated[str, typer.Argument(help=f"What to measure: {', '.join(NAMES)}.", autocompletion=lambda: list(NAMES))],
    repeat: Annotated[int, typer.Option(help="Runs; the median counts. Fewer than three only to try it out.", min=1)] = 3,
    users: Annotated[int, typer.Option(help="ingest: size of the recording; twice as many records, 0.9 kB a user.", min=100)] = 200_000,
    peers: Annotated[bool, typer.Option(help="ingest: measure dlt and PyAirbyte too, some four minutes more.")] = True,
    as_json: AsJson = False,
) -> None:
    """Measure, with the spread, on this machine.

    Examples:

      ./mesh bench up --json

      ./mesh bench ingest
    """
    from platform_core.cli.bench import run_bench

    run_bench(name, repeat, as_json, users=users, peers=peers)
