"""The code location ``platform`` of ``workspace.yaml``."""

from platform_core.orchestration.platform_location import platform_definitions

defs = platform_definitions()
