"""The columns of the dbt model behind a port, compared with those that its contract promises, before anything is built."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from platform_core.contracts import Contract, Mesh, Problem, Table, did_you_mean, naming
from platform_core.transformation.lineage.graph import Relation
from platform_core.transformation.lineage.mesh_lineage import Lineage

_TEXTS = {".py", ".yaml", ".yml", ".sql"}


def column_problems(mesh: Mesh, lineage: Lineage, repo: Path) -> Iterator[Problem]:
    """Contracts whose model lacks a promised column, has one that is not promised, or does not exist.

    A model whose columns cannot be told from its SQL is passed over here; ``lineage-unknown`` names it. The audit compares every
    candidate with its contract once more, types included.

    Args:
        mesh: The product files.
        lineage: The columns of every model.
        repo: Root of the monorepo.
    """
    for contract in mesh.contracts.values():
        for table in contract.tables if contract.domain in lineage.domains else ():
            model = lineage.relations.get(f"{naming.build_schema(contract.domain)}.{table.model}")
            if model is None or model.file is None:  # no model of dbt: then a Python asset has to fill it
                if not _named(table.model, repo / "domains" / contract.domain / "src"):
                    yield _missing(contract, table, lineage)
            elif model.closed:
                yield from _compared(table, model)


def _compared(table: Table, model: Relation) -> Iterator[Problem]:
    promised = [column.physical_name for column in table.columns]
    more = [name for name in model.columns if name not in promised]
    for column in table.columns:
        if column.physical_name not in model.columns:
            message = (
                f"the model {model.name} ({model.file}) has no column {column.physical_name!r}{did_you_mean(column.physical_name, more)}"
            )
            yield Problem("model-lacks-column", message, column.location, f"select it in {model.file}, or take it out of the contract")
    if more:
        what = f"columns {', '.join(map(repr, more))}" if len(more) > 1 else f"column {more[0]!r}"
        message = f"the model {model.name} ({model.file}) has the {what}, which the contract does not promise"
        remedy = (
            f"describe {'them' if len(more) > 1 else 'it'} in the contract, or leave {'them' if len(more) > 1 else 'it'} out of the model"
        )
        yield Problem("model-exceeds-contract", message, table.location, remedy)


def _missing(contract: Contract, table: Table, lineage: Lineage) -> Problem:
    build = f"{naming.build_schema(contract.domain)}."
    known = [name.removeprefix(build) for name, relation in lineage.relations.items() if name.startswith(build) and relation.file]
    message = f"nothing builds {build}{table.model}: no dbt model and no Python asset of the domain has that name"
    remedy = "write the model, or name another one by the custom property model of the table"
    return Problem("model-missing", f"{message}{did_you_mean(table.model, known)}", table.location, remedy)


def _named(model: str, sources: Path) -> bool:
    word = re.compile(rf"\b{re.escape(model)}\b")
    files = (path for path in sources.rglob("*") if path.suffix in _TEXTS and ".odcs." not in path.name and ".odps." not in path.name)
    return any(word.search(path.read_text(encoding="utf-8", errors="replace")) for path in sorted(files))
