"""The model of the product files: what a data product is, after the files were found sound.

Sources: Bitol Open Data Product Standard v1.1.0 and Open Data Contract Standard v3.0 to v3.2. Clause names follow them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from platform_core.contracts import naming
from platform_core.contracts.access_request import AccessRequest
from platform_core.contracts.lifecycle import Lifecycle
from platform_core.contracts.masking import Mask
from platform_core.contracts.ownership import OwnerTerm
from platform_core.contracts.problem import Problem
from platform_core.contracts.row_filter import RowFilter
from platform_core.contracts.sensitivity import is_personal
from platform_core.contracts.source import Location

if TYPE_CHECKING:
    from platform_core.contracts.masking_policy import Masking


@dataclass(frozen=True)
class Column:
    """One property of a contract's table (ODCS ``schema[].properties[]``).

    Attributes:
        own_mask: The mask that the contract asks for, stricter than the policy; custom property ``mask``.
        mask: What readers without the personal-data role see instead, by the policy of the mesh; None for what is shown in clear.
        stable_id: The clause ``id``, by which relationships may refer to it.
    """

    name: str
    physical_name: str
    logical_type: str | None
    physical_type: str | None
    description: str | None
    required: bool
    unique: bool
    primary_key: bool
    primary_key_position: int
    classification: str | None
    tags: tuple[str, ...]
    business_name: str | None
    examples: tuple[Any, ...]
    location: Location
    own_mask: Mask | None = None
    mask: Mask | None = None
    stable_id: str | None = None

    @property
    def personal(self) -> bool:
        """Whether the column holds personal data: the tag ``pii``, or a classification that restricts it."""
        return is_personal(self.classification, self.tags)


@dataclass(frozen=True)
class Rule:
    """One promise about a table's data, compiled from one clause of the contract.

    Attributes:
        name: Unique within the table, stable, a valid Dagster check name.
        kind: ``not_null``, ``unique``, ``primary_key``, ``accepted_values``, ``range``, ``pattern``, ``length``, ``row_count``,
            ``null_count``, ``invalid_count``, ``duplicate_count``, ``foreign_key`` or ``sql``.
        table: Physical name of the table.
        column: Physical name of the column, None for rules about the whole table.
        arguments: By kind. ``columns``; ``values``; ``regex``; ``minimum``, ``maximum``, ``exclusive_minimum``,
            ``exclusive_maximum``; ``to_schema``, ``to_table``, ``to_columns``; ``query`` (``{object}`` stands for the relation);
            ``missing_values``; and the bounds of counted kinds: ``must_be``, ``must_not_be``, ``greater_than``,
            ``greater_or_equal``, ``less_than``, ``less_or_equal``, ``between``, ``not_between``, with ``unit`` ``rows`` or ``percent``.
        severity: ``error`` blocks publication, ``warning`` is reported.
        dimension: ODCS quality dimension.
        description: For people.
        location: The clause.
    """

    name: str
    kind: str
    table: str
    column: str | None
    arguments: Mapping[str, Any]
    severity: Literal["error", "warning"]
    dimension: str | None
    description: str | None
    location: Location

    @property
    def blocking(self) -> bool:
        """Whether a breach keeps the candidate from being published."""
        return self.severity == "error"


@dataclass(frozen=True)
class Table:
    """One table of a port (ODCS ``schema[]``).

    Attributes:
        model: Relation of the build schema that is its candidate; custom property ``model``, by default the physical name.
        incremental: Whether the candidate is added to by the next build and must stay in place; custom property ``incremental``.
        row_filter: Which rows a reader sees; custom property ``rowFilter``, None for all.
        stable_id: The clause ``id``, by which relationships may refer to it.
    """

    name: str
    physical_name: str
    description: str | None
    business_name: str | None
    granularity: str | None
    columns: tuple[Column, ...]
    rules: tuple[Rule, ...]
    tags: tuple[str, ...]
    model: str
    incremental: bool
    location: Location
    row_filter: RowFilter | None = None
    stable_id: str | None = None


@dataclass(frozen=True)
class Role:
    """A role of the contract, and who approves requests for it.

    ``domains`` are those that the entry is for (custom property ``domains``); what None means is said in ``role_clauses``.
    """

    name: str
    access: str | None
    first_level_approvers: str | None
    second_level_approvers: str | None
    domains: tuple[str, ...] | None = None
    location: Location | None = None


@dataclass(frozen=True)
class ServiceLevel:
    """One promise about the service (ODCS ``slaProperties[]``).

    ``objective`` is the indicator: the share of days, in a window, on which the promise must hold.
    """

    property: str
    value: Any
    unit: str | None
    element: str | None
    description: str | None
    objective: Mapping[str, Any] | None
    location: Location


@dataclass(frozen=True)
class SupportChannel:
    """Where consumers ask."""

    channel: str
    url: str | None
    tool: str | None
    scope: str | None


@dataclass(frozen=True)
class Contract:
    """A data contract: the promise of one output port."""

    id: str
    name: str
    version: str
    status: str
    domain: str
    product_id: str
    description_purpose: str | None
    description_usage: str | None
    description_limitations: str | None
    tables: tuple[Table, ...]
    roles: tuple[Role, ...]
    sla: tuple[ServiceLevel, ...]
    team_name: str | None
    owners: tuple[str, ...]
    tags: tuple[str, ...]
    support: tuple[SupportChannel, ...]
    path: Path
    raw: Mapping[str, Any] = field(repr=False)
    documented_only: tuple[tuple[str, Location], ...]
    lifecycle: Lifecycle = field(default_factory=Lifecycle)

    @property
    def port(self) -> str:
        """Name of the port, the last part of the id."""
        return self.id.rsplit(".", 1)[-1]

    @property
    def hashed(self) -> bool:
        """Whether a column is masked by a keyed hash."""
        return any(column.mask is not None and column.mask.kind == "hash" for table in self.tables for column in table.columns)


@dataclass(frozen=True)
class InputPort:
    """What a product reads: another product's contract, or a connection of its own domain."""

    name: str
    contract_id: str | None
    version: str | None
    connection: str | None
    personal_data: bool
    location: Location


