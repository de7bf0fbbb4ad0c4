"""What a change of ``domains/<domain>/team.yaml`` does: who may answer for which products."""

from __future__ import annotations

import re
from collections.abc import Iterator

from platform_core.contracts.compatibility.change import Change
from platform_core.contracts.compatibility.consumers import Consumers
from platform_core.contracts.compatibility.ruling import RULINGS
from platform_core.contracts.compatibility.state import State, Unreadable
from platform_core.contracts.source import Document
from platform_core.contracts.team_file import Teams, teams_of

_FILE = re.compile(r"domains/(?P<domain>[^/]+)/team\.yaml")


def team_changes(old: State, new: State) -> tuple[list[Change], list[Unreadable]]:
    """One change for every team whose members changed, that is new or gone; with the ports of the products that name it."""
    found: list[Change] = []
    unreadable: list[Unreadable] = []
    consumers = Consumers(new, old)
    for path in {**old.files, **new.files}:
        match = _FILE.fullmatch(path)
        if match and old.files.get(path) != new.files.get(path):
            sides = [_teams(state, path) for state in (old, new)]
            wrong = [problem for _, _, problem in sides if problem is not None]
            unreadable += wrong
            if not wrong:
                found += _changes(match["domain"], path, sides[0][:2], sides[1][:2], consumers)
    return found, unreadable


def _teams(state: State, path: str) -> tuple[Teams, Document | None, Unreadable | None]:
    if path not in state.files:
        return {}, None, None
    documents, broken = state.readable([path])
    if broken:
        return {}, None, broken[0]
    teams, problems = teams_of(documents[path])
    wrong = state.unreadable(path, problems[0]) if problems else None
    return teams, documents[path], wrong


def _changes(
    domain: str, path: str, before: tuple[Teams, Document | None], after: tuple[Teams, Document | None], consumers: Consumers
) -> Iterator[Change]:
    for team in dict.fromkeys([*before[0], *after[0]]):
        old, new = before[0].get(team), after[0].get(team)
        if old == new:
            continue
        side, state = (after, "new") if new is not None else (before, "old")
        ports = [
            contract
            for product in consumers.products
            if product.partition(".")[0] == domain and consumers.owner(product)[0] == team
            for contract in consumers.offered(product)
        ]
        yield Change(
            sort="team",
            subject=f"{domain}/{team}",
            path="members",
            action="added" if old is None else "removed" if new is None else "changed",
            ruling=RULINGS["team-changed"],
            before=", ".join(sorted(old)) if old is not None else None,
            after=", ".join(sorted(new)) if new is not None else None,
            state="new" if state == "new" else "old",
            file=path,
            line=_line(side[1], team),
            contracts=tuple(ports),
        )


def _line(document: Document | None, team: str) -> int:
    teams = document.data["teams"] if document is not None else []
    index = next((index for index, item in enumerate(teams) if item.get("name") == team), 0)
    return document.line(("teams", index)) if document is not None else 1
