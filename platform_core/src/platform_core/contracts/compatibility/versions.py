"""The version step that changes demand, and the one that was taken."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

from platform_core.contracts.compatibility.ruling import VersionStep

_VERSION = re.compile(r"(\d+)\.(\d+)\.(\d+)")
_ORDER: tuple[VersionStep, ...] = ("none", "patch", "minor", "major")
Taken = VersionStep | Literal["back", "unknown"]


@dataclass(frozen=True)
class VersionCheck:
    """Whether a version took the step that its changes demand.

    Attributes:
        subject: Id of the contract or product, or ``<product> output <port>``.
        before: The old version.
        after: The new one.
        demanded: The smallest step that would do.
        taken: The step that was taken; ``back`` for a lower version, ``unknown`` for one that is not ``x.y.z``.
        file: Where the version stands.
        line: Where the version stands.
    """

    subject: str
    before: str
    after: str
    demanded: VersionStep
    taken: Taken
    file: str
    line: int

    @property
    def enough(self) -> bool:
        """Whether the step is at least what is demanded; a larger one is fine."""
        return self.taken not in {"back", "unknown"} and _ORDER.index(self.taken) >= _ORDER.index(self.demanded)  # pyright: ignore[reportArgumentType]

    @property
    def message(self) -> str:
        """One sentence, with the version to write when the step is missing."""
        if self.enough:
            return f"{self.subject}: {self.before} -> {self.after}, a {self.taken} step; {self.demanded} was needed"
        if self.taken == "unknown":
            return f"{self.subject}: {self.before} -> {self.after} is no step between versions x.y.z"
        went = f"the version goes back from {self.before} to {self.after}" if self.taken == "back" else f"the version is {self.after}"
        wanted = next_version(self.before, self.demanded)
        beside = ""
        if self.demanded == "major" and self.subject.count(".") == 2 and " " not in self.subject:
            beside = f"; or leave consumers what they have, and make the change in a new port beside it: ./mesh new version {self.subject}"
        return f"{self.subject}: {went}, the changes demand a {self.demanded} step: write {wanted} or higher{beside}"


def largest(steps: Iterable[VersionStep]) -> VersionStep:
    """The largest of some steps."""
    return _ORDER[max((_ORDER.index(step) for step in steps), default=0)]


def step_between(before: Any, after: Any) -> Taken:
    """The step from one version to another. Below 1.0.0 too: consumers pin a major, so only a major step reaches them."""
    old, new = (_VERSION.fullmatch(str(value)) for value in (before, after))
    if str(before) == str(after):
        return "none"
    if old is None or new is None:
        return "unknown"
    left, right = ([int(part) for part in match.groups()] for match in (old, new))
    if right < left:
        return "back"
    for part, step in zip(range(3), reversed(_ORDER), strict=False):
        if left[part] != right[part]:
            return step
    return "none"


def next_version(before: str, step: VersionStep) -> str:
    """The lowest version that takes the step."""
    found = _VERSION.fullmatch(before)
    if found is None:
        return "1.0.0"
    major, minor, patch = (int(part) for part in found.groups())
    return {
        "none": before,
        "patch": f"{major}.{minor}.{patch + 1}",
        "minor": f"{major}.{minor + 1}.0",
        "major": f"{major + 1}.0.0",
    }[step]
