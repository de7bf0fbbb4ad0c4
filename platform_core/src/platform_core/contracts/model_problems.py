"""What a pydantic model finds wrong with a file of the platform's own, in the words of the house: line, nearest word, remedy."""

from __future__ import annotations

import re
import types
import typing
from collections.abc import Callable, Iterator
from typing import Any

from pydantic import BaseModel, ValidationError

from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import Document, Step

_WANTED = {
    "string_type": "text", "dict_type": "a mapping", "model_type": "a mapping", "list_type": "a list", "tuple_type": "a list",
    "float_type": "a number", "int_type": "a whole number", "bool_type": "true or false",
}  # fmt: skip


def model_problems(
    document: Document, error: ValidationError, model: type[BaseModel], rule: str, *, shown: Callable[[Any], str] = repr
) -> Iterator[Problem]:
    """One problem for each mistake; a misspelt key that is required is told once, not as a missing one too.

    Args:
        document: The file.
        error: What validating it raised. A validator of the model may give a ``remedy`` in its error's context, and says with the
            type ``missing_key`` and a ``key`` there that this key is missing.
        model: The model of the file as a whole.
        rule: Begin of the problems' rules: ``<rule>-key``, ``-missing``, ``-value``, ``-type``, ``-empty``.
        shown: How a value of a wrong type is named.
    """
    details = error.errors(include_url=False)
    unknown = [detail["loc"] for detail in details if detail["type"] == "extra_forbidden"]
    for detail in details:
        if detail["type"] != "missing" or not any(_is_misspelt(detail["loc"], steps) for steps in unknown):
            yield _problem(document, detail, model, rule, shown)


def dotted(steps: tuple[Step, ...]) -> str:
    """A path as people write it: ``streams[0].name``."""
    return "".join(f"[{step}]" if isinstance(step, int) else f".{step}" for step in steps).lstrip(".") or "the file"


def _is_misspelt(missing: tuple[Step, ...], unknown: tuple[Step, ...]) -> bool:
    return missing[:-1] == unknown[:-1] and bool(did_you_mean(str(unknown[-1]), [str(missing[-1])]))


def _problem(document: Document, detail: Any, model: type[BaseModel], rule: str, shown: Callable[[Any], str]) -> Problem:
    steps: tuple[Step, ...] = detail["loc"]
    kind, value, context = detail["type"], detail.get("input"), detail.get("ctx") or {}
    name, at = dotted(steps), document.at(*steps)
    if kind == "extra_forbidden":
        known = _known_keys(model, steps[:-1])
        inside = f" in {dotted(steps[:-1])}" if steps[:-1] else ""
        message = f"unknown key {steps[-1]!r}{inside}{did_you_mean(str(steps[-1]), known)}"
        return Problem(f"{rule}-key", message, at, f"use one of: {', '.join(known)}")
    if kind == "missing":
        return Problem(f"{rule}-missing", f"{name} is missing", at, f"add {steps[-1]}:")
    if kind == "missing_key":
        return Problem(f"{rule}-missing", f"{name}.{context['key']} is missing", at, f"add {context['key']}:")
    if kind == "literal_error":
        expected = str(context["expected"]).replace(" or ", ", ")
        near = did_you_mean(str(value), re.findall(r"'([^']+)'", expected))
        return Problem(f"{rule}-value", f"{name} is {value!r}{near}", at, f"use one of: {expected}")
    if kind in _WANTED:
        quotes = " (put it in quotes)" if kind == "string_type" and isinstance(value, int | float) else ""
        return Problem(f"{rule}-type", f"{name} is {shown(value)}, not {_WANTED[kind]}", at, f"write {_WANTED[kind]}{quotes}")
    if kind in {"too_short", "string_too_short"}:
        return Problem(f"{rule}-empty", f"{name} is empty", at, "name at least one" if kind == "too_short" else "write a value")
    message = f"{name} {detail['msg'][:1].lower()}{detail['msg'][1:]}"
    return Problem(f"{rule}-value", message, at, context.get("remedy", "correct the value"))


def _known_keys(model: type[BaseModel], steps: tuple[Step, ...]) -> list[str]:
    """The keys that may stand in the mapping at ``steps``."""
    found: Any = model
    for step in steps:
        if isinstance(step, str) and _is_model(found):
            found = _inner(found.model_fields[step].annotation)
    return sorted(found.model_fields) if _is_model(found) else []


def _inner(annotation: Any) -> Any:
    if typing.get_origin(annotation) in (list, typing.Union, types.UnionType):
        return next((part for part in map(_inner, typing.get_args(annotation)) if part is not type(None)), None)
    return annotation


def _is_model(found: Any) -> bool:
    return isinstance(found, type) and issubclass(found, BaseModel)
