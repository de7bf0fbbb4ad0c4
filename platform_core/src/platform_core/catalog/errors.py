"""Errors of the catalog plane."""

from platform_core.errors import MeshError


class CatalogError(MeshError):
    """What the catalog is asked to do cannot be done as asked."""


class SinkUnavailableError(CatalogError):
    """A sink cannot take anything now; what waits for it stays in the outbox.

    Attributes:
        retry_after: Seconds the sink asked us to wait, None when it did not say.
    """

    def __init__(self, what: str, *, where: str | None = None, remedy: str | None = None, retry_after: float | None = None) -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.retry_after = retry_after
