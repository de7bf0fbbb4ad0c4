"""The problems of a lint in the forms that other programs read: JSON, SARIF, annotations of GitHub Actions."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import platform_core
from platform_core.cli.workflow_commands import annotation
from platform_core.contracts import Problem

_SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_ROOT = "SRCROOT"


def shown(path: Path, repo: Path) -> str:
    """A path as people type it: from the repository's root; as it is for a file outside of it."""
    return str(path).removeprefix(f"{repo}/")


def documents(problems: Iterable[Problem], repo: Path) -> list[dict[str, Any]]:
    """The problems as plain data."""
    return [
        {
            "rule": problem.rule,
            "severity": problem.severity,
            "message": problem.message,
            "file": shown(problem.location.file, repo),
            "line": problem.location.line,
            "remedy": problem.remedy,
        }
        for problem in problems
    ]


def workflow_annotations(problems: Iterable[Problem], repo: Path) -> str:
    """The problems as workflow commands, one a line."""
    return "".join(
        annotation(
            problem.severity,
            f"{problem.message}\nremedy: {problem.remedy}",
            file=shown(problem.location.file, repo),
            line=problem.location.line,
            title=problem.rule,
        )
        for problem in problems
    )


def sarif(problems: Sequence[Problem], repo: Path) -> dict[str, Any]:
    """The problems as a SARIF 2.1.0 log with one run.

    Format: https://docs.oasis-open.org/sarif/sarif/v2.1.0/sarif-v2.1.0.html. Files of the repository are relative to ``SRCROOT``.
    """
    rules = sorted({problem.rule for problem in problems})
    return {
        "$schema": _SCHEMA,
        "version": "2.1.0",
        "runs": [
            {
                "tool": {
                    "driver": {
                        "name": "mesh lint",
                        "semanticVersion": platform_core.__version__,
                        "rules": [_rule(rule) for rule in rules],
                    }
                },
                "columnKind": "unicodeCodePoints",
                "results": [_result(problem, rules.index(problem.rule), repo) for problem in problems],
            }
        ],
    }


def _rule(rule: str) -> dict[str, Any]:
    words = rule.split("-")
    return {"id": rule, "name": "".join(word.capitalize() for word in words), "shortDescription": {"text": f"{' '.join(words)}."}}


def _result(problem: Problem, index: int, repo: Path) -> dict[str, Any]:
    file = problem.location.file
    inside = file.is_relative_to(repo)
    artifact = {"uri": quote(file.relative_to(repo).as_posix()), "uriBaseId": _ROOT} if inside else {"uri": file.resolve().as_uri()}
    known = hashlib.sha256(f"{problem.rule}\n{artifact['uri']}\n{problem.message}".encode(errors="replace")).hexdigest()
    return {
        "ruleId": problem.rule,
        "ruleIndex": index,
        "level": problem.severity,
        "message": {"text": f"{problem.message}. Remedy: {problem.remedy}"},
        "locations": [{"physicalLocation": {"artifactLocation": artifact, "region": {"startLine": problem.location.line}}}],
        "partialFingerprints": {"meshProblem/v1": known},  # without the line, so that a finding stays the same when it moves
    }
