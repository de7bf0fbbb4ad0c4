"""What a change of the requests for access does: who reads a port from now on, who no longer does.

The files under ``domains/<domain>/access/`` are judged by what is in force after their last entry, not by their words.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import date

from platform_core.contracts.access_file import read_history
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.compatibility.change import Change
from platform_core.contracts.compatibility.ruling import RULINGS
from platform_core.contracts.compatibility.state import State, Unreadable

_FILE = re.compile(r"domains/[^/]+/access/[^/]+")


@dataclass(frozen=True)
class _Standing:
    """What the history of one principal at one port comes to.

    Attributes:
        file: The access file.
        line: Its last entry that counts.
        granted: The request in force; None when none is.
    """

    file: str
    line: int
    granted: AccessRequest | None


def access_changes(old: State, new: State, today: date) -> tuple[list[Change], list[Unreadable]]:
    """One change for every principal and port whose access file changed.

    Args:
        old: The state before.
        new: The state after.
        today: The day, in UTC; what had expired before counts as ended in both.
    """
    paths = [path for path in {**old.files, **new.files} if _FILE.fullmatch(path) and old.files.get(path) != new.files.get(path)]
    (before, wrong_before), (after, wrong_after) = (_standings(state, paths, today) for state in (old, new))
    unreadable = [*wrong_before, *wrong_after]
    broken = {problem.file for problem in unreadable}
    found: list[Change] = []
    for key in dict.fromkeys([*before, *after]):
        left, right = before.get(key), after.get(key)
        if any(side.file in broken for side in (left, right) if side) and not (left and right):
            continue  # its other state cannot be read: neither given nor taken
        found.append(_change(key, left, right))
    return found, unreadable


def _standings(state: State, paths: list[str], today: date) -> tuple[Mapping[tuple[str, str], _Standing], tuple[Unreadable, ...]]:
    documents, broken = state.readable(path for path in paths if path in state.files)
    found: dict[tuple[str, str], _Standing] = {}
    wrong = list(broken)
    for path, document in documents.items():
        read = read_history(document)
        if read.problems:
            wrong.append(state.unreadable(path, read.problems[0]))
        for request in read.requests:
            standing = request.approved and not (request.revoked or request.replaced or (request.until and request.until < today))
            entry = request.revoked or request.denied or request.approved or request.requested
            key = (request.contract_id, request.principal)
            former = found.get(key)
            granted = request if standing else former.granted if former else None
            found[key] = _Standing(path, entry.location.line, granted)
    return found, tuple(wrong)


def _change(key: tuple[str, str], left: _Standing | None, right: _Standing | None) -> Change:
    contract, principal = key
    had, has = (side.granted if side else None for side in (left, right))
    place = right or left
    assert place is not None
    kind, _, name = principal.partition(":")
    return Change(
        sort="access",
        subject=contract,
        path=f"access of {principal}",
        action="added" if left is None else "removed" if right is None else "changed",
        ruling=RULINGS[_ruling(had, has)],
        before=_said(had),
        after=_said(has),
        state="new" if right else "old",
        file=place.file,
        line=place.line,
        contracts=(contract,),
        readers=name if kind == "domain" else "none",
    )


def _ruling(had: AccessRequest | None, has: AccessRequest | None) -> str:
    if had is None or has is None:
        return "access-asked" if had is has else "access-ended" if has is None else "access-given"
    before, after = ((request.personal_data, request.until or date.max) for request in (had, has))
    if after[0] < before[0] or after[1] < before[1]:
        return "access-narrowed"
    return "access-widened" if after != before else "access-asked"


def _said(request: AccessRequest | None) -> str:
    if request is None:
        return "none"
    return f"{'personal data in clear' if request.personal_data else 'masked'}{f' until {request.until}' if request.until else ''}"
