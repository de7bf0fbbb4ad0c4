"""A new connection file: how each stream is best synced, and the text, with comments for whoever reads it next."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import yaml

from platform_core.contracts import did_you_mean
from platform_core.ingestion.connection_model import SyncMode
from platform_core.ingestion.connection_schema import MODELINE
from platform_core.ingestion.errors import ConnectionFileError
from platform_core.ingestion.offered import OfferedStream

_MEANING = {
    "full_refresh_overwrite": "everything, in place of what was there",
    "full_refresh_append": "everything, beside what was there",
    "incremental_append": "what is new, as events",
    "incremental_deduped": "what is new, one row per key, the newest",
}
_WIDTH = 118


@dataclass(frozen=True)
class NewStream:
    """A stream as the file says it.

    Attributes:
        name: Its name.
        sync_mode: How it is synced.
        cursor: Path of the cursor, only where the source does not define it.
        primary_key: Fields of the key, only where the source does not define it.
        namespace: Only where the source has the name twice.
        note: Why it is so.
    """

    name: str
    sync_mode: SyncMode
    cursor: tuple[str, ...] = ()
    primary_key: tuple[str, ...] = ()
    namespace: str | None = None
    note: str = ""


def proposed_mode(stream: OfferedStream, *, cursor: Sequence[str] = (), key: Sequence[str] = ()) -> SyncMode:
    """The mode that asks least of the source and keeps the table tidy."""
    incremental = "incremental" in stream.modes and bool(cursor or stream.cursor or stream.source_defined_cursor)
    if not incremental:
        return "full_refresh_overwrite"
    return "incremental_deduped" if key or _plain_key(stream) else "incremental_append"


def new_stream(
    offered: Sequence[OfferedStream], name: str, *, mode: SyncMode | None = None, cursor: Sequence[str] = (), key: Sequence[str] = ()
) -> NewStream:
    """How a stream is synced, with key and cursor from the source where it defines them.

    Raises:
        ConnectionFileError: The source has no such stream, or it cannot be synced so.
    """
    known = [stream.name for stream in offered]
    found = [stream for stream in offered if stream.name == name]
    if not found:
        raise ConnectionFileError(f"the source has no stream {name!r}{did_you_mean(name, known)}", remedy=f"use: {', '.join(known)}")
    stream = found[0]
    for field in (*key, *cursor[:1]):
        if field not in stream.fields:
            raise ConnectionFileError(
                f"{name} has no field {field!r}{did_you_mean(field, stream.fields)}", remedy=f"use: {', '.join(stream.fields)}"
            )
    mode = mode or proposed_mode(stream, cursor=cursor, key=key)
    if mode.startswith("incremental"):
        if "incremental" not in stream.modes:
            raise ConnectionFileError(f"{name} cannot be read incrementally", remedy="use full_refresh_overwrite or full_refresh_append")
        if not (cursor or stream.cursor or stream.source_defined_cursor):
            raise ConnectionFileError(f"{name} has no cursor of its own", remedy=f"add --cursor with one of: {', '.join(stream.fields)}")
    if mode == "incremental_deduped" and not (key or _plain_key(stream)):
        raise ConnectionFileError(f"{name} has no primary key of its own", remedy=f"add --key with fields of: {', '.join(stream.fields)}")
    own = [f"key {', '.join(stream.primary_key)}"] if mode == "incremental_deduped" and not key else []
    own += [f"cursor {'.'.join(stream.cursor)}"] if mode.startswith("incremental") and not cursor and stream.cursor else []
    return NewStream(
        name=name,
        sync_mode=mode,
        cursor=tuple(cursor) if mode.startswith("incremental") else (),
        primary_key=tuple(key) if mode == "incremental_deduped" else (),
        namespace=stream.namespace if len(found) > 1 else None,
        note=_MEANING[mode] + (f"; {' and '.join(own)} by the source" if own else ""),
    )


def connection_text(
    *,
    description: str,
    connector: Mapping[str, str],
    config: Mapping[str, Any],
    streams: Sequence[NewStream],
    comments: Mapping[str, str],
    cron: str | None = None,
) -> str:
    """The connection file.

    Args:
        description: What the source is.
        connector: ``package`` and ``version``, or ``manifest``.
        config: The configuration, secrets as placeholders.
        streams: What is synced.
        comments: A line for each key of the configuration, where there is one.
        cron: When it runs, None without a clock.
    """
    lines = [MODELINE.rstrip(), *_block({"description": description}), "", "connector:", *_block(dict(connector), 2), "", "config:"]
    for key, value in config.items():
        if comments.get(key):
            lines.append(f"  # {comments[key]}"[:_WIDTH])
        lines += _block({key: value}, 2)
    if not config:
        lines[-1] = "config: {}"
    lines += ["", "streams:"]
    for stream in streams:
        body: dict[str, Any] = {"name": stream.name, "sync_mode": stream.sync_mode}
        body |= {"namespace": stream.namespace} if stream.namespace else {}
        body |= {"cursor_field": list(stream.cursor)} if stream.cursor else {}
        body |= {"primary_key": list(stream.primary_key)} if stream.primary_key else {}
        first, second, *rest = _block(body, 4)
        lines += [f"  - {first.strip()}", f"{second}  # {stream.note}" if stream.note else second, *rest]
    if cron:
        lines += ["", "schedule:", *_block({"cron": cron}, 2)]
    return "\n".join(lines) + "\n"


def _plain_key(stream: OfferedStream) -> bool:
    return bool(stream.primary_key) and not any("." in field and field not in stream.fields for field in stream.primary_key)


class _Dumper(yaml.SafeDumper):
    """Mappings over several lines, lists of plain values in one."""


_Dumper.add_representer(
    list,
    lambda dumper, data: dumper.represent_sequence(
        "tag:yaml.org,2002:seq", data, flow_style=not any(isinstance(item, dict | list) for item in data)
    ),
)


def _block(data: Mapping[str, Any], indent: int = 0) -> list[str]:
    text = yaml.dump(dict(data), Dumper=_Dumper, sort_keys=False, allow_unicode=True, default_flow_style=False, width=1 << 20)
    return [" " * indent + line for line in text.splitlines()]
