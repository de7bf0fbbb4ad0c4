"""A model of a dbt project as a table of a port: its columns, their types and promises."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from platform_core.transformation.adoption.decision import Decision
from platform_core.transformation.adoption.promises import Promises, read_promises
from platform_core.transformation.starting.column_types import logical_type
from platform_core.transformation.starting.draft import ColumnDraft, TableDraft
from platform_core.transformation.starting.names import fitting

_PERSONAL_META = ("pii", "contains_pii", "is_pii", "has_pii", "personal_data", "gdpr")
_CLASS_META = ("classification", "data_classification", "sensitivity")
_CLASSES = {"restricted": "restricted", "confidential": "confidential", "internal": "internal", "public": "public"}
_PERSONAL_CLASS = "restricted"
_SAYS_PERSONAL = re.compile(r"(?<!no )(?<!non-)(?<!not )\b(PII|personal data|personally identifiable)\b", re.IGNORECASE)
_SOUNDS_PERSONAL = re.compile(
    r"(^|_)(e?_?mail|phone|mobile|first_?name|last_?name|full_?name|surname|birth(day|date|_date)?|dob|ssn|passport|iban|ip_?address|street)(_|$)",
    re.IGNORECASE,
)
_IN_PLACE = {"incremental", "snapshot", "seed", "materialized_view"}

Node = Mapping[str, Any]
Types = Mapping[str, str]


def propose_table(
    node: Node, tests: list[Node], types: Types, name: str, *, known: bool, viewed: bool = False
) -> tuple[TableDraft, Promises, list[Decision]]:
    """A port table for a model.

    Args:
        node: The model in the manifest.
        tests: The tests that are attached to it.
        types: Its columns with their types in Postgres and in their order, as far as they are known.
        name: Name of the table.
        known: Whether ``types`` lists every column; then a column that only the project's YAML names is no column.
        viewed: Whether a view of the project reads it: its rows must stay where they are built.

    Returns:
        The table; its promises, whose references are still open; and what a person must decide.
    """
    promises = read_promises(tests)
    described = {_physical(key, entry, types): entry for key, entry in (node.get("columns") or {}).items()}
    names = list(types) if known else [*types, *(column for column in described if column not in types)]
    decisions: list[Decision] = []
    gone = [column for column in described if column not in names]
    if gone:
        message = f"the project describes {', '.join(gone)}, which the relation does not have"
        decisions.append(Decision("columns-unknown", str(node["name"]), message, "correct the model's YAML", _file(node)))
    key: list[str] = [column for column in map(_plain, node.get("primary_key") or ()) if column in names]
    columns: list[ColumnDraft] = []
    for column in names:
        entry = described.get(column, {})
        physical = types.get(column) or str(entry.get("data_type") or "") or None
        columns.append(_column(column, physical, entry, promises, key, node, decisions))
    if not columns:
        message = "neither its YAML nor a catalog names its columns"
        remedy = "describe them in the model's YAML with data_type, or build it and adopt again: dbt's own tables are read then"
        decisions.append(Decision("columns-unknown", str(node["name"]), message, remedy, _file(node), blocks=True))
    materialized = str((node.get("config") or {}).get("materialized"))
    kept = _of_known(promises, set(names), str(node["name"]))
    table = TableDraft(
        name=name,
        model=str(node.get("alias") or node["name"]),
        columns=tuple(columns),
        description=(str(node.get("description") or "")).strip() or None,
        quality=tuple(kept),
        tags=tuple(sorted({fitting(str(tag), "tag") for tag in node.get("tags") or ()})),
        incremental=viewed and materialized not in _IN_PLACE,
    )
    texts = [column for column in columns if column.logical_type not in ("integer", "number", "boolean")]  # counts and flags name nobody
    sounds = [column.name for column in texts if not column.personal and _SOUNDS_PERSONAL.search(column.name)]
    if sounds:
        message = f"{', '.join(sounds)}: personal data by the name, and nothing in the project says so: the contract calls it internal"
        remedy = "if it is, set classification: restricted and tags: [pii] in the contract; it is masked then"
        decisions.append(Decision("personal-data", str(node["name"]), message, remedy, _file(node)))
    decisions += [
        Decision("test", test, f"of {node['name']}: {reason}", "nothing: it runs with dbt build as before", _file(node))
        for test, reason in promises.left
    ]
    return table, promises, decisions


def _column(
    name: str, physical: str | None, entry: Node, promises: Promises, key: list[str], node: Node, decisions: list[Decision]
) -> ColumnDraft:
    logical = logical_type(physical) if physical else None
    if logical is None:
        message = "nobody names its type" if not physical else f"{physical!r} is no type of Postgres that the standard has a word for"
        remedy = "write logicalType and physicalType in the contract, or build the project and adopt again"
        decisions.append(Decision("column-type", f"{node['name']}.{name}", message, remedy, _file(node), blocks=True))
    classification, tags = _sensitivity(entry)
    if "pii" not in tags and _SAYS_PERSONAL.search(str(entry.get("description") or "")):
        classification, tags = _PERSONAL_CLASS, tuple(sorted({*tags, "pii"}))
        message = "its description calls it personal data: the contract says restricted, readers see it masked"
        decisions.append(Decision("personal-data", f"{node['name']}.{name}", message, "nothing, unless it is none", _file(node)))
    required = name in promises.required or name in key or any(item.get("type") == "not_null" for item in entry.get("constraints") or ())
    unique = (name in promises.unique or any(item.get("type") == "unique" for item in entry.get("constraints") or ())) and key != [name]
    quality = [_typed(clause, logical) for clause in promises.column_quality.get(name, ())]
    return ColumnDraft(
        name=name,
        logical_type=logical or "",
        physical_type=physical,
        description=(str(entry.get("description") or "")).strip() or None,
        required=required,
        unique=unique,
        key_position=key.index(name) + 1 if name in key else 0,
        classification=classification,
        tags=tags,
        options=promises.options.get(name, {}),
        quality=tuple(quality),
        personal=classification in ("restricted", "confidential") or "pii" in tags,
    )


def _typed(clause: Mapping[str, Any], logical: str | None) -> dict[str, Any]:
    """Listed values as values of the column's type: dbt writes them as text, and Postgres casts."""
    values = (clause.get("arguments") or {}).get("validValues")
    if values is None:
        return dict(clause)
    if logical in ("integer", "number"):
        values = [_numeric(value) for value in values]
    elif logical == "boolean":
        values = [value if isinstance(value, bool) else str(value).lower() in ("true", "t", "1", "yes") for value in values]
    elif logical == "string":
        values = [str(value) for value in values]
    return {**clause, "arguments": {"validValues": values}}


