"""Who reads a port: the products that name its contract as input, those that read from them, and whom to tell.

It goes by the files as they are, not by ``Mesh``: a product with an error in its files is still hit.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from platform_core.contracts.compatibility.state import State, text_of
from platform_core.contracts.source import Document


@dataclass(frozen=True)
class Consumer:
    """A product that reads a contract.

    Attributes:
        product: Its id.
        contract: The contract it reads.
        pinned: The version its input port names.
        team: Name of its team.
        owners: The addresses of its owners.
        personal: Whether its input port asks for personal data in clear.
        file: Where the input port stands.
        line: Where the input port stands.
        via: The products between, from the port to the consumer; empty for one that reads the port itself.
    """

    product: str
    contract: str
    pinned: str | None
    team: str | None
    owners: tuple[str, ...]
    personal: bool
    file: str
    line: int
    via: tuple[str, ...] = ()

    @property
    def domain(self) -> str:
        """Domain of the product."""
        return self.product.partition(".")[0]

    @property
    def owned_by(self) -> str:
        """Team and addresses in one text."""
        return owners_text(self.team, self.owners)


@dataclass(frozen=True)
class Consumers:
    """The consumers in the files of a state; where a product file cannot be read, in those of the state before it."""

    state: State
    former: State | None = None

    @functools.cached_property
    def _products(self) -> Mapping[str, Document]:
        paths = [path for path in self.state.product_files if path.endswith((".odps.yaml", ".odps.yml"))]
        documents, broken = self.state.readable(paths)
        if self.former is not None:
            lost = [unreadable.file for unreadable in broken if unreadable.file in self.former.files]
            documents |= self.former.readable(lost)[0]
        return {str(document.data.get("id")): document for document in documents.values() if text_of(document.data.get("id"))}

    @functools.cached_property
    def _readers(self) -> Mapping[str, tuple[Consumer, ...]]:
        found: dict[str, list[Consumer]] = {}
        for product, document in sorted(self._products.items()):
            for index, port in _items(document.data, "inputPorts"):
                contract = text_of(port.get("contractId"))
                if contract:
                    found.setdefault(contract, []).append(_consumer(product, document, index, port, contract))
        return {contract: tuple(readers) for contract, readers in found.items()}

    def of(self, contract: str) -> tuple[Consumer, ...]:
        """The products that read a contract, by id."""
        return self._readers.get(contract, ())

    def downstream(self, contract: str) -> tuple[Consumer, ...]:
        """Every product that is hit: readers of the port, then readers of what these offer, nearest first, each once."""
        found: dict[str, Consumer] = {}
        queue: list[tuple[str, tuple[str, ...]]] = [(contract, ())]
        while queue:
            current, via = queue.pop(0)
            for reader in self.of(current):
                if reader.product not in found:
                    found[reader.product] = replace(reader, via=via)
                    queue += [(port, (*via, reader.product)) for port in self.offered(reader.product)]
        return tuple(found.values())

    def offered(self, product: str) -> tuple[str, ...]:
        """The contracts of a product's output ports."""
        document = self._products.get(product)
        ports = _items(document.data, "outputPorts") if document else ()
        return tuple(str(port["contractId"]) for _, port in ports if text_of(port.get("contractId")))

    def answer_for(self, contract: str) -> str:
        """Team and owners of the product that offers a contract, in one text."""
        return owners_text(*self.owner(contract.rpartition(".")[0]))

    @property
    def products(self) -> tuple[str, ...]:
        """Every product."""
        return tuple(self._products)

    def owner(self, product: str) -> tuple[str | None, tuple[str, ...]]:
        """Team and addresses of a product's owners."""
        document = self._products.get(product)
        return people(document.data) if document else (None, ())

    @property
    def contracts(self) -> tuple[str, ...]:
        """Every contract that a product offers or reads."""
        offered = (contract for product in self._products for contract in self.offered(product))
        return tuple(sorted({*offered, *self._readers}))


def _consumer(product: str, document: Document, index: int, port: Mapping[str, Any], contract: str) -> Consumer:
    team, owners = people(document.data)
    personal = any(entry.get("property") == "personalData" and entry.get("value") is True for _, entry in _items(port, "customProperties"))
    line = document.line(("inputPorts", index))
    pinned = port.get("version")
    return Consumer(product, contract, str(pinned) if pinned is not None else None, team, owners, personal, str(document.path), line)


def owners_text(team: str | None, owners: tuple[str, ...]) -> str:
    """A team and the addresses of its owners in one text."""
    return f"{team or 'no team'} <{', '.join(owners)}>" if owners else team or "no owner named"


def people(data: Mapping[str, Any]) -> tuple[str | None, tuple[str, ...]]:
    """Team name and addresses: of the members whose role is owner, of all when none is."""
    team = data.get("team")
    holder: Mapping[str, Any] = team if isinstance(team, dict) else {"members": team}
    members = [member for _, member in _items(holder, "members") if not member.get("dateOut")]
    owners = [member for member in members if str(member.get("role", "")).lower() == "owner"]
    names = (text_of(member.get("username")) for member in owners or members)
    return text_of(holder.get("name")), tuple(name for name in names if name)


def _items(data: Mapping[str, Any], key: str) -> Iterator[tuple[int, Mapping[str, Any]]]:
    items: Any = data.get(key)
    for index, item in enumerate(items if isinstance(items, list) else []):
        if isinstance(item, dict):
            yield index, item
