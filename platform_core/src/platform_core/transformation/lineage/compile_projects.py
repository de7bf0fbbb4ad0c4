"""``python -m platform_core.transformation.lineage.compile_projects``: ``dbt compile`` of several projects without a database.

The request is a JSON list on standard input, the answer one JSON document a line on standard output. dbt asks the database in two cases
while it compiles. Whether a relation exists (``is_incremental()`` does) is answered here: a project that asks is compiled twice, as if
nothing was built before, and as if everything was. Which columns a relation has (``dbt_utils.star`` does) is answered for the ports of
other products, whose contracts say it. Any other question fails that one model, with a message that says so.
"""

from __future__ import annotations

import contextlib
import io
import json
import sys
from collections.abc import Mapping
from functools import partialmethod
from pathlib import Path
from typing import Any


class _Answers:
    """Stands in for the database while dbt compiles."""

    def __init__(self, ports: Mapping[str, Mapping[str, list[str]]]) -> None:
        self.built = False
        self.asked = False
        self.columns_asked: dict[str, list[str]] = {}
        self._ports = ports

    def reset(self) -> None:
        """Forgets what was asked, for the next project."""
        self.built, self.asked, self.columns_asked = False, False, {}

    def install(self) -> None:
        """Puts the answers into dbt's adapter classes, for the rest of this process."""
        from dbt.adapters.base.impl import BaseAdapter
        from dbt.adapters.sql import SQLAdapter
        from dbt.task.compile import CompileTask

        for adapter in (BaseAdapter, SQLAdapter):
            setattr(adapter, "get_relation", partialmethod(_relation, self))  # noqa: B010  the types of dbt's own methods are not ours
            setattr(adapter, "get_columns_in_relation", partialmethod(_columns, self))  # noqa: B010
            setattr(adapter, "execute", _refuse)  # noqa: B010
        setattr(SQLAdapter, "add_query", _refuse)  # noqa: B010
        # One model that asks the database must hide neither the others nor those that read it.
        setattr(CompileTask, "raise_on_first_error", _never)  # noqa: B010
        setattr(CompileTask, "_mark_dependent_errors", _never)  # noqa: B010

    def columns_of(self, schema: str, table: str) -> list[str]:
        """The columns of another product's port.

        Raises:
            DbtRuntimeError: It is none.
        """
        from dbt_common.exceptions import DbtRuntimeError

        columns = self._ports.get(schema, {}).get(table)
        if columns is None:
            raise DbtRuntimeError(f"it asks the database for the columns of {schema}.{table}")
        self.columns_asked[f"{schema}.{table}"] = columns
        return columns


def _relation(adapter: Any, answers: _Answers, database: str, schema: str, identifier: str, *_: Any, **__: Any) -> Any:
    answers.asked = True
    return adapter.Relation.create(database=database, schema=schema, identifier=identifier, type="table") if answers.built else None


def _columns(adapter: Any, answers: _Answers, relation: Any) -> Any:
    return [adapter.Column(name, "text") for name in answers.columns_of(str(relation.schema), str(relation.identifier))]


def _never(*_: Any) -> bool:
    return False


def _refuse(*_: Any, **__: Any) -> Any:
    from dbt_common.exceptions import DbtRuntimeError

    raise DbtRuntimeError("it runs a query against the database while it compiles")


def _compile(folder: str, target: Path) -> tuple[str | None, dict[str, Any], dict[str, str]]:
    """dbt's complaint about the project, its manifest, and its complaints about single models."""
    from dbt.cli.main import dbtRunner

    options = ["--project-dir", folder, "--profiles-dir", folder, "--target-path", str(target), "--log-path", str(target / "logs")]
    said = io.StringIO()
    with contextlib.redirect_stdout(said):
        result = dbtRunner().invoke(["--quiet", "compile", "--no-introspect", "--no-populate-cache", *options])
    manifest = target / "manifest.json"
    if result.result is None or not manifest.is_file():
        words = str(result.exception) if result.exception else said.getvalue()
        return " ".join(words.split())[:400] or "dbt compile failed", {}, {}
    results: Any = result.result
    failed = {item.node.unique_id: " ".join(str(item.message).split())[:300] for item in results if str(item.status) == "error"}
    return None, json.loads(manifest.read_bytes()), failed


def _answer(request: Mapping[str, Any], answers: _Answers) -> dict[str, Any]:
    target = Path(request["target"])
    answers.reset()
    error, manifest, failed = _compile(request["folder"], target)
    if error:
        return {"error": error, "models": [], "sources": [], "asked": {}}
    sql = {name: [node.get("compiled_code")] for name, node in manifest["nodes"].items() if node["resource_type"] in {"model", "snapshot"}}
    if answers.asked:
        answers.built = True
        error, later, failed_later = _compile(request["folder"], target)
        failed |= failed_later | (dict.fromkeys(sql, error) if error else {})
        for name, node in (later.get("nodes") or {}).items():
            if name in sql and node.get("compiled_code") not in sql[name]:
                sql[name].append(node.get("compiled_code"))
    nodes = [_node(node, sql.get(name, []), failed.get(name), manifest) for name, node in manifest["nodes"].items() if _traced(node)]
    return {
        "error": None,
        "models": nodes,
        "sources": [_source(source) for source in manifest["sources"].values()],
        "asked": answers.columns_asked,
    }


def _traced(node: Mapping[str, Any]) -> bool:
    return node["resource_type"] in {"model", "seed", "snapshot"}


def _node(node: Mapping[str, Any], sql: list[str | None], failed: str | None, manifest: Mapping[str, Any]) -> dict[str, Any]:
    config = node["config"]
    return {
        "id": node["unique_id"],
        "type": node["resource_type"],
        "language": node.get("language") or "sql",
        "name": node["name"],
        "schema": node["schema"],
        "alias": node.get("alias") or node["name"],
        "materialized": config.get("materialized"),
        "file": node["original_file_path"],
        "package": node["package_name"] == manifest["metadata"]["project_name"],
        "sql": [text for text in sql if text],
        "failed": failed or (None if all(sql) else "dbt did not compile it"),
        "parents": list((node.get("depends_on") or {}).get("nodes", ())),
        "hooks": [
            hook["sql"] if isinstance(hook, dict) else str(hook) for key in ("pre-hook", "post-hook") for hook in config.get(key) or ()
        ],
        "columns": {name: _marks(column) for name, column in node["columns"].items()},
        "marks": _marks(node),
    }


def _source(source: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "id": source["unique_id"],
        "schema": source["schema"],
        "alias": source["identifier"],
        "file": source["original_file_path"],
        "columns": {name: _marks(column) for name, column in source["columns"].items()},
        "marks": _marks(source),
    }


def _marks(item: Mapping[str, Any]) -> dict[str, Any]:
    """``meta`` and ``tags`` of a column, in either of the places where dbt keeps them."""
    config = item.get("config") or {}
    meta = {**(item.get("meta") or {}), **(config.get("meta") or {})}
    nested: Any = meta.get("tags")
    tags = [*(item.get("tags") or ()), *(config.get("tags") or ()), *(nested if isinstance(nested, list) else ())]
    return {
        "classification": str(meta["classification"]) if meta.get("classification") else None,
        "tags": sorted({str(tag) for tag in tags}),
    }


def main() -> int:
    """Answers every request of standard input."""
    question = json.load(sys.stdin)
    answers = _Answers(question["ports"])
    answers.install()
    for request in question["projects"]:
        sys.stdout.write(json.dumps(_answer(request, answers)) + "\n")
        sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
