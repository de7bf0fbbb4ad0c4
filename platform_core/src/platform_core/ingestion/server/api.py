"""The calls of the Airbyte API that the platform makes, on the server of the environment.

Source: the official OpenAPI descriptions of airbytehq/airbyte-platform, airbyte-api/server-api/src/main/openapi/
(api_documentation_*.yaml: public API; config.yaml: configuration API, of which only the connector's specification is read).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import parse_qsl, urlsplit

from platform_core.ingestion.server.errors import ApiError
from platform_core.ingestion.server.transport import Json, Transport
from platform_core.settings import AirbyteSettings

Kind = Literal["definition", "source", "destination", "connection"]

_PAGE = 100  # the most that the server gives
_MOST_PAGES = 1000
_ID = {"definition": "id", "source": "sourceId", "destination": "destinationId", "connection": "connectionId"}


@dataclass(frozen=True)
class Job:
    """A job of a connection.

    Attributes:
        id: Grows with every job.
        status: ``pending``, ``running``, ``incomplete`` (an attempt failed, another follows), ``failed``, ``succeeded``, ``cancelled``,
            or a word that newer servers may add.
        type: ``sync``, ``reset``, ``refresh``, ``clear``.
        rows: Rows written by the last attempt, None before the first.
        bytes: Their size.
    """

    id: int
    status: str
    type: str
    rows: int | None
    bytes: int | None

    @classmethod
    def read(cls, answer: Mapping[str, Any]) -> Job:
        """From a ``JobResponse``.

        Raises:
            ApiError: It is none.
        """
        try:
            return cls(
                int(answer["jobId"]), str(answer["status"]), str(answer["jobType"]), answer.get("rowsSynced"), answer.get("bytesSynced")
            )
        except (KeyError, ValueError, TypeError) as error:
            raise ApiError(f"a job without {error}", remedy="check that MESH_AIRBYTE_URL is an Airbyte server") from error


class AirbyteApi:
    """The resources of one workspace."""

    def __init__(self, settings: AirbyteSettings, transport: Transport | None = None) -> None:
        self.settings = settings
        self.transport = transport or Transport(settings)

    def observe(self, kind: Kind) -> list[Json]:
        """Every object of a kind in the workspace, in full; of definitions only the low-code ones."""
        if kind == "definition":
            return self._pages(f"workspaces/{self.settings.workspace}/definitions/declarative_sources")
        return self._pages(f"{kind}s", {"workspaceIds": self.settings.workspace})

    def definitions(self, kind: Literal["sources", "destinations"]) -> list[Json]:
        """The connectors that the workspace can use: ``id``, ``name``, ``dockerRepository``, ``dockerImageTag``."""
        return self._pages(f"workspaces/{self.settings.workspace}/definitions/{kind}")

    def source_spec(self, definition_id: str) -> Json:
        """The ``connectionSpecification`` of a source's connector: the JSON Schema of its configuration."""
        body = {"sourceDefinitionId": definition_id, "workspaceId": self.settings.workspace}
        answer = self.transport.request(
            "POST", f"{self.settings.configuration_api}/source_definition_specifications/get", body=body, repeatable=True, slow=True
        )
        spec = answer.get("connectionSpecification")
        return spec if isinstance(spec, dict) else {"type": "object"}

    def create(self, kind: Kind, body: Mapping[str, Any]) -> str:
        """Makes an object and gives its id. Never repeated: an answer that is lost leaves an object, found by its name next time."""
        path = f"workspaces/{self.settings.workspace}/definitions/declarative_sources" if kind == "definition" else f"{kind}s"
        return str(self._public("POST", path, body=body, slow=True)[_ID[kind]])

    def update(self, kind: Kind, object_id: str, body: Mapping[str, Any]) -> None:
        """Replaces an object's content. The body is whole, so the request may arrive twice."""
        if kind == "definition":
            self._public("PUT", f"workspaces/{self.settings.workspace}/definitions/declarative_sources/{object_id}", body=body, slow=True)
        elif kind == "connection":
            if not (body.get("configurations") or {}).get("streams"):
                # The server would answer by selecting every stream of the source, full refresh, overwriting.
                raise ApiError("a connection is never changed without its streams", where=object_id, remedy="report this: it is a bug")
            self._public("PATCH", f"connections/{object_id}", body=body, repeatable=True, slow=True)
        else:
            self._public("PUT", f"{kind}s/{object_id}", body=body, slow=True)

    def recent_jobs(self, connection_id: str) -> list[Job]:
        """The newest jobs of a connection, the newest first."""
        answer = self._public("GET", "jobs", params={"connectionId": connection_id, "limit": 20, "orderBy": "createdAt|DESC"})
        return sorted((Job.read(job) for job in answer.get("data") or ()), key=lambda job: job.id, reverse=True)

    def start_sync(self, connection_id: str) -> Job:
        """Starts a sync.

        Raises:
            ConflictError: A job of the connection runs.
            UnreachableError: The answer was lost; the job may have been started.
        """
        return Job.read(self._public("POST", "jobs", body={"connectionId": connection_id, "jobType": "sync"}))

    def job(self, job_id: int) -> Job:
        """A job as it stands."""
        return Job.read(self._public("GET", f"jobs/{job_id}"))

    def cancel(self, job_id: int) -> None:
        """Ends a job."""
        self._public("DELETE", f"jobs/{job_id}")

    def _public(self, method: str, path: str, **options: Any) -> Json:
        return self.transport.request(method, f"{self.settings.public_api}/{path}", **options)

    def _pages(self, path: str, params: Mapping[str, Any] | None = None) -> list[Json]:
        """All items of a list. Of ``next`` only the query is followed: its host is what the server believes of itself."""
        found: list[Json] = []
        query: dict[str, Any] = {**(params or {})} if path.startswith("workspaces/") else {**(params or {}), "limit": _PAGE}
        seen: set[tuple[tuple[str, Any], ...]] = set()
        for _ in range(_MOST_PAGES):
            answer = self._public("GET", path, params=query)
            found += answer.get("data") or []
            if not answer.get("next"):
                return found
            query = {**query, **dict(parse_qsl(urlsplit(str(answer["next"])).query))}
            key = tuple(sorted((name, str(value)) for name, value in query.items()))
            if key in seen:
                break
            seen.add(key)
        raise ApiError("the pages of the list have no end", where=f"GET {path}", remedy="report this with the server's version")
