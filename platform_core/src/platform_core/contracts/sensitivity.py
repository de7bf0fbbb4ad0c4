"""How sensitive a column is: the one order of classifications, for the gate, for masks and for what is derived from personal data."""

from __future__ import annotations

from collections.abc import Collection

LEVELS = {
    **dict.fromkeys(("", "public", "open", "unclassified"), 0),
    "internal": 1,
    **dict.fromkeys(("confidential", "sensitive", "private"), 2),
    **dict.fromkeys(("restricted", "pii", "personal"), 3),
    **dict.fromkeys(("secret", "highly restricted", "highly confidential"), 4),
}
"""Classification in lower case to its level; a higher one is protected better."""
PERSONAL_CLASSES = frozenset({"restricted", "confidential", "pii", "sensitive"})
"""Classifications that say by themselves that a column holds personal data."""
PERSONAL_TAG = "pii"
MINIMUM_GROUP = 5
"""Rows (or distinct values) that a group must have before a sum over it counts as being about nobody.

Five is the lowest threshold in use at statistical offices (see Hundepool et al., Statistical Disclosure Control, chapter 4.2)."""


def is_personal(classification: str | None, tags: Collection[str]) -> bool:
    """Whether a column holds personal data: the tag ``pii``, or a classification that restricts it."""
    return PERSONAL_TAG in tags or (classification or "").lower() in PERSONAL_CLASSES


def level(classification: str | None, tags: Collection[str]) -> int:
    """How sensitive a column is declared. A classification that has no place in the order protects no better than ``internal``."""
    own = LEVELS.get((classification or "").strip().lower(), 1)
    return max(own, LEVELS[PERSONAL_TAG]) if PERSONAL_TAG in tags else own


def classified(classification: str | None, tags: Collection[str]) -> str:
    """The declaration in words."""
    return " and ".join([classification or "unclassified", *(["tagged pii"] if PERSONAL_TAG in tags else [])])
