"""Shared library of the data-mesh platform: one package a plane, arrows only downwards (see README, map of the repository).

The components are reached as ``platform_core.DataProduct`` and so on, the names that ``defs.yaml`` files use; they are imported when
asked for, so that the planes below stay free of dagster.
"""

from importlib.metadata import version
from typing import Any

__version__ = version("platform-core")

COMPONENTS = ("AirbyteConnection", "DataProduct", "DbtProject", "FileDrop")


def __getattr__(name: str) -> Any:
    if name in COMPONENTS:
        from platform_core import components

        return getattr(components, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *COMPONENTS})
