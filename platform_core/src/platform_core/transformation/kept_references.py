"""What still refers to a port after its next version was written beside it: foreign keys of contracts, models and Python assets.

Nothing of this is changed for anybody: whether a table moves with the port it refers to is for its owner to decide.
"""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, Mesh
from platform_core.contracts.port_versions import next_major
from platform_core.contracts.reference import read_reference
from platform_core.contracts.source import parse_yaml
from platform_core.transformation.next_python_asset import literal_key
from platform_core.transformation.project import TransformationError

if TYPE_CHECKING:
    from platform_core.transformation.next_version import NextVersion


def kept_references(repo: Path, mesh: Mesh, contract: Contract, made: NextVersion) -> list[str]:
    """A line for each reference that goes to an old version on: its place, what it names, and what to write when it is to move.

    Args:
        repo: The repository's root.
        mesh: The product files before the next version was written.
        contract: The port's contract.
        made: Its next version.

    Raises:
        TransformationError: A module of the domain is no Python.
    """
    return [*_to_the_port(mesh, contract, made), *_of_the_copy(repo, mesh, contract, made), *_to_models(repo, contract, made)]


def _to_the_port(mesh: Mesh, contract: Contract, made: NextVersion) -> Iterator[str]:
    """Foreign keys of other contracts to the port's tables."""
    schema = naming.port_schema(contract.product_id)
    for other in mesh.contracts.values():
        for table in other.tables if other.id != contract.id else ():
            for rule in table.rules:
                to = str(rule.arguments.get("to_table"))
                if rule.kind == "foreign_key" and rule.arguments.get("to_schema") == schema and to in made.tables:
                    columns = ", ".join(rule.arguments["columns"] if rule.column is None else [rule.column])
                    yield _foreign_key(
                        rule.location.in_repo,
                        f"{other.id}, {table.physical_name}.{columns}",
                        contract,
                        to,
                        (made.contract_id, made.tables[to]),
                    )


def _of_the_copy(repo: Path, mesh: Mesh, contract: Contract, made: NextVersion) -> Iterator[str]:
    """Foreign keys of the new contract to ports that have a next version of their own."""
    name, text = next((name, text) for name, text in made.created.items() if name.endswith(".odcs.yaml"))
    document = parse_yaml(text, repo / name)
    for steps, written in _targets(document.data, ()):
        reference = read_reference(written, repo / name)
        for other in mesh.contracts.values():
            successor = mesh.contracts.get(f"{other.product_id}.{next_major(other.port, other.version)[0]}")
            if other.id == contract.id or successor is None or reference.owner not in {other.id, other.product_id}:
                continue
            if reference.table in {table.physical_name for table in other.tables}:
                table = next_major(str(reference.table), other.version)[0]
                yield _foreign_key(f"{name}:{document.line(steps)}", made.contract_id, other, str(reference.table), (successor.id, table))


def _foreign_key(place: str, what: str, old: Contract, table: str, new: tuple[str, str]) -> str:
    target = f"{new[0]}.odcs.yaml#/schema/{new[1]}/properties/..."
    return f"{place}: {what}: refers to {table} of {old.id} {old.version} still; to move it, write {target}"


def _targets(value: Any, steps: tuple[str | int, ...]) -> Iterator[tuple[tuple[str | int, ...], str]]:
    """Every target of a relationship in a contract, with its path."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        below = (*steps, key)
        if key == "to" and "relationships" in steps:
            written = inner if isinstance(inner, list) else [inner]
            yield from ((below, name) for name in written if isinstance(name, str))
        else:
            yield from _targets(inner, below)


def _to_models(repo: Path, contract: Contract, made: NextVersion) -> Iterator[str]:
    """Models and assets of the domain, the copies among them, that read what builds the old version."""
    texts = {name: text for name, text in made.created.items() if not name.endswith(".odcs.yaml")}
    folders = (repo / "dbt_projects" / f"{contract.domain}_dbt" / "models", repo / "domains" / contract.domain / "src" / contract.domain)
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            if path.suffix in {".sql", ".yml", ".yaml", ".py"} and path.stem not in made.models and path.is_file():
                texts.setdefault(str(path.relative_to(repo)), path.read_text(encoding="utf-8"))
    for name, text in texts.items():
        for old, new in made.models.items():
            if old in text:
                found = _python_keys(name, text, contract.domain, old) if name.endswith(".py") else _refs(text, old)
                key = f"{'/'.join(naming.build_key(contract.domain, old))}"
                shown, wanted = (key, new) if name.endswith(".py") else (f"ref('{old}')", f"ref('{new}')")
                yield from (f"{name}:{line}: reads {shown}, which builds the old version; to move it, write {wanted}" for line in found)


def _refs(text: str, model: str) -> Iterator[int]:
    """Lines in which dbt refers to the model."""
    pattern = re.compile(rf"\bref\(\s*(?:(?:'[^']*'|\"[^\"]*\")\s*,\s*)?['\"]{re.escape(model)}['\"]")
    return (text.count("\n", 0, found.start()) + 1 for found in pattern.finditer(text))


def _python_keys(name: str, text: str, domain: str, model: str) -> list[int]:
    """Lines in which Python names the model's asset otherwise than as the key of a decorator."""
    try:
        module = ast.parse(text, name)
    except SyntaxError as error:
        raise TransformationError(f"is no Python: {error.msg}", where=f"{name}:{error.lineno}", remedy="correct it first") from error
    own = {
        id(keyword.value)
        for node in ast.walk(module)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
        for decorator in node.decorator_list
        if isinstance(decorator, ast.Call)
        for keyword in decorator.keywords
        if keyword.arg == "key"
    }
    key = naming.build_key(domain, model)
    found = (node for node in ast.walk(module) if isinstance(node, ast.List | ast.Tuple | ast.Constant) and id(node) not in own)
    return sorted({node.lineno for node in found if literal_key(node) == key})
