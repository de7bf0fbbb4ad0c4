"""Proposals in files that DataHub's ``file`` source reads: one file a product, or the folder as a whole."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

import orjson

from platform_core.catalog.errors import SinkUnavailableError
from platform_core.catalog.proposal import stage_of
from platform_core.catalog.sink import Outgoing, Taken
from platform_core.file_lock import held_alone

SUFFIX = ".mcps.json"


@dataclass(frozen=True)
class FileSink:
    """Keeps, for every product, the latest proposal of each aspect in ``<folder>/<product id>.mcps.json``.

    A file is a JSON array, one proposal a line, replaced as a whole: a reader sees the former state or the new one. To load it into
    DataHub: ``source: {type: file, config: {path: <folder>}}``.
    """

    folder: Path
    shared: bool = False

    @property
    def name(self) -> str:
        """The folder: another folder has its own memory."""
        return f"file:{self.folder.absolute()}"

    def path(self, product_id: str) -> Path:
        """The file of a product."""
        return self.folder / f"{product_id}{SUFFIX}"

    def lost(self, products: Collection[str]) -> frozenset[str]:
        """The products whose file is absent or unreadable."""
        return frozenset(product for product in products if not self._holds(product))

    def send(self, batch: Sequence[Outgoing]) -> Taken:
        """Merges the batch into the products' files."""
        accepted: set[int] = set()
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            for product in sorted({item.product_id for item in batch}):
                positions = [index for index, item in enumerate(batch) if item.product_id == product]
                self._merge(product, [batch[index] for index in positions])
                accepted.update(positions)
        except OSError as error:
            failure = SinkUnavailableError(
                f"the catalog file cannot be written: {error.strerror}",
                where=str(self.folder),
                remedy="check the folder and the free space",
            )
            return Taken(frozenset(accepted), failure=failure)
        return Taken(frozenset(accepted))

    def _holds(self, product: str) -> bool:
        try:
            return bool(_read(self.path(product)))
        except OSError:
            return False  # sending says what is wrong with it

    def _merge(self, product: str, items: Sequence[Outgoing]) -> None:
        path = self.path(product)
        with held_alone(self.folder / ".lock"):  # two writers would lose one's lines
            held = _read(path) or {}
            for item in items:
                held[item.entity_urn, item.aspect_name] = (item.entity_type, _line(item))
            ordered = sorted(held.items(), key=lambda entry: stage_of(entry[1][0], entry[0][1]))
            _replace(path, b"[\n" + b",\n".join(line for _, (_, line) in ordered) + b"\n]\n")


def _line(item: Outgoing) -> bytes:
    return orjson.dumps(
        {
            "entityType": item.entity_type,
            "entityUrn": item.entity_urn,
            "changeType": "UPSERT",
            "aspectName": item.aspect_name,
            "aspect": {"json": orjson.Fragment(item.value)},
        }
    )


def _read(path: Path) -> dict[tuple[str, str], tuple[str, bytes]] | None:
    """The lines of a file by entity and aspect; None when it is absent or not one of ours."""
    try:
        proposals = orjson.loads(path.read_bytes())
        return {(item["entityUrn"], item["aspectName"]): (item["entityType"], orjson.dumps(item)) for item in proposals}
    except (FileNotFoundError, orjson.JSONDecodeError, KeyError, TypeError):
        return None


def _replace(path: Path, content: bytes) -> None:
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    with temporary.open("wb") as file:
        file.write(content)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
