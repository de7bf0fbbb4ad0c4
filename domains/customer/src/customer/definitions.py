"""The code location of the customer domain."""

from platform_core.orchestration import code_location

defs = code_location(__file__)
