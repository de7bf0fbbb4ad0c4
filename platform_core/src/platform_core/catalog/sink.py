"""What a sink is to the outbox: it takes a batch and says what became of each proposal."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol

from platform_core.catalog.errors import SinkUnavailableError


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A proposal as the outbox stores it: ``value`` is the aspect's JSON; ``attempts`` counts failed ones before this."""

    product_id: str
    entity_type: str
    entity_urn: str
    aspect_name: str
    event: str
    value: str
    attempts: int = 0


@dataclass(frozen=True)
class Taken:
    """What became of a batch, by the proposals' positions in it.

    Attributes:
        accepted: The sink has them.
        refused: The sink will never take them, with its reason. They are quarantined.
        failure: Why the sink took no more; the positions in neither set are tried again later.
    """

    accepted: frozenset[int]
    refused: Mapping[int, str] = field(default_factory=dict[int, str])
    failure: SinkUnavailableError | None = None


class Sink(Protocol):
    """Where proposals go."""

    @property
    def name(self) -> str:
        """Identity of the destination: what was given to it is remembered under this name. Holds no secret."""
        ...

    @property
    def shared(self) -> bool:
        """Whether all products meet there, so that a content one product delivered need not be sent for another."""
        ...

    def lost(self, products: Collection[str]) -> frozenset[str]:
        """The products of which the destination holds nothing any more; all they have is sent again."""
        ...

    def send(self, batch: Sequence[Outgoing]) -> Taken:
        """Sends proposals in their order. Sending one twice must be harmless; an unreachable destination is no exception."""
        ...
