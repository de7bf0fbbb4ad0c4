"""Types of Postgres as ODCS logical types, and example values of each."""

from __future__ import annotations

import re

_LOGICAL = (
    (r".*\[\]|_\w+|array", "array"),
    (r"(small|big)?int(eger)?|int[248]|(small|big)?serial", "integer"),
    (r"numeric|decimal|real|double precision|float[48]?|money", "number"),
    (r"bool(ean)?", "boolean"),
    (r"date", "date"),
    (r"timestamp(tz)?( with(out)? time zone)?", "timestamp"),
    (r"time(tz)?( with(out)? time zone)?", "time"),
    (r"jsonb?|hstore", "object"),
    (r"text|(character varying|varchar|character|char|bpchar)|name|citext|uuid|interval|inet|cidr|macaddr|bytea|xml|string", "string"),
)


def logical_type(physical: str) -> str | None:
    """The ODCS logical type of a type of Postgres, with or without modifiers; None for a type it has none for."""
    plain = re.sub(r"\s*\([^)]*\)", "", physical.strip().lower())
    plain = re.sub(r"\s+", " ", plain)
    return next((logical for pattern, logical in _LOGICAL if re.fullmatch(pattern, plain)), None)


def example_value(physical: str, number: int) -> str:
    """A literal of SQL of the type, another one for each number from 1."""
    plain = physical.strip().lower()
    logical = logical_type(plain)
    if plain == "uuid":
        return f"'00000000-0000-4000-8000-{number:012d}'"
    if plain == "interval":
        return f"'{number} hours'"
    if logical == "string":
        length = re.search(r"\((\d+)\)", plain)
        text = f"example {number}"
        return f"'{text if not length or int(length[1]) >= len(text) else str(number)}'"
    literals = {
        "integer": str(number),
        "number": f"{number}.5" if not re.search(r"\(\d+(,\s*0)?\)", plain) else str(number),
        "boolean": "true" if number % 2 else "false",
        "date": f"'2026-01-{number:02d}'",
        "timestamp": f"'2026-01-{number:02d} 12:00:00+00'",
        "time": f"'{number:02d}:00:00'",
        "object": f"'{{\"number\": {number}}}'",
    }
    return literals.get(logical or "", "NULL")
