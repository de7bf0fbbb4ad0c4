"""What the reading of SQL cannot do, said with the reason."""

from __future__ import annotations

from platform_core.errors import MeshError


class TracingError(MeshError):
    """A statement whose columns cannot be traced; the caller then lets every column depend on everything that is read."""


class NoSuchColumnError(TracingError):
    """A name that no relation has which the statement reads, although the columns of all of them are known.

    Args:
        written: The name as it stands in the statement, with the relation's where that is written.
        column: The column's own name.
        relations: The relations that might have had it.
        hint: A name that is there and resembles it, ready to be appended; empty when there is none.
    """

    def __init__(self, written: str, column: str, relations: frozenset[str], hint: str = "") -> None:
        super().__init__(f"no relation that is read has the column {written!r}{hint}")
        self.column = column
        self.relations = relations
