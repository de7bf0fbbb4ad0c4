"""The next major version of a port, beside the old one: contract, model and output port copied under the next name.

Files are edited as text, so that comments and order stay; what comes out is parsed again and must say exactly what was meant.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.contracts import naming
from platform_core.contracts.model import Contract, DataProduct
from platform_core.contracts.port_versions import next_major, next_minor
from platform_core.contracts.reference import renamed
from platform_core.contracts.source import Document, load_yaml, parse_yaml
from platform_core.transformation.next_python_asset import copied_asset
from platform_core.transformation.project import TransformationError

_OF_THE_OLD = ("successor", "endOfSupport")


@dataclass(frozen=True)
class NextVersion:
    """What is written.

    Attributes:
        contract_id: The new port's contract.
        version: Its version.
        created: Path from the repository's root to the text of a new file.
        edited: The same for a file that is there, before and after.
        notes: What is left to do by hand.
        tables: Physical name of each table to that of its copy.
        models: The same of what builds them.
    """

    contract_id: str
    version: str
    created: Mapping[str, str]
    edited: Mapping[str, tuple[str, str]]
    notes: tuple[str, ...]
    tables: Mapping[str, str]
    models: Mapping[str, str]


def next_version_of(repo: Path, product: DataProduct, contract: Contract) -> NextVersion:
    """The files of the next major version of a port.

    Args:
        repo: The repository's root.
        product: The port's product.
        contract: The port.

    Raises:
        TransformationError: The port has a next version, or a file is written in a way that the edit does not know.
    """
    port, version = next_major(contract.port, contract.version)
    contract_id = f"{product.id}.{port}"
    if contract_id in {other.contract_id for other in product.outputs}:
        raise TransformationError(
            f"the port {contract_id} exists already", where=str(contract.path), remedy=f"go on from it: ./mesh new version {contract_id}"
        )
    tables = {table.physical_name: next_major(table.physical_name, contract.version)[0] for table in contract.tables}
    path = contract.path.with_name(f"{port}.odcs.yaml")
    created = {_relative(repo, path): _contract_text(contract, contract_id, version, tables)}
    notes: list[str] = []
    models: dict[str, str] = {}
    for table in contract.tables:
        copied = models[table.model] = _next_model(table.model, tables, contract.version)
        files = _model_files(repo, contract.domain, table.model, copied)
        if not files:
            files, left = _python_files(repo, contract, table.model, copied)
            notes += left
        created |= files
    before = product.path.read_text()
    edited = {_relative(repo, product.path): (before, _product_text(product, contract, port, contract_id, version))}
    return NextVersion(contract_id, version, created, edited, tuple(notes), tables, models)


def _relative(repo: Path, path: Path) -> str:
    return str(path.resolve().relative_to(repo.resolve()))


def _contract_text(contract: Contract, contract_id: str, version: str, tables: Mapping[str, str]) -> str:
    document = load_yaml(contract.path)
    text = _Text(document)
    wanted: dict[str, Any] = copy.deepcopy(document.data)
    for key, value in (("id", contract_id), ("version", version), ("status", "active")):
        text.set((key,), wanted[key], value)
        wanted[key] = value
    own = {name: tables[table.physical_name] for table in contract.tables for name in (table.name, table.physical_name)}
    for number, item in enumerate(wanted["schema"]):
        for key in ("name", "physicalName"):
            if key in item:
                text.set(("schema", number, key), item[key], own[item[key]])
                item[key] = own[item[key]]
        for at, entry in enumerate(item.get("customProperties") or []):
            if entry["property"] == "model":
                model = _next_model(str(entry["value"]), own, contract.version)
                text.set(("schema", number, "customProperties", at, "value"), entry["value"], model)
                entry["value"] = model
    _rename_references(wanted, (), own, contract, contract_id, text)
    kept = [entry for entry in wanted.get("customProperties") or [] if entry["property"] not in _OF_THE_OLD]
    for at, entry in enumerate(wanted.get("customProperties") or []):
        if entry["property"] in _OF_THE_OLD:
            text.remove(("customProperties", at))
    if "customProperties" in wanted and not kept:
        text.remove(("customProperties",))
        del wanted["customProperties"]
    elif kept:
        wanted["customProperties"] = kept
    return _checked(text.whole(), wanted, contract.path)


def _rename_references(
    value: Any, path: tuple[str | int, ...], own: Mapping[str, str], contract: Contract, contract_id: str, text: _Text
) -> None:
    """Targets of relationships and elements of service levels that name the port's own tables."""
    items = enumerate(value) if isinstance(value, list) else value.items() if isinstance(value, dict) else ()
    for key, inner in items:
        below = (*path, key)
        names = inner if isinstance(inner, list) and key in {"to", "from"} else None
        if key in {"to", "from", "element"} and isinstance(inner, str):
            renamed = _reference(inner, own, contract, contract_id)
            if renamed != inner:
                text.set(below, inner, renamed)
                value[key] = renamed
        elif names is not None:
            for at, name in enumerate(names):
                if isinstance(name, str) and (renamed := _reference(name, own, contract, contract_id)) != name:
                    text.set((*below, at), name, renamed)
                    names[at] = renamed
        else:
            _rename_references(inner, below, own, contract, contract_id, text)


