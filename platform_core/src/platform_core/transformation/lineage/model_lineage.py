"""Column lineage of the models of one project, model after model; what was traced before from the same SQL is not traced again."""

from __future__ import annotations

import csv
import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from functools import cache
from importlib.metadata import version
from pathlib import Path
from typing import Any

from platform_core.contracts import Location, Problem
from platform_core.settings import Settings
from platform_core.transformation.lineage.compiled import Compiled
from platform_core.transformation.lineage.errors import NoSuchColumnError, TracingError
from platform_core.transformation.lineage.graph import ALL, Edge, Ref, Relation, as_plain, from_plain
from platform_core.transformation.lineage.queries import trace

Known = dict[tuple[str, str], tuple[str, ...] | None]
"""Schema and name of every relation that is known so far to its columns; None when they are not all known."""

_SNAPSHOT = ("dbt_scd_id", "dbt_updated_at", "dbt_valid_from", "dbt_valid_to", "dbt_is_deleted")
_WRITES = ("insert", "update", "merge", "copy", "alter", "create", "delete", "truncate", "do", "call", "with", "drop")
_KEPT = 2_000
_RULE = "lineage-unknown"
NOT_TRACED = "SQL that is not understood"
NOWHERE = "SQL that names a column that is nowhere"


class ModelLineage:
    """Traces models and remembers them in ``<home>/lineage/<project>/columns.json``."""

    def __init__(self, project: Compiled, settings: Settings) -> None:
        """Reads what is remembered."""
        import orjson

        self._project = project
        self._root = settings.repo
        self._file = settings.home / "lineage" / Path(project.folder).name / "columns.json"
        self._used: dict[str, list[dict[str, Any]]] = {}
        self._ephemeral = {
            item["name"]: f"{project.folder}/{item['file']}" for item in project.models if item["materialized"] == "ephemeral"
        }
        self.problems: list[Problem] = []
        self._offered: frozenset[str] = frozenset()
        self.traced = 0
        try:
            self._remembered: dict[str, list[dict[str, Any]]] = orjson.loads(self._file.read_bytes())
        except (FileNotFoundError, orjson.JSONDecodeError):
            self._remembered = {}

    def relations(self, known: Known, offered: frozenset[str] = frozenset()) -> list[Relation]:
        """The lineage of every model, parents first; ``known`` learns their columns. ``offered`` are ports: contracts name their columns."""
        self._offered = offered
        found: list[Relation] = []
        for model in _in_order(self._project.models):
            if model["materialized"] == "ephemeral":
                continue  # dbt writes it into the SQL of those that read it
            relations = self._seed(model) if model["type"] == "seed" else self._model(model, known)
            found += relations
            last = relations[-1]
            known[model["schema"], model["alias"]] = tuple(last.columns) if last.closed else None
        return found

    def keep(self) -> None:
        """Writes what was used, when something was traced anew."""
        import orjson

        if self.traced:
            self._file.parent.mkdir(parents=True, exist_ok=True)
            written = self._file.with_suffix(f".{os.getpid()}.new")
            kept = {key: value for key, value in self._remembered.items() if key not in self._used}
            room = max(0, _KEPT - len(self._used))
            written.write_bytes(orjson.dumps({**dict(list(kept.items())[-room:] if room else []), **self._used}))
            written.replace(self._file)

    def _seed(self, model: Mapping[str, Any]) -> list[Relation]:
        path = self._root / self._project.folder / model["file"]
        with path.open(newline="", encoding="utf-8-sig", errors="replace") as file:
            header = next(csv.reader(file), [])
        columns = {column.strip(): () for column in header}
        return [
            Relation(f"{model['schema']}.{model['alias']}", model["alias"], "raw", columns, file=f"{self._project.folder}/{model['file']}")
        ]

    def _model(self, model: Mapping[str, Any], known: Known) -> list[Relation]:
        file = f"{self._project.folder}/{model['file']}"
        target = Relation(f"{model['schema']}.{model['alias']}", model["alias"], "model", {}, file=file)
        reason = self._doubt(model)
        if reason is None:
            mentioned = {relation: columns for relation, columns in known.items() if any(relation[1] in sql for sql in model["sql"])}
            key = _key(model, sorted(mentioned.items()))
            if key in self._remembered:
                self._used[key] = self._remembered[key]
                return [from_plain(item) for item in self._remembered[key]]
            try:
                relations = _traced(model, target, mentioned, self._ephemeral)
            except TracingError as error:
                # Of what SQL makes, Postgres names some columns by itself (now, date_trunc, value): only of ports all names are known.
                if isinstance(error, NoSuchColumnError) and error.relations and error.relations <= self._offered:
                    self.problems.append(self._nowhere(target, file, error))
                    return [everything(target, self._read(model), NOWHERE)]
                reason = error.what
            except Exception as error:  # noqa: BLE001  SQL that the parser stumbles over is told as such; no lint ends with a traceback
                reason = f"the parser fails with {type(error).__name__}: {' '.join(str(error).split())[:200]}"
            else:
                self.traced += 1
                self._used[key] = [as_plain(relation) for relation in relations]
                return relations
        message = f"the columns of {target.id} cannot be traced: {reason}; each is taken to come from every column that the model reads"
        remedy = "write it in SQL that needs no database to compile; or declare the port's columns declassified where that is too strict"
        self.problems.append(Problem(_RULE, message, Location(self._root / file, 1), remedy, "warning"))
        return [everything(target, self._read(model))]

    def _nowhere(self, target: Relation, file: str, error: NoSuchColumnError) -> Problem:
        """The finding at the first line of the model that has the name; dbt may have written it from somewhere else."""
        path = self._root / file
        lines = path.read_text(errors="replace").splitlines() if path.is_file() else []
        word = re.compile(rf"\b{re.escape(error.column)}\b", re.IGNORECASE)
        line = next((number for number, text in enumerate(lines, 1) if word.search(text)), 1)
        remedy = "correct the name: a port has the columns of its contract"
        return Problem("no-such-column", f"{target.id} cannot be built: {error.what}", Location(path, line), remedy)

    def _doubt(self, model: Mapping[str, Any]) -> str | None:
        if model["failed"]:
            return str(model["failed"])
        if model["language"] != "sql":
            return f"it is written in {model['language']}"
        for hook in model["hooks"]:
            word = (hook.split() or [""])[0].lower()
            if word in _WRITES and (model["alias"].lower() in hook.lower() or "this" in hook):
                return f"its hook may change the table: {' '.join(hook.split())[:80]}"
        return None

    def _read(self, model: Mapping[str, Any]) -> list[str]:
        """The relations that a model reads, by what dbt knows; ephemeral models are seen through."""
        by_id = {item["id"]: item for item in (*self._project.models, *self._project.sources)}
        found: dict[str, None] = {}
        queue = list(model["parents"])
        seen: set[str] = set()
        while queue:
            parent = by_id.get(queue.pop(0))
            if parent is None or parent["id"] in seen:
                continue
            seen.add(parent["id"])
            if parent.get("materialized") == "ephemeral":
                queue += parent["parents"]
            else:
                found[f"{parent['schema']}.{parent['alias']}"] = None
        return list(found)


