"""What has to change on the server: the files against what the server shows and what was last sent to it. Pure.

The server hides secrets behind asterisks, and fills in what a file leaves out. So each object that is sent leaves a keyed hash of
what was sent (``mesh.server_objects``): a hash that differs means that the file, or a secret of it, changed since. A value that
the server shows is compared as well, so that a change made on the server is drift. A secret that is changed on the server itself
cannot be seen by anyone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import orjson

from platform_core.ingestion.config import Steps
from platform_core.ingestion.server.api import Kind
from platform_core.ingestion.server.desired import Desired, Reference
from platform_core.ingestion.server.errors import ServerError

_ID = {"definition": "id", "source": "sourceId", "destination": "destinationId", "connection": "connectionId"}
_ORDER: tuple[Kind, ...] = ("definition", "source", "destination", "connection")
_ADDED_BY_SERVER = {"sourceType", "destinationType"}
_ABSENT = object()

Object = tuple[Kind, str]


@dataclass(frozen=True)
class ServerStep:
    """One change.

    Attributes:
        action: ``create``, ``update`` (also of drift), ``deactivate`` (no file asks for the connection any more).
        kind: What is changed.
        name: Its name on the server.
        changes: What differs, one readable line each; secrets never stand in them.
        domain: Whose it is.
        object_id: Its id, None before it exists.
        body: What is sent; ids of objects that do not exist yet are ``Reference``. Holds secrets.
        digest: Keyed hash of the content, remembered once it is sent.
    """

    action: Literal["create", "update", "deactivate"]
    kind: Kind
    name: str
    changes: tuple[str, ...]
    domain: str
    object_id: str | None
    body: dict[str, Any] = field(repr=False)
    digest: str = field(repr=False)

    @property
    def object(self) -> str:
        """The object, for people."""
        return f"airbyte {self.kind} {self.name}"

    def __str__(self) -> str:
        return f"{self.action} {self.object}" + (f": {'; '.join(self.changes)}" if self.changes else "")


@dataclass(frozen=True)
class Observed:
    """What the server has, as it answers.

    Attributes:
        objects: Objects by kind, in full.
        applied: Hash of what was last sent, by object.
    """

    objects: Mapping[Kind, Sequence[Mapping[str, Any]]]
    applied: Mapping[Object, str]

    def ids(self) -> dict[Object, str]:
        """Id of every object whose name is ours."""
        return {
            (kind, str(item["name"])): str(item[_ID[kind]])
            for kind, items in self.objects.items()
            for item in items
            if str(item.get("name", "")).startswith("mesh ")
        }


def plan_steps(wanted: Iterable[Desired], observed: Observed, *, key: bytes) -> tuple[ServerStep, ...]:
    """The steps from what the server has to what the files want, in an order in which they can be taken.

    Args:
        wanted: All objects of all files.
        observed: The server.
        key: Key of the hashes; whoever reads them without it learns nothing.

    Raises:
        ServerError: An object stands twice on the server, or belongs to another connector than the file's.
    """
    wanted = sorted(wanted, key=lambda item: (_ORDER.index(item.kind), item.name))
    found: dict[Object, Mapping[str, Any]] = {}
    for kind, items in observed.objects.items():
        for item in items:
            name = str(item.get("name", ""))
            if name.startswith("mesh ") and (kind, name) in found:
                ids = f"{found[kind, name][_ID[kind]]}, {item[_ID[kind]]}"
                raise ServerError(
                    f"stands twice on the server: {ids}", where=f"{kind} {name!r}", remedy="delete or rename one of them there"
                )
            found[kind, name] = item
    ids = observed.ids()
    steps = [step for item in wanted if (step := _step(item, found, ids, observed.applied, key)) is not None]
    return (*steps, *_left_over(wanted, found, observed.applied))


def digest(content: Mapping[str, Any], key: bytes) -> str:
    """The keyed hash of a body."""
    return hashlib.blake2b(orjson.dumps(content, option=orjson.OPT_SORT_KEYS), key=hashlib.sha256(key).digest(), digest_size=20).hexdigest()


def _step(
    item: Desired, found: Mapping[Object, Mapping[str, Any]], ids: Mapping[Object, str], applied: Mapping[Object, str], key: bytes
) -> ServerStep | None:
    hashed = digest(item.content, key)
    existing = found.get((item.kind, item.name))
    if existing is None:
        return ServerStep("create", item.kind, item.name, (), item.domain, None, {**item.fixed, **item.content}, hashed)
    _check_fixed(item, existing, ids)
    changes = list(_differences(item, existing))
    known = applied.get((item.kind, item.name))
    if known is None:
        changes.append("never applied with these credentials, so what the server hides is sent again")
    elif known != hashed and not changes:
        changes.append("a value that the server does not show has changed")
    if not changes:
        return None
    return ServerStep("update", item.kind, item.name, tuple(changes), item.domain, str(existing[_ID[item.kind]]), item.content, hashed)


def _check_fixed(item: Desired, existing: Mapping[str, Any], ids: Mapping[Object, str]) -> None:
    for name, value in item.fixed.items():
        expected = ids.get((value.kind, value.name)) if isinstance(value, Reference) else value
        if name in existing and existing[name] != expected:
            raise ServerError(
                f"the {item.kind} {item.name!r} on the server has another {name} ({existing[name]}) than the file asks for, which cannot be changed",
                where=item.where,
                remedy=f"delete the {item.kind} on the server (its state is lost), or give the connection file another name",
            )


def _differences(item: Desired, existing: Mapping[str, Any]) -> Iterator[str]:
    if item.kind == "definition":
        if existing.get("manifest") != item.content["manifest"]:
            yield "manifest differs"
    elif item.kind == "connection":
        for name, value in item.content.items():
            if name == "configurations":
                yield from _stream_differences(value["streams"], (existing.get(name) or {}).get("streams") or ())
            elif name == "schedule":
                yield from _line("schedule", (existing.get(name) or {}).get("scheduleType"), value["scheduleType"])
            else:
                yield from _line(name, existing.get(name) or "", value)
    else:
        shown = {name: value for name, value in (existing.get("configuration") or {}).items() if name not in _ADDED_BY_SERVER}
        yield from _value_differences(shown, item.content["configuration"], ("configuration",), item.hidden)


def _stream_differences(wanted: Sequence[Mapping[str, Any]], existing: Sequence[Mapping[str, Any]]) -> Iterator[str]:
    before = {str(stream["name"]): stream for stream in existing}
    for stream in wanted:
        name = str(stream["name"])
        if name not in before:
            yield f"stream {name}: not selected on the server"
            continue
        # What the file leaves to the source, the server fills in.
        for part in (part for part in stream if part not in {"name", "namespace"}):
            yield from _line(f"stream {name} {part}", before[name].get(part), stream[part])
    for name in before.keys() - {str(stream["name"]) for stream in wanted}:
        yield f"stream {name}: selected on the server, not in the file"


def _value_differences(shown: Any, wanted: Any, steps: Steps, hidden: frozenset[Steps]) -> Iterator[str]:
    if isinstance(wanted, dict) and isinstance(shown, dict):
        for name in sorted({*wanted, *shown}, key=str):
            yield from _value_differences(shown.get(name, _ABSENT), wanted.get(name, _ABSENT), (*steps, name), hidden)
    elif isinstance(wanted, list) and isinstance(shown, list) and len(wanted) == len(shown):
        for index, (left, right) in enumerate(zip(shown, wanted, strict=True)):
            yield from _value_differences(left, right, (*steps, index), hidden)
    elif (is_masked(shown) and wanted is not _ABSENT) or shown == wanted or (shown is None and wanted is _ABSENT):
        return
    elif steps in hidden or any(inner[: len(steps)] == steps for inner in hidden) or wanted is _ABSENT:
        # A key that no file knows may hold a secret that someone typed into the server.
        said = (
            "set on the server, not in the file"
            if wanted is _ABSENT
            else "missing on the server"
            if shown is _ABSENT
            else "differs (not shown)"
        )
        yield f"{_dotted(steps)}: {said}"
    else:
        yield from _line(_dotted(steps), shown, wanted)


def _line(name: str, before: Any, after: Any) -> Iterator[str]:
    if before != after:
        yield f"{name}: {'nothing' if before is _ABSENT or before is None else _text(before)} -> {_text(after)}"


def _left_over(wanted: Iterable[Desired], found: Mapping[Object, Mapping[str, Any]], applied: Mapping[Object, str]) -> Iterator[ServerStep]:
    """Connections that were applied from here and that no file asks for stop; nothing is deleted, as that would take their state along."""
    names = {item.name for item in wanted if item.kind == "connection"}
    for (kind, name), existing in sorted(found.items()):
        if kind != "connection" or (kind, name) not in applied or name in names or existing.get("status") != "active":
            continue
        streams = (existing.get("configurations") or {}).get("streams") or []
        if not streams:
            continue
        body = {"status": "inactive", "configurations": {"streams": streams}}
        domain = name.removeprefix("mesh ").partition("/")[0]
        yield ServerStep("deactivate", kind, name, ("no file asks for it",), domain, str(existing["connectionId"]), body, "")


def is_masked(value: Any) -> bool:
    """Whether a value is what the server shows instead of a secret."""
    return isinstance(value, str) and len(value) >= 3 and set(value) == {"*"}


def _dotted(steps: Steps) -> str:
    return ".".join(map(str, steps))


def _text(value: Any) -> str:
    text = orjson.dumps(value).decode() if not isinstance(value, str) else value or "''"
    return text if len(text) <= 80 else text[:79] + "…"
