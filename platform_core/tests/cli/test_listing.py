"""Tables as they are printed: drawn for a terminal, and as plain lines for a pipe."""

from __future__ import annotations

import pytest
from rich.text import Text

from platform_core.cli.listing import listing, print_listing


def test_piped_lines_end_where_their_text_ends(capsys: pytest.CaptureFixture[str]) -> None:
    table = listing("name", "rows", "note", right=("rows",))
    table.add_row("sales.orders", "1,200", "")
    table.add_row(Text("[odd]"), "7", "[green]served[/]")
    print_listing(table)
    assert capsys.readouterr().out.splitlines() == [
        "name           rows  note",
        "sales.orders  1,200",
        "[odd]             7  served",
    ]


def test_a_piped_line_is_as_long_as_its_texts(capsys: pytest.CaptureFixture[str]) -> None:
    table = listing("text")
    table.add_row("x" * 300)
    print_listing(table)
    assert capsys.readouterr().out == f"text\n{'x' * 300}\n"
