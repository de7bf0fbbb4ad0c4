"""``${NAME}`` and ``${NAME:-default}`` in connection and drop files: values that only the environment knows."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field

PLACEHOLDER_REMEDY = "write ${NAME} or ${NAME:-default}; a literal dollar before a brace is $${"
_PLACEHOLDER = re.compile(r"\$\$\{|\$\{(?P<name>[A-Za-z_][A-Za-z0-9_]*)(:-(?P<default>[^}]*))?\}")


@dataclass(frozen=True)
class Filled:
    """A text whose placeholders were replaced.

    Attributes:
        text: The result; hidden in ``repr``, since it may hold secrets.
        missing: Variables that are not set and have no default, in the order of the text; an empty value counts as not set.
        given: The values that came from the environment.
        whole: The variable whose value is the whole text, if it is one placeholder and nothing else.
    """

    text: str = field(repr=False)
    missing: tuple[str, ...]
    given: tuple[str, ...] = field(repr=False)
    whole: str | None


def fill_placeholders(text: str, environ: Mapping[str, str]) -> Filled:
    """Replaces the placeholders of ``text`` by the environment's values; ``$${`` becomes ``${``."""
    missing: list[str] = []
    given: list[str] = []
    whole: str | None = None

    def replace(match: re.Match[str]) -> str:
        nonlocal whole
        name = match["name"]
        if name is None:
            return "${"
        value = environ.get(name) or None
        if value is not None:
            given.append(value)
        found = value if value is not None else match["default"]
        if found is None:
            missing.append(name)
            return ""
        if match[0] == text:
            whole = name
        return found

    filled = _PLACEHOLDER.sub(replace, text)
    return Filled(filled, tuple(missing), tuple(given), whole)


def placeholder_problem(text: str) -> str | None:
    """What is wrong with the placeholders of ``text``, if anything."""
    rest = _PLACEHOLDER.sub("", text)
    return f"the placeholder {rest[rest.index('${') :][:40]!r} is not closed or has no valid name" if "${" in rest else None
