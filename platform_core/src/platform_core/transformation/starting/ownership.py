"""Who answers for a new product: as given, else who answers for the domain's others, else its ``team.yaml``; who asks may add git's user."""

from __future__ import annotations

from pathlib import Path

from platform_core.contracts import Mesh
from platform_core.contracts.team_file import TEAM_FILE, read_teams
from platform_core.errors import MeshError


def answerable(repo: Path, mesh: Mesh, domain: str, owner: str | None = None, team: str | None = None) -> tuple[str | None, str]:
    """Owner and team of a new product.

    Args:
        repo: The repository's root.
        mesh: Its product files.
        domain: The product's domain.
        owner: E-mail address, as given.
        team: Name, as given.

    Returns:
        The owner, None when nobody names one, and the team.
    """
    teams, _ = read_teams(path) if (path := repo / "domains" / domain / TEAM_FILE).is_file() else ({}, [])  # lint says what is wrong
    sibling = next((product for product in mesh.of_domain(domain) if product.owners), None)
    if team is None and owner is not None:
        team = next((name for name, members in teams.items() if owner in members), None)
    if team is None and sibling is not None and sibling.team_name:
        team = sibling.team_name
    if team is None:
        team = next(iter(teams), f"{domain}-data")
    if owner is None and sibling is not None and (sibling.team_name == team or team not in teams):
        owner = sibling.owners[0]
    if owner is None and team in teams:
        owner = min((member for member in teams[team] if "@" in member), default=None)
    return owner, team


def checked_owner(owner: str | None) -> str:
    """The address.

    Raises:
        MeshError: There is none.
    """
    if not owner or "@" not in owner:
        raise MeshError(f"the owner is {owner!r}, no e-mail address" if owner else "no owner is named", remedy="add --owner NAME@COMPANY")
    return owner
