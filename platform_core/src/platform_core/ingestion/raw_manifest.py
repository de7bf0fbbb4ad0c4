"""What the manifest of a raw copy says of its sync: enough to load the same rows again without the source.

| key | meaning |
|---|---|
| ``status`` | ``running`` until the sync ended and its outcome is known; then as in ``mesh.syncs`` |
| ``id_prefix`` | first characters of the rows' ``_airbyte_raw_id``; a replay gives each row its own id again |
| ``streams.*.committed`` | how many of the stream's records, from the first, the sync brought into its table; null: it did not touch it |
| ``state_before`` | what the connector was given |
| ``state_after`` | all states of the connection when the sync had ended, as in ``mesh.sync_state`` |
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from platform_core.ingestion.catalog import StreamTask
from platform_core.ingestion.connection import Connection, StreamSelection
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.errors import ReplayError
from platform_core.ingestion.protocol import Json, StreamKey, decode_json
from platform_core.ingestion.state import Committed
from platform_core.ingestion.types import Column, Kind, columns_of, identifier
from platform_core.lake import RawObject


@dataclass(frozen=True)
class ReplayStream:
    """One stream of a raw copy.

    Attributes:
        task: The stream as it was synced.
        number: Its place in the sync, part of the rows' ids.
        generation: ``_airbyte_generation_id`` of its rows.
        records: Records in the raw copy.
        bytes: Their size on the wire.
        committed: How many of them the sync committed; None when it did not touch the table.
    """

    task: StreamTask
    number: int
    generation: int
    records: int
    bytes: int
    committed: int | None


@dataclass(frozen=True)
class SyncManifest:
    """The manifest of one sync, read.

    Attributes:
        sync_id: The sync.
        status: As in ``mesh.syncs``; ``running`` when its outcome is not known.
        started_at: When it began; syncs are replayed in this order.
        id_prefix: First 18 characters of its rows' ids.
        streams: Its streams.
        state_after: States of the connection at its end, in order of writing.
        compressed_bytes: Size of the object.
        sha256: Its hash, None while the sync runs.
    """

    sync_id: str
    status: str
    started_at: datetime
    id_prefix: str
    streams: tuple[ReplayStream, ...]
    state_after: tuple[Json, ...]
    compressed_bytes: int
    sha256: str | None

    @property
    def settled(self) -> bool:
        """Whether it is known what the sync committed."""
        return self.status != "running" and self.sha256 is not None

    @property
    def touched(self) -> bool:
        """Whether the sync committed into any table."""
        return any(stream.committed is not None for stream in self.streams)

    @property
    def rows(self) -> int:
        """Rows that the sync committed."""
        return sum(stream.committed or 0 for stream in self.streams)


def start_manifest(
    connection: Connection,
    *,
    command: ConnectorCommand,
    sync_id: str,
    id_prefix: str,
    started: datetime,
    tasks: Sequence[StreamTask],
    generations: Mapping[StreamKey, int],
    state: Any,
) -> Json:
    """The manifest of a sync that begins."""
    return {
        "sync_id": sync_id,
        "domain": connection.domain,
        "connection": connection.name,
        "connector": {"package": command.name, "version": command.version},
        "connection_hash": connection.content_hash,
        "id_prefix": id_prefix,
        "started_at": started,
        "streams": {
            task.name: {
                "namespace": task.key[0],
                "number": number,
                "sync_mode": task.selection.sync_mode,
                "selection": task.selection.model_dump(mode="json", exclude_unset=True),
                "table": task.table,
                "cursor_field": list(task.cursor_field),
                "primary_key": list(task.primary_key),
                "replace": task.replace,
                "generation": generations[task.key],
                "json_schema": task.offered.get("json_schema"),
                "columns": {column.field: column.kind.value for column in task.columns},
                "fixed": task.fixed,
                "records": 0,
                "bytes": 0,
                "committed": None,
            }
            for number, task in enumerate(tasks)
        },
        "state_before": state,
    }


def end_manifest(
    start: Json,
    *,
    status: str,
    finished: datetime,
    received: Mapping[str, tuple[int, int]],
    committed: Mapping[str, Committed],
    states: Sequence[Json],
) -> Json:
    """The manifest of a sync that ended.

    Args:
        start: What `start_manifest` made.
        status: How it ended.
        finished: When.
        received: Records and bytes in the raw copy, by stream.
        committed: What reached the tables, by stream.
        states: The connection's states afterwards.
    """
    streams: Json = {}
    for name, stream in start["streams"].items():
        records, size = received.get(name, (stream["records"], stream["bytes"]))
        streams[name] = {**stream, "records": records, "bytes": size, "committed": committed[name].rows if name in committed else None}
    return {**start, "streams": streams, "status": status, "finished_at": finished, "state_after": list(states)}


def read_manifest(raw: RawObject) -> SyncManifest | None:
    """Reads and checks the manifest of a raw copy; None when there is none.

    Raises:
        ReplayError: It is damaged, of another sync, or of an earlier version of the platform.
        LakeError: The lake cannot be read.
    """
    text = raw.manifest_text()
    if text is None:
        return None
    try:
        body = decode_json(text)
        if not str(body["format"]).endswith("/2"):
            raise ReplayError(
                f"its manifest has the format {body['format']!r}: it was written by an earlier version, without what a replay needs",
                where=raw.url,
                remedy="sync the stream with --full-refresh; raw copies of syncs from now on can be replayed",
            )
        found = (body["domain"], body["connection"], body["sync_id"])
        if found != (raw.domain, raw.connection, raw.sync_id):
            raise ReplayError(
                f"the raw copy belongs to another sync: {found[0]}/{found[1]} {found[2]}",
                where=raw.url,
                remedy="move it back to the folder of that sync",
            )
        return SyncManifest(
            sync_id=raw.sync_id,
            status=body["status"],
            started_at=datetime.fromisoformat(body["started_at"]),
            id_prefix=body["id_prefix"],
            streams=tuple(_stream(name, stream) for name, stream in body["streams"].items()),
            state_after=tuple(body.get("state_after") or ()),
            compressed_bytes=body.get("compressed_bytes") or 0,
            sha256=body.get("sha256"),
        )
    except (KeyError, TypeError, ValueError) as error:  # pydantic's and json's errors are ValueErrors
        raise ReplayError(
            f"its manifest cannot be read: {type(error).__name__} {error}",
            where=raw.url,
            remedy="restore manifest.json from the store's versions or backup; the other syncs can be replayed by their ids",
        ) from error


def _stream(name: str, body: Json) -> ReplayStream:
    selection = StreamSelection.model_validate(body["selection"])
    deduplicate = selection.sync_mode == "incremental_deduped"
    schema = body["json_schema"] or {}
    task = StreamTask(
        key=(body["namespace"], name),
        selection=selection,
        offered={"name": name, "json_schema": schema},
        columns=_columns(body.get("columns"), schema),
        table=body["table"],
        cursor_field=tuple(body["cursor_field"]),
        primary_key=tuple(body["primary_key"]),
        deduplicate=deduplicate,
        replace=body["replace"],
        checkpointed=False,  # a replay commits once
        fixed=body.get("fixed", False),
    )
    return ReplayStream(task, body["number"], body["generation"], body["records"], body["bytes"], body["committed"])


def _columns(kept: Mapping[str, str] | None, schema: Json) -> tuple[Column, ...]:
    """The columns as the sync had them: its connection may have ignored what changed in the source."""
    return columns_of(schema) if kept is None else tuple(Column(name, identifier(name), Kind(kind)) for name, kind in kept.items())
