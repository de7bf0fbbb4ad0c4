"""What became of the dbt models: gone under a promise, written anew, or new; and the ports that hang on them."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from platform_core.contracts.clauses import physical_name
from platform_core.contracts.compatibility.change import Change
from platform_core.contracts.compatibility.column_use import ColumnTraces
from platform_core.contracts.compatibility.ruling import RULINGS
from platform_core.contracts.compatibility.sql_text import without_comments
from platform_core.contracts.compatibility.state import State, text_of
from platform_core.contracts.source import Document

_REF = re.compile(r"\bref\s*\(\s*(?:['\"][^'\"]+['\"]\s*,\s*)?['\"]([^'\"]+)['\"]")
_Model = tuple[str, str]


def contract_documents(state: State) -> Iterable[Document]:
    """The contracts of a state that can be read."""
    return state.readable(path for path in state.product_files if ".odcs." in path)[0].values()


def named(item: Any) -> str | None:
    """Physical name of a table or column, None for what has no name."""
    return physical_name(item) if isinstance(item, dict) and (item.get("physicalName") or "name" in item) else None


def model_changes(old: State, new: State, traces: ColumnTraces | None = None) -> Iterator[Change]:
    """What became of the dbt models: gone under a promise, written anew, or new.

    The ports behind a changed model are told by column lineage where ``traces`` know it, else by the names in ``ref``.
    """
    touched = [key for key, path in old.models.items() if key not in new.models or old.files[path] != new.files[new.models[key]]]
    promised = _promised(new) if touched else {}
    fed = _fed(new, promised) if touched else {}
    for domain, name in touched:
        path, later = old.models[domain, name], new.models.get((domain, name))
        contracts = promised.get((domain, name), ())
        subject = f"{domain}/{name}"
        if later is None:
            made_in_python = _named_in_python(new, domain, name)
            ruling = RULINGS[
                "model-removed" if contracts and not made_in_python else "model-source" if contracts else "model-unused-removed"
            ]
            yield Change("model", subject, "", "removed", ruling, None, None, "old", path, 1, contracts, table=name)
        elif _code(old.files[path]) != _code(new.files[later]):
            line = _first_other_line(old.files[path], new.files[later])
            traced = traces.feeds(later) if traces else None
            reached = fed.get((domain, name), ()) if traced is None else traced
            yield Change("model", subject, "", "changed", RULINGS["model-changed"], None, None, "new", later, line, reached)
    for key, path in new.models.items():
        if key not in old.models:
            yield Change("model", "/".join(key), "", "added", RULINGS["model-added"], None, None, "new", path, 1)


def hanging_on(state: State) -> Callable[[str, str | None], tuple[str, ...]]:
    """Answers which contracts hang on a domain's model, by domain and model; on all its models for None. Nothing is read before the first question."""

    @functools.cache
    def fed() -> Mapping[_Model, tuple[str, ...]]:
        return _fed(state, _promised(state))

    def contracts(domain: str, model: str | None) -> tuple[str, ...]:
        found = (names for key, names in fed().items() if key == (domain, model) or (model is None and key[0] == domain))
        return tuple(dict.fromkeys(name for names in found for name in names))

    return contracts


def _promised(state: State) -> dict[tuple[str, str], tuple[str, ...]]:
    """Domain and candidate relation to the contracts that it fills."""
    found: dict[tuple[str, str], tuple[str, ...]] = {}
    for document in contract_documents(state):
        contract = text_of(document.data.get("id"))
        tables = document.data.get("schema")
        for table in tables if contract and isinstance(tables, list) else ():
            name = named(table)
            if name is None or contract is None:
                continue
            properties = table.get("customProperties")
            entries = [entry for entry in (properties if isinstance(properties, list) else []) if isinstance(entry, dict)]
            model = next((str(entry.get("value")) for entry in entries if entry.get("property") == "model"), name)
            key = (contract.partition(".")[0], model)
            found[key] = (*found.get(key, ()), contract)
    return found


def _fed(state: State, promised: Mapping[_Model, tuple[str, ...]]) -> dict[_Model, tuple[str, ...]]:
    """Every model to the contracts that it fills, directly or through the models that refer to it."""
    found: dict[_Model, tuple[str, ...]] = {}
    for model, contracts in promised.items():
        seen: set[_Model] = set()
        queue = [model]
        while queue:
            current = queue.pop()
            if current in seen or current not in state.models:
                continue
            seen.add(current)
            found[current] = tuple(dict.fromkeys((*found.get(current, ()), *contracts)))
            queue += [(current[0], name) for name in _REF.findall(_code(state.files[state.models[current]]))]
    return found


def _named_in_python(state: State, domain: str, name: str) -> bool:
    word = re.compile(rf"\b{re.escape(name)}\b".encode())
    prefix = f"domains/{domain}/src/"
    return any(path.startswith(prefix) and path.endswith(".py") and word.search(content) for path, content in state.files.items())


def _code(content: bytes) -> str:
    return " ".join(without_comments(content.decode(errors="replace")).split())


def _first_other_line(before: bytes, after: bytes) -> int:
    old, new = before.splitlines(), after.splitlines()
    return next(
        (number for number, (left, right) in enumerate(zip(old, new, strict=False), 1) if left != right), min(len(old), len(new)) or 1
    )
