"""A data product in the making, as plain data: what its two standard files will say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from platform_core.contracts import naming


@dataclass(frozen=True)
class ColumnDraft:
    """A column of a port table.

    Attributes:
        name: Physical name.
        logical_type: ODCS logical type.
        physical_type: Type in Postgres, None when nobody knows it yet.
        key_position: Position in the primary key from 1, 0 outside of it.
        classification: ODCS classification, for example ``internal``.
        options: ODCS ``logicalTypeOptions``.
        relationships: Targets, ``<table>.<column>`` of the same contract or ``<contract id>.odcs.yaml#/schema/<table>/properties/<column>``.
        quality: ODCS quality clauses of the column.
        personal: Whether it holds personal data, which the contract must then have a role for.
        origins: ``transformSourceObjects``, where no SQL tells what it is computed from: empty for nothing, None leaves the clause out.
    """

    name: str
    logical_type: str
    physical_type: str | None = None
    description: str | None = None
    required: bool = False
    unique: bool = False
    key_position: int = 0
    classification: str | None = "internal"
    tags: tuple[str, ...] = ()
    options: Mapping[str, Any] = field(default_factory=dict[str, Any])
    relationships: tuple[str, ...] = ()
    quality: tuple[Mapping[str, Any], ...] = ()
    personal: bool = False
    origins: tuple[str, ...] | None = None


@dataclass(frozen=True)
class TableDraft:
    """A port table and the relation of the build schema that feeds it."""

    name: str
    model: str
    columns: tuple[ColumnDraft, ...]
    description: str | None = None
    granularity: str | None = None
    quality: tuple[Mapping[str, Any], ...] = ()
    tags: tuple[str, ...] = ()
    incremental: bool = False


@dataclass(frozen=True)
class InputDraft:
    """What the product reads: a contract at a version, or a connection of its own domain."""

    name: str
    contract_id: str | None = None
    version: str | None = None
    connection: str | None = None
    personal_data: bool = False


@dataclass(frozen=True)
class ProductDraft:
    """A product with one output port, named as the product.

    Attributes:
        owner: E-mail address; None when a person must still name one, which the linter says.
    """

    domain: str
    name: str
    title: str
    purpose: str
    owner: str | None
    team: str
    tables: tuple[TableDraft, ...]
    inputs: tuple[InputDraft, ...] = ()
    kind: Literal["sourceAligned", "aggregate", "consumerAligned"] = "sourceAligned"
    status: Literal["draft", "active"] = "draft"
    version: str = "0.1.0"
    support_url: str | None = None
    tags: tuple[str, ...] = ()

    @classmethod
    def begun(
        cls,
        domain: str,
        name: str,
        owner: str,
        team: str,
        *,
        title: str | None = None,
        purpose: str | None = None,
        inputs: tuple[InputDraft, ...] = (),
    ) -> ProductDraft:
        """A product without tables yet; where no words are given, with some that ask for them."""
        given = title or name.replace("_", " ").capitalize()
        return cls(domain, name, given, purpose or f"Say in one sentence what {domain}.{name} gives.", owner, team, (), inputs)

    @property
    def id(self) -> str:
        """``<domain>.<product>``."""
        return f"{self.domain}.{self.name}"

    @property
    def contract_id(self) -> str:
        """Id of the port's contract."""
        return f"{self.id}.{self.name}"

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that the contract names: the reader's, and that of personal data when there is some."""
        personal = any(column.personal for table in self.tables for column in table.columns)
        return (naming.reader_role(self.id), *((naming.pii_reader_role(self.id),) if personal else ()))
