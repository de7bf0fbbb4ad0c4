"""What a person sees while a connection runs: a table that changes on a terminal, a line every few seconds elsewhere."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console, Group
from rich.live import Live
from rich.table import Table
from rich.text import Text

from platform_core.ingestion import Connection, Progress

_LINE_SECONDS = 5.0
_CURSOR_CHARACTERS = 40


class SyncDisplay:
    """Shows the progress of one sync; a context manager."""

    def __init__(
        self, connection: Connection, streams: list[str], console: Console, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        """Prepares the display.

        Args:
            connection: What runs.
            streams: The streams that are synced.
            console: Where to show it.
            clock: Seconds, of which only differences count.
        """
        self._connection, self._console, self._clock = connection, console, clock
        self._progress = Progress(connection.id, dict.fromkeys(streams, 0), 0, dict.fromkeys(streams, None), 0.0)
        self._began = self._clock()
        self._first: float | None = None
        self._said = self._began
        # Last, for it asks for the table at once.
        self._live = Live(console=console, get_renderable=self.shown, refresh_per_second=4, transient=True) if console.is_terminal else None

    def __enter__(self) -> SyncDisplay:
        if self._live:
            self._live.start()
        else:
            self._console.print(f"{self._connection.id}: starting {self._connection.connector_label}")
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live:
            self._live.stop()

    def update(self, progress: Progress) -> None:
        """Takes the newest figures."""
        self._progress = progress
        now = self._clock()
        if self._first is None and any(progress.rows.values()):
            self._first = now
        if self._live is None and now - self._said >= _LINE_SECONDS:
            self._said = now
            self._console.print(self.line(), soft_wrap=True)

    def line(self) -> str:
        """The progress as one line."""
        rows = sum(self._progress.rows.values())
        cursors = [f"{name} at {cursor}" for name, cursor in self._progress.cursors.items() if cursor]
        rate = self._rate(rows)
        return ", ".join([f"{self._connection.id}: {rows:,} records", f"{rate} rows/s", _size(self._progress.bytes), *cursors])

    def shown(self) -> Group:
        """The progress as a heading and a table, a row a stream."""
        seconds = self._clock() - self._began
        doing = _size(self._progress.bytes) if self._first else "starting the connector"
        heading = f"{self._connection.id}  {self._connection.connector_label}  {seconds:.0f} s  {doing}"
        table = Table(box=None, pad_edge=False, header_style="bold")
        for name, justify in (("stream", "left"), ("records", "right"), ("rows/s", "right"), ("cursor", "left")):
            table.add_column(name, justify=justify)  # pyright: ignore[reportArgumentType]
        for name, rows in self._progress.rows.items():
            cursor = self._progress.cursors.get(name) or ""
            table.add_row(Text(name), f"{rows:,}", self._rate(rows), Text(cursor[:_CURSOR_CHARACTERS]))
        return Group(Text(heading, overflow="ellipsis", no_wrap=True), table)

    def _rate(self, rows: int) -> str:
        # From the first record on: starting a connector takes seconds, and says nothing about its speed.
        seconds = self._clock() - self._first if self._first else 0
        return f"{rows / seconds:,.0f}" if seconds > 1 else "-"


def _size(size: int) -> str:
    return f"{size / 1_000_000:,.1f} MB"
