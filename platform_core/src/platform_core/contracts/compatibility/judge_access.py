"""Judges of who may see what: classification, tags, roles, and custom properties that govern protection or meaning."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from platform_core.contracts.compatibility.difference import Difference
from platform_core.contracts.compatibility.judge_levels import objectives
from platform_core.contracts.compatibility.judgement import Clause, by_action, once
from platform_core.contracts.sensitivity import LEVELS, PERSONAL_CLASSES
from platform_core.contracts.service_level_clauses import OBJECTIVES

_PERSONAL_TAG = re.compile(r"(?:.*[\W_])?(?:pii|personal|sensitive|gdpr|phi|pci|restricted|confidential)(?:[\W_].*)?", re.IGNORECASE)
_PROTECTION = re.compile(r"mask|row.?filter|row.?polic|policy|access|declassif|anonym|encrypt|consent|purpose", re.IGNORECASE)
_RETENTION = re.compile(r"retention|time.?to.?live|ttl|archiv|delet", re.IGNORECASE)
_MEANING = re.compile(r"(?:.*[\W_])?(?:unit|units|currency|time.?zone|scale|encoding|locale)(?:[\W_].*)?", re.IGNORECASE)
_MODEL = {"model", "incremental"}
_LIFE = {"successor", "endOfSupport", "keepPublications", "keepDays"}


def _classification(difference: Difference) -> str:
    before, after = (str(value or "").strip().lower() for value in (difference.before, difference.after))
    if before == after:
        return "same-meaning"
    if before not in LEVELS or after not in LEVELS:
        return "classification-unknown"
    if LEVELS[after] < LEVELS[before] or (before in PERSONAL_CLASSES and after not in PERSONAL_CLASSES):
        return "classification-lowered"
    if after in PERSONAL_CLASSES and before not in PERSONAL_CLASSES and "pii" not in _tags(difference.inner[0]):
        return "classification-masks"
    return "classification-raised" if LEVELS[after] > LEVELS[before] else "same-meaning"


def _tags(column: Mapping[str, Any]) -> list[Any]:
    tags = column.get("tags")
    return tags if isinstance(tags, list) else []


def _tag(difference: Difference) -> str:
    """A tag of a column masks it; one of a table or contract is for the catalog."""
    if difference.action not in {"added", "removed"}:
        return by_action(difference, added="tag-added", removed="tag-removed", changed="tag-removed")
    tag = str(difference.before if difference.action == "removed" else difference.after)
    personal = _PERSONAL_TAG.fullmatch(tag) is not None
    if difference.action == "removed":
        return "personal-tag-removed" if personal else "tag-removed"
    column = difference.inner[0]
    masked = "pii" in _tags(column) or str(column.get("classification") or "").lower() in PERSONAL_CLASSES
    return "classification-masks" if tag == "pii" and "properties" in difference.shape and not masked else "tag-added"


def _role(difference: Difference) -> str:
    return by_action(difference, added="role-added", removed="role-removed", changed="role-access")


def _governed(added: str, changed: str, difference: Difference) -> str:
    return by_action(difference, added=added, removed=changed, changed=changed)


def _custom(difference: Difference) -> str:
    """What a custom property is about is told by its name; one that nothing knows is named for a person to judge."""
    if difference.action == "reordered":
        return "order"
    sides: tuple[Mapping[str, Any], Mapping[str, Any]] = difference.holder("property")
    if difference.shape.endswith("customProperties[]"):
        item = difference.after or difference.before
        sides = (item, item) if isinstance(item, dict) else ({}, {})
    name = str(sides[0].get("property") or sides[1].get("property") or "")
    if difference.shape.endswith((".description", ".id", ".vendor")):
        return "documentation"
    if name == "domains" and "roles[]" in difference.shape:
        return _domains(sides)
    if name in _LIFE and difference.shape.startswith("customProperties"):
        return _life(name, difference)
    if name == "mask" and difference.shape.startswith("schema[].properties[]"):
        return "own-mask"
    if name == OBJECTIVES and difference.shape.startswith("customProperties"):
        return objectives(difference)
    if name in _MODEL:
        return "model-source"
    if _RETENTION.search(name):
        return _retention(difference)
    if _PROTECTION.search(name):
        return "protection"
    if _MEANING.fullmatch(name):
        return _governed("custom-meaning-added", "unit" if "unit" in name.lower() or "currency" in name.lower() else "meaning", difference)
    return "unknown"


def _domains(sides: tuple[Mapping[str, Any], Mapping[str, Any]]) -> str:
    """Which domains read without asking. That a list comes or goes opens the role or closes it: for a person to judge."""
    before, after = (side.get("value") for side in sides)
    if sides[0] is sides[1] or not isinstance(before, list) or not isinstance(after, list):
        return "role-access"
    old, new = ({str(domain) for domain in value} for value in (before, after))
    return "same-meaning" if old == new else "role-added" if old < new else "role-access"


def _life(name: str, difference: Difference) -> str:
    """What the platform knows of a port's end and of its former publications (see ``lifecycle``)."""
    if name != "endOfSupport":
        return "documentation" if name == "successor" else "storage"
    if difference.shape.endswith("[]"):
        return by_action(difference, added="deprecated", removed="level-tightened", changed="level-changed")
    before, after = (str(value) for value in (difference.before, difference.after))
    days = [re.fullmatch(r"\d{4}-\d{2}-\d{2}", value) for value in (before, after)]
    return "level-changed" if not all(days) else "level-tightened" if after > before else "level-loosened"


def _retention(difference: Difference) -> str:
    """``30d`` to ``60d`` keeps more; what has no such form counts as less."""
    amounts = [re.fullmatch(r"(\d{1,9}(?:\.\d+)?)\s*(\D*)", str(value).strip()) for value in (difference.before, difference.after)]
    if not all(amounts) or difference.action != "changed":
        return "retention-shortened"
    old, new = ((float(match[1]), match[2]) for match in amounts if match)
    return "retention-extended" if old[1] == new[1] and new[0] > old[0] else "retention-shortened"


CLAUSES: tuple[Clause, ...] = (
    Clause(r"schema\[\]\.properties\[\]\.classification", _classification),
    Clause(r"(?:schema\[\]\.)?(?:properties\[\]\.)?tags(?:\[\])?", _tag),
    Clause(r"(?:inputPorts|outputPorts|managementPorts|support|team)(?:\[\])?(?:\.members\[\])?\.tags(?:\[\])?", _tag),
    Clause(r"(?:servers\[\]\.)?roles(?:\[\])?", _role),
    Clause(r"(?:servers\[\]\.)?roles\[\]\.(?:role|access)", once("role-access")),
    Clause(r"(?:servers\[\]\.)?roles\[\]\.(?:first|second)LevelApprovers", once("role-approvers")),
    Clause(r"(?:servers\[\]\.)?roles\[\]\.(?:id|description)", once("documentation")),
    Clause(r"(?!slaProperties|inputPorts).*customProperties(?:\[\].*)?", _custom),
)
