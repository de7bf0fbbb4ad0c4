"""``new domain``, ``new product``, ``new source``: files that lint and load as they are; here, the source, asked from its connector."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Annotated

import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.new_domain import domain
from platform_core.cli.new_product import product
from platform_core.cli.new_version import version
from platform_core.cli.port_names import complete_domain_and
from platform_core.cli.session import AsJson, Session, err, out, print_json, relative
from platform_core.errors import MeshError

if TYPE_CHECKING:
    from platform_core.cli.new_source import SourceDraft

new = typer.Typer(no_args_is_help=True, suggest_commands=False, help="Write new files that lint and load as they are.")


def register(app: typer.Typer) -> None:
    """Adds the commands."""
    new.command()(domain)
    new.command()(product)
    new.command()(version)
    app.add_typer(new, name="new", rich_help_panel="Product files")


def _domains(incomplete: str) -> list[str]:
    return complete_domain_and("/", incomplete)


@new.command()
def source(
    name: Annotated[str, typer.Argument(help="The new connection: domain/name.", autocompletion=_domains)],
    connector: Annotated[str | None, typer.Option(help="Package and exact version: airbyte-source-faker==7.2.1.")] = None,
    manifest: Annotated[str | None, typer.Option(help="Instead: a low-code manifest, airbyte/manifests/<name>.yaml.")] = None,
    setting: Annotated[list[str] | None, typer.Option("--set", help="A value of the connector's spec: count=100, or a.b=c.")] = None,
    secret: Annotated[list[str] | None, typer.Option(help="A secret and its environment variable: api_key=CRM_KEY.")] = None,
    stream: Annotated[list[str] | None, typer.Option(help="A stream to sync; may be repeated. All by default.")] = None,
    mode: Annotated[str | None, typer.Option(help="Sync mode of these streams; the one that fits each by default.")] = None,
    cursor: Annotated[str | None, typer.Option(help="Cursor field, where the source has none of its own.")] = None,
    key: Annotated[list[str] | None, typer.Option(help="Primary key field, where the source has none of its own.")] = None,
    schedule: Annotated[str | None, typer.Option(help='A cron line: "0 6 * * *".')] = None,
    description: Annotated[str | None, typer.Option(help="What the source is, in one line.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is missing is an error.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write a connection file, its lock and the component that loads it. On a terminal it asks; nothing is ever overwritten.

    Secrets are written as ${ENVIRONMENT_VARIABLE}; to show the streams, the connector is started with their values.

    Examples:

      ./mesh new source sales/crm

      ./mesh new source sales/crm --connector airbyte-source-faker==7.2.1 --set count=100 --stream users
    """
    from platform_core.cli.new_source import SourceDraft, check_mode, pairs

    session = Session.open()
    ask = sys.stdin.isatty() and not yes and not as_json
    with paths_from(session.settings.repo):
        draft = SourceDraft.begin(session, name, _connector(connector, manifest, ask=ask), manifest)
        given = {**pairs(setting, "--set"), **{path: f"${{{variable}}}" for path, variable in pairs(secret, "--secret").items()}}
        with err.status(f"preparing {draft.label}"):
            draft.prepare()
        draft.configure(given, ask=ask)
        hidden = _secrets(draft) if ask else {}
        with err.status(f"asking {draft.label} for its streams"):
            draft.discover({**os.environ, **hidden})
        draft.select(stream, check_mode(mode), cursor.split(".") if cursor else (), key or (), ask=ask)
        text = draft.text(description, schedule)
        if ask:
            out.print(text, markup=False, soft_wrap=True)
            if not typer.confirm(f"write this to {relative(session, draft.path)}?", default=True):
                raise typer.Exit(1)
        written = draft.write(text)
    names = [relative(session, path) for path in written]
    if as_json:
        print_json({"connection": name, "written": names, "environment": draft.variables(), "streams": [one.name for one in draft.streams]})
        return
    for path in names:
        out.print(f"written: {path}", markup=False)
    unset = [variable for variable in draft.variables() if not os.environ.get(variable)]
    if unset:
        out.print(f"set where it runs: {', '.join(unset)}", markup=False)
    out.print(f"next: ./mesh apply && ./mesh ingest {name}", markup=False)


def _connector(connector: str | None, manifest: str | None, *, ask: bool) -> str | None:
    if connector and manifest:
        raise typer.BadParameter("give --connector or --manifest, not both")
    if connector or manifest:
        return connector
    if not ask:
        raise MeshError("no connector is named", remedy="add --connector PACKAGE==VERSION or --manifest NAME")
    return typer.prompt("connector (package==version)")


def _secrets(draft: SourceDraft) -> dict[str, str]:
    """Values of secrets that the environment lacks, for this one question; they are never written."""
    missing = [variable for variable in draft.variables() if not os.environ.get(variable)]
    return {variable: typer.prompt(f"{variable} (not shown, not kept)", hide_input=True) for variable in missing}
