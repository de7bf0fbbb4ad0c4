"""A strict check of proposals against the schemas that ship with DataHub's Python package.

``datahub check metadata-file`` lets unknown fields, wrong enum symbols and malformed URNs pass; a server refuses them, or worse,
keeps them. Checked here: the envelope, the entity and its URN, that the entity may carry the aspect, and every value of the aspect
against its Avro schema, URN fields included. The wheel's ``*.avsc`` files are read as data: no DataHub class is built.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import orjson

from platform_core.catalog.errors import CatalogError
from platform_core.catalog.proposal import EVENTS

_ENVELOPE = {"entityType", "entityUrn", "changeType", "aspectName", "aspect"}
_SYSTEM = "systemMetadata"
_JAVA_URN = "Urn"
_WIRE, _AVRO = "com.linkedin.", "com.linkedin.pegasus2avro."
_INTEGERS = {"int": 31, "long": 63}
_ANEW = "remove it: the next delivery of its product writes it anew"


@dataclass(frozen=True)
class Finding:
    """A defect: the position of the proposal in its file, where in it, and what."""

    position: int
    where: str
    message: str

    def __str__(self) -> str:
        return f"proposal {self.position}: {self.where}: {self.message}"


@dataclass(frozen=True)
class _Schemas:
    """Aspect name to its schema; entity type to the aspects it may carry; named types by full name."""

    aspects: Mapping[str, Mapping[str, Any]]
    allowed: Mapping[str, frozenset[str]]
    types: Mapping[str, Mapping[str, Any]]


def check_file(path: Path) -> list[Finding]:
    """The defects of a metadata file.

    Raises:
        CatalogError: The file cannot be read or is no JSON array.
    """
    try:
        proposals = orjson.loads(path.read_bytes())
    except (OSError, orjson.JSONDecodeError) as error:
        raise CatalogError(f"is no metadata file: {error}", where=str(path), remedy=_ANEW) from error
    if not isinstance(proposals, list):
        raise CatalogError("holds no JSON array", where=str(path), remedy=_ANEW)
    return check_proposals(proposals)


def check_proposals(proposals: Iterable[Any]) -> list[Finding]:
    """The defects of proposals in the form of ``Proposal.to_obj``; an aspect of an entity may stand once (events excepted)."""
    found: list[Finding] = []
    seen: dict[tuple[str, str], int] = {}
    for position, proposal in enumerate(proposals):
        problems = list(_proposal(proposal))
        if not problems and proposal["aspectName"] not in EVENTS:
            key = (proposal["entityUrn"], proposal["aspectName"])
            if key in seen:
                problems.append(("entityUrn", f"the aspect {key[1]} of this entity stands at {seen[key]} already"))
            seen.setdefault(key, position)
        found += [Finding(position, where, message) for where, message in problems]
    return found


def _proposal(proposal: Any) -> Iterator[tuple[str, str]]:
    if not isinstance(proposal, dict) or not proposal.keys() >= _ENVELOPE:
        yield "", f"is no proposal: it needs {', '.join(sorted(_ENVELOPE))}"
        return
    if unknown := proposal.keys() - _ENVELOPE - {_SYSTEM}:
        yield "", f"unknown field {sorted(unknown)[0]!r}"
    if proposal["changeType"] != "UPSERT":
        yield "changeType", f"{proposal['changeType']!r} is not UPSERT"
    schemas = _schemas()
    if proposal.get(_SYSTEM) is not None:
        yield from _value(schemas.aspects[_SYSTEM], proposal[_SYSTEM], _SYSTEM, schemas.types)
    kind, name = proposal["entityType"], proposal["aspectName"]
    if kind not in schemas.allowed:
        yield "entityType", f"{kind!r} is no entity type"
        return
    yield from ((f"entityUrn{where}", message) for where, message in _urn(proposal["entityUrn"], kind))
    if name not in schemas.allowed[kind]:
        yield "aspectName", f"a {kind} carries no aspect {name!r}"
        return
    body = proposal["aspect"]
    if not isinstance(body, dict) or body.keys() != {"json"}:
        yield "aspect", "is not {json: ...}"
        return
    yield from _value(schemas.aspects[name], body["json"], name, schemas.types)


def _value(schema: Any, value: Any, at: str, types: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    """Walks a value along its schema. Unions of records are tagged by the record's name, as Rest.li writes them."""
    if isinstance(schema, str) and schema in types:
        schema = types[schema]
    if isinstance(schema, list):
        yield from _union(schema, value, at, types)
        return
    if not isinstance(schema, dict):
        if not _primitive(schema, value):
            yield at, f"{value!r} is no {schema}"
        return
    kind = schema["type"]
    if kind == "record":
        yield from _record(schema, value, at, types)
    elif kind == "array":
        if not isinstance(value, list):
            yield at, f"{value!r} is no list"
        else:
            for index, item in enumerate(value):
                yield from _value(schema["items"], item, f"{at}[{index}]", types)
    elif kind == "map":
        if not isinstance(value, dict):
            yield at, f"{value!r} is no map"
        else:
            for key, item in value.items():
                yield from _value(schema["values"], item, f"{at}.{key}", types)
    elif kind == "enum":
        if value not in schema["symbols"]:
            yield at, f"{value!r} is not one of {', '.join(schema['symbols'])}"
    elif not _primitive(kind, value):
        yield at, f"{value!r} is no {kind}"


