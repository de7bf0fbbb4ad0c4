"""What stands inside of a column of type object, array or map: one value for Postgres, which is shown or masked as a whole.

So the column itself must be declared at least as sensitive as the personal data that its parts declare.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from platform_core.contracts.problem import Problem
from platform_core.contracts.sensitivity import PERSONAL_TAG, classified, is_personal, level
from platform_core.contracts.source import Place, Step


def check_inside(place: Place, column: Mapping[str, Any], problems: list[Problem]) -> None:
    """Tells of the first part of the column at ``place`` that is personal data, when the column is declared less sensitive."""
    own, own_tags = column.get("classification"), column.get("tags") or ()
    for steps, part in _parts(column):
        inner, tags = part.get("classification"), part.get("tags") or ()
        if not is_personal(inner, tags) or (is_personal(own, own_tags) and level(own, own_tags) >= level(inner, tags)):
            continue
        name = part.get("name") or "/".join(str(step) for step in steps)
        message = f"the column {column['name']!r} is {classified(own, own_tags)}, but {name!r} inside of it is {classified(inner, tags)}"
        wanted = [f"classification: {inner}"] if inner else []
        wanted += [f"tags: [{PERSONAL_TAG}]"] if PERSONAL_TAG in tags else []
        remedy = (
            f"write {' and '.join(wanted)} at the column too: it is one value in Postgres, masked as a whole; or make the part a column"
        )
        problems.append(Problem("personal-data", message, place.at(*steps), remedy))
        return


def _parts(value: Mapping[str, Any]) -> Iterator[tuple[tuple[Step, ...], Mapping[str, Any]]]:
    """Every part below a column with its path, however deep: properties of objects, items of arrays, keys and values of maps."""
    below: list[tuple[tuple[Step, ...], Mapping[str, Any]]] = []
    below += [(("properties", index), part) for index, part in enumerate(value.get("properties") or ())]
    below += [(("items",), value["items"])] if value.get("items") else []
    below += [(("map", key), part) for key, part in (value.get("map") or {}).items() if key in {"key", "value"}]
    for path, part in below:
        yield path, part
        yield from (((*path, *deeper), inner) for deeper, inner in _parts(part))
