"""Sources that the project's own seeds load: ``source()`` becomes ``ref()``.

A project that is tried out often loads its raw schema with ``dbt seed`` and reads it as a source. In a domain, seeds are built in the build
schema and sources are what connections load; a reference says the same, and dbt builds the seed first.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, MutableMapping
from pathlib import Path, PurePosixPath
from typing import Any

from platform_core.contracts.source import SourceError, parse_yaml
from platform_core.transformation.adoption.decision import Decision

_CALL = re.compile(r"""\bsource\(\s*(['"])([^'"]+)\1\s*,\s*(['"])([^'"]+)\3\s*\)""")


def reference_seeds(files: MutableMapping[str, bytes], project: Mapping[str, Any], own: list[str]) -> list[Decision]:
    """Edits the project's files.

    Args:
        files: Path to content; what calls such a source is edited in place, and the source is switched off where it is declared.
        project: ``dbt_project.yml``.
        own: The paths that are the project's own.

    Returns:
        What was done, a source table each.
    """
    folders = tuple(f"{str(name).strip('/')}/" for name in project.get("seed-paths") or project.get("data-paths") or ["seeds", "data"])
    seeds = {PurePosixPath(path).stem for path in own if path.endswith(".csv") and path.startswith(folders)}
    decisions: list[Decision] = []
    loaded: dict[tuple[str, str], str] = {}
    for path in own:
        if seeds and path.endswith((".yml", ".yaml")):
            found = _declared(files[path].decode(errors="replace"), path, seeds)
            if found:
                loaded |= {key: seed for key, seed, _ in found}
                files[path] = _switched_off(files[path].decode(), [line for _, _, line in found]).encode()
                decisions += [_decision(source, table, seed, path) for (source, table), seed, _ in found]
    if loaded:
        for path in own:
            if path.endswith((".sql", ".yml", ".yaml", ".py")):
                text = files[path].decode(errors="replace")
                made = _CALL.sub(lambda call: f"ref('{loaded[call[2], call[4]]}')" if (call[2], call[4]) in loaded else call[0], text)
                if made != text:
                    files[path] = made.encode()
    return decisions


def _declared(text: str, path: str, seeds: set[str]) -> list[tuple[tuple[str, str], str, int]]:
    """Source and table, the seed that loads it, and the line of the table's name; tables with a configuration of their own are left."""
    try:
        document = parse_yaml(text, Path(path))
    except SourceError:
        return []  # dbt says what is wrong with it, when it parses the project
    found: list[tuple[tuple[str, str], str, int]] = []
    for at, source in enumerate(_listed(document.data, "sources")):
        for number, table in enumerate(_listed(source, "tables")):
            if not isinstance(table, dict) or "config" in table:
                continue
            seed = str(table.get("identifier") or table.get("name"))
            line = document.line(("sources", at, "tables", number, "name"))
            if seed in seeds and re.match(r"\s*- name:", text.splitlines()[line - 1]):
                found.append(((str(source.get("name")), str(table.get("name"))), seed, line))
    return found


def _listed(value: Any, key: str) -> list[Any]:
    found: Any = value.get(key) if isinstance(value, dict) else None
    return list(found) if isinstance(found, list) else []


def _switched_off(text: str, lines: list[int]) -> str:
    made = text.splitlines(keepends=True)
    for line in sorted(lines, reverse=True):
        if not made[line - 1].endswith("\n"):
            made[line - 1] += "\n"
        indent = " " * (len(made[line - 1]) - len(made[line - 1].lstrip(" ")) + 2)
        made.insert(line, f"{indent}config: {{enabled: false}} # a seed of this project: ref() reads it\n")
    return "".join(made)


def _decision(source: str, table: str, seed: str, path: str) -> Decision:
    message = f"a seed of the project loads it: source('{source}', '{table}') became ref('{seed}')"
    remedy = "nothing; if it is to come from the source itself one day, add a connection and take the line away that switches it off"
    return Decision("source", f"{source}.{table}", message, remedy, path)
