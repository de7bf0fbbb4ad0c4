"""Names in the SQL of new files: in quotes where they need them, so that the text stays readable."""

from __future__ import annotations

import re

_PLAIN = re.compile(r"[a-z_][a-z0-9_]*")
# Words that Postgres reserves (its appendix C), and those that read as something else where a column stands.
_RESERVED = re.compile(
    r"all|analy[sz]e|and|any|array|as|asc|asymmetric|authorization|between|binary|both|case|cast|check|coalesce|collat(e|ion)|column"
    r"|concurrently|constraint|create|cross|current_(catalog|date|role|schema|time|timestamp|user)|day|default|deferrable|desc|distinct|do"
    r"|else|end|except|exists|extract|false|fetch|for|foreign|freeze|from|full|grant|group|grouping|having|hour|ilike|in|initially|inner"
    r"|intersect|interval|into|is|isnull|join|lateral|leading|left|like|limit|local(time|timestamp)|minute|month|natural|normalize|not"
    r"|notnull|null|nullif|offset|on|only|or|order|outer|overlaps|overlay|placing|position|primary|references|returning|right|row|second"
    r"|select|session_user|similar|some|substring|symmetric|system_user|table|tablesample|then|time|timestamp|to|trailing|treat|trim|true"
    r"|union|unique|user|using|values|variadic|verbose|when|where|window|with|year"
)


def quoted(name: str) -> str:
    """An identifier of Postgres."""
    return name if _PLAIN.fullmatch(name) and not _RESERVED.fullmatch(name) else '"' + name.replace('"', '""') + '"'
