"""Errors of the publishing plane."""

from platform_core.errors import MeshError


class PublishingError(MeshError):
    """A candidate cannot be sealed or a port cannot be switched."""
