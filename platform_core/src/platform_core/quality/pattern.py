"""From the standard's regular expressions to Postgres'.

ODCS ``logicalTypeOptions.pattern`` is a regular expression of ECMA-262 in JSON Schema's manner: it is **searched**, not
anchored (``abc`` holds for ``xabcx``; write ``^abc$`` for the whole value), without flags. Postgres reads "advanced regular
expressions", in which some of the same letters mean other things (``\\b`` is a backspace, ``\\A`` an anchor, ``.`` matches a
line break, ``\\d`` and ``\\w`` depend on the locale, ``\\x`` takes any number of digits). So each construct is translated, and
one that has no exact counterpart is an error instead of a silent difference.

Sources: ECMA-262 section 22.2 (patterns), PostgreSQL manual section 9.7.3.
"""

from __future__ import annotations

import re
from collections.abc import Callable

from platform_core.quality.errors import QualityError

_DIGIT = "0-9"
_WORD = "A-Za-z0-9_"
# WhiteSpace and LineTerminator of ECMA-262 (U+0020 to U+3000 that are Zs, and the byte order mark).
_SPACE = "\t\n\v\f\r \u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000\ufeff"
_SETS = {"d": _DIGIT, "w": _WORD, "s": _SPACE}
_AT_EDGE = f"(?:(?<=[{_WORD}])(?![{_WORD}])|(?<![{_WORD}])(?=[{_WORD}]))"
_NOT_AT_EDGE = f"(?:(?<=[{_WORD}])(?=[{_WORD}])|(?<![{_WORD}])(?![{_WORD}]))"
_CONTROLS = {"t": "\t", "n": "\n", "v": "\v", "f": "\f", "r": "\r"}
_LINE_BREAKS = "\n\r\u2028\u2029"
_SPECIAL = frozenset("\\^$.|?*+()[]{}")
_MAX_REPEAT = 255  # DUPMAX of Postgres' engine
_TOKENS = re.compile(
    r"(?P<code>\\x[0-9A-Fa-f]{2}|\\u[0-9A-Fa-f]{4}|\\u\{[0-9A-Fa-f]{1,6}\})"
    r"|(?P<back>\\[1-9])(?!\d)"
    r"|\\(?P<escape>.)"
    r"|(?P<named>\(\?<(?![=!])[A-Za-z_$][\w$]*>)"
    r"|(?P<group>\(\?(?::|=|!|<=|<!))"
    r"|(?P<unknown_group>\(\?)"
    r"|(?P<repeat>\{(?P<low>\d+)(?:,(?P<high>\d*))?\})"
    r"|(?P<set>\[)"
    r"|(?P<other>.)",
    re.DOTALL,
)


def to_postgres(regex: str) -> str:
    """The same expression for Postgres' operator ``~``. A leading ``(?i)`` (ignore case) is understood as well.

    Raises:
        QualityError: A construct that Postgres has no exact counterpart of.
    """
    prefix, at = ("(?i)", 4) if regex.startswith("(?i)") else ("", 0)
    out: list[str] = []
    while at < len(regex):
        token = _TOKENS.match(regex, at)
        if token is None:
            raise _unsupported(regex, regex[at:])
        at = token.end()
        if token["set"]:
            text, at = _set(regex, at)
            out.append(text)
        else:
            out.append(_outside(regex, token))
    return prefix + "".join(out)


def _outside(regex: str, token: re.Match[str]) -> str:
    if token["code"]:
        return _literal(_character(token["code"]))
    if token["back"] or token["group"]:
        return token[0]
    if token["escape"]:
        return _escape(regex, token["escape"], _literal)
    if token["named"]:
        return "("
    if token["unknown_group"]:
        raise _unsupported(regex, regex[token.start() : token.start() + 4])
    if token["repeat"]:
        if max(int(token["low"]), int(token["high"] or 0)) > _MAX_REPEAT:
            raise QualityError(
                f"the pattern {regex!r} repeats more than {_MAX_REPEAT} times", remedy="use minLength and maxLength for lengths"
            )
        return token["repeat"]
    character = token["other"]
    if character == "\\":
        raise _unsupported(regex, character)
    if character == ".":
        return f"[^{_LINE_BREAKS}]"
    return f"\\{character}" if character in "{}]" else character


def _escape(regex: str, letter: str, literal: Callable[[str], str]) -> str:
    if letter in _SETS:
        return f"[{_SETS[letter]}]"
    if letter.lower() in _SETS:
        return f"[^{_SETS[letter.lower()]}]"
    if letter == "b":
        return _AT_EDGE
    if letter == "B":
        return _NOT_AT_EDGE
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter.isalnum():
        raise _unsupported(regex, f"\\{letter}")
    return literal(letter)


def _set(regex: str, at: int) -> tuple[str, int]:
    """The bracket expression that starts before ``at``, and where it ends."""
    start, out = at, ["["]
    if regex[at : at + 1] == "^":
        out.append("^")
        at += 1
    if regex[at : at + 1] == "]":
        raise _unsupported(regex, regex[start - 1 : at + 1])
    while at < len(regex) and regex[at] != "]":
        token = _TOKENS.match(regex, at)
        if token is not None and token["code"]:
            out.append(_in_set(_character(token["code"])))
            at = token.end()
        elif regex[at] == "\\" and at + 1 < len(regex):
            out.append(_escape_in_set(regex, regex[at + 1]))
            at += 2
        else:
            out.append(f"\\{regex[at]}" if regex[at] == "[" else regex[at])
            at += 1
    if at >= len(regex):
        raise _unsupported(regex, regex[start - 1 :])
    return "".join([*out, "]"]), at + 1


def _escape_in_set(regex: str, letter: str) -> str:
    if letter in _SETS:
        return _SETS[letter]
    if letter == "b":
        return "\b"
    if letter in _CONTROLS:
        return _CONTROLS[letter]
    if letter.isalnum():
        raise _unsupported(regex, f"[\\{letter}]")
    return _in_set(letter)


def _in_set(character: str) -> str:
    return f"\\{character}" if character in "\\^-[]" else character


def _literal(character: str) -> str:
    return f"\\{character}" if character in _SPECIAL else character


def _character(code: str) -> str:
    number = int(code[2:].strip("{}"), 16)
    if not 0 < number < 0x110000 or 0xD800 <= number < 0xE000:
        raise QualityError(f"the pattern names the character {code}, which text in Postgres cannot hold", remedy="remove it")
    return chr(number)


def _unsupported(regex: str, part: str) -> QualityError:
    return QualityError(
        f"the pattern {regex!r} uses {part!r}, which is not of ECMA-262 or has no counterpart in Postgres",
        remedy="write it with character classes, groups, lookaround and repeats up to 255",
    )
