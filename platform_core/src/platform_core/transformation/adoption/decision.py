"""What a command cannot decide for people: said once, with the place and what to do."""

from __future__ import annotations

from dataclasses import dataclass

KINDS = {
    "column-type": "Columns without a type",
    "columns-unknown": "Models whose columns nobody names",
    "owner": "Products without an owner",
    "test": "Tests that stay dbt tests",
    "not-served": "Models that no product serves",
    "served-elsewhere": "Exposures served by another product",
    "source": "Sources without a connection",
    "schema": "Schemas, databases and names that changed",
    "macro": "Macros that changed",
    "target": "Code that asks which target it runs on",
    "environment": "Environment variables",
    "package": "Packages",
    "dialect": "Models in the SQL of another database",
    "view": "Views on raw tables",
    "grant": "Hooks and grants",
    "name": "Names that changed",
    "version": "Versions of models",
    "personal-data": "Personal data",
    "not-carried": "Files that were not carried over",
}
"""Kinds of decisions with their headings in the report, in its order."""


@dataclass(frozen=True)
class Decision:
    """One thing that a person decides.

    Attributes:
        kind: One of ``KINDS``.
        subject: What it is about: a model, ``model.column``, a test, a source, a file.
        message: What was found.
        remedy: What to do, as an imperative.
        file: The place in the adopted project or in the new files, empty when there is none.
        blocks: Whether the mesh is not green before it is decided.
    """

    kind: str
    subject: str
    message: str
    remedy: str
    file: str = ""
    blocks: bool = False
