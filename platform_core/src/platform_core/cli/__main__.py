"""``python -m platform_core.cli``: what the launcher calls."""

from platform_core.cli import main

main()
