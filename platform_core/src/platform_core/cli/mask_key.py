"""``mask-key``: the key of hashed columns, which nobody sees; when it was made, who may hash, and a new one."""

from __future__ import annotations

from typing import Annotated

import typer

from platform_core.cli.session import AsJson, Session, out, print_json
from platform_core.errors import MeshError


def register(app: typer.Typer) -> None:
    """Adds the command."""
    app.command("mask-key", rich_help_panel="Data")(mask_key)


def mask_key(
    rotate: Annotated[
        bool, typer.Option("--rotate", help="Make a new random key: every hash is another one, in all ports at once.")
    ] = False,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show when the key of hashed columns was made and which domains publish hashes, or replace it. The key itself is never shown.

    After a rotation nothing that was kept by its hash (an export, a table that a consumer built) joins with the ports until it is built anew.

    Examples:

      ./mesh mask-key

      ./mesh mask-key --rotate --yes
    """
    session = Session.open()
    if rotate and session.settings.mask_key is not None:
        raise MeshError("the key is that of the environment", where="MESH_MASK_KEY", remedy="change the variable, then ./mesh apply")
    if rotate and not yes:
        typer.confirm("Every hash in every port becomes another one, now. Go on?", abort=True)
    with session.warehouse.connect_platform() as connection:
        if rotate:
            connection.execute("SELECT mesh.rotate_mask_key()")
        row = connection.execute("SELECT made_at FROM mesh.mask_keys").fetchone()
    made = row[0].isoformat(timespec="seconds") if row else None
    domains = sorted({contract.domain for contract in session.mesh.contracts.values() if contract.hashed})
    if as_json:
        print_json({"made_at": made, "rotated": rotate, "domains": domains})
        return
    out.print(
        f"the key of hashed columns {'is new' if rotate else f'was made at {made}'}; {', '.join(domains) or 'no domain'} publishes hashes"
    )
