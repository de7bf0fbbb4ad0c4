"""Reads one ``product.odps.yaml`` and the contracts beside it."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.contracts import naming, official
from platform_core.contracts.clause_effects import PLATFORM_PROPERTIES
from platform_core.contracts.contract_file import (
    check_status,
    check_version,
    read_contract,
    read_support,
    read_team,
)
from platform_core.contracts.model import Contract, DataProduct, InputPort, OutputPort
from platform_core.contracts.ownership import owner_terms
from platform_core.contracts.problem import Problem, did_you_mean, source_problem
from platform_core.contracts.source import Document, Location, SourceError, Step, load_yaml
from platform_core.contracts.undelivered import documented_only

PRODUCT_FILE = "product.odps.yaml"
CONTRACTS = "contracts/*.odcs.yaml"


_INPUT_PROPERTIES = PLATFORM_PROPERTIES["odps"]["inputPorts[].customProperties"]


@dataclass(frozen=True)
class ReadProduct:
    """A product folder's outcome.

    Attributes:
        product: The product when its files have no error.
        problems: The findings.
        ids: The product ids that the folder's files name, as far as they can be read; several when they disagree.
        location: Where the product file names its id.
    """

    product: DataProduct | None
    problems: tuple[Problem, ...]
    ids: frozenset[str]
    location: Location


@dataclass(frozen=True)
class _Contracts:
    """The contract files beside a product: by id, None for a broken one; and whether one has no id that can be read."""

    by_id: dict[str, Contract | None]
    unreadable: bool


def read_product(path: Path, domain: str) -> ReadProduct:
    """Reads a product file and its contracts.

    Args:
        path: The ``product.odps.yaml``.
        domain: The domain in whose folder it lies.

    Returns:
        The product, or the findings that keep it from being one; never raises for what the files hold. Remembered by the
        content of the files: every component of a code location asks for the whole mesh.
    """
    files = [path, *sorted(path.parent.glob(CONTRACTS))]
    return _read_product(path, domain, tuple((file, _digest(file)) for file in files))


def _digest(file: Path) -> str:
    try:
        return hashlib.sha256(file.read_bytes()).hexdigest()
    except OSError as error:
        return f"not readable: {error.strerror}"


@functools.lru_cache(maxsize=4096)
def _read_product(path: Path, domain: str, _: tuple[tuple[Path, str], ...]) -> ReadProduct:
    problems: list[Problem] = []
    contracts = _contracts(path, problems)
    ids = {contract_id.rpartition(".")[0] for contract_id in contracts.by_id}
    try:
        document = load_yaml(path)
    except SourceError as error:
        return ReadProduct(None, (source_problem(error, path), *problems), frozenset(ids), Location(path, 1))
    if not isinstance(document.data, dict):
        problem = Problem("odps-schema", "the file is not a mapping", document.at(), "start with apiVersion and kind")
        return ReadProduct(None, (problem, *problems), frozenset(ids), document.at())
    own = [*_header(document)] or official.check(document, "odps")
    ids |= {document.data["id"]} if isinstance(document.data.get("id"), str) else set()
    product = _product(document, domain, contracts, own) if official.only_later(own) else None
    problems = [*own, *problems]
    broken = any(problem.severity == "error" and not official.only_later([problem]) for problem in problems)
    return ReadProduct(None if broken else product, tuple(problems), frozenset(ids), document.at("id"))


def _header(document: Document) -> list[Problem]:
    data = document.data
    if data.get("kind") != "DataProduct":
        return [Problem("odps-kind", f"the kind is {data.get('kind')!r}", document.at("kind"), "write kind: DataProduct")]
    if data.get("apiVersion") not in ("v1.0.0", "v1.1.0"):
        at = document.at("apiVersion")
        return [
            Problem("odps-version", f"the standard's version {data.get('apiVersion')!r} is not supported", at, "write apiVersion: v1.1.0")
        ]
    return []


def _contracts(path: Path, problems: list[Problem]) -> _Contracts:
    found: dict[str, Contract | None] = {}
    unreadable = False
    for file in sorted(path.parent.glob(CONTRACTS)):
        read = read_contract(file)
        problems += read.problems
        if read.id is None:
            unreadable = True
        elif read.id in found:
            message = f"the contract id {read.id!r} stands in two files"
            problems.append(Problem("duplicate-contract", message, read.location, "give one of them another id"))
        else:
            found[read.id] = read.contract
    return _Contracts(found, unreadable)


def _identity(document: Document, domain: str, problems: list[Problem]) -> bool:
    """Whether id and domain are those that the folder says."""
    product_id, at = str(document.data["id"]), document.at("id")
    own_domain, _, name = product_id.partition(".")
    before = len(problems)
    if not (naming.NAME.fullmatch(own_domain) and naming.NAME.fullmatch(name)):
        message = f"the product id {product_id!r} is not <domain>.<product> in lower case"
        problems.append(Problem("product-id", message, at, f"write for example {domain}.orders"))
    elif own_domain != domain:
        message = f"the product id {product_id!r} lies in the folder of the domain {domain!r}"
        problems.append(Problem("product-id", message, at, f"write {domain}.{name}, or move the folder"))
    elif name in {"raw", "build"}:
        message = f"the product name {name!r} is reserved for the {name} schema"
        problems.append(Problem("product-id", message, at, "choose another name"))
    elif len(naming.pii_reader_role(product_id).encode()) > naming.IDENTIFIER_BYTES:
        problems.append(Problem("identifier", f"the product id {product_id!r} makes role names over 63 bytes", at, "shorten it"))
    elif document.data.get("domain") != domain:
        message = f"domain is {document.data.get('domain')!r}, the id says {domain!r}"
        problems.append(Problem("product-id", message, document.at("domain"), f"write domain: {domain}"))
    return len(problems) == before


def _product(document: Document, domain: str, contracts: _Contracts, problems: list[Problem]) -> DataProduct:
    data = document.data
    product_id = str(data["id"])
    sound = _identity(document, domain, problems)
    documented, unknown = documented_only(document, "odps")
    problems += unknown
    name = product_id.partition(".")[2]
    check_version(document, ("version",), problems)
    check_status(document, problems)
    team_name, owners = read_team(data.get("team"))
    if not team_name or not owners:
        message = "the product names no team with an owner"
        problems.append(Problem("team", message, document.at("team"), "add team: {name: ..., members: [{username: ..., role: owner}]}"))
    support = read_support(data.get("support"))
    if not support:
        remedy = "add support: [{channel: ..., url: ...}]"
        problems.append(Problem("support", "the product names no support channel", document.at("support"), remedy))
    inputs = _inputs(document, problems)
    description: Mapping[str, Any] = data.get("description") or {}
    if not description.get("purpose"):
        problems.append(Problem("description", "the product has no purpose", document.at("description"), "add description: {purpose: ...}"))
    return DataProduct(
        id=product_id,
        domain=domain,
        name=name,
        title=data.get("name") or name,
        version=str(data.get("version")),
        status=str(data.get("status")),
        type=data.get("type"),
        description_purpose=description.get("purpose"),
        description_usage=description.get("usage"),
        description_limitations=description.get("limitations"),
        tags=tuple(data.get("tags") or ()),
        inputs=inputs,
        outputs=_outputs(document, inputs, contracts, sound, problems),
        team_name=team_name or "",
        owners=owners,
        support=support,
        path=document.path,
        documented_only=tuple(documented),
        owner_terms=owner_terms(data.get("team")),
        raw=data,
    )


def _inputs(document: Document, problems: list[Problem]) -> tuple[InputPort, ...]:
    inputs: list[InputPort] = []
    for index, item in enumerate(document.data.get("inputPorts") or []):
        at = document.at("inputPorts", index)
        before = len(problems)
        custom = _input_properties(document, index, item, problems)
        if not item.get("contractId") and not custom.get("connection") and len(problems) == before:
            message = f"the input {item['name']!r} names neither a contract nor a connection"
            problems.append(Problem("input-port", message, at, "add contractId and version, or the custom property connection"))
        if item.get("contractId"):
            check_version(document, ("inputPorts", index, "version"), problems)
        personal = custom.get("personalData") is True
        inputs.append(InputPort(item["name"], item.get("contractId"), item.get("version"), custom.get("connection"), personal, at))
    return tuple(inputs)


def _input_properties(document: Document, index: int, item: Mapping[str, Any], problems: list[Problem]) -> dict[str, Any]:
    """The custom properties of an input that can be used; the others are recorded as errors."""
    custom: dict[str, Any] = {}
    for number, entry in enumerate(item.get("customProperties") or []):
        key, value = entry["property"], entry["value"]
        path: tuple[Step, ...] = ("inputPorts", index, "customProperties", number)
        if key not in _INPUT_PROPERTIES:
            hint = did_you_mean(str(key), _INPUT_PROPERTIES)
            message = f"the custom property {key!r} of the input {item['name']!r} is unknown{hint}"
            problems.append(Problem("input-port", message, document.at(*path, "property"), "use connection or personalData"))
        elif key == "personalData" and not isinstance(value, bool):
            message = f"personalData of the input {item['name']!r} is {value!r}"
            problems.append(Problem("input-port", message, document.at(*path, "value"), "write true or false, without quotes"))
        elif key == "connection" and not (isinstance(value, str) and naming.NAME.fullmatch(value)):
            message = f"the connection of the input {item['name']!r} is {value!r}"
            remedy = "write the name of a file in the domain's folder under airbyte/, without .yaml"
            problems.append(Problem("input-port", message, document.at(*path, "value"), remedy))
        else:
            custom[key] = value
    return custom


def _outputs(
    document: Document, inputs: tuple[InputPort, ...], contracts: _Contracts, sound: bool, problems: list[Problem]
) -> tuple[OutputPort, ...]:
    """The output ports with their contracts; ``sound`` says whether the product's id can be compared with theirs."""
    product_id = str(document.data["id"])
    items = document.data.get("outputPorts") or []
    if not items:
        problems.append(Problem("output-port", "the product has no output port", document.at("outputPorts"), "add outputPorts"))
    before = len(problems)
    outputs: list[OutputPort] = []
    owner_of: dict[str, str] = {}
    served = {item.get("contractId") for item in items}
    # A contract file that is broken or without an id may be the one an output means: its own findings say enough.
    excused = contracts.unreadable or any(contract is None for name, contract in contracts.by_id.items() if name not in served)
    for index, item in enumerate(items):
        contract = _served(document, index, contracts, product_id if sound else None, problems, excused=excused)
        if all(port.contract_id or port.connection for port in inputs):
            _input_contracts(document, index, inputs, problems)
        if contract is None:
            continue
        for table in contract.tables:
            other = owner_of.setdefault(table.physical_name, contract.id)
            if other != contract.id:
                message = f"the table {table.physical_name!r} is also promised by {other}"
                problems.append(Problem("duplicate-table", message, table.location, "give one of them another physicalName"))
        outputs.append(OutputPort(item["name"], contract.id, str(item.get("version")), item.get("description"), contract))
    for name, contract in sorted(contracts.by_id.items()):
        if contract is not None and name not in served and items and len(problems) == before:
            at, remedy = Location(contract.path, 1), "add an output port or delete the file"
            problems.append(Problem("output-port", f"no output port serves the contract {name!r}", at, remedy, "warning"))
    return tuple(outputs)


