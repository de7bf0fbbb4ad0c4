"""What the stand-in's operations do to its state; see ``standin.py``."""

from __future__ import annotations

import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import jsonschema

MASK = "**********"
WORKSPACE = "5ae6b09b-fdec-41af-aaf7-7d94cfc33ef6"
OWN_HOST = "https://airbyte.internal.example"  # nobody can reach it: a client that follows `next` to the letter fails


class RefusalError(Exception):
    """An error answer."""

    def __init__(self, status: int, message: str = "") -> None:
        super().__init__(message)
        self.status, self.message = status, message


@dataclass
class Stream:
    """A stream that a source offers, and what a sync of it moves."""

    name: str
    incremental: bool = True
    default_cursor: tuple[str, ...] = ("updated_at",)
    source_cursor: bool = True
    source_key: tuple[tuple[str, ...], ...] = (("id",),)
    fields: tuple[str, ...] = ("id", "updated_at", "name")
    rows: int = 100
    bytes: int = 5000

    @property
    def modes(self) -> set[str]:
        return {"full_refresh_overwrite", "full_refresh_append"} | (
            {"incremental_append", "incremental_deduped_history"} if self.incremental else set()
        )


@dataclass
class Definition:
    repository: str
    tag: str
    streams: Sequence[Stream] = ()
    spec: dict[str, Any] = field(default_factory=lambda: {"type": "object"})
    id: str = field(default_factory=lambda: str(uuid.uuid4()))


@dataclass
class Job:
    id: int
    connection: str
    type: str
    statuses: list[str]
    streams: dict[str, tuple[int, int]]
    status: str = "pending"
    looks: int = 0


