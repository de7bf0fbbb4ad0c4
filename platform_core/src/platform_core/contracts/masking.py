"""Masks: what readers without the personal-data role see in place of a value, which types they fit, and which of two is stricter.

A masked column keeps its type: a view's columns never change with the role of who looks.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

Kind = Literal["null", "hash", "bucket", "year", "partial"]
Family = Literal["text", "integer", "number", "date", "timestamp", "uuid", "bytes", "boolean", "other"]

_RANKS: dict[str, int] = {"null": 4, "hash": 3, "bucket": 2, "year": 2, "partial": 1}
_NAMES: dict[str, Family] = {
    **dict.fromkeys(("text", "varchar", "character varying", "char", "character", "bpchar", "citext", "string"), "text"),
    **dict.fromkeys(("smallint", "int2", "integer", "int", "int4", "bigint", "int8"), "integer"),
    **dict.fromkeys(("numeric", "decimal", "real", "float4", "double precision", "float8", "float", "number"), "number"),
    "date": "date",
    **dict.fromkeys(
        ("timestamp", "timestamptz", "timestamp with time zone", "timestamp without time zone"),
        "timestamp",
    ),
    "uuid": "uuid",
    "bytea": "bytes",
    **dict.fromkeys(("boolean", "bool"), "boolean"),
}
_WIDE = frozenset({"bigint", "int8"})
_SMALL = frozenset({"smallint", "int2"})
HASH_LENGTH = 32
"""Characters of a hash in a text column: the first 128 bits, in hexadecimal."""
SHORTEST_HASH = 16
"""A ``varchar(n)`` below this length cannot hold a hash: 64 bits are the fewest that keep millions of values apart."""


@dataclass(frozen=True)
class Mask:
    """What stands in place of a value.

    Attributes:
        kind: ``null``; ``hash`` (keyed, equal for equal values in every port); ``bucket`` (the lower end of an interval); ``year``
            (the first of January); ``partial`` (some characters, the rest as ``***``).
        first: Characters kept at the beginning, of ``partial``.
        last: Characters kept at the end, of ``partial``.
        domain: Whether ``partial`` keeps what follows the last ``@``, and counts ``first`` and ``last`` before it.
        width: Width of a bucket of numbers, None for dates; a decimal number as text, so that it stays exact.
        days: Width of a bucket of dates.
        months: Width of a bucket of dates; a divisor of 12.
        years: Width of a bucket of dates.
    """

    kind: Kind
    first: int = 0
    last: int = 0
    domain: bool = False
    width: str | None = None
    days: int = 0
    months: int = 0
    years: int = 0

    @property
    def strictness(self) -> tuple[int, float]:
        """Compares: null hides most, then hash, wide buckets (a year is twelve months), narrow ones, and a part of the text."""
        if self.kind == "partial":
            return _RANKS[self.kind], -(self.first + self.last + (1000 if self.domain else 0))
        if self.kind == "year":
            return _RANKS[self.kind], 365.25
        if self.kind == "bucket":
            return _RANKS[self.kind], float(self.width) if self.width else self.days + 30.4375 * self.months + 365.25 * self.years
        return _RANKS[self.kind], 0

    def __str__(self) -> str:
        if self.kind == "partial":
            kept = [*([f"first {self.first}"] if self.first else []), *([f"last {self.last}"] if self.last else [])]
            return f"partial ({', '.join([*kept, *(['domain'] if self.domain else [])]) or 'nothing kept'})"
        if self.kind == "bucket":
            sizes = {"days": self.days, "months": self.months, "years": self.years}
            return f"bucket ({self.width or next(f'{size} {unit}' for unit, size in sizes.items() if size)})"
        return self.kind


NULL = Mask("null")


def hiding(mask: Mask | None, *, personal: bool) -> Mask | None:
    """What a column is hidden by: its mask; personal data that no policy speaks of is null; None for what is shown in clear."""
    return mask or (NULL if personal else None)


def strictest(masks: list[Mask]) -> Mask | None:
    """The mask that hides most, the first of equals; None of none."""
    return max(masks, key=lambda mask: mask.strictness, default=None)


def base_type(name: str) -> tuple[str, tuple[int, ...]]:
    """A Postgres type's name without its modifier, in lower case, and the modifier: ``Numeric(12, 2)`` is ``numeric``, ``(12, 2)``."""
    text = " ".join(name.lower().split())
    if match := re.search(r"\(([\d\s,]*)\)", text):
        numbers = tuple(int(part) for part in match[1].split(",") if part.strip())
        return " ".join((text[: match.start()] + text[match.end() :]).split()), numbers
    return text, ()


def family(name: str | None) -> Family:
    """The family of a Postgres type (or of an ODCS logical type, where no physical one is given); arrays, JSON and the like are ``other``."""
    return _NAMES.get(base_type(name)[0], "other") if name else "other"


def misfit(mask: Mask, name: str | None) -> str | None:
    """Why the mask cannot stand in a column of this type; None when it can.

    Args:
        mask: The mask.
        name: Postgres type with its modifier, for example ``character varying(20)``.
    """
    if mask.kind == "null":
        return None
    kind, (base, numbers) = family(name), base_type(name or "")
    if mask.kind == "hash":
        return _hash_misfit(kind, base, numbers)
    if mask.kind == "partial":
        return None if kind == "text" else "keeps characters, which only text has"
    if mask.kind == "year":
        return None if kind in {"date", "timestamp"} else "keeps the year, which only dates and timestamps have"
    if mask.width is None:
        return None if kind in {"date", "timestamp"} else "is as wide as a span of time, which only dates and timestamps are counted in"
    if kind not in {"integer", "number"}:
        return "is as wide as a number, which only numbers are counted in"
    decimals = len(mask.width.partition(".")[2])
    if len(numbers) == 2 and decimals > numbers[1]:
        return f"is {mask.width} wide, finer than the column's {numbers[1]} decimal places"
    if kind == "integer" and ("." in mask.width or int(mask.width) > (32767 if base in _SMALL else 2147483647)):
        return f"is {mask.width} wide, which a {base} cannot count in"
    return None


def _hash_misfit(kind: Family, base: str, numbers: tuple[int, ...]) -> str | None:
    if kind == "text":
        length = numbers[0] if numbers else 1 if base in {"char", "character"} else HASH_LENGTH
        return None if length >= SHORTEST_HASH else f"needs {SHORTEST_HASH} characters, 64 bits, to keep values apart"
    if kind in {"uuid", "bytes"} or base in _WIDE:
        return None
    if kind == "integer":
        return "needs 64 bits to keep values apart: only a bigint holds it"
    return "fits text, uuid, bytea and bigint only"
