"""What the pointer of a lake table says, and where things of a table lie.

Layout under the lake's URL::

    tables/<key>/.../[partition=<key>/]_current                          the pointer: one small JSON object
    tables/<key>/.../[partition=<key>/]_g<time in ns>-<random>/part-0.parquet

The pointer names the generation that readers see and the one before it. Generations that no pointer names are of writers
that died or of the past.
"""

from __future__ import annotations

import base64
import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any
from urllib.parse import quote, unquote

POINTER = "_current"
_PARTITION = "partition="
_FORMAT = "mesh-lake-table/1"


@dataclass(frozen=True)
class Generation:
    """One complete state of a table or partition.

    Attributes:
        name: Its folder.
        previous: The one before, None at first.
        files: Its Parquet files.
        rows: Number of rows.
        bytes: Size of the files.
        arrow_schema: The Arrow schema, in IPC form and base64 (an empty table has no file to tell it).
    """

    name: str
    previous: str | None
    files: tuple[str, ...]
    rows: int
    bytes: int
    arrow_schema: str

    def dump(self) -> bytes:
        """The pointer's content."""
        return json.dumps({"format": _FORMAT, **asdict(self)}, indent=1).encode()

    @classmethod
    def parse(cls, content: bytes) -> Generation:
        """From the pointer's content.

        Raises:
            ValueError: It is not a pointer of this format.
        """
        parsed: Any = json.loads(content)
        fields: dict[str, Any] = dict(parsed) if isinstance(parsed, dict) else {}
        if fields.pop("format", None) != _FORMAT:
            raise ValueError(f"not {_FORMAT}")
        try:
            fields["files"] = tuple(fields["files"])
            return cls(**fields)
        except (KeyError, TypeError) as error:
            raise ValueError(f"not {_FORMAT}: {error}") from error

    def schema_bytes(self) -> bytes:
        """The Arrow schema in IPC form."""
        return base64.b64decode(self.arrow_schema)


def encode_schema(serialized: bytes) -> str:
    """`Generation.arrow_schema` from the IPC form."""
    return base64.b64encode(serialized).decode()


def table_path(key: Sequence[str]) -> list[str]:
    """Folders of a table. A part that begins like the names above, or holds a slash, is escaped."""
    return ["tables", *(_escaped(part) for part in key)]


def partition_folder(partition: str) -> str:
    """Folder of a partition."""
    return _PARTITION + quote(partition, safe="")


def partition_of(folder: str) -> str | None:
    """The partition key of a folder, None when it is none."""
    return unquote(folder.removeprefix(_PARTITION)) if folder.startswith(_PARTITION) else None


def new_generation() -> str:
    """A name for a new generation; names sort by time."""
    return f"_g{time.time_ns():020d}-{secrets.token_hex(4)}"


def age_seconds(name: str, now_ns: int) -> float | None:
    """Seconds since a generation was begun, None when the name is not one of a generation."""
    stamp, dash, _ = name.removeprefix("_g").partition("-")
    return (now_ns - int(stamp)) / 1e9 if name.startswith("_g") and dash and stamp.isdigit() else None


def _escaped(part: str) -> str:
    text = quote(part, safe="")
    return f"%{ord(text[0]):02X}{text[1:]}" if text[:1] in {"_", "."} else text
