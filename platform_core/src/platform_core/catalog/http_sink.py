"""Proposals to a DataHub server (GMS) over its Rest.li interface.

``POST /aspects?action=ingestProposalBatch`` with ``X-RestLi-Protocol-Version: 2.0.0``, at most 200 proposals and 15 MiB a call,
synchronous, so that the answer says whether the server kept them. A refused batch is halved until the culprits stand alone.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

import orjson

from platform_core.catalog.errors import CatalogError, SinkUnavailableError
from platform_core.catalog.sink import Outgoing, Taken

MOST_PROPOSALS = 200
MOST_BYTES = 15 * 1024 * 1024
SUSPICIOUS_ATTEMPTS = 3
"""After so many failures a server error may be the fault of one proposal, so the batch is halved then too."""
_TAIL = b'],"async":"false"}'
_HEAD = b'{"proposals":['


class _RefusedError(Exception):
    """The server answered that it will not take this batch."""

    def __init__(self, reason: str, final: bool) -> None:
        super().__init__(reason)
        self.reason = reason
        self.final = final


@dataclass
class HttpSink:
    """A DataHub server.

    Args:
        url: Address of GMS, for example ``http://datahub-gms:8080`` or ``https://<account>.acryl.io/gms``.
        token: Personal access token; shown nowhere.
        connect_seconds: Patience for a connection.
        read_seconds: Patience for an answer.

    Raises:
        CatalogError: The address is no HTTP address or carries credentials.
    """

    url: str
    token: str | None = field(default=None, repr=False)
    connect_seconds: float = 3.0
    read_seconds: float = 30.0
    shared: bool = True
    _checked: bool = field(default=False, init=False, repr=False)

    def __post_init__(self) -> None:
        parts = urlsplit(self.url)
        if parts.scheme not in {"http", "https"} or not parts.hostname:
            raise CatalogError("is no HTTP address", where="MESH_DATAHUB_URL", remedy="write for example http://datahub-gms:8080")
        if parts.username or parts.password:
            raise CatalogError("carries credentials", where="MESH_DATAHUB_URL", remedy="give the token through MESH_DATAHUB_TOKEN")
        self.url = self.url.rstrip("/")

    @property
    def name(self) -> str:
        """The server's address."""
        return f"datahub:{self.url}"

    def lost(self, products: Collection[str]) -> frozenset[str]:
        """None: a server keeps what it took."""
        return frozenset()

    def send(self, batch: Sequence[Outgoing]) -> Taken:
        """Sends the batch; see ``Taken`` for what becomes of a down server and of a poisonous proposal."""
        import requests

        accepted: set[int] = set()
        refused: dict[int, str] = {}
        bodies = [_body(item) for item in batch]
        try:
            with requests.Session() as session:
                session.auth = self._authorise
                self._check(session)
                suspicious = any(item.attempts >= SUSPICIOUS_ATTEMPTS for item in batch)
                for chunk in _chunks(bodies, refused):
                    for index, reason in self._send(session, bodies, chunk, suspicious):
                        if reason is None:
                            accepted.add(index)
                        else:
                            refused[index] = reason
        except SinkUnavailableError as failure:
            return Taken(frozenset(accepted), refused, failure)
        return Taken(frozenset(accepted), refused)

    def _send(self, session: Any, bodies: Sequence[bytes], chunk: Sequence[int], suspicious: bool) -> Iterator[tuple[int, str | None]]:
        """Sends a chunk; yields each position with None (kept) or the reason of its refusal.

        A refused part is halved, first halves first, so that the order is kept.
        """
        halves, in_vain, kept = [chunk], 0, False
        suspects: dict[int, str] = {}
        while halves:
            part = halves.pop()
            try:
                self._post(session, b",".join(bodies[index] for index in part))
            except _RefusedError as answer:
                in_vain += 1
                # One culprit costs a refusal for every halving; more without one success, and it is the server that is at fault.
                if not answer.final and (not suspicious or in_vain > len(chunk).bit_length() + 1):
                    raise self._unavailable(answer.reason) from answer
                if len(part) > 1:
                    middle = len(part) // 2
                    halves += [part[middle:], part[:middle]]
                elif answer.final:
                    yield part[0], answer.reason
                else:
                    suspects[part[0]] = answer.reason
                continue
            in_vain, kept = 0, True
            yield from ((index, None) for index in part)
        if suspects and not kept:
            raise self._unavailable(next(iter(suspects.values())))
        yield from suspects.items()

    def _check(self, session: Any) -> None:
        """Makes sure, once, that this is GMS and not the web frontend, which answers every address."""
        if self._checked:
            return
        answer = self._request(session, "GET", "/config", None)
        try:
            config = orjson.loads(answer.content) if answer.status_code == 200 else {}
        except orjson.JSONDecodeError:
            config = {}
        if not isinstance(config, dict) or config.get("noCode") != "true":
            raise self._unavailable(f"this is no DataHub GMS (GET /config answered {answer.status_code})")
        self._checked = True

    def _post(self, session: Any, proposals: bytes) -> None:
        answer = self._request(session, "POST", "/aspects?action=ingestProposalBatch", _HEAD + proposals + _TAIL)
        if answer.status_code == 200:
            return
        reason = f"HTTP {answer.status_code}: {self._message(answer)}"
        if answer.status_code in {400, 413, 422}:
            raise _RefusedError(reason, final=True)
        if answer.status_code == 500:
            raise _RefusedError(reason, final=False)
        waiting = answer.headers.get("Retry-After", "")
        raise self._unavailable(reason, float(waiting) if waiting.isdigit() else None)

    def _request(self, session: Any, method: str, path: str, body: bytes | None) -> Any:
        import requests

        headers = {"X-RestLi-Protocol-Version": "2.0.0", "Content-Type": "application/json", "User-Agent": "data-mesh-platform"}
        try:
            return session.request(
                method,
                self.url + path,
                data=body,
                headers=headers,
                timeout=(self.connect_seconds, self.read_seconds),
                allow_redirects=False,  # a redirect would turn the POST into a GET, or carry the token elsewhere
            )
        except requests.RequestException as error:
            raise self._unavailable(f"no answer ({type(error).__name__})") from error

    def _authorise(self, request: Any) -> Any:
        """As a callable rather than a header: ``requests`` would let a ``.netrc`` entry replace a header."""
        if self.token:
            request.headers["Authorization"] = f"Bearer {self.token}"
        return request

    def _unavailable(self, what: str, retry_after: float | None = None) -> SinkUnavailableError:
        remedy = "check MESH_DATAHUB_URL and MESH_DATAHUB_TOKEN; nothing is lost, the outbox sends again"
        return SinkUnavailableError(what, where=self.url, remedy=remedy, retry_after=retry_after)

    def _message(self, answer: Any) -> str:
        """The server's own words, short, without the token should it repeat it."""
        try:
            said = orjson.loads(answer.content)
            text = str(said.get("message") or said) if isinstance(said, dict) else str(said)
        except orjson.JSONDecodeError:
            text = answer.text
        text = " ".join(text.replace(self.token, "***").split() if self.token else text.split())
        return text[:500] or "no message"


def _body(item: Outgoing) -> bytes:
    return orjson.dumps(
        {
            "entityType": item.entity_type,
            "entityUrn": item.entity_urn,
            "changeType": "UPSERT",
            "aspectName": item.aspect_name,
            "aspect": {"value": item.value, "contentType": "application/json"},
        }
    )


def _chunks(bodies: Sequence[bytes], refused: dict[int, str]) -> Iterator[list[int]]:
    """Positions in groups within the server's limits; what is over the limit alone is refused here."""
    chunk: list[int] = []
    size = 0
    room = MOST_BYTES - len(_HEAD) - len(_TAIL)
    for index, body in enumerate(bodies):
        if len(body) > room:
            refused[index] = f"{len(body)} bytes, the server takes {MOST_BYTES} a call"
            continue
        if chunk and (len(chunk) == MOST_PROPOSALS or size + len(body) + 1 > room):
            yield chunk
            chunk, size = [], 0
        chunk.append(index)
        size += len(body) + 1
    if chunk:
        yield chunk