def everything(target: Relation, read: list[str], why: str = NOT_TRACED) -> Relation:
    """A relation whose SQL says nothing: every column may come from every column that is read."""
    edges = tuple(Edge(Ref(relation, ALL), "other", why) for relation in read)
    return replace(target, columns={}, rest=edges, rows=tuple(edge.source for edge in edges), understood=False)


def _traced(model: Mapping[str, Any], target: Relation, known: Known, files: Mapping[str, str]) -> list[Relation]:
    """The lineage of a model; of an incremental one, of both its first and its later builds."""
    found: list[Relation] = []
    whole = target
    for number, sql in enumerate(model["sql"]):
        columns = dict(known)
        if number:
            columns[model["schema"], model["alias"]] = tuple(whole.columns) if whole.closed else None
        suffix = f"~{number}" if number else ""
        *steps, last = trace(sql, target, lambda schema, name, columns=columns: columns.get((schema, name)), suffix, files)
        found += steps
        whole = last if not number else _merged(whole, last)
    if model["type"] == "snapshot":
        edges = tuple(dict.fromkeys(edge for found_edges in whole.columns.values() for edge in found_edges))
        whole = replace(whole, columns={**whole.columns, **dict.fromkeys(_SNAPSHOT, edges)})
    return [*found, whole]


def _merged(first: Relation, later: Relation) -> Relation:
    columns = {name: tuple(dict.fromkeys((*first.edges(name), *later.edges(name)))) for name in {**first.columns, **later.columns}}
    beside = {
        name: tuple(dict.fromkeys((*first.beside.get(name, ()), *later.beside.get(name, ())))) for name in {**first.beside, **later.beside}
    }
    return replace(
        first,
        columns=columns,
        beside=beside,
        rows=tuple(dict.fromkeys((*first.rows, *later.rows))),
        wide=tuple(dict.fromkeys((*first.wide, *later.wide))),
        rest=tuple(dict.fromkeys((*first.rest, *later.rest))),
    )


def _in_order(models: tuple[Mapping[str, Any], ...]) -> Iterator[Mapping[str, Any]]:
    """Parents before children."""
    by_id = {model["id"]: model for model in models}
    seen: set[str] = set()
    for model in models:
        stack = [(model, False)]
        while stack:
            item, done = stack.pop()
            if done:
                yield item
            elif item["id"] not in seen:
                seen.add(item["id"])
                stack.append((item, True))
                stack += [(by_id[parent], False) for parent in item["parents"] if parent in by_id and parent not in seen]


def _key(model: Mapping[str, Any], known: list[tuple[tuple[str, str], tuple[str, ...] | None]]) -> str:
    digest = hashlib.sha256(_program())
    digest.update(repr((model["schema"], model["alias"], model["type"], model["file"], model["sql"], known)).encode())
    return digest.hexdigest()[:32]


@cache
def _program() -> bytes:
    """Hash of the code that traces: another one may give another answer."""
    digest = hashlib.sha256(version("sqlglot").encode())
    for name in ("queries", "from_clause", "steps", "expressions", "scope", "graph", "model_lineage"):
        digest.update((Path(__file__).parent / f"{name}.py").read_bytes())
    return digest.digest()
