"""The matrix of clauses: every property path of both standards with its effect here, as data and as ``docs/clauses.md``."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES, Effect, clause_of
from platform_core.contracts.clause_paths import clauses_of
from platform_core.contracts.official import Standard, releases
from platform_core.contracts.problem import ContractError, Problem
from platform_core.contracts.source import Location

CLAUSES_FILE = Path("docs") / "clauses.md"
WRITE = "./mesh clauses --write"
_EFFECTS: tuple[Effect, ...] = ("enforced", "published", "documented only")
_STANDARDS: tuple[Standard, ...] = ("odcs", "odps")
_TITLES = {"odcs": "Open Data Contract Standard", "odps": "Open Data Product Standard"}
_HEAD = """# Every clause of the standards, and what it does here

Made from the code by `{write}`; `./mesh lint` fails when this page is not current. The paths are read from the official
JSON Schemas, the effects from the table that also decides what `./mesh lint` reports as documented only
(`contracts/clause_effects.py`), so this page cannot say something else than the platform does. A test changes every clause
and looks at everything that is compiled from the files: lint, rules, warehouse, Dagster, catalog.

- **enforced**: something refuses, blocks, grants, masks or schedules by it.
- **published**: people see it in Dagster or in the catalog.
- **documented only**: it stays in the file. `./mesh lint --documented` names each such clause of a file with its line.

A key that is no clause is an error with file and line. `schema[].properties[]` stands for columns; what is inside of a column
of type object, array or map is one value for Postgres and documented only, but for one thing: where a part is personal data, the
column must be declared as sensitive (lint).

Custom properties that the platform acts on. Others of a contract or product are published under their names (`custom.<name>`); elsewhere
they are documented only, or an error where a slip would cost something:

| file | clause | properties |
|---|---|---|
{properties}
"""


@dataclass(frozen=True)
class ClauseRow:
    """One clause.

    Attributes:
        standard: ``odcs`` or ``odps``.
        path: Its property path.
        since: The first known release of the standard that has it.
        effect: What becomes of it; of a clause that only holds others, the strongest effect of its parts.
        where: The plane and object; why not, for one that is documented only.
    """

    standard: Standard
    path: str
    since: str
    effect: Effect
    where: str


def clause_rows(standard: Standard) -> tuple[ClauseRow, ...]:
    """Every clause of a standard, by path.

    Raises:
        ContractError: A clause of the schema has no effect here; no clause may be without.
    """
    since = {path: release for path, release in clauses_of(standard).items() if not path.endswith("[]")}
    rows: dict[str, ClauseRow] = {}
    for path in sorted(since, key=lambda path: path.count("."), reverse=True):  # parts before what holds them
        clause = clause_of(standard, path)
        if clause is not None:
            rows[path] = ClauseRow(standard, path, since[path], clause.effect, clause.where)
            continue
        parts = {row.effect for row in rows.values() if row.path.startswith((f"{path}.", f"{path}[]."))}
        if not parts:
            raise ContractError(
                f"the clause {path} of {standard} has no effect", where="contracts/clause_effects.py", remedy="say there what it does"
            )
        rows[path] = ClauseRow(standard, path, since[path], next(effect for effect in _EFFECTS if effect in parts), "by its parts")
    return tuple(rows[path] for path in since)


def clauses_page() -> str:
    """The page ``docs/clauses.md``."""
    properties = [
        f"| `*.{standard}.yaml` | `{path}` | {', '.join(f'`{name}`' for name in names)} |"
        for standard, places in PLATFORM_PROPERTIES.items()
        for path, names in places.items()
    ]
    page = _HEAD.format(write=WRITE, properties="\n".join(properties))
    for standard in _STANDARDS:
        rows = clause_rows(standard)
        counts = Counter(row.effect for row in rows)
        known = releases(standard)
        page += f"\n## {_TITLES[standard]} {known[-1]} to {known[0]}: {len(rows)} clauses\n"
        page += ", ".join(f"{counts[effect]} {effect}" for effect in _EFFECTS) + ".\n\n"
        page += "| clause | since | effect | where |\n|---|---|---|---|\n"
        page += "".join(f"| `{row.path}` | {row.since.removesuffix('.0')} | {row.effect} | {row.where} |\n" for row in rows)
    return page


def page_problems(repo: Path) -> list[Problem]:
    """What is wrong with the page of a repository that has one."""
    file = repo / CLAUSES_FILE
    if not file.is_file() or file.read_text(encoding="utf-8") == clauses_page():
        return []
    return [Problem("clauses-page", "is not what this version of the platform does", Location(file, 1), f"write it anew: {WRITE}")]