@dataclass(frozen=True)
class OutputPort:
    """What a product offers, with the contract that promises it."""

    name: str
    contract_id: str
    version: str
    description: str | None
    contract: Contract


@dataclass(frozen=True)
class DataProduct:
    """A data product of a domain."""

    id: str
    domain: str
    name: str
    title: str
    version: str
    status: str
    type: str | None
    description_purpose: str | None
    description_usage: str | None
    description_limitations: str | None
    tags: tuple[str, ...]
    inputs: tuple[InputPort, ...]
    outputs: tuple[OutputPort, ...]
    team_name: str
    owners: tuple[str, ...]
    support: tuple[SupportChannel, ...]
    path: Path
    owner_terms: tuple[OwnerTerm, ...] = ()
    documented_only: tuple[tuple[str, Location], ...] = ()
    raw: Mapping[str, Any] = field(default_factory=dict[str, Any], repr=False)

    @property
    def schema(self) -> str:
        """Schema of the product's port views."""
        return naming.port_schema(self.id)


@dataclass(frozen=True)
class Mesh:
    """Every product of the repository, and everything that is wrong with the files.

    Attributes:
        domains: The folders under ``domains/``.
        products: By product id; only products whose files have no error.
        contracts: By contract id, of those products.
        problems: Findings over all files.
        broken: Ids of the products whose files have errors, as far as they can be read; what they published still exists.
        access: Requests to read ports, with what the owners decided (``domains/<domain>/access/``).
        masking: The attribute policy, ``domains/masking.yaml``; None without one.
    """

    domains: tuple[str, ...]
    products: Mapping[str, DataProduct]
    contracts: Mapping[str, Contract]
    problems: tuple[Problem, ...]
    broken: frozenset[str] = frozenset()
    access: tuple[AccessRequest, ...] = ()
    masking: Masking | None = None

    @property
    def port_schemas(self) -> dict[str, str]:
        """Port schema to product id, broken products included: an error in one domain cuts no edge of the graph."""
        return {naming.port_schema(product_id): product_id for product_id in (*sorted(self.broken), *self.products)}

    @property
    def documented_only(self) -> tuple[tuple[str, str, Location], ...]:
        """The clauses that nothing enforces or publishes: id of the product or contract, the clause, its place."""
        owners = (*self.products.values(), *self.contracts.values())
        return tuple((owner.id, clause, at) for owner in owners for clause, at in owner.documented_only)

    def of_domain(self, domain: str) -> tuple[DataProduct, ...]:
        """The domain's products, by id."""
        return tuple(product for _, product in sorted(self.products.items()) if product.domain == domain)

    def requests(self, contract_id: str, principal: str) -> tuple[AccessRequest, ...]:
        """The requests of a principal to read a port, oldest first."""
        return self._requests.get((contract_id, principal), ())

    @cached_property
    def _requests(self) -> Mapping[tuple[str, str], tuple[AccessRequest, ...]]:
        found: dict[tuple[str, str], tuple[AccessRequest, ...]] = {}
        for request in self.access:
            key = (request.contract_id, request.principal)
            found[key] = (*found.get(key, ()), request)
        return found

    def consumers(self, contract_id: str) -> tuple[tuple[DataProduct, InputPort], ...]:
        """The products that declare the contract as input, with the port that does."""
        return self._consumers.get(contract_id, ())

    @cached_property
    def _consumers(self) -> Mapping[str | None, tuple[tuple[DataProduct, InputPort], ...]]:
        found: dict[str | None, tuple[tuple[DataProduct, InputPort], ...]] = {}
        for _, product in sorted(self.products.items()):
            for port in product.inputs:
                found[port.contract_id] = (*found.get(port.contract_id, ()), (product, port))
        return found
