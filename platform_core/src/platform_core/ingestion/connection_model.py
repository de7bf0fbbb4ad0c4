"""What ``airbyte/<domain>/<connection>.yaml`` may say. The JSON Schema for editors is made from these models."""

from __future__ import annotations

import re
from typing import Annotated, Any, Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import ConfigDict, Field, WithJsonSchema, field_validator, model_validator
from pydantic_core import PydanticCustomError

from platform_core.contracts import naming
from platform_core.contracts.file_model import FileModel
from platform_core.contracts.one_or_more import Names
from platform_core.ingestion.manifest import CDK_PACKAGE, CDK_VERSION

SyncMode = Literal["full_refresh_overwrite", "full_refresh_append", "incremental_append", "incremental_deduped"]

SchemaPolicy = Literal["propagate", "pause", "ignore"]

MEMORY = r"[1-9]\d{0,6}(MB|GB)"
# PEP 440, a single release: a range, a wildcard or "latest" would make two runs differ.
EXACT_VERSION = r"\d+(\.\d+)*((a|b|rc)\d+)?(\.post\d+)?(\.dev\d+)?"
PACKAGE = r"[A-Za-z0-9]([A-Za-z0-9._-]*[A-Za-z0-9])?"
_CRON_RANGES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))
_CRON_PART = re.compile(r"(\*|(?P<low>\d+)(-(?P<high>\d+))?)(/(?P<step>\d+))?")
_CRON = r"@(hourly|daily|weekly|monthly|yearly)|\s*\S+(\s+\S+){4}\s*"
_CRON_NAMES = {"@hourly", "@daily", "@weekly", "@monthly", "@yearly"}


def _whole(pattern: str) -> WithJsonSchema:
    """A text of which every character follows ``pattern``; the models' own validators say what is wrong, this is for editors."""
    return WithJsonSchema({"type": "string", "pattern": f"^({pattern})$"})


class ConnectorReference(FileModel):
    """A package of the index that holds a connector, in one exact version."""

    package: str
    """Name on the index, for example ``airbyte-source-faker``."""

    version: str
    """Exact version."""

    @property
    def label(self) -> str:
        """``<package>-<version>``, which names files and folders."""
        return f"{self.package}-{self.version}"


