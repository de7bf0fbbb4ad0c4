"""``mesh new domain``: a domain that lints, loads, builds and publishes from its first minute."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.file_changes import DryRun, Manner, Yes, finish
from platform_core.cli.session import AsJson, Session
from platform_core.contracts.git import git_user
from platform_core.errors import MeshError
from platform_core.transformation import starting

Owner = Annotated[str | None, typer.Option(help="E-mail address of who answers for it; git's user.email by default.")]


def domain(
    name: Annotated[str, typer.Argument(help="The new domain: small letters, digits and underscores.")],
    description: Annotated[str | None, typer.Option(help="What the domain is about, in one line.")] = None,
    owner: Owner = None,
    product: Annotated[str | None, typer.Option(help="Its first product, with a model of example rows: examples by default.")] = None,
    without_product: Annotated[bool, typer.Option("--no-product", help="Only the domain; its dbt project has no model yet.")] = False,
    dry_run: DryRun = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Write a domain: its code location, dbt project, first product and tests, named wherever a domain is named.

    Nothing is overwritten. On a domain that is there, only the places that do not name it yet are completed.

    Examples:

      ./mesh new domain finance

      ./mesh new domain finance --owner finance-data@example.com --product invoices --description "Who owes us what."
    """
    session = Session.open()
    repo = session.settings.repo
    manner = Manner.of(dry_run=dry_run, yes=yes, as_json=as_json)
    with paths_from(repo):
        lock = repo / "uv.lock"
        starting.check_domain_name(name, session.mesh, starting.locked_packages(lock.read_text()) if lock.is_file() else ())
        there = (repo / "domains" / name / "pyproject.toml").is_file()
        files: dict[str, str] = {}
        if not there:
            said = description or (typer.prompt("what is the domain about, in one line") if manner.ask else f"The data products of {name}.")
            first = (
                None
                if without_product
                else product or (typer.prompt("its first product", default="examples") if manner.ask else "examples")
            )
            files = _files(session, name, said, owner_of(repo, owner, ask=manner.ask), first)
        changes = starting.domain_changes(repo, name, files)
        if there and (product or description):
            raise MeshError(
                f"the domain {name!r} is there already", remedy=f"add the product with ./mesh new product {name}.{product or 'NAME'}"
            )
        finish(
            repo,
            changes,
            manner,
            said={"domain": name},
            following=f"./mesh lint && ./mesh apply && ./mesh test domains/{name}",
        )


def _files(session: Session, name: str, description: str, owner: str, product: str | None) -> dict[str, str]:
    files = starting.domain_files(name, description, owner, product) | starting.dbt_files(name)
    if product is None:
        return files | {f"dbt_projects/{name}_dbt/models/.gitkeep": ""}
    starting.check_product_name(name, product, session.mesh)
    draft = starting.ProductDraft.begun(name, product, owner, f"{name}-data")
    return files | starting.product_files(starting.from_nothing(draft, product))


def owner_of(repo: Path, given: str | None, *, ask: bool) -> str:
    """The owner's address: as given, else git's.

    Raises:
        MeshError: There is none.
    """
    if given is None:
        known = git_user(repo)
        given = typer.prompt("owner (e-mail address)", default=known) if ask else known
    return starting.checked_owner(given)
