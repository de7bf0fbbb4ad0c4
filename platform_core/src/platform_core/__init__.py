"""Shared library of the data-mesh platform: one package a plane, arrows only downwards (see README, map of the repository).

The components are reached as ``platform_core.DataProduct`` and so on, the names that ``defs.yaml`` files use; they are imported when
asked for, so that the planes below stay free of dagster.
"""

from typing import Any

COMPONENTS = ("AirbyteConnection", "DataProduct", "DbtProject", "FileDrop")


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version

        return version("platform-core")
    if name in COMPONENTS:
        from platform_core import components

        return getattr(components, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *COMPONENTS})
