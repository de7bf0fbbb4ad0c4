"""Types of a model's columns as its SQL says them: casts, and what Postgres makes of columns whose type is known.

Only what is certain is inferred; everything else stays unknown, and is asked of a person or read from the built relation.
Rules of Postgres: a table made by a query keeps a column's type and modifier only where the column is handed on as it is;
``sum`` of integers is ``bigint``, of ``bigint`` and ``numeric`` is ``numeric``; ``count`` and ``row_number`` are ``bigint``.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from graphlib import TopologicalSorter
from typing import Any

Types = Mapping[str, str]

_NAMES = {"decimal": "numeric", "int": "integer", "varchar": "character varying", "char": "character", "double": "double precision"}
_SMALL = {"smallint", "integer"}


def infer_types(models: Iterable[Mapping[str, Any]], known: Mapping[str, Types]) -> dict[str, dict[str, str]]:
    """Types by ``unique_id``.

    Args:
        models: Compiled models, as ``lineage.compile_projects`` describes them.
        known: Relation (``schema.name``) to the columns whose type is known: sources, seeds, what was built before.
    """
    relations: dict[str, dict[str, str]] = {name: dict(types) for name, types in known.items()}
    found: dict[str, dict[str, str]] = {}
    by_id = {str(model["id"]): model for model in models}
    order = TopologicalSorter({key: [parent for parent in model["parents"] if parent in by_id] for key, model in by_id.items()})
    for model in (by_id[key] for key in order.static_order()):
        name = f"{model['schema']}.{model['alias']}"
        if model["sql"] and not model["failed"]:
            own = _of_query(model["sql"][0], relations)
            relations[name] = {**own, **relations.get(name, {})}
            found[model["id"]] = own
    return found


def _of_query(sql: str, relations: Mapping[str, Types]) -> dict[str, str]:
    from sqlglot import errors, exp, parse_one
    from sqlglot.optimizer.qualify import qualify
    from sqlglot.optimizer.scope import build_scope

    try:
        tree = parse_one(sql, dialect="postgres")
        schema: dict[str, dict[str, dict[str, str]]] = {}
        for name, types in relations.items():
            owner, _, relation = name.partition(".")
            if types:
                schema.setdefault(owner, {})[relation] = dict(types)
        database = {str(table.catalog) for table in tree.find_all(exp.Table)} - {""}
        whole: Any = dict.fromkeys(database, schema) if database and schema else schema
        tree = qualify(tree, schema=whole, dialect="postgres", validate_qualify_columns=False)
        scope = build_scope(tree)
    except (errors.SqlglotError, RecursionError, ValueError):
        return {}  # what is not understood is unknown; the report names the column
    types = _of_scope(scope, relations) if scope is not None else {}
    return {name: kind for name, kind in types.items() if kind and name not in ("", "*")}


def _of_scope(scope: Any, relations: Mapping[str, Types]) -> dict[str, str | None]:
    """The output columns of a query; of a union, those whose type every branch agrees on, modifier included."""
    if scope.set_operation_scopes:
        branches = [list(_of_scope(branch, relations).items()) for branch in scope.set_operation_scopes]
        first = branches[0]
        if any(len(branch) != len(first) for branch in branches):
            return {}
        return {name: kind if all(branch[at][1] == kind for branch in branches) else None for at, (name, kind) in enumerate(first)}
    if not hasattr(scope.expression, "selects"):
        return {}
    return {item.alias_or_name: _of_expression(item.unalias(), scope, relations) for item in scope.expression.selects}


def _of_expression(node: Any, scope: Any, relations: Mapping[str, Types]) -> str | None:
    from sqlglot import exp

    if isinstance(node, exp.Paren):
        return _of_expression(node.this, scope, relations)
    if isinstance(node, exp.Cast):
        return _printed(node.to.sql("postgres"))
    if isinstance(node, exp.Column):
        return _of_column(node, scope, relations)
    if isinstance(node, exp.Window):
        return _of_expression(node.this, scope, relations)
    if isinstance(node, exp.Count | exp.RowNumber):
        return "bigint"
    if isinstance(node, exp.CurrentDate):
        return "date"
    if isinstance(node, exp.Boolean | exp.Predicate | exp.Connector | exp.Not):
        return "boolean"
    if isinstance(node, exp.Literal) and node.is_string:
        return "text"
    if isinstance(node, exp.Literal):
        return "integer" if node.is_int and abs(int(node.this)) < 2**31 else None
    if isinstance(node, exp.Lower | exp.Upper | exp.Trim | exp.Concat | exp.DPipe):
        return "text"
    if isinstance(node, exp.Max | exp.Min):
        kind = _bare(_of_expression(node.this, scope, relations))
        return "text" if kind == "character varying" else kind
    if isinstance(node, exp.Sum):
        kind = _bare(_of_expression(node.this, scope, relations))
        return {**dict.fromkeys(_SMALL, "bigint"), "bigint": "numeric", "numeric": "numeric", "double precision": kind}.get(kind or "")
    return None


def _of_column(node: Any, scope: Any, relations: Mapping[str, Types]) -> str | None:
    from sqlglot import exp

    source = scope.sources.get(node.table)
    if isinstance(source, exp.Table):
        return relations.get(f"{source.db}.{source.name}", {}).get(node.name)
    return _of_scope(source, relations).get(node.name) if source is not None else None


def _printed(text: str) -> str:
    """A type as Postgres prints it, as far as the names of sqlglot differ."""
    plain = re.sub(r",\s+", ",", text.lower())
    word = re.match(r"[a-z ]+", plain)
    name = word[0].strip() if word else plain
    return plain.replace(name, _NAMES.get(name, name), 1)


def _bare(kind: str | None) -> str | None:
    return re.sub(r"\s*\([^)]*\)", "", kind) if kind else None
