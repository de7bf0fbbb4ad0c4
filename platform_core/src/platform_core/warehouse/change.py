"""One step of a plan: what would be done to which object, for which domain, and why."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from psycopg import Connection, sql

Action = Literal["create", "grant", "revoke", "alter", "replace", "drop", "report"]
Kind = Literal["create", "change", "remove", "drift"]


@dataclass(frozen=True)
class Change:
    """One step of a plan, with the statement that takes it.

    Attributes:
        action: What is done.
        object: To what, as people read it; unique within a plan together with ``action``.
        statement: What does it; None for a finding that no statement can repair (``action`` is then ``report``).
        domain: Whose transaction takes the step; empty for the platform's own.
        product: The product it belongs to; empty for what belongs to the domain as a whole.
        kind: ``create`` of what the files declare anew, ``change`` of what they declare otherwise now, ``remove`` of what they no
            longer declare, ``drift`` for what was altered by hand, whatever undoes it.
        prune: Whether the step takes away a thing with its content, so that only ``apply --prune`` takes it.
        roles: Roles that the step names. One of another domain moves a step that gives to the later of both transactions, for it must
            exist; a step that takes is left out where the role itself is dropped.
        drops: The role that the step drops.
        detail: What was found instead, or what a person can do, in one sentence.
        act: What takes the step where one statement does not; the step's other attributes then say all that it depends on.
    """

    action: Action
    object: str
    statement: sql.SQL | sql.Composed | None
    domain: str = ""
    product: str = ""
    kind: Kind = "change"
    prune: bool = False
    roles: tuple[str, ...] = ()
    detail: str = ""
    drops: str = ""
    act: Callable[[Connection], object] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.action} {self.object}"

    @property
    def doable(self) -> bool:
        """Whether an apply can take the step; otherwise it is a finding for a person."""
        return self.statement is not None or self.act is not None

    def take(self, connection: Connection) -> None:
        """Takes the step, in the caller's transaction."""
        if self.statement is not None:
            connection.execute(self.statement)
        if self.act is not None:
            self.act(connection)


def printed(text: str) -> sql.SQL:
    """Text that is SQL already: what Postgres itself printed (``regprocedure``, names of privileges), or a constant of ours."""
    return sql.SQL(text)  # pyright: ignore[reportArgumentType]
