"""Versions of a port side by side: which one a consumer is pinned to, and what it is told when that one comes to its end.

A new major version of a port is a port of its own beside the old one, ``orders_v2`` at 2.0.0 beside ``orders`` at 1.x, with a contract
and a table of its own. Consumers name the one they are built against; the old one is deprecated, then retired.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from platform_core.contracts.model import Contract, DataProduct, InputPort
from platform_core.contracts.problem import Problem, did_you_mean
from platform_core.contracts.source import load_yaml

_MAJOR = re.compile(r"(?P<base>.+)_v(?P<major>[1-9]\d*)")


def version_parts(text: str | None) -> tuple[int, ...]:
    """``major.minor.patch`` as numbers; none is the first of all."""
    return tuple(int(part) for part in (text or "0.0.0").split("."))


def next_major(name: str, version: str) -> tuple[str, str]:
    """Name and version of the port that stands beside a port with breaking changes.

    >>> next_major("orders", "1.4.2")
    ('orders_v2', '2.0.0')
    >>> next_major("orders_v2", "2.0.1")
    ('orders_v3', '3.0.0')
    """
    major = version_parts(version)[0] + 1
    found = _MAJOR.fullmatch(name)
    return f"{found['base'] if found else name}_v{major}", f"{major}.0.0"


def next_minor(version: str) -> str:
    """The version with one thing more, such as a further port.

    >>> next_minor("1.4.2")
    '1.5.0'
    """
    major, minor, _ = version_parts(version)
    return f"{major}.{minor + 1}.0"


def input_version(port: InputPort, contract: Contract) -> Problem | None:
    """What is wrong with an input port that names a contract of the mesh: the wrong version, or one that ends."""
    wanted = contract.id
    if contract.status == "retired":
        return Problem(
            "input-port", f"the input contract {wanted!r} is retired: {contract.lifecycle.way_on}", port.location, _move(contract)
        )
    asked, offered = version_parts(port.version), version_parts(contract.version)
    if asked[0] != offered[0]:
        message = f"built against version {port.version} of {wanted!r}, which is at {contract.version}"
        return Problem("input-version", message, port.location, f"adapt to version {offered[0]} and name it")
    if asked > offered:
        message = f"needs version {port.version} of {wanted!r}, which is only at {contract.version}"
        return Problem("input-version", message, port.location, f"name a version up to {contract.version}")
    if contract.status == "deprecated":
        message = f"the input contract {wanted!r} is deprecated: {contract.lifecycle.way_on}"
        return Problem("input-deprecated", message, port.location, _move(contract), "warning")
    return None


def port_versions(product: DataProduct, contracts: Mapping[str, Contract]) -> Iterator[Problem]:
    """Ports whose name promises another major version than their contract, and successors that do not exist.

    Args:
        product: Whose output ports are looked at.
        contracts: Every contract of the mesh.
    """
    for port in product.outputs:
        contract = port.contract
        named = _MAJOR.fullmatch(contract.port)
        if named and int(named["major"]) != version_parts(contract.version)[0]:
            message = f"the port {contract.port!r} is at version {contract.version}"
            remedy = f"a port that is named _v{named['major']} is at major version {named['major']}: correct the version or the name"
            yield Problem("port-version", message, load_yaml(contract.path).at("version"), remedy)
        life = contract.lifecycle
        if life.successor and life.successor_at and life.successor not in contracts:
            message = f"the successor {life.successor!r} exists nowhere in the mesh{did_you_mean(life.successor, contracts)}"
            yield Problem("successor", message, life.successor_at, "correct the id, or run ./mesh new version for the port")
        elif life.successor and life.successor_at and life.successor == contract.id:
            yield Problem("successor", "the port is named as its own successor", life.successor_at, "name another port")


def _move(contract: Contract) -> str:
    successor = contract.lifecycle.successor
    return f"read {successor}, and adapt to its contract" if successor else "ask the owners of the port what takes its place"
