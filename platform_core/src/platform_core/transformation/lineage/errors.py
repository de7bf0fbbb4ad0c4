"""What the reading of SQL cannot do, said with the reason."""

from __future__ import annotations

from platform_core.errors import MeshError


class TracingError(MeshError):
    """A statement whose columns cannot be traced; the caller then lets every column depend on everything that is read."""
