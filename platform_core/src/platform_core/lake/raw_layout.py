"""Where the raw copy of a sync lies in the lake, and how its manifest is written.

``raw/<domain>/<connection>/<sync_id>/`` under the lake's URL holds

| name | what |
|---|---|
| ``manifest.json`` | what the sync is; ``status`` is ``running`` from its first moment until its end |
| ``messages.jsonl.zst`` | its records and states as they came, immutable; it appears at once, whole |
| ``messages.jsonl.zst.part`` | in a folder: the object while it is written; renamed at the end |
| ``messages.jsonl.zst.NNNNNN`` | in an object store: journal pieces, so that committed rows survive a killed runner |

Object stores show an object when its upload is complete and cannot rename (a rename there copies every byte), so there the
object is written under its own name.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson

from platform_core.errors import MeshError
from platform_core.lake.files import LakeFiles

OBJECT = "messages.jsonl.zst"
PARTIAL = f"{OBJECT}.part"
MANIFEST = "manifest.json"
FORMAT = "airbyte-messages/jsonl+zstd/2"
RUNNING = "running"


class RawCopyError(MeshError):
    """The raw copy of a sync cannot be written or read."""


def piece_name(number: int) -> str:
    """Name of a journal piece; names sort in order of writing."""
    return f"{OBJECT}.{number:06d}"


def is_piece(name: str) -> bool:
    """Whether a file of the folder is a journal piece."""
    return name.startswith(f"{OBJECT}.") and name.removeprefix(f"{OBJECT}.").isdigit()


def raw_folder(lake_url: str, domain: str, connection: str, *sync_id: str) -> LakeFiles:
    """The folder of a connection's raw copies, or of one of them."""
    return LakeFiles.at("/".join((lake_url.rstrip("/"), "raw", domain, connection, *sync_id)))


def put_manifest(files: LakeFiles, manifest: Mapping[str, Any]) -> None:
    """Writes a manifest in one step; numbers keep every digit.

    Raises:
        LakeError: The store refuses.
    """
    files.put(files.path(MANIFEST), orjson.dumps({"format": FORMAT, **manifest}, option=orjson.OPT_INDENT_2, default=_exact))


def _exact(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(type(value).__name__)
