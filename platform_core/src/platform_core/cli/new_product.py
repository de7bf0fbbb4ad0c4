"""``mesh new product``: a product from a model, a raw stream, another product's port, or from example rows, built by SQL or Python."""

from __future__ import annotations

import contextlib
from dataclasses import replace
from pathlib import Path
from typing import Annotated, get_args

import click
import psycopg
import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.file_changes import DryRun, Manner, Yes, finish
from platform_core.cli.new_domain import Owner, owner_of
from platform_core.cli.port_names import complete_domain_and
from platform_core.cli.session import AsJson, Session, err
from platform_core.contracts import did_you_mean, naming
from platform_core.errors import MeshError
from platform_core.settings import Settings, SettingsError
from platform_core.transformation import DbtProject, starting
from platform_core.transformation.built_columns import built_columns
from platform_core.warehouse import WarehouseError


def _contracts(incomplete: str) -> list[str]:
    with contextlib.suppress(SettingsError):
        from platform_core.contracts import load_mesh

        return [name for name in load_mesh(Settings.load().repo).contracts if name.startswith(incomplete)]
    return []


def _models(context: typer.Context, incomplete: str) -> list[str]:
    """Models of the domain that stands before."""
    with contextlib.suppress(SettingsError):
        domain = str(context.params.get("name") or "").partition(".")[0]
        folder = Settings.load().repo / "dbt_projects" / f"{domain}_dbt"
        return sorted(path.stem for path in folder.glob("models/**/*.sql") if path.stem.startswith(incomplete))
    return []


def _domains(incomplete: str) -> list[str]:
    return complete_domain_and(".", incomplete)


