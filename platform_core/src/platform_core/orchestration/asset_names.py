"""From the platform's names to Dagster's."""

from __future__ import annotations

import dagster as dg

from platform_core.contracts import Mesh, naming


def asset_key(key: naming.Key) -> dg.AssetKey:
    """The asset key of a name; never one part with slashes in it."""
    return dg.AssetKey(list(key))


def relation_asset(schema: str, table: str, mesh: Mesh) -> dg.AssetKey | None:
    """The asset that stands for a relation, or None when the mesh does not own it."""
    key = naming.relation_key(schema, table, mesh.port_schemas)
    return asset_key(key) if key else None


def asset_relation(key: dg.AssetKey) -> tuple[str, str] | None:
    """The relation an asset stands for, the inverse of ``relation_asset``; None for a key of another form."""
    if len(key.path) != 3:
        return None
    domain, part, name = key.path
    if part == "raw":
        return naming.raw_schema(domain), name
    if part == "build":
        return naming.build_schema(domain), name
    return naming.port_schema(f"{domain}.{part}"), name


def tag_value(text: str) -> str:
    """A Dagster tag value made of any text: letters, digits, ``_-.``, at most 63 characters."""
    kept = "".join(letter if letter.isalnum() or letter in "_-." else "_" for letter in text)
    return kept[:63].strip("_-.")


def owners(team: str, people: tuple[str, ...]) -> list[str]:
    """Dagster owners: the team, and those people who are written as e-mail addresses."""
    named = "".join(letter if letter.isalnum() or letter in "_-" else "_" for letter in team)
    return ([f"team:{named}"] if named else []) + [person for person in people if "@" in person]
