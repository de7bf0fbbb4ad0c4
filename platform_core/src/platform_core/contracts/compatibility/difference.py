"""What differs between two documents, without judging it. Every difference has a path; none is left out.

Items of a list are matched by what names them in the standards (a column by ``name``, a role by ``role``), so that an inserted
line does not shift all that follow; a list of plain values is compared as a set, and its order apart.
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from platform_core.contracts.clause_paths import folded
from platform_core.contracts.reference import read_reference
from platform_core.contracts.source import Step

Action = Literal["added", "removed", "changed", "renamed", "reordered"]
Pair = tuple[Mapping[str, Any], Mapping[str, Any]]

# What names an item of a list, by the list's key: ODCS v3.0 to v3.2 and ODPS v1.1.
_NAMED_BY: Mapping[str, tuple[str, ...]] = {
    "schema": ("name",),
    "properties": ("name",),
    "roles": ("role",),
    "slaProperties": ("property", "element"),
    "customProperties": ("property",),
    "members": ("username",),
    "team": ("username",),
    "support": ("channel",),
    "servers": ("server",),
    "inputPorts": ("name",),
    "outputPorts": ("name",),
    "managementPorts": ("name",),
    "relationships": ("from", "to"),
    "authoritativeDefinitions": ("url",),
    "enum": ("value",),
    "inputContracts": ("id",),
    "synonyms": ("synonym",),
    "sbom": ("url",),
}
_SETS = {"tags", "enum", "validValues", "missingValues", "properties", "required", "synonyms", "roles"}
_LABELS = {"id", "name", "description", "businessName"}  # what a renamed item may differ in beside its name
_MAY_BE_RENAMED = {"properties", "quality", "schema"}


@dataclass(frozen=True)
class Difference:
    """One difference.

    Attributes:
        action: What happened to the value at the path.
        shape: The path with ``[]`` for items of lists and nested columns folded into one: ``schema[].properties[].required``.
        path: The path with names for items, as people read it: ``schema.orders.properties.status.required``.
        before: The old value, None when there was none.
        after: The new value, None when there is none.
        old_steps: Keys and indexes in the old document, as far as they exist there.
        new_steps: The same in the new document.
        around: The mappings around the value in both states, from the root inwards; empty mappings where there was none.
    """

    action: Action
    shape: str
    path: str
    before: Any
    after: Any
    old_steps: tuple[Step, ...]
    new_steps: tuple[Step, ...]
    around: tuple[Pair, ...]

    @property
    def inner(self) -> Pair:
        """The innermost mapping around the value, before and after."""
        return self.around[-1] if self.around else ({}, {})

    def holder(self, *keys: str) -> Pair:
        """The innermost mapping around the value that has one of the keys in a state."""
        return next((pair for pair in reversed(self.around) if any(key in side for key in keys for side in pair)), ({}, {}))


@dataclass(frozen=True)
class _At:
    """A place in both documents."""

    shape: str = ""
    path: str = ""
    old: tuple[Step, ...] = ()
    new: tuple[Step, ...] = ()
    around: tuple[Pair, ...] = ()

    def key(self, name: str) -> _At:
        dot = "." if self.path else ""
        shown = name if name.strip() else repr(name)
        return _At(f"{self.shape}{dot}{shown}", f"{self.path}{dot}{shown}", (*self.old, name), (*self.new, name), self.around)

    def item(self, name: str, old: int | None, new: int | None) -> _At:
        old_steps = self.old if old is None else (*self.old, old)
        new_steps = self.new if new is None else (*self.new, new)
        return _At(f"{self.shape}[]", f"{self.path}.{name}", old_steps, new_steps, self.around)

    def within(self, before: Mapping[str, Any], after: Mapping[str, Any]) -> _At:
        return _At(self.shape, self.path, self.old, self.new, (*self.around, (before, after)))

    def told(self, action: Action, before: Any, after: Any) -> Difference:
        return Difference(action, folded(self.shape), self.path, before, after, self.old, self.new, self.around)


def differences(before: Any, after: Any) -> Iterator[Difference]:
    """Every difference between two documents of plain data; none for equal ones."""
    return _compare(before, after, _At(), "")


def same(before: Any, after: Any) -> bool:
    """Equality that tells ``1`` from ``1.0`` and from ``true``, and finds NaN equal to itself."""
    return _text(before) == _text(after)


def _text(value: Any) -> str:
    return json.dumps(value, sort_keys=True, default=str)


def _compare(before: Any, after: Any, at: _At, key: str) -> Iterator[Difference]:
    if same(before, after):
        return
    if isinstance(before, dict) and isinstance(after, dict):
        yield from _mappings(before, after, at)
    elif isinstance(before, list) and isinstance(after, list) and _is_listing(key, [*before, *after]):
        yield from _lists(before, after, at, key)
    else:
        yield at.told("changed", before, after)


def _mappings(before: dict[str, Any], after: dict[str, Any], at: _At) -> Iterator[Difference]:
    inside = at.within(before, after)
    for key in dict.fromkeys([*before, *after]):
        place = inside.key(key)
        if key in before and key in after:
            yield from _compare(before[key], after[key], place, key)
            continue
        # A whole clause that comes or goes is told part by part, so that each part is judged by its own rule.
        value = before[key] if key in before else after[key]
        parts: list[Difference] = []
        if isinstance(value, dict | list):
            empty: Any = type(value)()
            parts = list(_compare(value, empty, place, key) if key in before else _compare(empty, value, place, key))
        if parts and not any(part.path == place.path for part in parts):
            yield from parts
        else:
            yield place.told("removed" if key in before else "added", before.get(key), after.get(key))


def _is_listing(key: str, items: list[Any]) -> bool:
    plain = all(isinstance(item, str | int | float | bool) for item in items)
    if key == "enum":
        return all(isinstance(item, str | int | float | bool | dict) for item in items)
    return (plain and key in _SETS) or (all(isinstance(item, dict) for item in items) and (key in _NAMED_BY or key == "quality"))


def _lists(before: list[Any], after: list[Any], at: _At, key: str) -> Iterator[Difference]:
    if key != "enum":
        yield from _items(before, after, at, key)
        return
    # A valid value may stand by itself, or as ``value`` beside words about it.
    left, right = ([item if isinstance(item, dict) else {"value": item} for item in items] for items in (before, after))
    found = list(_items(left, right, at, key))
    yield from found or [at.told("changed", before, after)]


def _items(before: list[Any], after: list[Any], at: _At, key: str) -> Iterator[Difference]:
    old, new = _by_name(before, key), _by_name(after, key)
    matched: list[tuple[str, int, int]] = []
    gone: list[tuple[str, int]] = []
    come: list[tuple[str, int]] = []
    for name in dict.fromkeys([*old, *new]):
        pairs, left, right = _pairs(before, after, old.get(name, []), new.get(name, []))
        matched += [(name, *pair) for pair in pairs]
        gone += [(name, index) for index in left]
        come += [(name, index) for index in right]
    for name, left_index, right_index in matched:
        yield from _compare(before[left_index], after[right_index], at.item(name, left_index, right_index), "")
    for name, index in gone:
        other = next((found for found in come if key in _MAY_BE_RENAMED and _only_renamed(before[index], after[found[1]])), None)
        if other is not None:
            come.remove(other)
            yield at.item(name, index, other[1]).told("renamed", before[index], after[other[1]])
        else:
            yield at.item(name, index, None).told("removed", before[index], None)
    for name, index in come:
        yield at.item(name, None, index).told("added", None, after[index])
    order = [new_index for _, _, new_index in sorted(matched, key=lambda match: match[1])]
    if order != sorted(order):
        yield at.told("reordered", None, None)


def _by_name(items: list[Any], key: str) -> dict[str, list[int]]:
    found: dict[str, list[int]] = defaultdict(list)
    for index, item in enumerate(items):
        found[_name(item, key)].append(index)
    return found


def _name(item: Any, key: str) -> str:
    if not isinstance(item, dict):
        return _unmistakable(item)
    if key == "quality":
        return str(item.get("name") or item.get("metric") or item.get("rule") or item.get("type") or "rule")
    if key == "relationships":
        item = {side: referred(item.get(side)) for side in ("from", "to")}
    parts = [item[part] for part in _NAMED_BY.get(key, ()) if item.get(part) is not None]
    return ".".join(_unmistakable(part) if key == "enum" or not isinstance(part, str) else part for part in parts) or "unnamed"


def referred(value: Any) -> Any:
    """What a side of a relationship names, alike in every notation of the standard: product, table and column."""
    if isinstance(value, list):
        return referred(value[0]) if len(value) == 1 else [referred(item) for item in value]
    if not isinstance(value, str):
        return value
    target = read_reference(value, Path())
    return ".".join([*target.owner.split(".")[:2], *filter(None, (target.table, target.column))]).strip(".")


def _unmistakable(value: Any) -> str:
    """A value as people write it; a text that looks like a number or a truth value gets its quotes."""
    if not isinstance(value, str):
        return _text(value)
    try:
        json.loads(value)
    except (ValueError, RecursionError):
        return value
    return _text(value)


def _pairs(before: list[Any], after: list[Any], old: list[int], new: list[int]) -> tuple[list[tuple[int, int]], list[int], list[int]]:
    """Items of one name: equal ones belong together, then the others in their order."""
    pairs: list[tuple[int, int]] = []
    left, right = list(old), list(new)
    for index in old:
        equal = next((other for other in right if same(before[index], after[other])), None)
        if equal is not None:
            pairs.append((index, equal))
            left.remove(index)
            right.remove(equal)
    pairs += zip(left, right, strict=False)
    shared = min(len(left), len(right))
    return pairs, left[shared:], right[shared:]


def _only_renamed(before: Any, after: Any) -> bool:
    if not isinstance(before, dict) or not isinstance(after, dict):
        return False
    kept = [{key: value for key, value in item.items() if key not in _LABELS and key != "physicalName"} for item in (before, after)]
    return len(kept[0]) > 1 and same(kept[0], kept[1])