def _reference(name: str, own: Mapping[str, str], contract: Contract, contract_id: str) -> str:
    if "/" in name:
        kept = {table.stable_id for table in contract.tables}  # an id outlives the names
        return renamed(name, contract.id, contract_id, {old: new for old, new in own.items() if old not in kept})
    for prefix, other in ((f"{contract.id}.", f"{contract_id}."), (f"{contract.product_id}.", f"{contract.product_id}."), ("", "")):
        head, dot, rest = name.removeprefix(prefix).partition(".") if name.startswith(prefix) else ("", "", "")
        if head in own:
            return f"{other}{own[head]}{dot}{rest}"
    return name


def _model_files(repo: Path, domain: str, model: str, copied: str) -> dict[str, str]:
    """The model's SQL, and the YAML of the same name that describes it, under the new name."""
    found: dict[str, str] = {}
    for path in sorted((repo / "dbt_projects" / f"{domain}_dbt" / "models").glob(f"**/{model}.sql")):
        found[_relative(repo, path.with_name(f"{copied}.sql"))] = path.read_text()
        for described in (path.with_suffix(".yml"), path.with_suffix(".yaml")):
            if described.is_file():
                document = load_yaml(described)
                listed = [item.get("name") for item in document.data.get("models") or []]
                if listed == [model]:
                    wanted = copy.deepcopy(document.data)
                    wanted["models"][0]["name"] = copied
                    text = _Text(document)
                    text.set(("models", 0, "name"), model, copied)
                    found[_relative(repo, described.with_name(f"{copied}{described.suffix}"))] = _checked(text.whole(), wanted, described)
    return found


def _next_model(model: str, own: Mapping[str, str], version: str) -> str:
    """Name of the relation that feeds the copy: as the table's own, where the two were one name."""
    return own.get(model) or next_major(model, version)[0]


def _python_files(repo: Path, contract: Contract, model: str, copied: str) -> tuple[dict[str, str], list[str]]:
    """The module whose asset builds the candidate, under the next name; else a note of what to write by hand."""
    key = "/".join(naming.build_key(contract.domain, copied))
    found = copied_asset(repo / "domains" / contract.domain / "src" / contract.domain, contract.domain, model, copied)
    if found is None:
        said = f"neither a dbt model {model}.sql nor an asset in Python with a literal key was found"
        return {}, [f"{said}: build the candidate of the new table with an asset {key}"]
    if found.text is None:
        others = ", ".join(found.others)
        where = _relative(repo, found.path)
        return {}, [f"{where} also defines {others}: put a copy of the asset into a module of its own, with the key {key}"]
    path = found.path.with_stem(next_major(found.path.stem, contract.version)[0])
    return {_relative(repo, path): found.text}, []


