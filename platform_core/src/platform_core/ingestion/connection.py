"""A connection: which connector, with which configuration, brings which streams into a domain."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, field_validator, model_validator
from pydantic_core import PydanticCustomError

from platform_core.contracts import Document, Location

SyncMode = Literal["full_refresh_overwrite", "full_refresh_append", "incremental_append", "incremental_deduped"]

# PEP 440, a single release: a range, a wildcard or "latest" would make two runs differ.
_EXACT_VERSION = re.compile(r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?")
_PACKAGE = re.compile(r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?")
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(\*|(?P<low>\d+)(-(?P<high>\d+))?)(/(?P<step>\d+))?")
_CRON_NAMES = {"@hourly", "@daily", "@weekly", "@monthly", "@yearly"}


def _one_or_more(value: Any) -> Any:
    return (value,) if isinstance(value, str) else tuple(value) if isinstance(value, list) else value


Names = Annotated[tuple[str, ...], BeforeValidator(_one_or_more)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class ConnectorReference(_Strict):
    """A connector of the package index.

    Attributes:
        package: Name on the index, for example ``airbyte-source-faker``.
        version: Exact version.
    """

    package: str
    version: str

    @field_validator("package")
    @classmethod
    def _is_package(cls, value: str) -> str:
        if not _PACKAGE.fullmatch(value):
            raise PydanticCustomError(
                "package",
                "is {value}, not a package name",
                {"value": repr(value), "remedy": "write it as on the index: airbyte-source-faker"},
            )
        return value

    @field_validator("version")
    @classmethod
    def _is_exact(cls, value: str) -> str:
        if not _EXACT_VERSION.fullmatch(value):
            raise PydanticCustomError(
                "version",
                "is {value}, not one exact version",
                {"value": repr(value), "remedy": 'write one release, for example "7.2.1"'},
            )
        return value


class StreamSelection(_Strict):
    """One stream of the source and how it is synced.

    Attributes:
        name: The stream's name in the source; also the raw table's name.
        sync_mode: ``full_refresh_overwrite``, ``full_refresh_append``, ``incremental_append`` or ``incremental_deduped``.
        namespace: The stream's namespace, only when the source has the name twice.
        cursor_field: Path of the cursor, when the source does not define it.
        primary_key: Top-level fields, when the source does not define them.
        checkpoint: When an append's rows may become visible before the stream is complete. ``state``: with every STATE that
            does not provably lag behind the rows. ``complete``: only with the whole stream, for sources whose intermediate
            state covers fewer rows than were sent and cannot be compared with them; a killed sync then starts the stream again.
    """

    name: str = Field(min_length=1)
    sync_mode: SyncMode
    namespace: str | None = None
    cursor_field: Names | None = None
    primary_key: Names | None = None
    checkpoint: Literal["state", "complete"] = "state"

    @property
    def incremental(self) -> bool:
        """Whether the source is asked for changes only."""
        return self.sync_mode.startswith("incremental")

    @model_validator(mode="after")
    def _options_have_effect(self) -> StreamSelection:
        if self.cursor_field and not self.incremental:
            raise PydanticCustomError(
                "cursor_field",
                "has a cursor_field, which a {mode} sync never uses",
                {"mode": self.sync_mode, "remedy": "remove cursor_field, or choose an incremental sync_mode"},
            )
        if self.primary_key is not None and not self.primary_key:
            raise PydanticCustomError("primary_key", "has an empty primary_key", {"remedy": "name its fields, or remove the key"})
        return self


class Schedule(_Strict):
    """When the connection runs by itself: a cron line of five fields."""

    cron: str
    timezone: str = "UTC"

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str) -> str:
        if value not in _CRON_NAMES and not _is_cron(value):
            raise PydanticCustomError(
                "cron",
                "is {value}, not a cron line",
                {"value": repr(value), "remedy": 'write five fields, for example "0 6 * * *"'},
            )
        return value


class Timeouts(_Strict):
    """Limits in seconds.

    Attributes:
        idle: The longest silence of the connector.
        total: The longest sync; no limit by default.
        discover_cache: Age at which the remembered catalog of the source is asked for again.
    """

    idle: float = Field(default=900, gt=0)
    total: float | None = Field(default=None, gt=0)
    discover_cache: float = Field(default=86_400, ge=0)

    @field_validator("idle", "total", "discover_cache", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value


class ConnectionModel(_Strict):
    """The contents of ``airbyte/<domain>/<connection>.yaml``."""

    description: str | None = None
    connector: ConnectorReference
    config: dict[str, Any] = Field(default_factory=dict)
    streams: list[StreamSelection] = Field(min_length=1)
    schedule: Schedule | None = None
    timeouts: Timeouts = Timeouts()


@dataclass(frozen=True)
class Connection:
    """A validated connection file.

    Attributes:
        domain: Folder of the file, the owner of the raw tables.
        name: File name without its ending.
        path: The file.
        description: What the source is, for people.
        connector: Package and exact version.
        config: Connector configuration with its ``${ENV}`` placeholders unresolved.
        streams: What is synced, in file order.
        schedule: Cron, or None for runs on request only.
        timeouts: Limits in seconds.
        content_hash: Hash of the file, which never holds a secret.
    """

    domain: str
    name: str
    path: Path
    description: str | None
    connector: ConnectorReference
    config: dict[str, Any]
    streams: tuple[StreamSelection, ...]
    schedule: Schedule | None
    timeouts: Timeouts
    content_hash: str
    document: Document = field(repr=False, compare=False)

    @property
    def id(self) -> str:
        """``<domain>/<connection>``."""
        return f"{self.domain}/{self.name}"

    def at(self, *steps: str | int) -> Location:
        """The line of a value of the file, for errors."""
        return self.document.at(*steps)


def _is_cron(text: str) -> bool:
    fields = text.split()
    if len(fields) != len(_CRON_RANGES):
        return False
    for field_, (lowest, highest) in zip(fields, _CRON_RANGES, strict=True):
        for part in field_.split(","):
            match = _CRON_PART.fullmatch(part)
            if not match or match["step"] == "0":
                return False
            numbers = [int(number) for number in (match["low"], match["high"]) if number]
            if any(not lowest <= number <= highest for number in numbers) or numbers != sorted(numbers):
                return False
    return True
