"""What passes between our expectations and those who read their results, without importing Great Expectations."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

MEASURE = "mesh.measure"
"""Metric: value of an aggregate in the table's shared scan."""
ANSWER = "mesh.answer"
"""Metric: the :class:`Answer` of a statement of its own."""


@dataclass(frozen=True)
class Answer:
    """The one value that a statement gave, or the reason why it gave none."""

    value: Any
    error: str | None = None
