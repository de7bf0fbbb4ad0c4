"""``mesh new version``: the next major version of a port, beside the one that consumers read."""

from __future__ import annotations

from platform_core.cli.file_changes import DryRun, Manner, Yes, finish
from platform_core.cli.ports import Port
from platform_core.cli.session import AsJson, Session, err, relative
from platform_core.contracts import load_mesh
from platform_core.transformation import starting
from platform_core.transformation.kept_references import kept_references
from platform_core.transformation.next_version import next_version_of


def version(port: Port, dry_run: DryRun = False, yes: Yes = False, as_json: AsJson = False) -> None:
    """Copy a port to its next major version: contract, model (dbt or Python) and output port under the next name. Nothing is overwritten.

    Both are served until the old one is retired. Consumers move by naming the new contract as their input; when all have moved (or
    their time is over), set the old contract to `status: deprecated`, with `successor` and `endOfSupport`, and later to `retired`.

    What still refers to the old version (foreign keys, models, Python assets) is listed with file and line.

    Examples:

      ./mesh new version sales.orders

      ./mesh new version inventory.items.items --dry-run
    """
    session = Session.open()
    contract = session.contract(port)
    repo = session.settings.repo
    made = next_version_of(repo, session.mesh.products[contract.product_id], contract)
    kept = kept_references(repo, session.mesh, contract, made)
    changes = starting.new_files(repo, made.created).and_(
        starting.FileChanges(edited={path: (before.encode(), after.encode()) for path, (before, after) in made.edited.items()})
    )
    finish(
        repo,
        changes,
        Manner.of(dry_run=dry_run, yes=yes, as_json=as_json),
        said={
            "port": contract.id,
            "contract": made.contract_id,
            "version": made.version,
            "notes": list(made.notes),
            "kept_references": kept,
        },
        following=f"change the copied contract and model, then ./mesh lint && ./mesh diff HEAD && ./mesh apply; old port: {contract.id}",
    )
    for note in made.notes:
        err.print(f"note: {note}", markup=False, soft_wrap=True)
    if kept and not as_json:
        err.print("these go on with the old version until they are changed:")
        for reference in kept:
            err.print(f"  {reference}", markup=False, soft_wrap=True)
    if not dry_run:
        for problem in load_mesh(repo).problems:
            if problem.severity == "error" and problem not in session.mesh.problems:
                err.print(f"{relative(session, problem.location)}: {problem.message}", markup=False, soft_wrap=True)
