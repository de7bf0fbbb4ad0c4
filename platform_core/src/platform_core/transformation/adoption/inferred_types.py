"""Types of a model's columns as its SQL says them: casts, and what Postgres makes of columns whose type is known.

Only what is certain is inferred; everything else stays unknown, and is asked of a person or read from the built relation.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

from platform_core.transformation.adoption.expression_types import DATE_PART, type_of

Types = Mapping[str, str]


def infer_types(models: Iterable[Mapping[str, Any]], known: Mapping[str, Types], whole: Iterable[str] = ()) -> dict[str, dict[str, str]]:
    """Types by ``unique_id``.

    Args:
        models: Compiled models, as ``lineage.compile_projects`` describes them.
        known: Relation (``schema.name``) to the columns whose type is known: sources, seeds, what was built before.
        whole: The relations of which ``known`` names every column.
    """
    relations: dict[str, dict[str, str]] = {name: dict(types) for name, types in known.items()}
    found: dict[str, dict[str, str]] = {}
    names = {name: list(known[name]) for name in whole}
    by_id = {str(model["id"]): model for model in models}
    order = TopologicalSorter({key: [parent for parent in model["parents"] if parent in by_id] for key, model in by_id.items()})
    for model in (by_id[key] for key in order.static_order()):
        name = f"{model['schema']}.{model['alias']}"
        if model["sql"] and not model["failed"]:
            outputs = _of_query(model["sql"][0], relations, names)
            own = {column: kind for column, kind in outputs.items() if kind and column not in ("", "*")}
            if outputs and "*" not in outputs and not relations.get(name):
                names[name] = list(outputs)
            relations[name] = {**own, **relations.get(name, {})}
            found[model["id"]] = own
    return found


def _of_query(sql: str, relations: Mapping[str, Types], names: Mapping[str, Iterable[str]]) -> dict[str, str | None]:
    """The columns that a query gives, with their types where they are certain; nothing for a query that is not understood."""
    from sqlglot import errors, exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        tree = parse_one(re.sub(r"\bdate_part\b(?=\s*\()", DATE_PART, sql, flags=re.IGNORECASE), dialect="postgres")
        schema: dict[str, dict[str, dict[str, str]]] = {}
        for name, columns in names.items():  # only relations of which every column is known: others could have more
            owner, _, relation = name.partition(".")
            schema.setdefault(owner, {})[relation] = dict.fromkeys(columns, "text")
        database = {str(table.catalog) for table in tree.find_all(exp.Table)} - {""}
        whole: Any = dict.fromkeys(database, schema) if database and schema else schema
        tree = qualify(tree, schema=whole, dialect="postgres", validate_qualify_columns=False)
        scope = build_scope(tree)
    except (errors.SqlglotError, RecursionError, ValueError):
        return {}  # what is not understood is unknown; the report names the column
    return _of_scope(scope, relations, {}) if scope is not None else {}


def _of_scope(scope: Any, relations: Mapping[str, Types], seen: dict[int, dict[str, str | None]]) -> dict[str, str | None]:
    """The output columns of a query; of a union, those whose type every branch agrees on, modifier included."""
    if id(scope) in seen:
        return seen[id(scope)]
    found: dict[str, str | None] = {}
    if scope.set_operation_scopes:
        branches = [list(_of_scope(branch, relations, seen).items()) for branch in scope.set_operation_scopes]
        first = branches[0]
        if all(len(branch) == len(first) for branch in branches):
            found = {name: kind if all(branch[at][1] == kind for branch in branches) else None for at, (name, kind) in enumerate(first)}
    elif hasattr(scope.expression, "selects"):

        def column(node: Any) -> str | None:
            return _of_column(node, scope, relations, seen)

        found = {item.alias_or_name: type_of(item.unalias(), column) for item in scope.expression.selects}
    seen[id(scope)] = found
    return found


def _of_column(node: Any, scope: Any, relations: Mapping[str, Types], seen: dict[int, dict[str, str | None]]) -> str | None:
    from sqlglot import exp

    selected = scope.selected_sources
    # Without a table's name it is of the only relation that is read; of several, nobody knows.
    found = selected.get(node.table) if node.table else next(iter(selected.values())) if len(selected) == 1 else None
    source = found[1] if found else scope.sources.get(node.table)
    if isinstance(source, exp.Table):
        return relations.get(f"{source.db}.{source.name}", {}).get(node.name)
    return _of_scope(source, relations, seen).get(node.name) if source is not None else None
