"""What a contract's column says about its own mask: the custom property ``mask``, written as in the policy file."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from pydantic_core import PydanticCustomError

from platform_core.contracts.masking import Mask
from platform_core.contracts.masking_model import read_mask
from platform_core.contracts.problem import Problem
from platform_core.contracts.source import Place

MASK_PROPERTY = "mask"


def read_own_mask(place: Place, column: Mapping[str, Any], problems: list[Problem]) -> Mask | None:
    """The mask that the column at ``place`` asks for; None when it asks for none, or for something that is no mask."""
    for index, entry in enumerate(column.get("customProperties") or []):
        if entry["property"] == MASK_PROPERTY:
            try:
                return read_mask(entry.get("value"))
            except PydanticCustomError as error:
                remedy = str((error.context or {}).get("remedy", "correct the value"))
                problems.append(Problem("mask", f"the mask {error.message()}", place.at("customProperties", index), remedy))
    return None