def product(
    name: Annotated[str, typer.Argument(help="The new product: domain.product.", autocompletion=_domains)],
    from_model: Annotated[str | None, typer.Option(help="A dbt model of the domain that feeds it.", autocompletion=_models)] = None,
    from_stream: Annotated[str | None, typer.Option(help="A raw stream of the domain, loaded already.")] = None,
    inputs: Annotated[
        list[str] | None, typer.Option("--input", help="A contract that it reads; may be repeated.", autocompletion=_contracts)
    ] = None,
    kind: Annotated[starting.Kind, typer.Option(help="What builds the table: a dbt model, or a Python asset.")] = "sql",
    table: Annotated[str | None, typer.Option(help="Name of the port's table; the product's name by default.")] = None,
    title: Annotated[str | None, typer.Option(help="Name for people.")] = None,
    description: Annotated[str | None, typer.Option(help="What consumers get, in one sentence.")] = None,
    owner: Owner = None,
    team: Annotated[str | None, typer.Option(help="The team that owns it; that of the domain's other products by default.")] = None,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Write a product: its two standard files, the model or Python asset that feeds its port, and a test of the whole. Nothing is overwritten.

    --from-model proposes the contract from the model's columns and dbt tests, --from-stream from the raw table, one --input from the
    other product's contract. With none of them it starts with example rows. --kind python writes a Dagster asset instead of a dbt model.

    Examples:

      ./mesh new product sales.returns

      ./mesh new product marketing.buyers --from-model customer_orders --description "Customers with what they bought."

      ./mesh new product marketing.audiences --input customer.profiles.profiles --owner marketing-data@example.com

      ./mesh new product marketing.scores --kind python --input customer.profiles.profiles
    """
    session = Session.open()
    repo = session.settings.repo
    manner = Manner.of(dry_run=dry_run, yes=yes, as_json=as_json)
    with paths_from(repo):
        domain, _, short = name.partition(".")
        if domain not in session.mesh.domains:
            known = ", ".join(session.mesh.domains) or "none yet"
            hint = did_you_mean(domain, session.mesh.domains)
            raise MeshError(
                f"there is no domain {domain!r}{hint}", remedy=f"write DOMAIN.PRODUCT with one of: {known}; or ./mesh new domain {domain}"
            )
        starting.check_product_name(domain, short, session.mesh)
        if from_model and from_stream:
            raise MeshError("a product starts from a model or from a stream, not from both", remedy="give --from-model or --from-stream")
        if manner.ask and not (from_model or from_stream or inputs):
            from_model, from_stream, inputs, kind = _asked(session, domain, kind)
        if from_model and kind == "python":
            raise MeshError(f"the model {from_model!r} builds the table already", remedy="leave out --kind python, or the model")
        purpose = description or (typer.prompt("what do consumers get, in one sentence") if manner.ask else None)
        answers, named_team = starting.answerable(repo, session.mesh, domain, owner, team)
        draft = starting.ProductDraft.begun(
            domain, short, owner_of(repo, answers, ask=manner.ask), named_team, title=title, purpose=purpose
        )
        named = starting.check_table_name(table or short)
        start, notes = _start(session, draft, named, from_model, from_stream, inputs or [], kind)
        finish(
            repo,
            starting.product_changes(repo, start),
            manner,
            said={"product": name, "contract": draft.contract_id, "notes": notes},
            following=f"./mesh lint && ./mesh apply && ./mesh test domains/{domain}",
        )
    if not as_json:
        for note in notes:
            err.print(f"note: {note}", markup=False, soft_wrap=True)


def _start(
    session: Session,
    draft: starting.ProductDraft,
    table: str,
    model: str | None,
    stream: str | None,
    inputs: list[str],
    kind: starting.Kind,
) -> tuple[starting.ProductStart, list[str]]:
    found = [starting.input_of(name, session.mesh) for name in dict.fromkeys(inputs)]
    own = [contract.id for contract, _ in found if contract.product_id == draft.id]
    if own:
        raise MeshError(f"the product reads its own contract {own[0]!r}", remedy="name another product's contract")
    draft = replace(draft, inputs=tuple(port for _, port in found))
    if model is not None:
        from platform_core.transformation.adoption import product_from_model

        project = DbtProject.of(draft.domain, session.settings)
        with err.status("reading the dbt project"):
            return product_from_model(project, session.mesh, built_relations(session, draft.domain), draft, table, model)
    if stream is not None:
        return _from_stream(session, draft, table, stream, kind), []
    if found:
        start = starting.from_input(draft, table, found[0][0], kind)
        masked = [column.physical_name for column in found[0][0].tables[0].columns if column.personal]
        notes = [f"personal data of {found[0][0].id} is left out: {', '.join(masked)}"] if masked else []
        if found[1:]:
            reader = "asset" if kind == "python" else "model"
            notes.append(f"the {reader} reads {found[0][0].id}; join the others: {', '.join(c.id for c, _ in found[1:])}")
        return start, notes
    return starting.from_nothing(draft, table, kind), []


def built_relations(session: Session, domain: str) -> dict[str, dict[str, str]]:
    """Relations of the domain's build schema with their columns and types; none before a first build, or without a warehouse."""
    try:
        with session.warehouse.connect_platform() as connection:
            return built_columns(connection, naming.build_schema(domain))
    except (psycopg.OperationalError, WarehouseError) as error:
        err.print(f"[dim]no warehouse is asked for types: {str(error).splitlines()[0]}[/]", soft_wrap=True)
        return {}


def _from_stream(session: Session, draft: starting.ProductDraft, table: str, stream: str, kind: starting.Kind) -> starting.ProductStart:
    schema = naming.raw_schema(draft.domain)
    columns, streams = _raw_table(session, schema, stream)
    connections = _connections(session.settings.repo, draft.domain)
    connection = next((name for name, tables in connections.items() if stream in tables), None)
    if not columns:
        loads = (
            f"./mesh apply && ./mesh ingest {draft.domain}/{connection}"
            if connection
            else f"name one of: {', '.join(streams) or 'none yet'}"
        )
        hint = "" if connection else did_you_mean(stream, streams)
        raise MeshError(f"the raw table {schema}.{stream} is not there{hint}", remedy=loads)
    project = DbtProject.of(draft.domain, session.settings)
    declared = any(
        word in text for text in (path.read_text() for path in project.folder.glob("models/**/*.y*ml")) for word in (f"- name: {stream}\n",)
    )
    return starting.from_stream(draft, table, stream, columns, connection, declared, kind)


def _raw_table(session: Session, schema: str, stream: str) -> tuple[list[tuple[str, str]], list[str]]:
    """Columns with types of a raw table, and the names of all raw tables of the domain."""
    try:
        with session.warehouse.connect_platform() as connection:
            found = built_columns(connection, schema)
    except (psycopg.OperationalError, WarehouseError) as error:
        message = f"a stream's columns are read from the warehouse, which is not there: {str(error).splitlines()[0]}"
        raise MeshError(message, remedy="start it with ./mesh up, or set MESH_WAREHOUSE_DSN") from error
    return list(found.get(stream, {}).items()), list(found)


def _connections(repo: Path, domain: str) -> dict[str, set[str]]:
    """Connections and drops of the domain with the raw tables that they load, as far as their files can be read."""
    import yaml

    found: dict[str, set[str]] = {}
    for path in sorted((repo / "airbyte" / domain).glob("*.yaml")) + sorted((repo / "airbyte" / domain / "drops").glob("*.yaml")):
        with contextlib.suppress(yaml.YAMLError, OSError):  # a broken file is the linter's affair
            document = yaml.safe_load(path.read_text()) or {}
            streams = [item.get("name") for item in document.get("streams", ()) if isinstance(item, dict)]
            found[path.stem] = {str(name) for name in [*streams, document.get("stream")] if name}
    return found


def _asked(session: Session, domain: str, kind: starting.Kind) -> tuple[str | None, str | None, list[str], starting.Kind]:
    """From what the product starts and what builds it, asked on the terminal; only a dbt model is there already."""
    err.print("  1. example rows\n  2. a dbt model of the domain\n  3. a raw stream\n  4. another product's port")
    choice = typer.prompt("start from", default="1")
    if choice == "2":
        return typer.prompt("model"), None, [], kind
    kind = typer.prompt("built by", type=click.Choice(get_args(starting.Kind)), default=kind)
    if choice == "3":
        return None, typer.prompt("stream"), [], kind
    if choice == "4":
        for contract in session.mesh.contracts:
            err.print(f"     {contract}", markup=False)
        return None, None, [word.strip() for word in typer.prompt("contracts (separated by commas)").split(",") if word.strip()], kind
    return None, None, [], kind
