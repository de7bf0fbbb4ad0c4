"""What matters of a foreign program's error output: the exception, not the way to it. Source of the form: Python's ``traceback`` module."""

from __future__ import annotations

import ast
import contextlib
import re

_LONGEST = 2000
_TRACEBACK = re.compile(r"(Error traceback:\s*)?^[ \t]*Traceback \(most recent call last\):$", re.MULTILINE)
_WRITTEN = re.compile(r"'[^\n]*'|\"[^\n]*\"")


def last_words(text: str) -> str:
    """The end of an error output: of a traceback the exception and the place that raised it, else the last whole lines."""
    lines = text.strip().split("\n")
    frames = [number for number, line in enumerate(lines) if line.startswith("  File ")]
    ending = [line for line in lines[frames[-1] + 1 :] if line and not line[0].isspace()] if frames else []
    if ending:
        return "\n  ".join([*ending, lines[frames[-1]].strip()])[:_LONGEST]
    kept = "\n".join(lines)
    return kept if len(kept) <= _LONGEST else kept[-_LONGEST:].partition("\n")[2] or kept[-_LONGEST:]


def without_traceback(text: str) -> str:
    """A message without the tracebacks in it: what stands before the first, and the exception that the last one ends with.

    The CDK gives some messages as Python writes a text, with quotes and ``\\n``; then what the text says is meant.
    """
    if _WRITTEN.fullmatch(text):
        with contextlib.suppress(ValueError, SyntaxError):
            text = str(ast.literal_eval(text))
    found = _TRACEBACK.search(text)
    if found is None:
        return text
    said = text[: found.start()].strip()
    raised = last_words(text[found.start() :]).partition("\n")[0]
    message = raised.partition(": ")[2] or raised
    return said if said and message in said else f"{said}: {raised}" if said else raised
