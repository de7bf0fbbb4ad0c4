"""The whole mesh: every product of the repository, and the rules that hold between them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from platform_core.contracts import naming
from platform_core.contracts.access_file import Ports, read_access
from platform_core.contracts.masking_file import read_masking
from platform_core.contracts.masking_policy import with_masks
from platform_core.contracts.model import Contract, DataProduct, InputPort, Mesh, OutputPort, Rule, Table
from platform_core.contracts.port_versions import input_version, port_versions
from platform_core.contracts.problem import ContractError, Problem, did_you_mean
from platform_core.contracts.product_file import PRODUCT_FILE, read_product
from platform_core.contracts.reference import read_reference
from platform_core.contracts.source import Location

_PRODUCT_ID = re.compile(rf"{naming.NAME.pattern}\.{naming.NAME.pattern}")


def load_mesh(repo: Path) -> Mesh:
    """Reads every product of the repository.

    Args:
        repo: The repository root (the folder with ``domains/``).

    Returns:
        The mesh. A product with an error is left out, its findings are in ``problems``. A product that reads from it stays
        usable, with a warning: what was published before is still there to be read.
    """
    domains = tuple(sorted(path.parent.name for path in (repo / "domains").glob("*/pyproject.toml")))
    problems: list[Problem] = []
    products: dict[str, DataProduct] = {}
    places: dict[str, Location] = {}
    broken: set[str] = set()
    for domain in domains:
        for path in sorted((repo / "domains" / domain / "src" / domain / "defs").glob(f"**/{PRODUCT_FILE}")):
            read = read_product(path, domain)
            problems += read.problems
            if read.product is None:
                broken |= {product_id for product_id in read.ids if _PRODUCT_ID.fullmatch(product_id)}
            elif read.product.id in products:
                message = f"the product id {read.product.id!r} is also that of {products[read.product.id].path}"
                problems.append(Problem("duplicate-product", message, read.location, "give one of them another id"))
            else:
                products[read.product.id] = read.product
                places[read.product.id] = read.location
    contracts = _contracts(products)
    found = [*_shared_schemas(domains, products, places), *_cycles(products)]
    found += [pair for product in products.values() for pair in _inputs(repo, product, contracts, broken)]
    found += [(product.id, problem) for product in products.values() for problem in port_versions(product, contracts)]
    problems += [problem for _, problem in found]
    failing = {product_id for product_id, problem in found if problem.severity == "error"}
    resolved: dict[str, DataProduct] = {}
    for product_id in sorted(products.keys() - failing):
        whole, missing = _resolve(products[product_id], contracts, broken)
        problems += missing
        if not missing:
            resolved[product_id] = whole
    masking, found_masking = read_masking(repo)
    problems += found_masking
    resolved = with_masks(resolved, masking)
    unusable = frozenset((broken | products.keys()) - resolved.keys())
    access = read_access(repo, Ports(domains, resolved, unusable))
    return Mesh(domains, resolved, _contracts(resolved), (*problems, *access.problems), unusable, access.requests, masking)


def product_of(mesh: Mesh, path: Path) -> DataProduct:
    """The product whose files lie in a folder.

    Raises:
        ContractError: The first error of the folder's files, with file, line and remedy.
    """
    folder = path.resolve()
    for product in mesh.products.values():
        if product.path.parent.resolve() == folder:
            return product
    for problem in mesh.problems:
        if problem.severity == "error" and folder in problem.location.file.resolve().parents:
            raise problem.error()
    raise ContractError(f"no {PRODUCT_FILE} here", where=str(path), remedy="run ./mesh new product, or remove the folder")


def _contracts(products: Mapping[str, DataProduct]) -> dict[str, Contract]:
    return {port.contract_id: port.contract for product in products.values() for port in product.outputs}


def _shared_schemas(
    domains: Iterable[str], products: Mapping[str, DataProduct], places: Mapping[str, Location]
) -> Iterator[tuple[str, Problem]]:
    """Two names must not derive the same schema, as the products ``a_b.c`` and ``a.b_c`` would, or the domain ``a_b`` and ``a.b_raw``."""
    seen: dict[str, str] = {schema: domain for domain in domains for schema in (naming.raw_schema(domain), naming.build_schema(domain))}
    for product_id in products:
        for schema in (naming.port_schema(product_id), naming.data_schema(product_id)):
            other = seen.setdefault(schema, product_id)
            if other != product_id:
                message = f"{product_id!r} and {other!r} would share the schema {schema!r}"
                yield product_id, Problem("schema-name", message, places[product_id], "rename one of the two")
                break


def _inputs(repo: Path, product: DataProduct, contracts: Mapping[str, Contract], broken: set[str]) -> Iterator[tuple[str, Problem]]:
    for port in product.inputs:
        problem = _connection(repo, product, port) if port.connection else None
        if problem is None and port.contract_id:
            problem = _input(port, contracts, broken)
        if problem is not None:
            yield product.id, problem


def _connection(repo: Path, product: DataProduct, port: InputPort) -> Problem | None:
    folder = repo / "airbyte" / product.domain
    known = [path.stem for pattern in ("*.yaml", "drops/*.yaml") for path in folder.glob(pattern)]
    if port.connection in known:
        return None
    hint = did_you_mean(str(port.connection), known)
    message = f"neither the connection airbyte/{product.domain}/{port.connection}.yaml nor a drop of that name exists{hint}"
    return Problem("input-port", message, port.location, "write the file, or correct the name")


def _input(port: InputPort, contracts: Mapping[str, Contract], broken: set[str]) -> Problem | None:
    wanted = str(port.contract_id)
    contract = contracts.get(wanted)
    if contract is None:
        if wanted.rpartition(".")[0] in broken:
            message = f"the input {wanted!r} belongs to a product whose files have errors; what it published before is read"
            return Problem("input-broken", message, port.location, "have that product corrected", "warning")
        hint = did_you_mean(wanted, contracts)
        message = f"the input contract {wanted!r} exists nowhere in the mesh{hint}"
        return Problem("input-port", message, port.location, "correct the id, or ask for the product")
    return input_version(port, contract)


def _cycles(products: Mapping[str, DataProduct]) -> Iterator[tuple[str, Problem]]:
    """One problem per product that depends on itself, at the input that starts the way back."""
    inputs = {
        product_id: {str(port.contract_id).rpartition(".")[0]: port for port in product.inputs if port.contract_id}
        for product_id, product in products.items()
    }
    edges = {product_id: ports.keys() & products.keys() for product_id, ports in inputs.items()}
    for start in sorted(edges):
        path = _path_back(start, edges)
        if path:
            message = f"the product depends on itself: {' -> '.join([*path, start])}"
            at = inputs[start][[*path, start][1]].location
            yield start, Problem("cycle", message, at, "remove one of these inputs")


def _path_back(start: str, edges: Mapping[str, set[str]]) -> list[str] | None:
    """A shortest way from ``start`` to itself, without its last step."""
    paths: dict[str, list[str]] = {start: [start]}
    queue = [start]
    while queue:
        node = queue.pop(0)
        for following in sorted(edges.get(node, ())):
            if following == start:
                return paths[node]
            if following not in paths:
                paths[following] = [*paths[node], following]
                queue.append(following)
    return None


@dataclass(frozen=True)
class _Reach:
    """What the foreign keys of a product may refer to: the mesh's contracts, those it reads or serves, products without model."""

    contracts: Mapping[str, Contract]
    readable: set[str]
    broken: set[str]


