"""The mesh command. Each command is thin: parse, call, print."""

from platform_core.cli.start import main

__all__ = ["main"]
