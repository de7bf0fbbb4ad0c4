"""The part of the official Airbyte API description that the stand-in enforces, as JSON Schemas.

Source: airbytehq/airbyte-platform, airbyte-api/server-api/src/main/openapi/: api_documentation_{applications,workspaces,sources,
destinations,connections,jobs,source_definitions,declarative_source_definitions}.yaml (public API), config.yaml (the two calls of the
configuration API), ../problems-api/src/main/openapi/api-problems.yaml (errors). Field names, types, required fields and enumerations
are those of the description; every object is closed on top of that, so that a misspelt field is an error and not ignored.

Where the description contradicts itself or the servers, the stand-in follows the servers:
- ``ApplicationTokenRequestWithGrant`` requires ``grant_type`` and defines ``grant-type``; servers take the token request without
  either when it is JSON (dagster-airbyte sends none). Both spellings are allowed, none is required in JSON.
- ``CreateDeclarativeSourceDefinitionRequest`` requires a ``workspaceId`` that it does not define; the path has it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

Schema = dict[str, Any]

TEXT: Schema = {"type": "string"}
UUID: Schema = {"type": "string", "pattern": "^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$"}
INTEGER: Schema = {"type": "integer"}
BOOLEAN: Schema = {"type": "boolean"}
ANYTHING: Schema = {}
JOB_STATUS = ["pending", "running", "incomplete", "failed", "succeeded", "cancelled"]
JOB_TYPE = ["sync", "reset", "refresh", "clear"]
SYNC_MODE = [
    "full_refresh_overwrite", "full_refresh_overwrite_deduped", "full_refresh_append", "full_refresh_update", "full_refresh_soft_delete",
    "incremental_append", "incremental_deduped_history", "incremental_update", "incremental_soft_delete",
]  # fmt: skip
SCHEMA_UPDATES = ["ignore", "disable_connection", "propagate_columns", "propagate_fully"]


def thing(required: str = "", /, **fields: Schema) -> Schema:
    """A closed object."""
    return {"type": "object", "properties": fields, "required": required.split(), "additionalProperties": False}


def many(item: Schema) -> Schema:
    return {"type": "array", "items": item}


def one_of(*words: str) -> Schema:
    return {"enum": list(words)}


def page(item: Schema) -> Schema:
    return thing("data", previous=TEXT, next=TEXT, data=many(item))


STREAM = thing(
    "name", name=TEXT, namespace=TEXT, syncMode=one_of(*SYNC_MODE), cursorField=many(TEXT), primaryKey=many(many(TEXT)), includeFiles=BOOLEAN,
    destinationObjectName=TEXT, selectedFields=many(thing(fieldPath=many(TEXT))), mappers=many({"type": "object"}),
)  # fmt: skip
TAGS = many(thing("tagId workspaceId name color", tagId=UUID, workspaceId=UUID, name=TEXT, color=TEXT))
SETTABLE = {
    "name": TEXT,
    "configurations": thing(streams=many(STREAM)),
    "schedule": thing("scheduleType", scheduleType=one_of("manual", "cron"), cronExpression=TEXT),
    "dataResidency": TEXT,
    "namespaceDefinition": one_of("source", "destination", "custom_format"),
    "namespaceFormat": TEXT,
    "prefix": TEXT,
    "nonBreakingSchemaUpdatesBehavior": one_of(*SCHEMA_UPDATES),
    "status": one_of("active", "inactive", "deprecated", "locked"),
    "tags": TAGS,
}
RESOURCES: Schema = {"type": "object"}

JOB = thing(
    "jobId status jobType startTime connectionId", jobId=INTEGER, status=one_of(*JOB_STATUS), jobType=one_of(*JOB_TYPE), startTime=TEXT,
    connectionId=UUID, lastUpdatedAt=TEXT, duration=TEXT, bytesSynced=INTEGER, rowsSynced=INTEGER,
)  # fmt: skip
CONNECTION = thing(
    "connectionId name sourceId destinationId workspaceId status schedule configurations createdAt tags",
    **{
        **{name: schema for name, schema in SETTABLE.items() if name != "dataResidency"},
        "connectionId": UUID, "sourceId": UUID, "destinationId": UUID, "workspaceId": UUID, "createdAt": INTEGER, "statusReason": TEXT,
        "schedule": thing("scheduleType", scheduleType=one_of("manual", "cron", "basic"), cronExpression=TEXT, basicTiming=TEXT),
    },
)  # fmt: skip
SOURCE = thing(
    "sourceId name sourceType workspaceId configuration definitionId createdAt", sourceId=UUID, name=TEXT, sourceType=TEXT,
    definitionId=UUID, workspaceId=UUID, configuration=ANYTHING, createdAt=INTEGER, resourceAllocation=RESOURCES,
)  # fmt: skip
DESTINATION = thing(
    "destinationId name destinationType definitionId workspaceId configuration createdAt", destinationId=UUID, name=TEXT,
    destinationType=TEXT, definitionId=UUID, workspaceId=UUID, configuration=ANYTHING, createdAt=INTEGER, resourceAllocation=RESOURCES,
)  # fmt: skip
ACTOR_CREATE = {"name": TEXT, "definitionId": UUID, "workspaceId": UUID, "configuration": ANYTHING, "resourceAllocation": RESOURCES}
DEFINITION = thing(
    "id name dockerRepository dockerImageTag", id=UUID, name=TEXT, dockerRepository=TEXT, dockerImageTag=TEXT, documentationUrl=TEXT
)
DECLARATIVE = thing("id name manifest version", id=UUID, name=TEXT, manifest={"type": "object"}, version=INTEGER)

LIST = {
    "workspaceIds": many(UUID),
    "includeDeleted": BOOLEAN,
    "limit": {**INTEGER, "minimum": 1, "maximum": 100},
    "offset": {**INTEGER, "minimum": 0},
}


@dataclass(frozen=True)
class Operation:
    """One operation of the description: what it takes and gives."""

    name: str
    method: str
    path: str
    answer: Schema
    body: Schema | None = None
    query: Schema | None = None


PUBLIC = "/api/public/v1"
CONFIG = "/api/v1"
OPERATIONS = (
    Operation("createAccessToken", "POST", f"{PUBLIC}/applications/token",
              thing("access_token token_type expires_in", access_token=TEXT, token_type=one_of("Bearer"), expires_in=INTEGER),
              {"type": "object", "required": ["client_id", "client_secret"], "additionalProperties": False,
               "properties": {"client_id": TEXT, "client_secret": TEXT, "grant-type": one_of("client_credentials"),
                              "grant_type": one_of("client_credentials")}}),
    Operation("getWorkspace", "GET", f"{PUBLIC}/workspaces/{{workspaceId}}",
              thing("workspaceId name dataResidency notifications", workspaceId=UUID, name=TEXT, dataResidency=TEXT, notifications={"type": "object"})),
    Operation("listSourceDefinitions", "GET", f"{PUBLIC}/workspaces/{{workspaceId}}/definitions/sources", page(DEFINITION)),
    Operation("listDestinationDefinitions", "GET", f"{PUBLIC}/workspaces/{{workspaceId}}/definitions/destinations", page(DEFINITION)),
    Operation("listDeclarativeSourceDefinitions", "GET", f"{PUBLIC}/workspaces/{{workspaceId}}/definitions/declarative_sources", page(DECLARATIVE)),
    Operation("createDeclarativeSourceDefinition", "POST", f"{PUBLIC}/workspaces/{{workspaceId}}/definitions/declarative_sources", DECLARATIVE,
              thing("name manifest", name=TEXT, manifest={"type": "object"})),
    Operation("updateDeclarativeSourceDefinition", "PUT", f"{PUBLIC}/workspaces/{{workspaceId}}/definitions/declarative_sources/{{definitionId}}",
              DECLARATIVE, thing("manifest", manifest={"type": "object"})),
    Operation("listSources", "GET", f"{PUBLIC}/sources", page(SOURCE), query=thing(**LIST)),
    Operation("createSource", "POST", f"{PUBLIC}/sources", SOURCE, thing("name workspaceId configuration", secretId=TEXT, **ACTOR_CREATE)),
    Operation("getSource", "GET", f"{PUBLIC}/sources/{{sourceId}}", SOURCE, query=thing(includeSecretCoordinates=BOOLEAN)),
    Operation("putSource", "PUT", f"{PUBLIC}/sources/{{sourceId}}", SOURCE,
              thing("name configuration", name=TEXT, configuration=ANYTHING, resourceAllocation=RESOURCES)),
    Operation("listDestinations", "GET", f"{PUBLIC}/destinations", page(DESTINATION), query=thing(**LIST)),
    Operation("createDestination", "POST", f"{PUBLIC}/destinations", DESTINATION, thing("name workspaceId configuration", **ACTOR_CREATE)),
    Operation("getDestination", "GET", f"{PUBLIC}/destinations/{{destinationId}}", DESTINATION, query=thing(includeSecretCoordinates=BOOLEAN)),
    Operation("putDestination", "PUT", f"{PUBLIC}/destinations/{{destinationId}}", DESTINATION,
              thing("name configuration", name=TEXT, configuration=ANYTHING, resourceAllocation=RESOURCES)),
    Operation("listConnections", "GET", f"{PUBLIC}/connections", page(CONNECTION), query=thing(tagIds=many(UUID), **LIST)),
    Operation("createConnection", "POST", f"{PUBLIC}/connections", CONNECTION,
              thing("sourceId destinationId", sourceId=UUID, destinationId=UUID, **SETTABLE)),
    Operation("getConnection", "GET", f"{PUBLIC}/connections/{{connectionId}}", CONNECTION),
    Operation("patchConnection", "PATCH", f"{PUBLIC}/connections/{{connectionId}}", CONNECTION, thing(**SETTABLE)),
    Operation("listJobs", "GET", f"{PUBLIC}/jobs", page(JOB), query=thing(
        connectionId=UUID, limit=LIST["limit"], offset=LIST["offset"], jobType=one_of(*JOB_TYPE), workspaceIds=many(UUID),
        status=one_of(*JOB_STATUS), createdAtStart=TEXT, createdAtEnd=TEXT, updatedAtStart=TEXT, updatedAtEnd=TEXT,
        orderBy={"type": "string", "pattern": r"\w+|(ASC|DESC)"})),
    Operation("createJob", "POST", f"{PUBLIC}/jobs", JOB, thing("jobType connectionId", connectionId=UUID, jobType=one_of(*JOB_TYPE))),
    Operation("getJob", "GET", f"{PUBLIC}/jobs/{{jobId}}", JOB),
    Operation("cancelJob", "DELETE", f"{PUBLIC}/jobs/{{jobId}}", JOB),
    Operation("config.getConnection", "POST", f"{CONFIG}/connections/get", {"type": "object", "required": ["connectionId", "name", "syncCatalog"]},
              thing("connectionId", connectionId=UUID)),
    Operation("config.getSourceDefinitionSpecification", "POST", f"{CONFIG}/source_definition_specifications/get",
              {"type": "object", "required": ["sourceDefinitionId", "jobInfo"]},
              thing("sourceDefinitionId workspaceId", sourceDefinitionId=UUID, workspaceId=UUID)),
)  # fmt: skip

PROBLEM = thing("type title", status=INTEGER, type=TEXT, title=TEXT, detail=TEXT, documentationUrl=TEXT, data={"type": "object"})
_ERRORS = "https://reference.airbyte.com/reference/errors"
PROBLEMS = {
    400: (f"{_ERRORS}#bad-request", "bad-request", "The request could not be understood by the server due to malformed syntax."),
    401: (f"{_ERRORS}#invalid-api-key", "invalid-api-key", "The API key in the Authorization header is invalid."),
    403: (f"{_ERRORS}#forbidden", "forbidden", "The request is forbidden."),
    404: (f"{_ERRORS}#resource-not-found", "resource-not-found", "The requested resource could not be found."),
    409: (f"{_ERRORS}#409-state-conflict", "state-conflict", "State conflict"),
    405: (f"{_ERRORS}#bad-request", "method-not-allowed", "The method is not allowed."),
    415: (f"{_ERRORS}#bad-request", "unsupported-media-type", "The media type is not supported."),
    422: (f"{_ERRORS}#unprocessable-entity", "unprocessable-entity", "The body of the request was not understood"),
    429: (f"{_ERRORS}#try-again-later", "try-again-later", "Please try again later."),
    500: (_ERRORS, "unexpected-problem", "An unexpected problem has occurred."),
    503: (_ERRORS, "service-unavailable", "The server is currently unable to handle the request."),
}


def problem(status: int, message: str = "") -> dict[str, Any]:
    """The error body of a status (RFC 9457), as the server's problems file defines it."""
    kind, title, detail = PROBLEMS.get(status, PROBLEMS[500])
    return {"status": status, "type": kind, "title": title, "detail": detail, "data": {"message": message} if message else {}}
