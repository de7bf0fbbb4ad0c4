"""The next version of a candidate that Python builds: the module of its asset under the next name, as a model of dbt is copied.

The module is read, never run: which asset it defines is found in its syntax. It is copied only when that asset is all it defines, since
any other definition would be there twice.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from platform_core.contracts import naming
from platform_core.transformation.project import TransformationError

_DAGSTER = "dagster"


@dataclass(frozen=True)
class CopiedAsset:
    """The asset of a candidate in Python.

    Attributes:
        path: The module that defines it.
        text: That module under the next name; None when it defines other things too.
        others: Names of these.
    """

    path: Path
    text: str | None
    others: tuple[str, ...] = ()


def copied_asset(folder: Path, domain: str, model: str, copied: str) -> CopiedAsset | None:
    """The module below ``folder`` whose asset builds a model, under the next name.

    Args:
        folder: The domain's package.
        domain: The domain.
        model: Name of the relation in the build schema.
        copied: The next one.

    Returns:
        None when no module has such an asset in a form that is known: ``key`` or ``key_prefix`` in literals, on a function.

    Raises:
        TransformationError: A module that names the model is no Python.
    """
    key = naming.build_key(domain, model)
    for path in sorted(folder.rglob("*.py")):
        text = path.read_text(encoding="utf-8")
        if model not in text:
            continue
        try:
            module = ast.parse(text, str(path))
        except SyntaxError as error:
            raise TransformationError(f"is no Python: {error.msg}", where=f"{path}:{error.lineno}", remedy="correct it first") from error
        functions = [node for node in module.body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
        found = [node for node in functions if any(_key(decorator, node.name) == key for decorator in node.decorator_list)]
        if found:
            others = tuple(name for name in _definitions(module) if name != found[0].name)
            return CopiedAsset(path, None if others else _renamed(text, found[0], domain, model, copied), others)
    return None


def _key(decorator: ast.expr, function: str) -> tuple[str, ...] | None:
    """The key that ``@asset(...)`` gives its function; None for another decorator, or one that only running tells."""
    if not isinstance(decorator, ast.Call) or _last(decorator.func) != "asset":
        return None
    given = {keyword.arg: keyword.value for keyword in decorator.keywords}
    if "key" in given:
        return literal_key(given["key"])
    prefix = literal_key(given["key_prefix"]) if "key_prefix" in given else ()
    name = literal_key(given["name"]) if "name" in given else (function,)
    return None if prefix is None or name is None else (*prefix, *name)


def literal_key(value: ast.expr) -> tuple[str, ...] | None:
    """The asset key that an expression stands for; None for one that only running tells."""
    if isinstance(value, ast.Call) and _last(value.func) == "AssetKey" and len(value.args) == 1:
        value = value.args[0]
    try:
        literal = ast.literal_eval(value)
    except ValueError:
        return None
    if isinstance(literal, str):
        return tuple(literal.split("/"))
    return tuple(literal) if isinstance(literal, list | tuple) and all(isinstance(part, str) for part in literal) else None


def _last(function: ast.expr) -> str:
    return function.attr if isinstance(function, ast.Attribute) else function.id if isinstance(function, ast.Name) else ""


def _definitions(module: ast.Module) -> Iterator[str]:
    """Names of the module that Dagster would find: functions that it decorates, and what its calls give."""
    imported = {
        alias.asname or alias.name
        for node in ast.walk(module)
        if isinstance(node, ast.Import | ast.ImportFrom)
        for alias in node.names
        if (node.module if isinstance(node, ast.ImportFrom) else alias.name) == _DAGSTER
    }

    def of_dagster(value: ast.expr) -> bool:
        while isinstance(value, ast.Call | ast.Attribute):
            value = value.func if isinstance(value, ast.Call) else value.value
        return isinstance(value, ast.Name) and value.id in imported

    for node in module.body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and any(of_dagster(decorator) for decorator in node.decorator_list):
            yield node.name
        elif isinstance(node, ast.Assign | ast.AnnAssign) and isinstance(node.value, ast.Call) and of_dagster(node.value):
            names = node.targets if isinstance(node, ast.Assign) else [node.target]
            yield from (name.id for name in names if isinstance(name, ast.Name))


def _renamed(text: str, function: ast.FunctionDef | ast.AsyncFunctionDef, domain: str, model: str, copied: str) -> str:
    """The module with the next name where the old one is the asset's own: its key, the relation's name, and the function's when it is that."""
    lines = text.splitlines(keepends=True)
    word = rf"(?<!\w){re.escape(model)}(?!\w)"
    for decorator in function.decorator_list:
        if isinstance(decorator, ast.Call) and _key(decorator, function.name) == naming.build_key(domain, model):
            for keyword in decorator.keywords:
                if keyword.arg in {"key", "name"} and keyword.value.end_lineno is not None:
                    named = (at for at in range(keyword.value.end_lineno - 1, keyword.value.lineno - 2, -1) if re.search(word, lines[at]))
                    at = next(named)  # the last part of the key; a domain may have the same name
                    lines[at] = re.sub(rf"{word}(?!.*{word})", copied, lines[at], count=1)
    if function.name == model:
        at = function.lineno - 1
        lines[at] = re.sub(rf"(def\s+){word}", rf"\g<1>{copied}", lines[at], count=1)
    relation = rf"(?<!\w){re.escape(naming.build_schema(domain))}\.{re.escape(model)}(?!\w)"
    return re.sub(relation, f"{naming.build_schema(domain)}.{copied}", "".join(lines))
