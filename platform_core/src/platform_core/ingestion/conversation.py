"""What is said with a connector besides records: questions and their answers, its log, the words of its failure."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from platform_core.ingestion.connector import ConnectorCommand, ConnectorRun
from platform_core.ingestion.errors import ConnectorError
from platform_core.ingestion.last_words import without_traceback
from platform_core.ingestion.protocol import Control, Json, Log, Reply, TraceError, decode, interpret

_LEVELS = {"TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "WARNING": 30, "ERROR": 40, "FATAL": 50}

# Connectors call wrong credentials a fault of their own more often than not.
_UNCLEAR = "check the addresses and credentials of its config; if they are right, use another version, or ask the connector's maintainers"

_log = logging.getLogger(__name__)


def request(
    command: ConnectorCommand,
    action: str,
    *,
    config: Json | None = None,
    idle_seconds: float = 900,
    memory_bytes: int | None = None,
    redact: Callable[[str], str] = str,
    on_control: Callable[[Json], None] | None = None,
) -> Json:
    """Asks a connector one question.

    Args:
        command: The connector.
        action: ``spec``, ``check`` or ``discover``.
        config: Resolved configuration; not for ``spec``.
        idle_seconds: Longest silence.
        memory_bytes: The most that its processes may hold together.
        redact: Hides secrets in messages.
        on_control: Takes a configuration that the connector changed.

    Returns:
        The body of the SPEC, CONNECTION_STATUS or CATALOG message.

    Raises:
        ConnectorError: It failed, or did not answer. A failed ``check`` is an answer, not an error.
    """
    wanted = {"spec": "SPEC", "check": "CONNECTION_STATUS", "discover": "CATALOG"}[action]
    answer: Json | None = None
    errors: list[TraceError] = []
    last_log: Log | None = None
    with ConnectorRun(command, action, config=config, idle_seconds=idle_seconds, memory_bytes=memory_bytes, redact=redact) as run:
        for block in run.blocks():
            for line in block.split(b"\n"):
                parsed, _ = decode(line)
                message = interpret(parsed) if parsed is not None and parsed["type"] != "RECORD" else None
                if isinstance(message, Reply) and message.kind == wanted:
                    answer = message.body
                elif isinstance(message, TraceError):
                    errors.append(message)
                elif isinstance(message, Control) and on_control is not None:
                    on_control(message.config)
                elif isinstance(message, Log):
                    log_message(command, message, redact)
                    last_log = message if message.level in ("ERROR", "FATAL") else last_log
        code = run.exit_code()
        if answer is None or (errors and action != "check"):
            raise failure(command, action, code=code, errors=errors, last_log=last_log, stderr=run.stderr_tail(), redact=redact)
    return answer


def log_message(command: ConnectorCommand, message: Log, redact: Callable[[str], str]) -> None:
    """Passes a LOG message on to Python's logging, at its level; the tracebacks in it at the level of debugging."""
    text = redact(message.message)
    said = said_shortly(message.message, redact)
    _log.log(_LEVELS.get(message.level.upper(), logging.INFO), "%s: %s", command.name, said)
    if said != text:
        _log.debug("%s: %s", command.name, text)


def said_shortly(text: str, redact: Callable[[str], str]) -> str:
    """A connector's message without tracebacks and secrets; hidden before anything is cut, and again where it was written with quotes."""
    return redact(without_traceback(redact(text)))


def failure(
    command: ConnectorCommand,
    action: str,
    *,
    code: int,
    errors: Sequence[TraceError],
    last_log: Log | None,
    stderr: str,
    redact: Callable[[str], str],
    where: str | Path | None = None,
) -> ConnectorError:
    """The error of a failed connector, in the connector's own user-facing words where it has any."""
    remedies = {
        "config_error": "correct the configuration (and the environment variables that it names)",
        "transient_error": "run it again; the source was not reachable or refused for now",
    }
    if errors:
        first = errors[0]
        stream = f" (stream {first.stream[1]})" if first.stream else ""
        more = f"; {len(errors) - 1} more" if len(errors) > 1 else ""
        internal = f"\n  detail: {redact(first.internal)[:1000]}" if first.internal and first.internal != first.message else ""
        what = f"{action} failed: {first.message}{stream}{more}{internal}"
        remedy = remedies.get(first.failure_type or "", _UNCLEAR)
    elif code:
        said = f": {said_shortly(last_log.message, redact)[:1000]}" if last_log else ""
        what = f"{action} ended with exit code {code}{said}{stderr}"
        remedy = (
            f"use another version: this one does not start with Python {sys.version_info[0]}.{sys.version_info[1]} on this machine"
            if action == "spec"
            else _UNCLEAR
        )
    else:
        what = f"{action} ended without an answer{stderr}"
        remedy = "see whether this program is an Airbyte connector, and this version works"
    return ConnectorError(redact(what), where=f"{where} ({command})" if where else str(command), remedy=remedy)
