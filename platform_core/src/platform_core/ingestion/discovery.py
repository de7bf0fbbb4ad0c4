"""What a connector can take (spec) and offer (catalog), remembered between runs: starting one costs about 3 CPU-seconds."""

from __future__ import annotations

import hashlib
import os
import secrets
import time
from pathlib import Path
from typing import Any

import orjson
import yaml

from platform_core.file_lock import held_alone
from platform_core.ingestion.config import ResolvedConfig
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.conversation import request, said_shortly
from platform_core.ingestion.environment import packaged_spec
from platform_core.ingestion.errors import ConnectorError
from platform_core.ingestion.kept_config import KeptConfig
from platform_core.ingestion.manifest import Manifest
from platform_core.ingestion.protocol import Json


class Discovery:
    """Answers ``spec``, ``check`` and ``discover`` of one connector."""

    def __init__(self, command: ConnectorCommand, home: Path) -> None:
        """Prepares the questions; nothing is started."""
        self._command = command
        self._home = home
        self._folder = home / "connectors" / "cache" / f"{command.name}-{command.version}"

    def spec(self, manifest: Manifest | None = None) -> Json:
        """The ``connectionSpecification``, a JSON Schema. That of a low-code manifest stands in the manifest: the CDK ignores it.

        Raises:
            ConnectorError: The connector does not answer.
        """
        if manifest is not None:
            return manifest.spec
        packaged = packaged_spec(self._command)
        if packaged is not None:
            loaded = yaml.safe_load(packaged.read_text())  # JSON is YAML
            if isinstance(loaded, dict) and isinstance(loaded.get("connectionSpecification"), dict):
                return loaded["connectionSpecification"]
        file = self._folder / f"spec-{_digest(b'', *map(str.encode, self._command.argv))}.json"
        known = _read(file)
        if known is None:
            known = request(self._command, "spec").get("connectionSpecification")
            if not isinstance(known, dict):
                raise ConnectorError("spec has no connectionSpecification", where=str(self._command), remedy="use another version")
            _write(file, known)
        return known

    def check(self, connection: Connection, kept: KeptConfig) -> None:
        """Asks the connector whether it can reach its source.

        Raises:
            ConnectorError: It cannot; the message is the connector's own.
        """
        status = self._ask("check", connection, kept)
        if status.get("status") != "SUCCEEDED":
            raise ConnectorError(
                f"check failed: {said_shortly(str(status.get('message') or 'without a message'), kept.redact)}",
                where=str(self._command),
                remedy="correct the configuration (and the environment variables that it names)",
            )

    def catalog(self, connection: Connection, kept: KeptConfig, *, refresh: bool = False) -> Json:
        """The streams that the source offers, remembered per configuration for ``timeouts.discover_cache`` seconds.

        A low-code manifest that says everything itself is not asked, unless ``refresh`` wants the CDK's own answer.

        Raises:
            ConnectorError: The connector does not answer.
        """
        if connection.manifest is not None and connection.manifest.catalog is not None and not refresh:
            return connection.manifest.catalog
        file = self._catalog_file(kept.declared)
        longest = connection.timeouts.discover_cache
        known = None if refresh else _read(file, longest)
        if known is not None:
            return known
        with held_alone(file.with_suffix(".lock")):
            # Connections of equal configuration that start together ask once: the others find the answer here.
            known = None if refresh else _read(file, longest)
            if known is None:
                known = self._ask("discover", connection, kept)
                _write(file, known)
        return known

    def forget_catalog(self, config: ResolvedConfig) -> None:
        """The records showed that the remembered catalog is out of date; the next sync asks again."""
        self._catalog_file(config).unlink(missing_ok=True)

    def _ask(self, action: str, connection: Connection, kept: KeptConfig) -> Json:
        return request(
            self._command,
            action,
            config=kept.config.data,
            idle_seconds=connection.timeouts.idle,
            memory_bytes=connection.memory_bytes,
            redact=kept.redact,
            on_control=kept.keep,
        )

    def _catalog_file(self, config: ResolvedConfig) -> Path:
        content = orjson.dumps(config.data, option=orjson.OPT_SORT_KEYS)
        given = (*map(str.encode, self._command.argv), *(document for _, document in self._command.documents))
        return self._folder / f"catalog-{_digest(_key(self._home), content, *given)}.json"


def _key(home: Path) -> bytes:
    # A plain hash of a configuration would let anyone who reads the name try out its secrets.
    file = home / "connectors" / ".key"
    while True:
        try:
            return file.read_bytes()
        except FileNotFoundError:
            file.parent.mkdir(parents=True, exist_ok=True)
            partial = file.with_name(f".key.{secrets.token_hex(8)}")
            descriptor = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
            with os.fdopen(descriptor, "wb") as opened:
                opened.write(secrets.token_bytes(32))
            try:
                os.link(partial, file)  # the first of two processes wins, both then read the same key
            except FileExistsError:
                pass
            finally:
                partial.unlink()


def _digest(key: bytes, *parts: bytes) -> str:
    return hashlib.blake2b(b"\x00".join(parts), key=key, digest_size=12).hexdigest()


def _read(file: Path, longest: float | None = None) -> Any:
    try:
        if longest is not None and time.time() - file.stat().st_mtime > longest:
            return None
        return orjson.loads(file.read_bytes())
    except (FileNotFoundError, orjson.JSONDecodeError):
        return None


def _write(file: Path, content: Json) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_name(f".{file.name}.{os.getpid()}.{secrets.token_hex(4)}")
    partial.write_bytes(orjson.dumps(content))
    partial.replace(file)
