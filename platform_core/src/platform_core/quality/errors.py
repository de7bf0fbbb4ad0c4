"""Errors of the quality plane."""

from platform_core.errors import MeshError


class QualityError(MeshError):
    """A rule cannot be compiled or evaluated as it is written."""