def _resolve(product: DataProduct, contracts: Mapping[str, Contract], broken: set[str]) -> tuple[DataProduct, list[Problem]]:
    """The product with the targets of its foreign keys resolved to relations."""
    problems: list[Problem] = []
    outputs: list[OutputPort] = []
    readable = {str(port.contract_id) for port in product.inputs} | {port.contract_id for port in product.outputs}
    reach = _Reach(contracts, readable, broken)
    for port in product.outputs:
        tables = tuple(
            replace(table, rules=tuple(_target(rule, table, port.contract, reach, problems) for rule in table.rules))
            for table in port.contract.tables
        )
        outputs.append(replace(port, contract=replace(port.contract, tables=tables)))
    return replace(product, outputs=tuple(outputs)), problems


def _target(rule: Rule, table: Table, contract: Contract, reach: _Reach, problems: list[Problem]) -> Rule:
    if rule.kind != "foreign_key":
        return rule
    arguments: dict[str, Any] = dict(rule.arguments)
    written: list[str] = arguments.pop("to")
    targets = [read_reference(name, rule.location.file) for name in written]
    owners = {target.owner for target in targets}
    tables = {target.table or table.name for target in targets}
    owner = owners.pop() if len(owners) == 1 else None
    name = tables.pop() if len(tables) == 1 else None
    product_id = next((known for known in reach.broken if owner and owner in {known, *_ids_of(known, reach.readable)}), None)
    if product_id is not None and _ids_of(product_id, reach.readable) and name is not None:  # its files cannot be read: by its names
        arguments |= {"to_columns": [target.column for target in targets], "to_table": name, "to_candidate": False}
        return replace(rule, arguments={**arguments, "to_schema": naming.port_schema(product_id)})
    candidates = _owned(contract, owner, reach.contracts) if owner is not None else []
    pairs = ((item, owned) for item in candidates for owned in item.tables if name in {owned.name, owned.physical_name, owned.stable_id})
    target, found = next(pairs, (None, None))
    owned_columns = found.columns if found else ()
    columns = {item.stable_id: item.physical_name for item in owned_columns if item.stable_id}
    columns |= {item.name: item.physical_name for item in owned_columns}
    if target is None or found is None or any(wanted.column not in columns for wanted in targets):
        wanted = ", ".join(written)
        hint = did_you_mean(targets[0].column, columns) if columns else ""
        message = f"the relationship's target {wanted!r} exists nowhere in the mesh{hint}"
        remedy = "write <contract id>.odcs.yaml#/schema/<table>/properties/<column>, or <table>.<column> of this contract"
        problems.append(Problem("relationship", message, rule.location, remedy))
        return rule
    if target.id not in reach.readable:
        message = f"the relationship reads {target.id!r}, which is no input of the product"
        problems.append(Problem("relationship", message, rule.location, f"add an input port with contractId: {target.id}"))
        return rule
    arguments["to_columns"] = [columns[wanted.column] for wanted in targets]
    arguments["to_table"] = found.physical_name
    arguments["to_schema"] = naming.port_schema(target.product_id)
    arguments["to_candidate"] = target.id == contract.id
    return replace(rule, arguments=arguments)


def _ids_of(product_id: str, readable: set[str]) -> set[str]:
    """The contract ids of a product among those that may be read."""
    return {contract_id for contract_id in readable if contract_id.rpartition(".")[0] == product_id}


def _owned(contract: Contract, owner: str, contracts: Mapping[str, Contract]) -> list[Contract]:
    """Contracts a target may mean by what stands before ``<table>.<column>``: nothing (its own), a product id or a contract id."""
    if not owner:
        return [contract]
    return [other for other in contracts.values() if owner in {other.product_id, other.id}]