class State:
    """Definitions, sources, destinations, connections and jobs of one workspace; a method for each operation."""

    def __init__(self, definitions: Sequence[Definition]) -> None:
        self.definitions = list(definitions)
        self.objects: dict[str, dict[str, dict[str, Any]]] = {"definition": {}, "source": {}, "destination": {}, "connection": {}}
        self.state: dict[tuple[str, str], int] = {}  # (connection, stream) -> rows read so far
        self.jobs: dict[int, Job] = {}
        self.course = ["pending", "running", "succeeded"]  # a job's status at each look; the last one stays

    def named(self, kind: str, name: str) -> dict[str, Any]:
        """The one object of that name."""
        found = [item for item in self.objects[kind].values() if item["name"] == name]
        assert len(found) == 1, f"{len(found)} of {kind} {name!r}"
        return found[0]

    # Workspaces and definitions

    def _do_getWorkspace(self, workspaceId: str, **_: Any) -> Any:  # noqa: N802, N803
        return {"workspaceId": workspaceId, "name": "mesh", "dataResidency": "auto", "notifications": {}}

    def _definitions(self, kind: str) -> Any:
        found = [item for item in self.definitions if item.repository.startswith(f"airbyte/{kind}-")]
        return {"data": [_shown(item) for item in found]}

    def _do_listSourceDefinitions(self, **_: Any) -> Any:  # noqa: N802
        return self._definitions("source")

    def _do_listDestinationDefinitions(self, **_: Any) -> Any:  # noqa: N802
        return self._definitions("destination")

    def _do_listDeclarativeSourceDefinitions(self, **_: Any) -> Any:  # noqa: N802
        return {"data": list(self.objects["definition"].values())}

    def _do_createDeclarativeSourceDefinition(self, body: Any, **_: Any) -> Any:  # noqa: N802
        made = {"id": str(uuid.uuid4()), "name": body["name"], "manifest": body["manifest"], "version": 1}
        self.objects["definition"][made["id"]] = made
        return made

    def _do_updateDeclarativeSourceDefinition(self, body: Any, definitionId: str, **_: Any) -> Any:  # noqa: N802, N803
        made = self._get("definition", definitionId)
        made |= {"manifest": body["manifest"], "version": made["version"] + 1}
        return made

    def _do_config_getSourceDefinitionSpecification(self, body: Any, **_: Any) -> Any:  # noqa: N802
        definition = self._definition(body["sourceDefinitionId"])
        return {"sourceDefinitionId": definition.id, "connectionSpecification": definition.spec, "jobInfo": {"succeeded": True}}

    def _definition(self, definition_id: str) -> Definition:
        for definition in self.definitions:
            if definition.id == definition_id:
                return definition
        made = self._get("definition", definition_id)
        manifest = made["manifest"]
        streams = [Stream(name=stream["name"], incremental="incremental_sync" in stream) for stream in manifest["streams"]]
        return Definition("manifest", str(made["version"]), streams, manifest["spec"]["connection_specification"], definition_id)

    # Sources and destinations

    def _get(self, kind: str, object_id: str) -> dict[str, Any]:
        if object_id not in self.objects[kind]:
            raise RefusalError(404, f"{kind} {object_id}")
        return self.objects[kind][object_id]

    def _actor(self, kind: str, item: dict[str, Any]) -> Any:
        spec = self._definition(item["definitionId"]).spec
        return {**item, "configuration": _masked(item["configuration"], spec)}

    def _create_actor(self, kind: str, body: Any) -> Any:
        if "definitionId" not in body:
            raise RefusalError(422, f"One of configuration.{kind}Type or definitionId must be provided.")
        definition = self._definition(body["definitionId"])
        self._check_config(definition, body["configuration"])
        made = {f"{kind}Id": str(uuid.uuid4()), f"{kind}Type": definition.repository.partition("-")[2], "createdAt": 1_700_000_000, **body}
        self.objects[kind][made[f"{kind}Id"]] = made
        return self._actor(kind, made)

    def _put_actor(self, kind: str, object_id: str, body: Any) -> Any:
        item = self._get(kind, object_id)
        self._check_config(self._definition(item["definitionId"]), body["configuration"])
        item |= body
        return self._actor(kind, item)

    def _check_config(self, definition: Definition, configuration: Any) -> None:
        check(definition.spec, configuration, 422)

    def _list(self, kind: str, params: Any, show: Callable[[dict[str, Any]], Any]) -> Any:
        items = list(self.objects[kind].values())
        limit, offset = params.get("limit", 20), params.get("offset", 0)
        shown = [show(item) for item in items[offset : offset + limit]]
        return self._page(f"{kind}s", shown, limit, offset, params)

    def _page(self, path: str, shown: list[Any], limit: int, offset: int, params: Any) -> Any:
        answer: dict[str, Any] = {"data": shown, "next": "", "previous": ""}
        if shown and len(shown) >= limit:
            same = {name: ",".join(value) if isinstance(value, list) else value for name, value in params.items()}
            answer["next"] = f"{OWN_HOST}/v1/{path}?{urllib.parse.urlencode({**same, 'limit': limit, 'offset': offset + limit})}"
        return answer

    def _do_listSources(self, params: Any, **_: Any) -> Any:  # noqa: N802
        return self._list("source", params, lambda item: self._actor("source", item))

    def _do_createSource(self, body: Any, **_: Any) -> Any:  # noqa: N802
        return self._create_actor("source", body)

    def _do_getSource(self, sourceId: str, **_: Any) -> Any:  # noqa: N802, N803
        return self._actor("source", self._get("source", sourceId))

    def _do_putSource(self, sourceId: str, body: Any, **_: Any) -> Any:  # noqa: N802, N803
        return self._put_actor("source", sourceId, body)

    def _do_listDestinations(self, params: Any, **_: Any) -> Any:  # noqa: N802
        return self._list("destination", params, lambda item: self._actor("destination", item))

    def _do_createDestination(self, body: Any, **_: Any) -> Any:  # noqa: N802
        return self._create_actor("destination", body)

    def _do_getDestination(self, destinationId: str, **_: Any) -> Any:  # noqa: N802, N803
        return self._actor("destination", self._get("destination", destinationId))

    def _do_putDestination(self, destinationId: str, body: Any, **_: Any) -> Any:  # noqa: N802, N803
        return self._put_actor("destination", destinationId, body)

    # Connections

    def _offered(self, connection: dict[str, Any]) -> dict[str, Stream]:
        source = self._get("source", connection["sourceId"])
        return {stream.name: stream for stream in self._definition(source["definitionId"]).streams}

    def _configured(self, connection: dict[str, Any], configurations: Any) -> Any:
        offered, configured = self._offered(connection), []
        asked = (configurations or {}).get("streams")
        if not asked:
            asked = [{"name": name, "syncMode": "full_refresh_overwrite"} for name in offered]
        for said in asked:
            stream = offered.get(said["name"])
            if stream is None:
                raise RefusalError(400, f"Invalid stream found. The list of valid streams include: {list(offered)}.")
            if said["name"] in {item["name"] for item in configured}:
                raise RefusalError(400, f"Duplicate stream found in configuration for: {said['name']}.")
            mode = said.get("syncMode", "full_refresh_overwrite")
            if mode not in stream.modes:
                raise RefusalError(400, f"Cannot set sync mode to {mode} for stream {stream.name}. Valid sync modes are: {stream.modes}")
            configured.append({**said, "syncMode": mode, **self._cursor_and_key(stream, said, mode)})
        return {"streams": configured}

    def _cursor_and_key(self, stream: Stream, said: Any, mode: str) -> dict[str, Any]:
        cursor, key = said.get("cursorField"), said.get("primaryKey")
        if mode.startswith("incremental"):
            if stream.source_cursor and cursor and tuple(cursor) != stream.default_cursor:
                raise RefusalError(400, f"Cursor Field {cursor} is already defined by source for stream: {stream.name}.")
            if cursor and not stream.source_cursor and cursor[0] not in stream.fields:
                raise RefusalError(400, f"Invalid cursor field for stream: {stream.name}.")
            if not cursor and not stream.default_cursor:
                raise RefusalError(400, f"No default cursor field for stream: {stream.name}.")
        if mode == "incremental_deduped_history":
            if stream.source_key and key and [list(path) for path in stream.source_key] != key:
                raise RefusalError(400, f"Primary key for stream: {stream.name} is already pre-defined.")
            if not stream.source_key and not key:
                raise RefusalError(400, f"No default primary key for stream: {stream.name}.")
        own_cursor = list(stream.default_cursor) if stream.source_cursor or not cursor else cursor
        return {"cursorField": own_cursor, "primaryKey": [list(path) for path in stream.source_key] or key or []}

    def _do_listConnections(self, params: Any, **_: Any) -> Any:  # noqa: N802
        return self._list("connection", params, dict)

    def _do_createConnection(self, body: Any, **_: Any) -> Any:  # noqa: N802
        self._get("source", body["sourceId"])
        self._get("destination", body["destinationId"])
        made = {
            "connectionId": str(uuid.uuid4()), "workspaceId": WORKSPACE, "createdAt": 1_700_000_000, "tags": [], "name": "unnamed",
            "status": "active", "schedule": {"scheduleType": "manual"}, "namespaceDefinition": "destination", "prefix": "",
            "nonBreakingSchemaUpdatesBehavior": "ignore", **body,
        }  # fmt: skip
        made["configurations"] = self._configured(made, body.get("configurations"))
        self.objects["connection"][made["connectionId"]] = made
        return made

    def _do_getConnection(self, connectionId: str, **_: Any) -> Any:  # noqa: N802, N803
        return self._get("connection", connectionId)

    def _do_patchConnection(self, connectionId: str, body: Any, **_: Any) -> Any:  # noqa: N802, N803
        item = self._get("connection", connectionId)
        configurations = self._configured(item, body.get("configurations"))
        item |= {**body, "configurations": configurations}
        selected = {stream["name"] for stream in configurations["streams"]}
        for key in [key for key in self.state if key[0] == connectionId and key[1] not in selected]:
            del self.state[key]
        return item

    def _do_config_getConnection(self, body: Any, **_: Any) -> Any:  # noqa: N802
        item = self._get("connection", body["connectionId"])
        selected = {stream["name"] for stream in item["configurations"]["streams"]}
        streams = [
            {"stream": {"name": stream.name, "jsonSchema": {"type": "object", "properties": {name: {"type": "string"} for name in stream.fields}}},
             "config": {"selected": stream.name in selected, "syncMode": "full_refresh", "destinationSyncMode": "overwrite"}}
            for stream in self._offered(item).values()
        ]  # fmt: skip
        keep = ("connectionId", "name", "sourceId", "destinationId", "prefix", "status")
        return {**{name: item[name] for name in keep}, "syncCatalog": {"streams": streams}}

    # Jobs

    def _job(self, job: Job) -> Any:
        shown: dict[str, Any] = {
            "jobId": job.id, "status": job.status, "jobType": job.type, "startTime": "2026-01-01T00:00:00Z", "connectionId": job.connection,
        }  # fmt: skip
        if job.status != "pending":
            shown["duration"] = "PT1M"
            shown["rowsSynced"] = sum(rows for rows, _ in job.streams.values())
            shown["bytesSynced"] = sum(size for _, size in job.streams.values())
        if job.status in {"succeeded", "failed", "cancelled"}:
            shown["lastUpdatedAt"] = "2026-01-01T00:01:00Z"
        return shown

    def begin(self, connection_id: str, kind: str = "sync", course: Sequence[str] | None = None) -> Job:
        """Starts a job, as the server's own schedule or a person would."""
        item = self._get("connection", connection_id)
        if any(job.connection == connection_id and job.status not in {"succeeded", "failed", "cancelled"} for job in self.jobs.values()):
            raise RefusalError(409, f"A sync is already running for: {connection_id}")
        offered = self._offered(item)
        streams = {
            stream["name"]: (offered[stream["name"]].rows, offered[stream["name"]].bytes) for stream in item["configurations"]["streams"]
        }
        job = Job(max(self.jobs, default=0) + 1, connection_id, kind, list(course or self.course), streams)
        self.jobs[job.id] = job
        return job

    def _do_createJob(self, body: Any, **_: Any) -> Any:  # noqa: N802
        if body["jobType"] == "refresh":
            raise RefusalError(422, "Refreshes are not supported in the public API")
        return self._job(self.begin(body["connectionId"], body["jobType"]))

    def _do_listJobs(self, params: Any, **_: Any) -> Any:  # noqa: N802
        wanted = [job for job in self.jobs.values() if params.get("connectionId") in {None, job.connection}]
        wanted = [job for job in wanted if params.get("status", job.status) == job.status and params.get("jobType", job.type) == job.type]
        wanted.sort(key=lambda job: job.id, reverse=not str(params.get("orderBy", "")).endswith("ASC"))
        limit, offset = params.get("limit", 20), params.get("offset", 0)
        return self._page("jobs", [self._job(job) for job in wanted[offset : offset + limit]], limit, offset, params)

    def _find_job(self, job_id: str) -> Job:
        if not job_id.isdigit():
            raise RefusalError(400, "jobId is no integer")
        if int(job_id) not in self.jobs:
            raise RefusalError(404, f"job {job_id}")
        return self.jobs[int(job_id)]

    def _do_getJob(self, jobId: str, **_: Any) -> Any:  # noqa: N802, N803
        job = self._find_job(jobId)
        if job.status not in {"succeeded", "failed", "cancelled"}:
            job.status = job.statuses[min(job.looks, len(job.statuses) - 1)]
            job.looks += 1
            if job.status == "succeeded":
                for name, (rows, _) in job.streams.items():
                    self.state[job.connection, name] = self.state.get((job.connection, name), 0) + rows
        return self._job(job)

    def _do_cancelJob(self, jobId: str, **_: Any) -> Any:  # noqa: N802, N803
        job = self._find_job(jobId)
        if job.status not in {"succeeded", "failed"}:
            job.status = "cancelled"
        return self._job(job)


def _shown(definition: Definition) -> Any:
    name = definition.repository.partition("-")[2].title()
    return {"id": definition.id, "name": name, "dockerRepository": definition.repository, "dockerImageTag": definition.tag}


def check(schema: Any, value: Any, status: int) -> None:
    errors = sorted(jsonschema.Draft202012Validator(schema).iter_errors(value), key=lambda error: list(map(str, error.absolute_path)))
    if errors:
        raise RefusalError(status, f"{'.'.join(map(str, errors[0].absolute_path)) or 'the request'}: {errors[0].message}")


def _masked(value: Any, schema: Any) -> Any:
    if isinstance(schema, dict) and schema.get("airbyte_secret"):
        return MASK
    if isinstance(value, dict):
        return {name: _masked(item, (schema or {}).get("properties", {}).get(name)) for name, item in value.items()}
    return value
