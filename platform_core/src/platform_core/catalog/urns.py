"""DataHub's names for the things that ``contracts.naming`` does not name: owners, tags, fields, assertions.

DataHub reserves four characters inside a URN's part (https://docs.datahub.com/docs/what/urn#restrictions); they are percent-encoded.
"""

from __future__ import annotations

import hashlib
from urllib.parse import quote

PLATFORM = "urn:li:dataPlatform:postgres"
ASSERTION_PLATFORM = "urn:li:dataPlatform:great-expectations"
_RESERVED = frozenset(",()␟")


def encode(text: str) -> str:
    """A name as one part of a URN."""
    return "".join(quote(letter) if letter in _RESERVED else letter for letter in text) if _RESERVED.intersection(text) else text


def group(team: str) -> str:
    """A team."""
    return f"urn:li:corpGroup:{encode(team)}"


def user(name: str) -> str:
    """A person, by user name or e-mail address as the product file writes it."""
    return f"urn:li:corpuser:{encode(name)}"


def tag(name: str) -> str:
    """A tag of a product or contract file."""
    return f"urn:li:tag:{encode(name)}"


def classification_tag(classification: str) -> str:
    """The tag that carries a column's ODCS ``classification``."""
    return tag(f"classification.{classification.lower()}")


def field(dataset: str, column: str) -> str:
    """A column of a dataset."""
    return f"urn:li:schemaField:({dataset},{encode(column)})"


def assertion(contract_id: str, rule: str) -> str:
    """A rule of a contract: stable as long as both names are."""
    return f"urn:li:assertion:{hashlib.sha256(f'{contract_id}/{rule}'.encode()).hexdigest()[:32]}"
