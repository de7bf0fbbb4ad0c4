"""From the attribute policy to the mask of each column, and what the policy and the contracts do not agree on.

The rule that hides most wins. What cannot be decided is hidden (``null``) and an error of ``mesh lint``: nothing is ever shown because
of a mistake in a file.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from platform_core.contracts.masking import NULL, Mask, family, misfit, strictest
from platform_core.contracts.masking_model import MaskingModel, MaskRule
from platform_core.contracts.model import Column, Contract, DataProduct, Mesh
from platform_core.contracts.problem import Problem
from platform_core.contracts.row_filter import EVERY
from platform_core.contracts.sensitivity import PERSONAL_CLASSES
from platform_core.contracts.source import Location

FILE = "domains/masking.yaml"


@dataclass(frozen=True)
class Masking:
    """The attribute policy of a mesh.

    Attributes:
        path: The file.
        model: What it says; None when it has errors.
        lines: Number of a rule to its line.
    """

    path: Path
    model: MaskingModel | None
    lines: Mapping[int, int]

    @property
    def attributes(self) -> frozenset[tuple[str, str, str]]:
        """``(role, attribute, value)`` of every reader."""
        readers = self.model.readers if self.model else []
        return frozenset(
            (reader.role, attribute, value) for reader in readers for attribute, values in reader.attributes.items() for value in values
        )

    def rules(self, column: Column) -> Iterator[tuple[MaskRule, Location]]:
        """The rules that apply to a column, with their places."""
        for index, rule in enumerate(self.model.rules if self.model else []):
            if rule.applies(column.classification, column.tags):
                yield rule, Location(self.path, self.lines[index])


def with_masks(products: Mapping[str, DataProduct], masking: Masking | None) -> dict[str, DataProduct]:
    """The products with the mask of every column of their ports."""
    return {
        product_id: replace(product, outputs=tuple(replace(port, contract=_masked(port.contract, masking)) for port in product.outputs))
        for product_id, product in products.items()
    }


def column_mask(column: Column, masking: Masking | None) -> Mask | None:
    """What readers without the personal-data role see in place of a column's values; None for the values themselves."""
    found, _ = _decide(column, masking)
    if found is None or misfit(found, column.physical_type or column.logical_type) is None:
        return found
    return NULL


def masking_problems(mesh: Mesh) -> tuple[Problem, ...]:
    """What the policy and the contracts of the mesh do not agree on; for ``mesh lint``."""
    columns = [column for contract in mesh.contracts.values() for table in contract.tables for column in table.columns]
    found = [problem for column in columns for problem in _decide(column, mesh.masking)[1]]
    personal = next((column for column in columns if column.personal), None)
    if mesh.masking is None and personal is not None:
        message = f"there is no {FILE}: personal data, for example {personal.physical_name!r}, is null for readers without the pii role"
        found.append(Problem("masking-policy", message, personal.location, f"write {FILE}, see docs/masking.md", "warning"))
    return (*found, *_row_filter_problems(mesh))


def _masked(contract: Contract, masking: Masking | None) -> Contract:
    tables = tuple(replace(table, columns=tuple(_with_mask(column, masking) for column in table.columns)) for table in contract.tables)
    return replace(contract, tables=tables)


def _with_mask(column: Column, masking: Masking | None) -> Column:
    mask = column_mask(column, masking)
    return column if mask == column.mask else replace(column, mask=mask)


def _decide(column: Column, masking: Masking | None) -> tuple[Mask | None, list[Problem]]:
    if masking is None:
        return strictest([*([NULL] if column.personal else []), *([column.own_mask] if column.own_mask else [])]), _own_problems(
            column, None
        )
    if masking.model is None:  # its errors are said where the file is read
        classified = column.personal or column.tags or column.classification or column.own_mask
        return (NULL if classified else None), []
    problems: list[Problem] = []
    masks = [_of_rule(rule, at, column, problems) for rule, at in masking.rules(column)]
    if not masks and column.personal:
        masks.append(_otherwise(masking.model, column, problems))
    _unknown_class(masking.model, column, problems)
    policy = strictest(masks)
    problems += _own_problems(column, policy)
    return strictest([*masks, *([column.own_mask] if column.own_mask else [])]), problems


def _of_rule(rule: MaskRule, at: Location, column: Column, problems: list[Problem]) -> Mask:
    kind = column.physical_type or column.logical_type
    mask = rule.of(family(kind))
    if mask is None:
        message = f"{column.physical_name!r} is {kind}, for which the rule at {at.in_repo} has no mask"
        problems.append(Problem("mask-type", message, column.location, f"add {family(kind)}: to the rule's masks, for example null"))
        return NULL
    return _fitting(mask, column, f"the rule at {at.in_repo}", problems)


def _otherwise(model: MaskingModel, column: Column, problems: list[Problem]) -> Mask:
    kind = column.physical_type or column.logical_type
    mask = model.otherwise.of(family(kind)) if model.otherwise else None
    if mask is not None:
        return _fitting(mask, column, f"`otherwise` of {FILE}", problems)
    message = f"{column.physical_name!r} holds personal data, and {FILE} has no mask for it"
    known = sorted(
        {tag for rule in model.rules for tag in rule.tag or ()} | {name for rule in model.rules for name in rule.classification or ()}
    )
    remedy = f"say what it is by a tag or classification of the policy ({', '.join(known)}), or add a rule or `otherwise`"
    problems.append(Problem("personal-without-policy", message, column.location, remedy))
    return NULL


def _fitting(mask: Mask, column: Column, whose: str, problems: list[Problem]) -> Mask:
    kind = column.physical_type or column.logical_type
    reason = misfit(mask, kind)
    if reason is None:
        return mask
    message = f"the mask {mask} of {whose} does not fit {column.physical_name!r}, which is {kind}: it {reason}"
    problems.append(Problem("mask-type", message, column.location, "choose another mask in the policy, or another tag or type here"))
    return NULL


def _unknown_class(model: MaskingModel, column: Column, problems: list[Problem]) -> None:
    name = (column.classification or "").lower()
    known = {item.lower() for rule in model.rules for item in rule.classification or ()} | {item.lower() for item in model.unmasked}
    if name and name not in known | PERSONAL_CLASSES:
        message = f"the classification {column.classification!r} of {column.physical_name!r} is neither masked nor unmasked by {FILE}"
        remedy = f"use one of {', '.join(sorted(known))}, or add it to the policy"
        problems.append(Problem("unknown-classification", message, column.location, remedy))


def _own_problems(column: Column, policy: Mask | None) -> list[Problem]:
    own = column.own_mask
    if own is None:
        return []
    problems: list[Problem] = []
    _fitting(own, column, "the column itself", problems)
    if policy is not None and own.strictness < policy.strictness:
        message = f"{column.physical_name!r} asks for the mask {own}, the policy for {policy}, which hides more"
        problems.append(Problem("mask-weaker", message, column.location, "remove the column's mask, or change the policy"))
    return problems


def _row_filter_problems(mesh: Mesh) -> Iterator[Problem]:
    given = {attribute for _, attribute, _ in mesh.masking.attributes} if mesh.masking else set[str]()
    for contract in mesh.contracts.values():
        for table in contract.tables:
            filtered = table.row_filter
            if filtered is not None and filtered.attribute not in given:
                message = f"no reader has the attribute {filtered.attribute!r}: {table.physical_name!r} shows rows to its owner only"
                remedy = f"add it under readers: in {FILE}; the value {EVERY!r} stands for every row"
                yield Problem("row-filter-attribute", message, filtered.location, remedy, "warning")
