"""The text of SQL without its comments: dbt's, and those of SQL; what stands in quotes is no comment."""

from __future__ import annotations

import re

_PARTS = re.compile(r"(?P<quoted>'(?:[^']|'')*'|\"[^\"\n]*\")|\{#.*?#\}|/\*.*?\*/|--[^\n]*", re.DOTALL)


def without_comments(sql: str) -> str:
    """The same text with blanks in place of comments, so that lines keep their numbers."""
    return _PARTS.sub(_blank, sql)


def _blank(found: re.Match[str]) -> str:
    return found[0] if found["quoted"] is not None else re.sub(r"[^\n]", " ", found[0])
