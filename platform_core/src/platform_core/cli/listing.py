"""Tables without lines, as the commands print what they list."""

from __future__ import annotations

from collections.abc import Collection

from rich.table import Table
from rich.text import Text

from platform_core.cli.session import out


def listing(*titles: str | Text, right: Collection[str] = ()) -> Table:
    """An empty table with a column for each title; those named in ``right`` are aligned there."""
    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, justify="right" if title in right else "left")
    return table


def print_listing(table: Table) -> None:
    """Prints a table; piped, each line ends where its text does, for what compares or cuts lines."""
    if out.is_terminal:
        out.print(table)
        return
    with out.capture() as drawn:
        out.print(table)
    lines = drawn.get().splitlines()
    out.print("\n".join(line.rstrip() for line in lines), markup=False, soft_wrap=True)