def _numeric(value: Any) -> Any:
    try:
        return int(value)
    except ValueError:
        try:
            return float(value)
        except ValueError:
            return value


def _sensitivity(entry: Node) -> tuple[str, tuple[str, ...]]:
    """Classification and tags of a column, from its tags and ``meta`` (in the column or in its ``config``)."""
    config = entry.get("config") or {}
    meta = {str(key).lower(): value for key, value in {**(entry.get("meta") or {}), **(config.get("meta") or {})}.items()}
    tags = {str(tag).lower() for tag in [*(entry.get("tags") or ()), *(config.get("tags") or ())]}
    personal = bool(tags & {"pii", "gdpr", "personal_data", "phi"}) or any(_true(meta.get(key)) for key in _PERSONAL_META)
    given = next((str(meta[key]).lower() for key in _CLASS_META if meta.get(key)), None)
    personal = personal or given in ("pii", "personal", "sensitive")
    classification = _CLASSES.get(given or "", _PERSONAL_CLASS if personal else "internal")
    kept = {fitting(tag, "tag") for tag in tags - {"gdpr", "personal_data", "phi"}}
    return classification, tuple(sorted(kept | ({"pii"} if personal else set())))


def _true(value: Any) -> bool:
    return value is True or str(value).lower() in ("true", "yes", "1", "high", "medium")


def _of_known(promises: Promises, names: set[str], model: str) -> list[dict[str, Any]]:
    """Clauses of the table whose columns exist; promises about others stay dbt tests."""
    kept: list[dict[str, Any]] = []
    for clause in promises.table_quality:
        columns = (clause.get("arguments") or {}).get("properties", ())
        if all(column in names for column in columns):
            kept.append(clause)
        else:
            promises.left.append((f"{clause['metric']} of {model}", "it names a column that is not known"))
    for column in sorted({*promises.required, *promises.unique, *promises.options, *promises.column_quality} - names):
        promises.left.append((f"tests of {model}.{column}", "the column is not known"))
    return kept


def _physical(name: str, entry: Node, types: Types) -> str:
    """A column's name in Postgres: as the catalog has it, else in lower case unless the project quotes it."""
    if name in types:
        return name
    folded = {column.lower(): column for column in types}
    return folded.get(name.lower()) or (name if entry.get("quote") else _plain(name))


def _plain(name: str) -> str:
    return name.strip('"') if name.startswith('"') else name.lower()


def _file(node: Node) -> str:
    patch = str(node.get("patch_path") or "")
    return patch.partition("://")[2] or str(node.get("original_file_path") or "")
