"""Makes an Airbyte server what the connection files say, and shows first what that would be.

Everything is found again by its name (``mesh sales/shop``), so an apply that was killed between two calls goes on where it
stopped, and a second one changes nothing.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from psycopg import Connection as Session

from platform_core.contracts import did_you_mean, naming
from platform_core.errors import MeshError
from platform_core.ingestion.config import fit_to_spec, resolve_config
from platform_core.ingestion.connection import Connection
from platform_core.ingestion.server.address import DESTINATION, destination_configuration
from platform_core.ingestion.server.api import AirbyteApi, Kind
from platform_core.ingestion.server.desired import (
    Desired,
    Reference,
    connection_names,
    definition_name,
    want_connections,
    want_definition,
    want_destination,
    want_source,
)
from platform_core.ingestion.server.errors import ServerError
from platform_core.ingestion.server.job_role import RoleStep, plan_roles
from platform_core.ingestion.server.plan import Object, Observed, ServerStep, plan_steps
from platform_core.settings import AirbyteSettings, Settings
from platform_core.warehouse import Warehouse, made

_LOCK = 0x61697262  # "airb": two applies never run at once
_KINDS: tuple[Kind, ...] = ("definition", "source", "destination", "connection")


@dataclass(frozen=True)
class ServerPlan:
    """What an apply would do.

    Attributes:
        steps: In the order in which they are taken.
        notes: What differs and is not ours to change, for people.
        ids: Ids of what exists.
    """

    steps: tuple[RoleStep | ServerStep, ...]
    notes: tuple[str, ...]
    ids: Mapping[Object, str]


def plan_server(
    connections: Sequence[Connection],
    settings: Settings,
    warehouse: Warehouse,
    *,
    environ: Mapping[str, str] | None = None,
    api: AirbyteApi | None = None,
) -> ServerPlan:
    """Compares the connection files of all domains with the server; changes nothing.

    Args:
        connections: All connection files.
        settings: ``settings.airbyte`` selects the server.
        warehouse: Where what was sent last is remembered; reached as the platform's role.
        environ: Source of the secrets, the process environment by default.
        api: The server, by default that of the settings.

    Raises:
        ServerError: The server cannot be used, or has something that the files cannot be applied to.
        ConfigurationError: A configuration misses a variable, or does not fit its connector.
    """
    client = api or AirbyteApi(_selected(settings))
    with warehouse.connect_platform() as session:
        return _plan(connections, client, session, os.environ if environ is None else environ)


def apply_server(
    connections: Sequence[Connection],
    settings: Settings,
    warehouse: Warehouse,
    *,
    environ: Mapping[str, str] | None = None,
    api: AirbyteApi | None = None,
    progress: Callable[[RoleStep | ServerStep], None] | None = None,
) -> ServerPlan:
    """Plans, and takes exactly the steps of the plan. A second call changes nothing. Arguments and errors as ``plan_server``.

    Args:
        progress: Told of each step before it is taken.

    Returns:
        The plan whose steps were taken.
    """
    client = api or AirbyteApi(_selected(settings))
    with warehouse.connect_platform(autocommit=True) as session:
        session.execute("SELECT pg_advisory_lock(%s)", (_LOCK,))  # held until the connection closes
        plan = _plan(connections, client, session, os.environ if environ is None else environ)
        ids = dict(plan.ids)
        for step in plan.steps:
            if progress is not None:
                progress(step)
            if isinstance(step, RoleStep):
                step.take(session)
                continue
            body = _with_ids(step.body, ids)
            if step.object_id is None:
                ids[step.kind, step.name] = client.create(step.kind, body)
            else:
                client.update(step.kind, step.object_id, body)
            _remember(session, client.settings.workspace, step, ids.get((step.kind, step.name), step.object_id))
        return plan


def _selected(settings: Settings) -> AirbyteSettings:
    if settings.airbyte is None:
        raise ServerError("no Airbyte server is selected", where="MESH_AIRBYTE_URL", remedy="set it to the server's root")
    return settings.airbyte


def _plan(connections: Sequence[Connection], api: AirbyteApi, session: Session, environ: Mapping[str, str]) -> ServerPlan:
    settings, notes = api.settings, list[str]()
    low_code = any(connection.manifest is not None for connection in connections)
    kinds = _KINDS if low_code else _KINDS[1:]  # older servers cannot list low-code connectors
    observed = Observed({kind: api.observe(kind) for kind in kinds}, _applied(session, settings.workspace))
    ids = observed.ids()
    sources = api.definitions("sources") if any(connection.manifest is None for connection in connections) else []
    destination = str(_definition(DESTINATION, api.definitions("destinations"), DESTINATION)["id"]) if connections else ""
    wanted: dict[Object, Desired] = {}
    specs: dict[str, Mapping[str, Any]] = {}
    for connection in connections:
        definition: str | Reference
        if connection.manifest is not None:
            definition = ids.get(("definition", definition_name(connection))) or Reference("definition", definition_name(connection))
            spec: Mapping[str, Any] = connection.manifest.spec
            wanted["definition", definition_name(connection)] = want_definition(connection)
        else:
            repository = connection.connector.package.replace("airbyte-", "airbyte/", 1)
            found = _definition(repository, sources, str(connection.at("connector", "package")), connection.connector.version)
            definition = str(found["id"])
            if found["dockerImageTag"] != connection.connector.version:
                notes.append(
                    f"{connection.id}: the server runs {repository} {found['dockerImageTag']}, the file says"
                    f" {connection.connector.version}; versions are set by the server's administrator"
                )
            spec = specs.setdefault(definition, {}) or api.source_spec(definition)
            specs[definition] = spec
        config = resolve_config(connection, environ)
        api.transport.hide(config.secrets)
        config = fit_to_spec(connection, config, spec)
        if connection.domain not in {item.domain for item in wanted.values() if item.kind == "destination"}:
            configuration = destination_configuration(connection.domain, settings, environ)
            api.transport.hide((configuration["password"],))
            item = want_destination(connection.domain, configuration, destination, settings.workspace)
            wanted[item.kind, item.name] = item
        for item in (want_source(connection, config, spec, definition, settings.workspace), *want_connections(connection)):
            wanted[item.kind, item.name] = item
    steps = plan_steps(wanted.values(), observed, key=_key(settings))
    notes += _loaded_embedded(session, connections, ids)
    roles = plan_roles(session, (connection.domain for connection in connections))
    return ServerPlan((*roles, *steps), tuple(notes), ids)


def _loaded_embedded(session: Session, connections: Sequence[Connection], ids: Mapping[Object, str]) -> list[str]:
    """Says which tables our own loader filled before the server takes them over."""
    if not made(session, "raw_streams"):
        return []
    rows = session.execute("SELECT domain, stream FROM mesh.raw_streams ORDER BY 1, 2").fetchall()
    loaded = {(str(domain), str(stream)) for domain, stream in rows}
    return [
        f"{connection.id}: {naming.raw_schema(connection.domain)}.{stream.name} was loaded by the embedded runner; the server knows nothing of"
        " its state and reads the stream from the beginning, so drop or empty the table before its first sync there"
        for connection in connections
        for name, streams in connection_names(connection).items()
        for stream in streams
        if ("connection", name) not in ids and (connection.domain, stream.name) in loaded
    ]


def _key(settings: AirbyteSettings) -> bytes:
    """Key of the hashes: a secret that everyone who may apply has, and readers of the warehouse have not."""
    return (settings.client_secret or settings.password or "").encode()


def _definition(repository: str, offered: Sequence[Mapping[str, Any]], where: str, version: str | None = None) -> Mapping[str, Any]:
    matching = [item for item in offered if item["dockerRepository"] == repository]
    exact = [item for item in matching if item["dockerImageTag"] == version]
    if len(exact or matching) != 1:
        known = [str(item["dockerRepository"]) for item in offered]
        what = f"{len(matching)} connectors" if matching else "no connector"
        raise ServerError(
            f"the workspace has {what} {repository}{'' if matching else did_you_mean(repository, known)}",
            where=where,
            remedy="keep one of them on the server" if matching else "add it on the server (Settings, Sources), or correct the package",
        )
    return (exact or matching)[0]


def _with_ids(value: Any, ids: Mapping[Object, str]) -> Any:
    if isinstance(value, Reference):
        if (value.kind, value.name) not in ids:
            raise MeshError(f"{value.kind} {value.name!r} was to be made first", remedy="report this: it is a bug")
        return ids[value.kind, value.name]
    if isinstance(value, dict):
        return {name: _with_ids(item, ids) for name, item in value.items()}
    return value


def _applied(session: Session, workspace: str) -> dict[Object, str]:
    if not made(session, "server_objects"):
        return {}  # the warehouse was never applied with this version; apply does that first
    rows = session.execute("SELECT kind, name, digest FROM mesh.server_objects WHERE workspace = %s", (workspace,)).fetchall()
    return {(kind, str(name)): str(digest) for kind, name, digest in rows}


def _remember(session: Session, workspace: str, step: ServerStep, object_id: str | None) -> None:
    if step.action == "deactivate":
        session.execute(
            "DELETE FROM mesh.server_objects WHERE workspace = %s AND kind = %s AND name = %s", (workspace, step.kind, step.name)
        )
        return
    session.execute(
        """INSERT INTO mesh.server_objects (workspace, kind, name, domain, object_id, digest) VALUES (%s, %s, %s, %s, %s, %s)
           ON CONFLICT (workspace, kind, name) DO UPDATE
           SET domain = excluded.domain, object_id = excluded.object_id, digest = excluded.digest, applied_at = clock_timestamp()""",
        (workspace, step.kind, step.name, step.domain, object_id, step.digest),
    )