def _product_text(product: DataProduct, contract: Contract, port: str, contract_id: str, version: str) -> str:
    document = load_yaml(product.path)
    wanted: dict[str, Any] = copy.deepcopy(document.data)
    number = next(at for at, item in enumerate(wanted["outputPorts"]) if item.get("contractId") == contract.id)
    added = copy.deepcopy(wanted["outputPorts"][number]) | {"name": port, "version": version, "contractId": contract_id}
    text = _Text(document)
    copied = _Text(document)
    for key in ("name", "version", "contractId"):
        copied.set(("outputPorts", number, key), wanted["outputPorts"][number][key], added[key])
    first, last = text.block(("outputPorts", number))
    text.insert(last, copied.lines[first:last])
    bumped = next_minor(str(wanted["version"]))
    text.set(("version",), wanted["version"], bumped)
    wanted["version"] = bumped
    wanted["outputPorts"].insert(number + 1, added)
    return _checked(text.whole(), wanted, product.path)


class _Text:
    """The lines of a YAML document, edited where the parser says that a value stands."""

    def __init__(self, document: Document) -> None:
        self._document = document
        self.lines: list[str] = document.path.read_text().splitlines(keepends=True)
        if self.lines and not self.lines[-1].endswith("\n"):
            self.lines[-1] += "\n"
        self._removed: set[int] = set()
        self._inserted: dict[int, list[str]] = {}

    def set(self, path: tuple[str | int, ...], before: Any, after: str) -> None:
        """Replaces a scalar that stands on one line.

        Raises:
            TransformationError: It does not.
        """
        at = self._document.line(path) - 1
        key = "" if isinstance(path[-1], int) else re.escape(path[-1]) + r":\s+"
        pattern = re.compile(rf"(?P<head>(?:^|[\s\[{{,]){key}['\"]?){re.escape(str(before))}(?=['\"]?(?:[\s,\]}}]|$))")
        edited, count = pattern.subn(lambda found: f"{found['head']}{after}", self.lines[at], count=1)
        if not count:
            raise TransformationError(
                f"the edit cannot find {before!r} here",
                where=f"{self._document.path}:{at + 1}",
                remedy="write the value on the line of its key, or copy the files by hand",
            )
        self.lines[at] = edited

    def block(self, path: tuple[str | int, ...]) -> tuple[int, int]:
        """First and last line (excluded) of a value, its key or dash included, comments after it not."""
        first = self._document.line(path) - 1
        if isinstance(path[-1], str):  # the value of a key may begin on the next line
            while first and not re.match(rf"\s*{re.escape(path[-1])}:", self.lines[first]):
                first -= 1
        indent = len(self.lines[first]) - len(self.lines[first].lstrip(" "))
        last = first + 1
        while last < len(self.lines):
            line = self.lines[last]
            own = len(line) - len(line.lstrip(" "))
            if line.strip() and not line.lstrip().startswith("#") and own <= indent:
                break
            last += 1
        while last > first + 1 and (not self.lines[last - 1].strip() or self.lines[last - 1].lstrip().startswith("#")):
            last -= 1
        return first, last

    def remove(self, path: tuple[str | int, ...]) -> None:
        """Takes a value out, with its key or dash."""
        first, last = self.block(path)
        self._removed |= set(range(first, last))

    def insert(self, at: int, lines: list[str]) -> None:
        """Puts lines in front of a line."""
        self._inserted[at] = lines

    def whole(self) -> str:
        """The edited text."""
        out: list[str] = []
        for number in range(len(self.lines) + 1):
            out += self._inserted.get(number, [])
            if number < len(self.lines) and number not in self._removed:
                out.append(self.lines[number])
        return "".join(out)


def _checked(text: str, wanted: Any, where: Path) -> str:
    if parse_yaml(text, where).data != wanted:
        raise TransformationError(
            "is written in a way that this edit does not know",
            where=str(where),
            remedy="write keys and values in block style, or copy by hand",
        )
    return text
