"""A connection file in the making: configured by the connector's spec, its streams chosen from its catalog, then written."""

from __future__ import annotations

import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_args

import psycopg
import typer

from platform_core.cli.session import Session, err
from platform_core.contracts import Document, did_you_mean, naming
from platform_core.errors import MeshError
from platform_core.ingestion import (
    ConfigurationError,
    Connection,
    ConnectionFileError,
    check_connections,
    connection_command,
    offered_streams,
    open_source,
)
from platform_core.ingestion.config import fit_to_spec, resolve_config
from platform_core.ingestion.connection_model import ConnectorModel, Schedule, SyncMode, Timeouts
from platform_core.ingestion.connector import ConnectorCommand
from platform_core.ingestion.discovery import Discovery
from platform_core.ingestion.environment import LOCKS, lock_file
from platform_core.ingestion.kept_config import UnkeptConfig
from platform_core.ingestion.manifest import MANIFESTS, Manifest, read_manifest
from platform_core.ingestion.new_connection import NewStream, connection_text, new_stream, proposed_mode
from platform_core.ingestion.offered import OfferedStream
from platform_core.ingestion.spec_settings import Setting, fill, settings_of
from platform_core.warehouse import WarehouseError

_PLACEHOLDER = re.compile(r"\$\{([A-Za-z_]\w*)\}")


@dataclass
class SourceDraft:
    """The file in the making; each step uses what the former one found."""

    session: Session
    domain: str
    name: str
    connector: ConnectorModel
    manifest: Manifest | None
    path: Path
    component: Path
    spec: dict[str, Any] = field(default_factory=dict[str, Any])
    config: dict[str, Any] = field(default_factory=dict[str, Any])
    offered: list[OfferedStream] = field(default_factory=list[OfferedStream])
    streams: list[NewStream] = field(default_factory=list[NewStream])
    command: ConnectorCommand | None = None

    @classmethod
    def begin(cls, session: Session, name: str, package: str | None, manifest: str | None) -> SourceDraft:
        """Checks names and places before anything is installed.

        Raises:
            MeshError: A name is wrong, the domain is not there, or a file is.
        """
        repo = session.settings.repo
        domain, _, stem = name.partition("/")
        if not naming.NAME.fullmatch(stem):
            raise MeshError(f"{name!r} is not domain/name", remedy="write it as sales/crm: small letters, digits and underscores")
        if domain not in session.mesh.domains:
            known = ", ".join(session.mesh.domains) or "none yet"
            raise MeshError(f"there is no domain {domain!r}{did_you_mean(domain, session.mesh.domains)}", remedy=f"use one of: {known}")
        path = repo / "airbyte" / domain / f"{stem}.yaml"
        component = repo / "domains" / domain / "src" / domain / "defs" / stem / "defs.yaml"
        for place in (path, component):
            if place.exists():
                raise MeshError("is there already, and nothing is overwritten", where=str(place), remedy="choose another name")
        return cls(session, domain, stem, _connector_model(package, manifest), _manifest(repo, manifest), path, component)

    @property
    def label(self) -> str:
        """The connector, for people."""
        return self._connection().connector_label

    def prepare(self) -> None:
        """Installs the connector and reads its spec."""
        settings = self.session.settings
        self.command = connection_command(self._connection(), repo=settings.repo, home=settings.home)
        self.spec = Discovery(self.command, settings.home).spec(self.manifest)

    def configure(self, given: Mapping[str, str], *, ask: bool) -> None:
        """Fills the configuration from what is given, from the spec's own proposals, and from answers."""
        self.config = fill(self.spec, given, name=self.name, ask=_Terminal(set(given)) if ask else None)

    def variables(self) -> list[str]:
        """Environment variables that the configuration names."""
        return list(dict.fromkeys(_PLACEHOLDER.findall(str(self.config))))

    def discover(self, environ: Mapping[str, str]) -> None:
        """Asks the source for its streams; a token that rotates meanwhile is kept, when there is a warehouse to keep it in.

        Raises:
            ConfigurationError: A variable is not set, or the spec refuses the configuration.
            ConnectorError: The source cannot be reached so.
        """
        connection, settings = self._connection(), self.session.settings
        if self.command is None:
            raise RuntimeError("prepare() comes first")
        missing = ", ".join(variable for variable in self.variables() if not environ.get(variable))
        if missing:
            raise ConfigurationError(
                f"environment variable not set: {missing}", remedy=f"set {missing} for this command too: it asks the source for its streams"
            )
        try:
            with open_source(connection, warehouse=self.session.warehouse, settings=settings, connector=self.command, environ=environ) as (
                _,
                _,
                discovery,
                kept,
            ):
                catalog = discovery.catalog(connection, kept)
        except (psycopg.Error, WarehouseError) as error:
            err.print(f"[dim]no warehouse keeps what the connector may report: {str(error).splitlines()[0]}[/]")
            discovery = Discovery(self.command, settings.home)
            declared = fit_to_spec(connection, resolve_config(connection, environ), self.spec)
            catalog = discovery.catalog(connection, UnkeptConfig(declared))
        self.offered = offered_streams(catalog)

    def select(self, names: list[str] | None, mode: SyncMode | None, cursor: Sequence[str], key: Sequence[str], *, ask: bool) -> None:
        """Chooses streams and how each is synced."""
        if names is None and ask:
            names = self._asked_streams()
        chosen = list(dict.fromkeys(names or [stream.name for stream in self.offered]))
        self.streams = [new_stream(self.offered, name, mode=mode, cursor=cursor, key=key) for name in chosen]
        if not self.streams:
            raise ConnectionFileError("the source offers no streams", remedy="check the configuration")

    def _asked_streams(self) -> list[str]:
        for number, stream in enumerate(self.offered, 1):
            err.print(f"  {number}. {stream.name}  ({len(stream.fields)} fields, {proposed_mode(stream)})", markup=False)
        answer = typer.prompt("streams (numbers or names, separated by commas)", default="all")
        if answer.strip() == "all":
            return [stream.name for stream in self.offered]
        words = [word.strip() for word in answer.split(",") if word.strip()]
        return [self.offered[int(word) - 1].name if word.isdigit() and 0 < int(word) <= len(self.offered) else word for word in words]

    def text(self, description: str | None, cron: str | None) -> str:
        """The file's text."""
        reference = self.connector
        connector = {"manifest": str(reference.manifest)} if reference.manifest else {"package": str(reference.package)}
        connector |= {"version": reference.version} if reference.version else {}
        comments = {setting.path: setting.description for setting in settings_of(self.spec)}
        return connection_text(
            description=description or f"Streams of {self.label}.",
            connector=connector,
            config=self.config,
            streams=self.streams,
            comments=comments,
            cron=cron,
        )

    def write(self, text: str) -> list[Path]:
        """Writes the connection file, the component and the lock; a file that would not lint leaves nothing behind.

        Raises:
            ConnectionFileError: The linter refuses it (a stream of another connection, a wrong cron line).
        """
        settings, written = self.session.settings, list[Path]()
        reference = self.connector.reference
        committed = settings.repo / LOCKS / f"{reference.label}.txt"
        resolved = lock_file(reference, settings.repo, settings.home)
        try:
            for path, content in (
                (self.path, text),
                (self.component, f"type: platform_core.AirbyteConnection\n\nattributes:\n  connection: {self.name}\n"),
            ):
                path.parent.mkdir(parents=True, exist_ok=True)
                with path.open("x") as file:
                    file.write(content)
                written.append(path)
            if resolved != committed:
                committed.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(resolved, committed)
                written.append(committed)
            problems = [problem for problem in check_connections(settings.repo, self.domain) if problem.severity == "error"]
            if problems:
                raise ConnectionFileError(problems[0].message, where=str(problems[0].location), remedy=problems[0].remedy)
        except BaseException:
            for path in written:
                path.unlink()
            raise
        return written

    def _connection(self) -> Connection:
        """The connection so far, without a file."""
        return Connection(
            domain=self.domain,
            name=self.name,
            path=self.path,
            description=None,
            connector=self.connector.reference,
            manifest=self.manifest,
            config=self.config,
            streams=(),
            schedule=Schedule(),
            schema_changes="propagate",
            timeouts=Timeouts(),
            memory_bytes=None,
            content_hash="",
            document=Document(self.path, {}, {}),
        )


