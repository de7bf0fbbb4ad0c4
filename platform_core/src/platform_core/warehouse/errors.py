"""Errors of the warehouse plane."""

from platform_core.errors import MeshError


class WarehouseError(MeshError):
    """The warehouse cannot be reached, started or changed as asked."""