def _served(
    document: Document, index: int, contracts: _Contracts, product_id: str | None, problems: list[Problem], *, excused: bool
) -> Contract | None:
    """The contract of an output, when it has one that is sound."""
    item = document.data["outputPorts"][index]
    contract_id, where = item.get("contractId"), document.at("outputPorts", index, "contractId")
    if not contract_id:
        remedy = f"add contractId: {document.data['id']}.{item['name']}"
        problems.append(Problem("output-port", f"the output {item['name']!r} names no contract", where, remedy))
        return None
    before = len(problems)
    check_version(document, ("outputPorts", index, "version"), problems)
    if product_id is not None and not contract_id.startswith(f"{product_id}."):
        message = f"the contract {contract_id!r} is not one of {product_id!r}"
        problems.append(Problem("output-port", message, where, f"write {product_id}.{item['name']}"))
        return None
    contract = contracts.by_id.get(contract_id)
    if contract_id not in contracts.by_id and not excused:
        hint = did_you_mean(contract_id, contracts.by_id)
        message = f"no file in contracts/ has the id {contract_id!r}{hint}"
        problems.append(Problem("output-port", message, where, f"write contracts/{item['name']}.odcs.yaml"))
    if contract is not None and item.get("version") != contract.version and len(problems) == before:
        message = f"the output has the version {item.get('version')!r}, its contract {contract.version!r}"
        problems.append(Problem("output-port", message, document.at("outputPorts", index, "version"), f"write version: {contract.version}"))
    return contract


def _input_contracts(document: Document, index: int, inputs: tuple[InputPort, ...], problems: list[Problem]) -> None:
    """``inputContracts`` of an output, the lineage by contract, names what the product reads."""
    versions = {port.contract_id: port.version for port in inputs}
    for number, item in enumerate(document.data["outputPorts"][index].get("inputContracts") or []):
        path = ("outputPorts", index, "inputContracts", number)
        if item["id"] not in versions:
            hint = did_you_mean(item["id"], [name for name in versions if name])
            message = f"the input contract {item['id']!r} of an output is no input port of the product{hint}"
            problems.append(Problem("output-port", message, document.at(*path, "id"), "name the contract of an input port"))
        elif versions[item["id"]] is not None and item["version"] != versions[item["id"]]:
            message = (
                f"the output was built against version {item['version']!r} of {item['id']!r}, the input port says {versions[item['id']]!r}"
            )
            problems.append(Problem("output-port", message, document.at(*path, "version"), f"write version: {versions[item['id']]}"))
