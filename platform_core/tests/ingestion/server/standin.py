"""A stand-in for an Airbyte server: HTTP on loopback, strict about every request, with state, and able to misbehave.

What is right is said by ``official.py``. How the server behaves beyond its description is taken from airbyte-platform's sources:
- ``ConnectionsController.patchConnection``: a patch without streams selects all of the source's streams, full refresh, overwriting.
- ``AirbyteCatalogHelper``: which streams, sync modes, cursors and keys are refused.
- ``ConnectionsHandler.updateConnection``: the state of a stream that is taken out of a connection is wiped (``ResetStreamsStateWhenDisabled``).
- ``PaginationMapper``: a page that is full has a ``next``, whose host is the server's own idea of it.
- ``JobsController``: a connection has one job at a time; ``refresh`` is refused.
"""

from __future__ import annotations

import base64
import json
import re
import threading
import time
import urllib.parse
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import jsonschema
from official import OPERATIONS, PROBLEM, Operation, problem
from standin_state import WORKSPACE, Definition, RefusalError, State, check

CLIENT_ID, CLIENT_SECRET = "b6b159ce-07f4-4699-94b3-3e85b318852e", "the-applications-own-secret"
USER, PASSWORD = "admin@example.com", "the-basic-password"


@dataclass
class Misbehaviour:
    """What the server does instead of a proper answer, once."""

    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    seconds: float = 0.0  # answers late
    drop: str = ""  # "before": closes the connection unheard; "after": does as asked, then closes it
    answer: Any = None  # a body instead of the right one
    message: str = ""