def _union(branches: list[Any], value: Any, at: str, types: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if value is None:
        if "null" not in branches:
            yield at, "is missing"
        return
    given = [branch for branch in branches if branch != "null"]
    if len(given) == 1:
        yield from _value(given[0], value, at, types)
        return
    named = {_name(branch): branch for branch in given}
    tag = next(iter(value), None) if isinstance(value, dict) and len(value) == 1 else None
    branch = named.get(str(tag).replace(_WIRE, _AVRO, 1))
    if branch is None:
        yield at, f"{tag!r} is none of {', '.join(sorted(str(name).rpartition('.')[2] for name in named))}"
    else:
        yield from _value(branch, value[tag], f"{at}.{str(tag).rpartition('.')[2]}", types)


def _record(schema: Mapping[str, Any], value: Any, at: str, types: Mapping[str, Any]) -> Iterator[tuple[str, str]]:
    if not isinstance(value, dict):
        yield at, f"{value!r} is no {schema['name']}"
        return
    fields = {field["name"]: field for field in schema["fields"]}
    for name in value.keys() - fields.keys():
        yield at, f"unknown field {name!r}"
    for name, field in fields.items():
        where = f"{at}.{name}"
        if name not in value:
            if "default" not in field:
                yield where, "is missing"
            continue
        problems = list(_value(field["type"], value[name], where, types))
        yield from problems
        if not problems and _holds_urns(field) and value[name] is not None:
            for urn in value[name] if isinstance(value[name], list) else [value[name]]:
                yield from ((f"{where}{inner}", message) for inner, message in _urn(urn, None))


def _holds_urns(field: Mapping[str, Any]) -> bool:
    return "Urn" in field or str(field.get("java", {}).get("class", "")).endswith(f".{_JAVA_URN}")


def _urn(text: Any, kind: str | None) -> Iterator[tuple[str, str]]:
    from datahub.metadata.urns import Urn
    from datahub.utilities.urns.error import InvalidUrnError

    try:
        urn = Urn.from_string(text)
    except (InvalidUrnError, AttributeError, TypeError) as error:
        yield "", f"{text!r} is no URN: {error}"
        return
    if kind is not None and urn.entity_type != kind:
        yield "", f"{text!r} names a {urn.entity_type}, not a {kind}"
    if str(urn) != text:
        yield "", f"{text!r} is written {urn} in full"


def _primitive(kind: str, value: Any) -> bool:
    if kind == "boolean":
        return isinstance(value, bool)
    if kind in _INTEGERS:
        return isinstance(value, int) and not isinstance(value, bool) and -(1 << _INTEGERS[kind]) <= value < 1 << _INTEGERS[kind]
    if kind in {"float", "double"}:
        return isinstance(value, int | float) and not isinstance(value, bool)
    return kind in {"string", "bytes"} and isinstance(value, str)


def _name(branch: Any) -> str:
    return f"{branch['namespace']}.{branch['name']}" if isinstance(branch, dict) else str(branch)


@functools.cache
def _schemas() -> _Schemas:
    """Reads the wheel's schemas once (2.5 MB).

    Raises:
        CatalogError: The package is not installed.
    """
    package = find_spec("datahub")
    folder = Path(next(iter(package.submodule_search_locations or [""]))) / "metadata" / "schemas" if package else Path()
    files = sorted(folder.glob("*.avsc")) if package else []
    if not files:
        raise CatalogError("DataHub's schemas are not here", where=str(folder), remedy="install acryl-datahub")
    aspects: dict[str, Mapping[str, Any]] = {}
    allowed: dict[str, frozenset[str]] = {}
    types: dict[str, Mapping[str, Any]] = {}
    for path in files:
        schema = orjson.loads(path.read_bytes())
        _collect(schema, None, types)
        about = schema.get("Aspect") if isinstance(schema, dict) else None
        if about:
            aspects[about["name"]] = schema
            if "keyForEntity" in about:
                allowed[about["keyForEntity"]] = frozenset({about["name"], *about.get("entityAspects", ())})
    return _Schemas(aspects, {kind: names & aspects.keys() for kind, names in allowed.items()}, types)


def _collect(schema: Any, namespace: str | None, types: dict[str, Mapping[str, Any]]) -> None:
    """Registers every named type. Avro names a type fully, or leaves the enclosing namespace out."""
    if isinstance(schema, list):
        for branch in schema:
            _collect(branch, namespace, types)
    elif isinstance(schema, dict):
        if schema.get("type") in {"record", "enum", "fixed"}:
            namespace = schema["namespace"] = schema.get("namespace", namespace)
            types[f"{namespace}.{schema['name']}"] = schema
            for field in schema.get("fields", ()):
                _collect(field["type"], namespace, types)
        for inner in ("items", "values"):
            _collect(schema.get(inner), namespace, types)
        if isinstance(schema.get("type"), dict | list):
            _collect(schema["type"], namespace, types)
