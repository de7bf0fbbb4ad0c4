"""The recorded messages that ``mesh bench ingest`` feeds to every contestant: made once by the faker connector, kept in the home."""

from __future__ import annotations

import json
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from platform_core.cli.session import err
from platform_core.ingestion import ConnectorReference, connector_environment
from platform_core.settings import Settings

FAKER = ConnectorReference(package="airbyte-source-faker", version="7.2.1")
STREAMS: tuple[str, ...] = ("users", "products", "purchases")


@dataclass(frozen=True)
class Recording:
    """A read of the faker connector, kept.

    Attributes:
        folder: Holds ``messages.jsonl``, ``catalog.jsonl``, and the sources that play them.
        rows: Records of each stream.
        bytes: Size of the messages.
    """

    folder: Path
    rows: dict[str, int]
    bytes: int

    def source(self, times: int = 1) -> Path:
        """A program that speaks the Airbyte protocol and sends the recording, so many times over."""
        path = self.folder / f"source-{times}x"
        folder = shlex.quote(str(self.folder))
        path.write_text(
            "#!/bin/sh\ncase $1 in\n"
            """spec) echo '{"type":"SPEC","spec":{"connectionSpecification":{"type":"object","properties":{}}}}' ;;\n"""
            """check) echo '{"type":"CONNECTION_STATUS","connectionStatus":{"status":"SUCCEEDED"}}' ;;\n"""
            f"discover) cat {folder}/catalog.jsonl ;;\n"
            f"read) exec cat{f' {folder}/messages.jsonl' * times} ;;\nesac\n"
        )
        path.chmod(0o755)
        return path


def recording(settings: Settings, folder: Path, users: int) -> Recording:
    """The recording of that size; made now when there is none."""
    own = folder / f"faker-{FAKER.version}-{users}"
    described = own / "recording.json"
    if not described.is_file():
        _record(settings, own, users)
    body = json.loads(described.read_text())
    return Recording(own, body["rows"], body["bytes"])


def _record(settings: Settings, own: Path, users: int) -> None:
    from platform_core.ingestion.connector import ConnectorRun
    from platform_core.ingestion.conversation import request

    own.mkdir(parents=True, exist_ok=True)
    command = connector_environment(FAKER, repo=settings.repo, home=settings.home)
    config = {"count": users, "seed": 20261, "parallelism": 1, "records_per_slice": 1000, "always_updated": True}
    offered = request(command, "discover", config=config)["streams"]
    chosen = [stream for stream in offered if stream["name"] in STREAMS]
    (own / "catalog.jsonl").write_text(json.dumps({"type": "CATALOG", "catalog": {"streams": chosen}}) + "\n")
    catalog: dict[str, Any] = {
        "streams": [{"stream": stream, "sync_mode": "incremental", "destination_sync_mode": "append"} for stream in chosen]
    }
    rows = dict.fromkeys(STREAMS, 0)
    size = 0
    marks = {name: f'"stream":"{name}"'.encode() for name in STREAMS}
    with (
        err.status(f"recording {2 * users + 100:,} records of {command}, once"),
        ConnectorRun(command, "read", config=config, catalog=catalog) as run,
        (own / "messages.jsonl").open("wb") as file,
    ):
        for block in run.blocks():
            for line in block.split(b"\n"):
                if line.startswith(b'{"type":"RECORD"'):
                    for name, mark in marks.items():
                        rows[name] += mark in line[:200]
            size += file.write(block + b"\n")
        run.exit_code()
    (own / "recording.json").write_text(json.dumps({"rows": rows, "bytes": size}))
