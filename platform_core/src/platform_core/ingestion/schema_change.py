"""One difference between the schema of a stream that was accepted and the one that the source declares now."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class SchemaChange:
    """One difference between what was accepted and what the source declares now.

    Attributes:
        kind: What changed.
        field: The field; empty for a key.
        before: Type or key as accepted; None for a new column.
        after: The same as declared now; None for a removed column.
    """

    kind: Literal["new column", "removed column", "other type", "other primary key"]
    field: str
    before: str | None
    after: str | None

    def __str__(self) -> str:
        match self.kind:
            case "new column":
                return f"+ {self.field} {self.after}"
            case "removed column":
                return f"- {self.field} {self.before}"
            case "other type":
                return f"~ {self.field} {self.before} -> {self.after}"
            case _:
                return f"~ primary key {self.before} -> {self.after}"