class StandIn(State):
    """The server and its state."""

    def __init__(self, definitions: Sequence[Definition], *, basic: bool = False) -> None:
        super().__init__(definitions)
        self.basic = basic
        self.token_seconds = 900
        self.tokens: set[str] = set()
        self.requests: list[tuple[str, str, Any]] = []  # (method and path, operation, body) of what was let through to the state
        self.refused: list[str] = []
        self.faults: list[str] = []  # of the stand-in itself: answers that break the official description
        self._plans: list[tuple[str, Misbehaviour]] = []
        self._lock = threading.RLock()
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(self))
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=lambda: self._server.serve_forever(poll_interval=0.02), daemon=True)

    def __enter__(self) -> StandIn:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_address[1]}"

    def misbehave(self, operation: str, *times: Misbehaviour) -> None:
        """The next requests of an operation are answered so, one each."""
        self._plans += [(operation, one) for one in times]

    def calls(self, operation: str) -> int:
        """How often an operation was asked for, well or badly answered."""
        return sum(1 for _, name, _ in self.requests if name == operation)

    # What follows runs in the server's threads.

    def answer(self, method: str, target: str, headers: Any, raw: bytes) -> tuple[int, dict[str, str], bytes] | None:
        """The answer to a request; None to close the connection instead."""
        path, _, query = target.partition("?")
        try:
            operation, captured = self._route(method, path)
        except RefusalError as error:
            self.refused.append(f"{method} {path}: {error.status}")
            return self._error(error)
        with self._lock:
            at = next((at for at, (name, _) in enumerate(self._plans) if name == operation.name), None)
            plan = self._plans.pop(at)[1] if at is not None else None
            self.requests.append((f"{method} {path}", operation.name, _loads(raw)))
        if plan and plan.seconds:
            time.sleep(plan.seconds)
        if plan and plan.drop == "before":
            return None
        if plan and plan.status:
            status, more, body = self._error(RefusalError(plan.status, plan.message))
            return status, {**more, **plan.headers}, body
        try:
            with self._lock:
                body = self._perform(operation, captured, query, headers, raw)
        except RefusalError as error:
            self.refused.append(f"{method} {path}: {error.status} {error.message}")
            return self._error(error)
        if plan and plan.drop == "after":
            return None
        if plan and plan.answer is not None:
            body = plan.answer
        elif problems := [error.message for error in jsonschema.Draft202012Validator(operation.answer).iter_errors(body)]:
            self.faults += [f"{operation.name}: {text}" for text in problems]
        return 200, {}, body if isinstance(body, bytes) else json.dumps(body).encode()

    def _error(self, error: RefusalError) -> tuple[int, dict[str, str], bytes]:
        body = problem(error.status, error.message)
        self.faults += [f"problem: {fault.message}" for fault in jsonschema.Draft202012Validator(PROBLEM).iter_errors(body)]
        return error.status, {"Content-Type": "application/problem+json"}, json.dumps(body).encode()

    def _route(self, method: str, path: str) -> tuple[Operation, dict[str, str]]:
        known = False
        for operation in OPERATIONS:
            match = re.fullmatch(re.sub(r"\{(\w+)\}", r"(?P<\1>[^/]+)", operation.path), path)
            if match:
                if operation.method == method:
                    return operation, match.groupdict()
                known = True
        raise RefusalError(405 if known else 404, f"{method} {path}")

    def _perform(self, operation: Operation, captured: dict[str, str], query: str, headers: Any, raw: bytes) -> Any:
        if operation.name == "createAccessToken":
            return self._token(operation, headers, raw)
        self._authorise(headers)
        body = self._body(operation, headers, raw)
        params = self._query(operation, query)
        for name, value in captured.items():
            if name != "jobId":
                check({"type": "string", "pattern": "^[0-9a-f-]{36}$"}, value, 400)
        if captured.get("workspaceId", WORKSPACE) != WORKSPACE or body.get("workspaceId", WORKSPACE) != WORKSPACE:
            raise RefusalError(403)
        handler: Callable[..., Any] = getattr(self, "_do_" + operation.name.replace(".", "_"))
        return handler(body=body, params=params, **captured)

    def _token(self, operation: Operation, headers: Any, raw: bytes) -> Any:
        if headers.get_content_type() == "application/x-www-form-urlencoded":
            body = dict(urllib.parse.parse_qsl(raw.decode()))
            if "grant_type" not in body:
                raise RefusalError(400, "grant_type is required")
        else:
            body = _loads(raw)
        check(operation.body or {}, body, 400)
        if (body["client_id"], body["client_secret"]) != (CLIENT_ID, CLIENT_SECRET):
            raise RefusalError(401)
        token = f"token-{uuid.uuid4()}"
        self.tokens.add(token)
        return {"access_token": token, "token_type": "Bearer", "expires_in": self.token_seconds}

    def _authorise(self, headers: Any) -> None:
        kind, _, value = (headers.get("Authorization") or "").partition(" ")
        known = (
            {f"Basic {base64.b64encode(f'{USER}:{PASSWORD}'.encode()).decode()}"}
            if self.basic
            else {f"Bearer {one}" for one in self.tokens}
        )
        if f"{kind} {value}" not in known:
            raise RefusalError(401)

    def _body(self, operation: Operation, headers: Any, raw: bytes) -> dict[str, Any]:
        if operation.body is None:
            if raw:
                raise RefusalError(400, f"{operation.name} takes no body")
            return {}
        if headers.get_content_type() != "application/json":
            raise RefusalError(415, "the body is no application/json")
        body = _loads(raw)
        check(operation.body, body, 422)
        return body

    def _query(self, operation: Operation, query: str) -> dict[str, Any]:
        given = urllib.parse.parse_qs(query, keep_blank_values=True, strict_parsing=bool(query))
        schema = operation.query or {"type": "object", "properties": {}, "additionalProperties": False}
        params: dict[str, Any] = {}
        for name, values in given.items():
            kind = schema["properties"].get(name, {}).get("type")
            if kind == "array":
                params[name] = [part for value in values for part in value.split(",")]
            elif kind == "integer" and re.fullmatch(r"-?\d+", values[-1]):
                params[name] = int(values[-1])
            elif kind == "boolean" and values[-1] in {"true", "false"}:
                params[name] = values[-1] == "true"
            else:
                params[name] = values[-1]
        check(schema, params, 400)
        return params


def _loads(raw: bytes) -> Any:
    try:
        return json.loads(raw) if raw else None
    except ValueError:
        return None


def _handler(standin: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"
        wbufsize = -1  # head and body in one packet

        def _serve(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            try:
                answered = standin.answer(self.command, self.path, self.headers, raw)
            except Exception as error:  # a bug of the stand-in must fail the test, not look like a server's 500
                standin.faults.append(f"{self.command} {self.path}: {error!r}")
                raise
            if answered is None:
                self.close_connection = True
                self.connection.close()
                return
            status, headers, body = answered
            self.send_response(status)
            for name, value in {"Content-Type": "application/json", **headers, "Content-Length": str(len(body))}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)
            self.wfile.flush()

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, format: str, *args: object) -> None:
            pass

    return Handler
