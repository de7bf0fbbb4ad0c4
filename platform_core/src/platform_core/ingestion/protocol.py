"""Airbyte protocol messages: one JSON object a line, among noise.

Source: https://docs.airbyte.com/understanding-airbyte/airbyte-protocol and the protocol's ``airbyte_protocol.yaml``.

Records are the bulk, so they stay plain dictionaries; everything else becomes a small dataclass.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import orjson

from platform_core.ingestion.errors import ProtocolError

Json = dict[str, Any]
StreamKey = tuple[str | None, str]
"""Namespace (None when the source has none) and name of a stream."""

# A double keeps 15 significant digits. A longer run of digits and dots may be a number that only an exact parser keeps, so the
# line goes through the slow one. One translate and one search cost a tenth of a microsecond a record.
_DIGITS = bytes(0x30 if chr(code) in "0123456789." else code for code in range(256))
LONG_NUMBER = b"0" * 16


@dataclass(frozen=True)
class State:
    """A checkpoint. ``state`` is the message's own object without its statistics, to be given back verbatim."""

    kind: str
    stream: StreamKey | None
    state: Json
    record_count: int | None


@dataclass(frozen=True)
class StreamStatus:
    """STARTED, RUNNING, COMPLETE or INCOMPLETE of one stream."""

    stream: StreamKey
    status: str


@dataclass(frozen=True)
class TraceError:
    """An error that the source reports. ``message`` is written for users, ``internal`` for developers."""

    message: str
    internal: str | None
    failure_type: str | None
    stream: StreamKey | None


@dataclass(frozen=True)
class Log:
    """A log line with a level of Python's ``logging``."""

    level: str
    message: str


@dataclass(frozen=True)
class Control:
    """The source asks to keep a changed configuration (rotated tokens). Holds secrets."""

    config: Json

    def __repr__(self) -> str:
        return "Control(config=***)"


@dataclass(frozen=True)
class Reply:
    """SPEC, CATALOG or CONNECTION_STATUS."""

    kind: str
    body: Json


@dataclass(frozen=True)
class Unknown:
    """A message of a type, or of a form, that this protocol version does not know; ignored."""

    kind: str


Message = State | StreamStatus | TraceError | Log | Control | Reply | Unknown


def digits_of(text: bytes) -> bytes:
    """``text`` with every digit and dot made ``0``: it contains `LONG_NUMBER` where a number may be too long for a double."""
    return text.translate(_DIGITS)


def decode(line: bytes) -> tuple[Json | None, bool]:
    """Parses one line.

    Returns:
        The message, or None for noise (anything that is not a JSON object with a ``type``), and whether the exact parser
        was used: then numbers may be ``Decimal``, texts may hold lone surrogates, and integers may be of any size.
    """
    exact = LONG_NUMBER in digits_of(line)
    if not exact:
        try:
            message = orjson.loads(line)
            return (message, False) if type(message) is dict and "type" in message else (None, False)
        except orjson.JSONDecodeError:
            pass  # noise, or one of the things only the exact parser takes: NaN, lone surrogates, broken UTF-8, 1e400
    text = line.decode("utf-8", errors="replace").strip()
    if not text.startswith("{"):
        return None, False
    try:
        message = json.loads(text, parse_float=Decimal, parse_int=_integer, parse_constant=str, strict=False)
    except (ValueError, RecursionError):
        return None, False
    return (message, True) if type(message) is dict and "type" in message else (None, False)


def _integer(text: str) -> int | Decimal:
    # Decimal has no limit of digits, int has one of 4300; within 64 bits the rest of the code meets plain integers.
    return int(text) if len(text) < 19 else Decimal(text)


def decode_json(text: str) -> Json:
    """Parses a stored JSON object without losing a digit."""
    return json.loads(text, parse_float=Decimal, parse_int=_integer)


def dump_json(value: Any) -> str:
    """JSON text of a parsed value, with exact numbers written as they came."""
    try:
        return orjson.dumps(value, default=_fragment).decode()
    except (orjson.JSONEncodeError, UnicodeEncodeError):
        # orjson refuses deep nesting and lone surrogates.
        return json.dumps(value, default=_as_float, ensure_ascii=True)


def _fragment(value: Any) -> Any:
    if isinstance(value, Decimal):
        return orjson.Fragment(str(value).encode())
    raise TypeError(type(value).__name__)


def _as_float(value: Any) -> Any:
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() and abs(value) < 10**4000 else float(value)
    raise TypeError(type(value).__name__)


def interpret(message: Json) -> Message:
    """Reads a message that is not a record. Unknown types and fields are ignored, as the protocol asks.

    Raises:
        ProtocolError: A STATE without a body that could be given back.
    """
    kind = str(message["type"])
    body = message.get({"CONNECTION_STATUS": "connectionStatus"}.get(kind, kind.lower()))
    if kind == "STATE":
        return _state(body)
    if not isinstance(body, dict):
        return Unknown(kind)
    match kind:
        case "LOG":
            return Log(str(body.get("level", "INFO")), str(body.get("message", "")))
        case "TRACE":
            return _trace(body)
        case "CONTROL":
            config = (body.get("connectorConfig") or {}).get("config")
            return Control(config) if isinstance(config, dict) else Unknown("CONTROL")
        case "SPEC" | "CATALOG" | "CONNECTION_STATUS":
            return Reply(kind, body)
        case _:
            return Unknown(kind)


def _state(body: Any) -> State:
    if not isinstance(body, dict):
        raise ProtocolError("the connector sent a STATE without a body", remedy="report it to the connector's maintainers")
    counts = (body.get("sourceStats") or {}).get("recordCount")
    kept = {name: value for name, value in body.items() if name not in ("sourceStats", "destinationStats")}
    kind = body.get("type") or ("STREAM" if "stream" in body else "GLOBAL" if "global" in body else "LEGACY")
    if kind == "STREAM":
        descriptor = (body.get("stream") or {}).get("stream_descriptor") or {}
        if not isinstance(descriptor.get("name"), str):
            raise ProtocolError("the connector sent a STREAM state without a stream", remedy="report it to the connector's maintainers")
        return State("STREAM", stream_key(descriptor), kept, None if counts is None else int(counts))
    if kind not in ("GLOBAL", "LEGACY"):
        raise ProtocolError(f"the connector sent a state of the unknown type {kind!r}", remedy="use an older version of the connector")
    return State(kind, None, kept, None if counts is None else int(counts))


def _trace(body: Json) -> Message:
    match body.get("type"):
        case "STREAM_STATUS":
            status = body.get("stream_status") or {}
            descriptor = status.get("stream_descriptor") or {}
            if isinstance(descriptor.get("name"), str):
                return StreamStatus(stream_key(descriptor), str(status.get("status")))
        case "ERROR":
            error = body.get("error") or {}
            descriptor = error.get("stream_descriptor")
            return TraceError(
                message=str(error.get("message") or error.get("internal_message") or "the connector reported an error without a message"),
                internal=error.get("internal_message"),
                failure_type=error.get("failure_type"),
                stream=stream_key(descriptor) if isinstance(descriptor, dict) and descriptor.get("name") else None,
            )
        case _:
            pass
    return Unknown(f"TRACE {body.get('type')}")


def stream_key(descriptor: Json) -> StreamKey:
    """Key of a stream descriptor; an empty namespace is none."""
    return (descriptor.get("namespace") or None, str(descriptor["name"]))
