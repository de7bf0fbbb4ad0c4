"""Errors of the warehouse plane."""

from platform_core.errors import MeshError


class WarehouseError(MeshError):
    """The warehouse cannot be reached, started or changed as asked."""


class StalePlanError(WarehouseError):
    """A plan is to be applied to files or a warehouse that changed since it was made."""