class _Terminal:
    """Asks on the terminal."""

    def __init__(self, given: set[str]) -> None:
        self._given = given
        self._optional: bool | None = None

    def value(self, setting: Setting) -> str | None:
        if not setting.required:
            if self._optional is None:
                self._optional = typer.confirm("also look at optional settings?", default=False)
            if not self._optional:
                return None
        err.print(f"{setting.title}: {setting.description}" if setting.description else setting.title, markup=False)
        default = setting.default if setting.default is not None or setting.required else ""
        shown = "" if default is None else str(default).lower() if isinstance(default, bool) else str(default)
        choices = f" ({', '.join(map(str, setting.choices))})" if setting.choices else ""
        answer = typer.prompt(f"  {setting.path}{choices}", default=shown if shown or not setting.required else None)
        return str(answer) if str(answer) != "" else None

    def choice(self, path: str, titles: Sequence[str]) -> int:
        for number, title in enumerate(titles, 1):
            err.print(f"  {number}. {title}", markup=False)
        return typer.prompt(path, type=typer.models.click.IntRange(1, len(titles)), default=1) - 1


def pairs(texts: list[str] | None, option: str) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``."""
    found: dict[str, str] = {}
    for text in texts or ():
        name, sign, value = text.partition("=")
        if not name or not sign:
            raise typer.BadParameter(f"{option} {text!r}: write NAME=VALUE")
        found[name] = value
    return found


def check_mode(text: str | None) -> SyncMode | None:
    """A sync mode, as typed."""
    known: tuple[SyncMode, ...] = get_args(SyncMode)
    for mode in known:
        if text == mode:
            return mode
    if text is None:
        return None
    raise MeshError(f"there is no sync mode {text!r}{did_you_mean(text, known)}", remedy=f"use one of: {', '.join(known)}")


def _connector_model(package: str | None, manifest: str | None) -> ConnectorModel:
    from pydantic import ValidationError

    name, _, version = (package or "").partition("==")
    try:
        return ConnectorModel(manifest=manifest) if manifest else ConnectorModel(package=name or None, version=version or None)
    except ValidationError as error:
        raise MeshError(
            f"{package or manifest!r} names no connector", remedy="write a package and one exact version: airbyte-source-faker==7.2.1"
        ) from error


def _manifest(repo: Path, name: str | None) -> Manifest | None:
    if name is None:
        return None
    folder = repo / "airbyte" / MANIFESTS
    path = folder / f"{name}.yaml"
    if not path.is_file():
        known = sorted(found.stem for found in folder.glob("*.yaml"))
        raise MeshError(f"there is no manifest {name!r}{did_you_mean(name, known)}", remedy=f"use one of: {', '.join(known) or 'none yet'}")
    manifest, problems = read_manifest(path)
    if manifest is None:
        raise MeshError(problems[0].message, where=str(problems[0].location), remedy=problems[0].remedy)
    return manifest
