"""``domains/<domain>/team.yaml``: who may answer for the products of a domain, so that an owner who left, or a slip, is an error.

::

    teams:
      - name: sales-data
        members: [ann@example.com, bob@example.com]

A domain without the file declares nobody, and nothing is compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from platform_core.contracts.model import DataProduct, Mesh
from platform_core.contracts.problem import Problem, did_you_mean, source_problem
from platform_core.contracts.source import Document, SourceError, load_yaml

TEAM_FILE = "team.yaml"
_KEYS = ("name", "members")
_FORM = "write teams: [{name: sales-data, members: [ann@example.com]}]"
Teams = Mapping[str, frozenset[str]]


def read_teams(path: Path) -> tuple[Teams, list[Problem]]:
    """The teams of a file with their members, and what is wrong with it; a file with a problem gives no team."""
    try:
        document = load_yaml(path)
    except SourceError as error:
        return {}, [source_problem(error, path, "team-file")]
    return teams_of(document)


def teams_of(document: Document) -> tuple[Teams, list[Problem]]:
    """The teams that a document holds; as ``read_teams``."""
    data = document.data
    listed = data.get("teams") if isinstance(data, dict) else None
    if not isinstance(listed, list) or not listed or set(data) != {"teams"}:
        return {}, [Problem("team-file", "the file is no list of teams", document.at("teams"), _FORM)]
    teams: dict[str, frozenset[str]] = {}
    problems: list[Problem] = []
    for index, item in enumerate(listed):
        wrong = _wrong(item, teams)
        if wrong is not None:
            problems.append(Problem("team-file", wrong, document.at("teams", index), _FORM))
        else:
            teams[item["name"]] = frozenset(item["members"])
    return ({}, problems) if problems else (teams, [])


def owner_problems(repo: Path, mesh: Mesh) -> Iterator[Problem]:
    """Teams and owners of products and contracts that their domain's ``team.yaml`` does not know."""
    for domain in mesh.domains:
        path = repo / "domains" / domain / TEAM_FILE
        if not path.is_file():
            continue
        teams, problems = read_teams(path)
        yield from problems
        if not problems:
            for product in mesh.products.values():
                if product.domain == domain:
                    yield from _of_product(product, teams, path)


def _wrong(item: Any, teams: Teams) -> str | None:
    if not isinstance(item, dict):
        return f"the team is {item!r}, not a mapping"
    unknown = next((key for key in item if key not in _KEYS), None)
    if unknown is not None:
        return f"the team has the unknown key {unknown!r}{did_you_mean(unknown, _KEYS)}"
    name, members = item.get("name"), item.get("members")
    if not isinstance(name, str) or not name.strip():
        return f"the name of the team is {name!r}"
    if name in teams:
        return f"the team {name!r} stands twice"
    if not isinstance(members, list) or not members or not all(isinstance(member, str) and member.strip() for member in members):
        return f"the members of {name!r} are {members!r}, not a list of names"
    return None


def _of_product(product: DataProduct, teams: Teams, path: Path) -> Iterator[Problem]:
    yield from _of_file(load_yaml(product.path), teams, path)
    for port in product.outputs:
        yield from _of_file(load_yaml(port.contract.path), teams, path)


def _of_file(document: Document, teams: Teams, path: Path) -> Iterator[Problem]:
    team: Any = document.data.get("team")
    place: tuple[str, ...] = ("team",) if isinstance(team, list) else ("team", "members")
    members = team if isinstance(team, list) else (team or {}).get("members") or []
    name = team.get("name") if isinstance(team, dict) else None
    remedy = f"correct it, or add it to {path.parent.name}/{TEAM_FILE}"
    if name is not None and name not in teams:
        yield Problem("unknown-team", f"the domain has no team {name!r}{did_you_mean(name, teams)}", document.at("team", "name"), remedy)
        return
    known = teams[name] if name is not None else frozenset[str]().union(*teams.values())
    for index, member in enumerate(members):
        username = member["username"]
        if str(member.get("role", "")).lower() == "owner" and not member.get("dateOut") and username not in known:
            message = f"the owner {username!r} is no member of {name or 'a team of the domain'}{did_you_mean(username, known)}"
            yield Problem("unknown-owner", message, document.at(*place, index, "username"), remedy)
