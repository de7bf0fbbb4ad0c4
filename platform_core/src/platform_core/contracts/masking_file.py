"""Reads ``domains/masking.yaml``: every defect becomes a problem with file, line and remedy."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pydantic import ValidationError

from platform_core.contracts.masking_model import MaskingModel, MaskRule, Otherwise, Reader
from platform_core.contracts.masking_policy import FILE, Masking
from platform_core.contracts.model_problems import dotted
from platform_core.contracts.problem import Problem, did_you_mean, source_problem
from platform_core.contracts.source import Document, SourceError, load_yaml

_RULE = "masking-file"
_WANTED = {
    "string_type": "a text",
    "list_type": "a list",
    "tuple_type": "a name or a list of names",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}
_KEYS: dict[tuple[str | int, ...], tuple[str, ...]] = {
    (): tuple(MaskingModel.model_fields),
    ("rules",): tuple(MaskRule.model_fields),
    ("otherwise",): tuple(Otherwise.model_fields),
    ("readers",): tuple(Reader.model_fields),
}


def read_masking(repo: Path) -> tuple[Masking | None, tuple[Problem, ...]]:
    """The attribute policy of a repository.

    Returns:
        The policy, None without a file, and what is wrong with it. A file with errors gives a policy that knows no mask: everything
        that is classified or tagged is hidden until the file is corrected.
    """
    path = repo / FILE
    if not path.is_file():
        return None, ()
    try:
        document = load_yaml(path)
    except SourceError as error:
        return Masking(path, None, {}), (source_problem(error, path, _RULE),)
    return masking_of(document)


def masking_of(document: Document) -> tuple[Masking, tuple[Problem, ...]]:
    """The attribute policy that a document holds; as ``read_masking``."""
    path = document.path
    try:
        model = MaskingModel.model_validate(document.data)
    except ValidationError as error:
        found = [_problem(document, detail) for detail in error.errors(include_url=False)]
        return Masking(path, None, {}), tuple(dict.fromkeys(found))
    return Masking(path, model, {index: document.line(("rules", index)) for index in range(len(model.rules))}), ()


def _problem(document: Document, detail: Any) -> Problem:
    steps: tuple[str | int, ...] = tuple(step for step in detail["loc"] if step != "[key]")
    at, name, kind = document.at(*steps), dotted(steps), str(detail["type"])
    last = next(reversed(steps), "")
    if kind == "extra_forbidden":
        known = _KEYS.get(steps[:1] if len(steps) > 1 else (), ())
        message = f"unknown key {last!r}{did_you_mean(str(last), known)}"
        return Problem(_RULE, message, at, f"use one of: {', '.join(known)}")
    if kind == "missing":
        return Problem(_RULE, f"{name} is missing", at, f"add {last}:")
    if kind in _WANTED:
        return Problem(_RULE, f"{name} is {detail.get('input')!r}, not {_WANTED[kind]}", at, f"write {_WANTED[kind]}")
    if kind == "literal_error":
        return Problem(_RULE, f"{name} names an unknown family of types", at, f"use one of: {detail['ctx']['expected']}")
    if kind in {"too_short", "string_too_short"}:
        return Problem(_RULE, f"{name} is empty", at, "name at least one, or remove the key")
    remedy = str((detail.get("ctx") or {}).get("remedy", "correct the value"))
    return Problem(_RULE, f"{name} {detail['msg'][:1].lower()}{detail['msg'][1:]}", at, remedy)
