"""``mesh new domain``: a domain that lints, loads, builds and publishes from its first minute."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Annotated

import typer

from platform_core.cli.connection_names import paths_from
from platform_core.cli.session import AsJson, Session, err, out, print_json
from platform_core.errors import MeshError
from platform_core.transformation import starting

DryRun = Annotated[bool, typer.Option("--dry-run", help="Show the files; write nothing.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing; what is missing is an error.")]
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
    ask = sys.stdin.isatty() and not (yes or as_json or dry_run)
    with paths_from(repo):
        lock = repo / "uv.lock"
        starting.check_domain_name(name, session.mesh, starting.locked_packages(lock.read_text()) if lock.is_file() else ())
        there = (repo / "domains" / name / "pyproject.toml").is_file()
        files: dict[str, str] = {}
        if not there:
            said = description or (typer.prompt("what is the domain about, in one line") if ask else f"The data products of {name}.")
            first = None if without_product else product or (typer.prompt("its first product", default="examples") if ask else "examples")
            files = _files(session, name, said, owner_of(repo, owner, ask=ask), first)
        changes = starting.domain_changes(repo, name, files)
        if there and (product or description):
            raise MeshError(
                f"the domain {name!r} is there already", remedy=f"add the product with ./mesh new product {name}.{product or 'NAME'}"
            )
        finish(
            repo,
            changes,
            dry_run=dry_run,
            ask=ask,
            as_json=as_json,
            said={"domain": name},
            following=f"./mesh lint && ./mesh apply && ./mesh test domains/{name}",
            locked="uv.lock" in changes.edited,
        )


def _files(session: Session, name: str, description: str, owner: str, product: str | None) -> dict[str, str]:
    files = starting.domain_files(name, description, owner, product) | starting.dbt_files(name)
    if product is None:
        return files | {f"dbt_projects/{name}_dbt/models/.gitkeep": ""}
    starting.check_product_name(name, product, session.mesh)
    draft = starting.ProductDraft(
        name,
        product,
        product.replace("_", " ").capitalize(),
        f"Say in one sentence what {name}.{product} gives.",
        owner,
        f"{name}-data",
        (),
    )
    return files | starting.product_files(starting.from_nothing(draft, product))


def owner_of(repo: Path, given: str | None, *, ask: bool) -> str:
    """The owner's address: as given, else git's.

    Raises:
        MeshError: There is none.
    """
    if given is None:
        found = subprocess.run(["git", "-C", str(repo), "config", "user.email"], capture_output=True, text=True, check=False)
        known = found.stdout.strip()
        given = typer.prompt("owner (e-mail address)", default=known or None) if ask else known
    if not given or "@" not in given:
        raise MeshError(f"the owner is {given!r}, no e-mail address" if given else "no owner is named", remedy="add --owner NAME@COMPANY")
    return given


def finish(
    repo: Path,
    changes: starting.FileChanges,
    *,
    dry_run: bool,
    ask: bool,
    as_json: bool,
    said: dict[str, object],
    following: str,
    locked: bool = False,
) -> None:
    """Shows or writes the changes and says what comes next."""
    if ask and not changes.empty:
        for path in changes.created:
            out.print(f"  new     {path}", markup=False)
        for path in changes.edited:
            out.print(f"  edited  {path}", markup=False)
        if not typer.confirm("write these files?", default=True):
            raise typer.Exit(1)
    if not dry_run:
        starting.write(repo, changes)
    warning = lock_warning(repo) if locked and not dry_run else None
    if as_json:
        files = {"created": list(changes.created), "edited": list(changes.edited), "kept": list(changes.kept)}
        print_json({**said, "dry_run": dry_run, **files, "warning": warning})
        return
    verb = ("would write", "would edit") if dry_run else ("written", "edited")
    for path in changes.created:
        out.print(f"{verb[0]}: {path}", markup=False)
    for path in changes.edited:
        out.print(f"{verb[1]}: {path}", markup=False)
    if changes.empty:
        out.print("nothing to do: everything is there", markup=False)
        return
    if warning:
        err.print("[yellow]warning:[/] ", end="")
        err.print(warning, markup=False, soft_wrap=True)
    if not dry_run:
        out.print(f"next: {following}", markup=False)


def lock_warning(repo: Path) -> str | None:
    """What uv says against the edited lock; None when it is sound. No index is asked: a member of the workspace needs none."""
    uv = os.environ.get("MESH_UV")
    if not uv:
        return "uv.lock was completed but not checked (no uv here); ./mesh uses it as it is. To check: uv lock --check"
    command = [uv, "lock", "--check", "--offline", "--project", str(repo), "--python", sys.executable]
    try:
        checked = subprocess.run(command, capture_output=True, text=True, check=False, env={**os.environ, "UV_PYTHON_DOWNLOADS": "never"})
    except OSError as error:
        return f"uv.lock was completed but not checked ({error}). To check: uv lock --check"
    if checked.returncode == 0:
        return None
    reason = next((line.strip() for line in checked.stderr.splitlines() if "error" in line.lower()), checked.stderr.strip())
    return f"uv does not take the completed uv.lock as it is ({reason}). With a network, run: uv lock"
