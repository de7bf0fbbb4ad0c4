"""Annotations of GitHub Actions: https://docs.github.com/actions/reference/workflows-and-actions/workflow-commands."""

from __future__ import annotations


def annotation(level: str, message: str, *, file: str | None = None, line: int | None = None, title: str | None = None) -> str:
    """One workflow command with its line end.

    Args:
        level: ``error``, ``warning`` or ``notice``.
        message: The text; it may have several lines.
        file: Path from the root of the repository.
        line: Line of the file, from 1.
        title: Short heading.
    """
    given = {"file": file, "line": line, "title": title}
    properties = ",".join(f"{name}={escaped(str(value))}" for name, value in given.items() if value is not None)
    return f"::{level}{' ' if properties else ''}{properties}::{escaped(message, data=True)}\n"


def escaped(text: str, *, data: bool = False) -> str:
    """Text as the value of a property, or as the message (``data``)."""
    text = text.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    return text if data else text.replace(":", "%3A").replace(",", "%2C")
