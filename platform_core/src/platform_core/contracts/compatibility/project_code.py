"""What changed in a dbt project beside its models: macros, variables and settings, sources. Rows may be computed in another way by all of it."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from platform_core.contracts.compatibility.change import Change
from platform_core.contracts.compatibility.difference import same
from platform_core.contracts.compatibility.ruling import RULINGS
from platform_core.contracts.compatibility.sql_text import without_comments
from platform_core.contracts.compatibility.state import State
from platform_core.contracts.source import SourceError

_MACRO_FILE = re.compile(r"dbt_projects/(?P<domain>[^/]+)_dbt/macros/.*\.sql")
_SETTINGS = re.compile(r"dbt_projects/(?P<domain>[^/]+)_dbt/(?:dbt_project|packages|dependencies)\.ya?ml")
_PROPERTIES = re.compile(r"dbt_projects/(?P<domain>[^/]+)_dbt/(?:models|seeds|snapshots)/.*\.ya?ml")
_MACRO = re.compile(r"\{%-?\s*(?:macro|test|materialization)\s+(\w+)")
_WORDS = {"description", "docs", "meta", "tests", "data_tests", "columns", "tags", "freshness", "loaded_at_field"}  # no rows hang on them
_Fed = Callable[[str, str | None], tuple[str, ...]]


def project_changes(old: State, new: State, fed: _Fed) -> Iterator[Change]:
    """Changes of a project's macros, settings, and of what its property files say about how models and sources are read or built.

    A project that is new, and what is said of a model that is, change nobody's rows.

    Args:
        old: The state before.
        new: The state after.
        fed: The contracts that hang on a domain's model, by domain and model; of all its models for None.
    """
    known = {path.split("/", 2)[1] for path in old.files if path.startswith("dbt_projects/")}
    for path in {**old.files, **new.files}:
        if old.files.get(path) == new.files.get(path) or (path.startswith("dbt_projects/") and path.split("/", 2)[1] not in known):
            continue
        if match := _MACRO_FILE.fullmatch(path):
            if _text(old, path) != _text(new, path):
                names = set(_MACRO.findall(_text(old, path) + _text(new, path)))
                models = _callers(new, match["domain"], names)
                contracts = tuple(dict.fromkeys(contract for model in models for contract in fed(match["domain"], model)))
                yield _change(old, new, path, match["domain"], ", ".join(sorted(names)) or path.rpartition("/")[2], contracts)
        elif match := _SETTINGS.fullmatch(path):
            for key in _other_keys(_said(old, path), _said(new, path)):
                yield _change(old, new, path, match["domain"], key, fed(match["domain"], None))
        elif match := _PROPERTIES.fullmatch(path):
            before, after = (_entries(_said(state, path)) for state in (old, new))
            for kind, name in _other_keys(before, after):
                if kind == "models" and (match["domain"], name) in new.models and (match["domain"], name) not in old.models:
                    continue
                contracts = fed(match["domain"], name if kind != "sources" else None)
                yield _change(old, new, path, match["domain"], f"{kind}.{name}", contracts)


def _change(old: State, new: State, path: str, domain: str, what: str, contracts: tuple[str, ...]) -> Change:
    action = "changed" if path in old.files and path in new.files else "added" if path in new.files else "removed"
    state = "new" if path in new.files else "old"
    return Change("model", f"{domain}_dbt", what, action, RULINGS["project-changed"], None, None, state, path, 1, contracts)


def _text(state: State, path: str) -> str:
    return " ".join(without_comments(state.files.get(path, b"").decode(errors="replace")).split())


def _said(state: State, path: str) -> Mapping[str, Any]:
    """A YAML file of dbt as data; as its text where it cannot be read, which dbt will say."""
    if path not in state.files:
        return {}
    try:
        return state.document(path).data
    except SourceError:
        return {"the file": state.files[path].decode(errors="replace")}


def _entries(data: Mapping[str, Any]) -> dict[tuple[str, str], Any]:
    """What a property file says of each model, seed, snapshot and source, without words and tests."""
    found: dict[tuple[str, str], Any] = {("the file", ""): data["the file"]} if "the file" in data else {}
    for kind in ("models", "seeds", "snapshots", "sources"):
        items: Any = data.get(kind)
        for item in items if isinstance(items, list) else ():
            if isinstance(item, dict):
                found[kind, str(item.get("name"))] = _read(item)
    return found


def _read(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _read(inner) for key, inner in value.items() if key not in _WORDS}
    return [_read(item) for item in value] if isinstance(value, list) else value


def _other_keys(before: Mapping[Any, Any], after: Mapping[Any, Any]) -> list[Any]:
    return [key for key in {**before, **after} if (key in before) != (key in after) or not same(before.get(key), after.get(key))]


def _callers(state: State, domain: str, names: set[str]) -> list[str]:
    """The models that call one of the macros, also through macros of the same project."""
    prefix = f"dbt_projects/{domain}_dbt/macros/"
    macros = {path: _text(state, path) for path in state.files if path.startswith(prefix) and path.endswith(".sql")}
    known: set[str] = set()
    wanted = set(names)
    while wanted - known:
        known |= wanted
        calls = _calls(known)
        wanted |= {name for text in macros.values() if calls.search(text) for name in _MACRO.findall(text)}
    calls = _calls(known)
    return [name for (owner, name), path in state.models.items() if owner == domain and calls.search(_text(state, path))]


def _calls(names: set[str]) -> re.Pattern[str]:
    return re.compile(rf"\b(?:{'|'.join(map(re.escape, sorted(names)))})\s*\(") if names else re.compile(r"(?!)")