class ConnectorModel(FileModel):
    """Which connector reads the source: a package of the index, or a low-code manifest of this repository."""

    model_config = ConfigDict(
        json_schema_extra={"oneOf": [{"required": ["package", "version"]}, {"required": ["manifest"]}]},
    )

    package: Annotated[str, _whole(PACKAGE)] | None = Field(default=None, examples=["airbyte-source-faker"])
    """Package of the Python index. It is installed into an environment of its own."""

    manifest: Annotated[str, _whole(naming.NAME.pattern)] | None = Field(default=None, examples=["ads_spend"])
    """A low-code connector: the name of a file `airbyte/manifests/<name>.yaml` (an Airbyte declarative manifest)."""

    version: Annotated[str, _whole(EXACT_VERSION)] | None = Field(default=None, examples=["7.2.1"])
    """One exact release. Required with `package`; with `manifest` the airbyte-cdk that runs it, the platform's own by default."""

    @field_validator("package")
    @classmethod
    def _is_package(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(PACKAGE, value):
            raise PydanticCustomError(
                "package",
                "is {value}, not a package name",
                {"value": repr(value), "remedy": "write it as on the index: airbyte-source-faker"},
            )
        return value

    @field_validator("manifest")
    @classmethod
    def _is_manifest(cls, value: str | None) -> str | None:
        if value is not None and not naming.NAME.fullmatch(value):
            raise PydanticCustomError(
                "manifest",
                "is {value}, not the name of a manifest",
                {"value": repr(value), "remedy": "write the file's name without its ending: ads for airbyte/manifests/ads.yaml"},
            )
        return value

    @field_validator("version")
    @classmethod
    def _is_exact(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(EXACT_VERSION, value):
            raise PydanticCustomError(
                "version",
                "is {value}, not one exact version",
                {"value": repr(value), "remedy": 'write one release, for example "7.2.1"'},
            )
        return value

    @model_validator(mode="after")
    def _names_one_connector(self) -> ConnectorModel:
        if self.package is not None and self.manifest is not None:
            raise PydanticCustomError(
                "connector", "names a package and a manifest", {"remedy": "keep one: a connector is a package or a manifest"}
            )
        if self.package is None and self.manifest is None:
            raise PydanticCustomError(
                "connector", "names neither a package nor a manifest", {"remedy": "add package: and version:, or manifest:"}
            )
        if self.package is not None and self.version is None:
            raise PydanticCustomError("missing_key", "has no version", {"key": "version"})
        return self

    @property
    def reference(self) -> ConnectorReference:
        """The package that is installed."""
        return ConnectorReference(package=self.package or CDK_PACKAGE, version=self.version or CDK_VERSION)


class StreamSelection(FileModel):
    """One stream of the source and how it is synced."""

    model_config = ConfigDict(
        json_schema_extra={
            "if": {"properties": {"sync_mode": {"pattern": "^full_refresh"}}},
            "then": {"properties": {"cursor_field": False}},
        }
    )

    name: str = Field(min_length=1)
    """The stream's name in the source; also the raw table's name."""

    sync_mode: SyncMode
    """How it is read, and what becomes of the rows that are there. `full_refresh_overwrite`: everything, in place of what was there, at
    once when the stream is complete. `full_refresh_append`: everything, beside what was there. `incremental_append`: what is new, as
    events. `incremental_deduped`: what is new, one row a key, the newest."""

    namespace: str | None = None
    """The stream's namespace, only when the source has the name twice."""

    cursor_field: Names | None = None
    """Path of the cursor, when the source does not define it."""

    primary_key: Names | None = None
    """Top-level fields, when the source does not define them."""

    checkpoint: Literal["state", "complete"] = "state"
    """When an append's rows may become visible before the stream is complete. `state`: with every STATE that does not provably lag
    behind the rows. `complete`: only with the whole stream, for sources whose intermediate state covers fewer rows than were sent
    and cannot be compared with them; a killed sync then starts the stream again."""

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


class Schedule(FileModel):
    """When the connection runs by itself: at the ticks of a cron line, when its own declaration changed, or both."""

    model_config = ConfigDict(json_schema_extra={"dependentRequired": {"timezone": ["cron"]}})

    cron: Annotated[str, _whole(_CRON)] | None = Field(default=None, examples=["0 6 * * *"])
    """Five fields, or a name such as `@daily`. Without it no clock starts the connection."""

    timezone: str | None = Field(default=None, examples=["Europe/Berlin"])
    """Name of the time zone in which the cron line is read, UTC by default."""

    on_change: bool = True
    """Also run a stream when it was never loaded, and again when what the file declares of it changed: the connector, its config, or
    the stream's own entry. Comments and other streams do not count. `false`: only the cron line, or somebody, starts it."""

    @field_validator("timezone")
    @classmethod
    def _is_timezone(cls, value: str | None) -> str | None:
        try:
            if value is not None:
                ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise PydanticCustomError(
                "timezone",
                "is {value}, not a time zone",
                {"value": repr(value), "remedy": "write a name of the time zone database, for example Europe/Berlin"},
            ) from None
        return value

    @model_validator(mode="after")
    def _timezone_has_effect(self) -> Schedule:
        if self.timezone is not None and self.cron is None:
            raise PydanticCustomError("timezone", "has a timezone, but no cron line", {"remedy": "add cron:, or remove timezone:"})
        return self

    @field_validator("cron")
    @classmethod
    def _is_cron(cls, value: str | None) -> str | None:
        if value is not None and value not in _CRON_NAMES and not _is_cron(value):
            raise PydanticCustomError(
                "cron",
                "is {value}, not a cron line",
                {"value": repr(value), "remedy": 'write five fields, for example "0 6 * * *"'},
            )
        return value


class Timeouts(FileModel):
    """Limits in seconds."""

    idle: float = Field(default=900, gt=0)
    """The longest silence of the connector."""

    total: float | None = Field(default=None, gt=0)
    """The longest sync; no limit by default."""

    discover_cache: float = Field(default=86_400, ge=0)
    """Age at which the remembered catalog of the source is asked for again."""

    @field_validator("idle", "total", "discover_cache", mode="before")
    @classmethod
    def _whole_numbers_too(cls, value: Any) -> Any:
        return float(value) if type(value) is int else value


class ConnectionModel(FileModel):
    """A connection: which connector, with which configuration, brings which streams into a domain."""

    description: str | None = None
    """What the source is, for people."""

    connector: ConnectorModel

    config: dict[str, Any] = Field(default_factory=dict, examples=[{"api_key": "${SHOP_API_KEY}", "start_date": "2026-01-01"}])
    """What the connector itself asks for (its spec). Secrets never stand here: write `${NAME}` or `${NAME:-default}`."""

    streams: list[StreamSelection] = Field(min_length=1)
    """What is synced: one raw table and one asset each."""

    schedule: Schedule = Field(default=Schedule(), examples=[{"cron": "0 6 * * *", "timezone": "Europe/Berlin"}])

    schema_changes: SchemaPolicy = "propagate"
    """What a new column, a removed column, another type or another primary key in the source does. `propagate`: the table follows, in
    the transaction that brings the rows (a removed column stays, for its history). `pause`: the connection stops before any row is
    loaded and shows the difference, until somebody accepts it. `ignore`: the table stays as it is; what it has no place for is in
    the raw copy only."""

    timeouts: Timeouts = Timeouts()

    memory_limit: Annotated[str, _whole(MEMORY)] | None = Field(default=None, examples=["1GB", "512MB"])
    """The connector, with all processes that it starts, is ended when it holds more memory than this. Binary units: MB, GB."""

    @field_validator("memory_limit")
    @classmethod
    def _is_size(cls, value: str | None) -> str | None:
        if value is not None and not re.fullmatch(MEMORY, value):
            raise PydanticCustomError(
                "memory_limit", "is {value}, not a size", {"value": repr(value), "remedy": "write a whole number and a unit: 512MB or 2GB"}
            )
        return value

    @property
    def memory_bytes(self) -> int | None:
        """``memory_limit`` in bytes."""
        if self.memory_limit is None:
            return None
        number, unit = self.memory_limit[:-2], self.memory_limit[-2:]
        return int(number) << {"MB": 20, "GB": 30}[unit]


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
